"""VOC's boxes: named as such, and taken for masks only where asked for."""

import numpy as np
import pytest
from PIL import Image

from labkit.data import VocBoxDataset, load_dataset
from labkit.errors import LabkitError

OBJECT = "<object><name>{}</name><bndbox>{}</bndbox></object>"
BOX = "<xmin>10</xmin><ymin>5</ymin><xmax>40</xmax><ymax>25</ymax>"


def write(folder, *objects, name="a"):
    for place in ("JPEGImages", "Annotations"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "JPEGImages" / f"{name}.png")
    (folder / "Annotations" / f"{name}.xml").write_text(
        f"<annotation><folder>x</folder><filename>{name}.png</filename><path>C:\\x\\{name}.png"
        f"</path><size><width>80</width><height>60</height></size>{''.join(objects)}</annotation>"
    )
    return folder


def test_boxes_alone_are_refused_with_the_option(tmp_path):
    write(tmp_path, OBJECT.format("cat", BOX) * 2)
    with pytest.raises(LabkitError, match="all 2 objects are boxes.*--boxes-as-masks"):
        load_dataset(tmp_path)


def test_boxes_as_masks(tmp_path):
    write(tmp_path, OBJECT.format("cat", BOX), OBJECT.format("ape", BOX))
    ds = load_dataset(tmp_path, boxes_as_masks=True, strict=True)
    assert type(ds) is VocBoxDataset and ds.class_names == ("ape", "cat") and ds.check() == []
    assert ds[0].boxes.tolist() == [[5, 10, 25, 40]] * 2 and ds[0].masks.sum() == 1200
    assert ds[0].class_ids.tolist() == [2, 1]


def test_splits_and_files_side_by_side(tmp_path):
    for name in "ab":
        write(tmp_path, OBJECT.format("cat", BOX), name=name)
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("b\n")
    ds = load_dataset(tmp_path, split="val", boxes_as_masks=True)
    assert [sample.name for sample in ds] == ["b.png"]
    beside = tmp_path / "beside"
    beside.mkdir()
    for path in [*(tmp_path / "JPEGImages").iterdir(), *(tmp_path / "Annotations").iterdir()]:
        path.rename(beside / path.name)
    assert len(load_dataset(beside, boxes_as_masks=True)) == 2


@pytest.mark.parametrize(
    "entry, words",
    [
        (OBJECT.format("", BOX), "no <name>"),
        (OBJECT.format("cat", ""), "the xmin None"),
        (OBJECT.format("cat", BOX.replace("40", "x")), "the xmax 'x'"),
        (OBJECT.format("cat", BOX.replace("40", "10")), "no area"),
    ],
)
def test_objects_that_cannot_be_used(tmp_path, entry, words):
    write(tmp_path, OBJECT.format("cat", BOX), entry)
    with pytest.warns(UserWarning, match=words):
        assert len(load_dataset(tmp_path, boxes_as_masks=True)[0]) == 1
