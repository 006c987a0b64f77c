"""Ten pictures, exported from six annotation tools, are the same data set every time."""

import functools

import annotation_tools as tools
import numpy as np
import pytest

from labkit.data import load_dataset
from labkit.ops.coco_masks import decode_segmentation

EXPORTS = {
    "CVAT, COCO": tools.cvat_coco,
    "CVAT, COCO with a subset": functools.partial(tools.cvat_coco, subset="default"),
    "CVAT, XML": tools.cvat_xml,
    "Label Studio": tools.label_studio,
    "Label Studio, renamed pictures": functools.partial(tools.label_studio, prefix=True),
    "Label Studio, JSON-MIN": functools.partial(tools.label_studio, minimal=True),
    "LabelMe": tools.labelme,
    "VIA": tools.via,
    "Roboflow, COCO": tools.roboflow_coco,
    "Roboflow, YOLO": tools.roboflow_yolo,
    "makesense, COCO": tools.makesense_coco,
    "makesense, VGG": tools.makesense_via,
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals") / "pictures"
    return tools.drawn(folder), folder


@pytest.mark.filterwarnings("ignore:.*repaired")
@pytest.mark.parametrize("export", EXPORTS)
def test_the_same_data_set(originals, tmp_path, export):
    pictures, folder = originals
    ds = load_dataset(EXPORTS[export](pictures, folder, tmp_path / "export"))
    assert ds.class_names == tools.CLASSES and len(ds) == 10 and ds.problems == []
    found = {sample.name.rpartition("/")[2]: sample for sample in ds}
    for picture in pictures:
        stem = picture["file"].removesuffix(".png")
        (sample,) = (s for name, s in found.items() if stem in name)
        width, height = picture["size"]
        assert sample.image.shape == (height, width, 3)
        names = [tools.CLASSES[class_id - 1] for class_id in sample.class_ids]
        assert names == [name for name, _ in picture["objects"]] and not sample.crowd.any()
        for mask, (_, polygon) in zip(sample.masks, picture["objects"], strict=True):
            flat = [value for point in polygon for value in point]
            expected = decode_segmentation([flat], height, width)
            assert (mask & expected).sum() / (mask | expected).sum() > 0.98


def test_the_pixels_are_those_of_the_pictures(originals, tmp_path):
    from PIL import Image

    pictures, folder = originals
    ds = load_dataset(tools.label_studio(pictures, folder, tmp_path / "export"))
    for picture, sample in zip(pictures, ds, strict=True):
        assert (np.array(Image.open(folder / picture["file"])) == sample.image).all()
