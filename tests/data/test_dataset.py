"""The Dataset interface, on a data set of four lines."""

import json
import warnings

import numpy as np
import pytest
from pycocotools.coco import COCO

from labkit.data import CocoDataset, Dataset, Sample, shapes
from labkit.data.sample import make_sample
from labkit.errors import LabkitError


class Bars(Dataset):
    """Picture i holds i bars of i + 2 by 3 pixels; the last bar of picture 3 is a crowd."""

    class_names = ("odd <b>\n", "even")
    category_ids = (70, 3)
    problems = []

    def __len__(self):
        return 4

    def image_info(self, index):
        return {"id": 100 + index, "file_name": f"bar {index}.jpg", "height": 10, "width": 20}

    def read(self, index):
        masks = np.zeros((index, 10, 20), bool)
        for i in range(index):
            masks[i, 1 : index + 3, 1 + 4 * i : 4 + 4 * i] = True
        image = np.full((10, 20, 3), index, np.uint8)
        info = self.image_info(index)
        return make_sample(
            image,
            masks,
            [1 + i % 2 for i in range(index)],
            crowd=[index == 3 and i == 2 for i in range(index)],
            image_id=info["id"],
            name=info["file_name"],
        )


def test_a_sample_has_the_agreed_types():
    for sample in [*Bars(), *shapes(3)]:
        count, (height, width) = len(sample), sample.image.shape[:2]
        assert sample.image.dtype == np.uint8 and sample.image.shape == (height, width, 3)
        assert sample.boxes.dtype == np.float32 and sample.boxes.shape == (count, 4)
        assert sample.class_ids.dtype == np.int32 and sample.class_ids.shape == (count,)
        assert sample.masks.dtype == bool and sample.masks.shape == (count, height, width)
        assert sample.crowd.dtype == bool and sample.crowd.shape == (count,)
        assert isinstance(sample, Sample) and repr(sample)


def test_names_stay_on_the_line_they_are_shown_on():
    ds = shapes(1, 64).group_classes({"a\nb\ud800🙂": ["star"]})
    assert repr(ds).count("\n") == 0 and "a\\nb\\ud800🙂" in repr(ds)
    repr(ds).encode()  # half a character could not be printed


def test_a_sequence():
    ds = Bars()
    assert len(ds) == 4 and len(list(ds)) == 4
    assert ds[-1].image_id == 103 and ds[np.int64(2)].image_id == 102
    assert ds.image_ids == (100, 101, 102, 103)
    assert ds.max_instances == 3
    for index in (4, -5):
        with pytest.raises(IndexError, match="4 images"):
            ds[index]
    with pytest.raises(TypeError):
        ds["a"]


def test_sizes_leave_crowds_out():
    heights, widths = Bars().instance_sizes()
    assert heights.dtype == widths.dtype == np.float32
    assert heights.tolist() == [3, 4, 4, 5, 5] and set(widths.tolist()) == {3}


def test_a_subset_is_a_data_set():
    ds = Bars()
    part = ds.subset([3, -3])
    assert part.image_ids == (103, 101) and len(part) == 2
    assert part.class_names == ds.class_names and part.category_ids == ds.category_ids
    assert part.max_instances == 3 and part.instance_sizes()[0].tolist() == [5, 5, 3]
    assert part[1].name == "bar 1.jpg" and part[0].masks.shape[0] == 3
    assert [i["id"] for i in part.to_coco()["images"]] == [103, 101]
    assert part.subset([1])[0].image_id == 101
    assert ds[1:3].image_ids == (101, 102) and ds[::-1].image_ids[0] == 103
    with pytest.raises(LabkitError, match="twice"):
        ds.subset([1, 1])
    with pytest.raises(IndexError):
        ds.subset([7])


def test_an_empty_data_set():
    empty = Bars().subset([])
    assert len(empty) == 0 and empty.max_instances == 0
    assert [len(sides) for sides in empty.instance_sizes()] == [0, 0]
    assert empty.to_coco()["annotations"] == []


def test_coco_has_what_pycocotools_needs():
    coco = Bars().to_coco()
    json.dumps(coco)
    assert coco["categories"] == [{"id": 70, "name": "odd <b>\n"}, {"id": 3, "name": "even"}]
    assert [a["id"] for a in coco["annotations"]] == list(range(1, 7))
    last = coco["annotations"][-1]
    assert last["bbox"] == [9, 1, 3, 5] and last["area"] == 15 and last["iscrowd"] == 1
    assert last["image_id"] == 103 and last["category_id"] == 70
    api = COCO()
    api.dataset = coco
    api.createIndex()
    sample = Bars()[3]
    for annotation, mask in zip(api.loadAnns(api.getAnnIds(103)), sample.masks, strict=True):
        assert (api.annToMask(annotation) == mask).all()
    api.loadRes([{"image_id": 103, "category_id": 3, "bbox": [0, 0, 2, 2], "score": 1.0}])


@pytest.mark.parametrize("make", [Bars, lambda: shapes(5, 64, seed=3), lambda: shapes(0)])
def test_what_is_saved_reads_back_the_same(tmp_path, make):
    ds = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds.save_coco(tmp_path / "annotations" / "all.json", tmp_path / "images")
        back = CocoDataset(tmp_path / "annotations" / "all.json", tmp_path / "images")
    order = [back.class_names.index(name) + 1 for name in ds.class_names]
    assert len(back) == len(ds) and back.check() == []
    for ours, theirs in zip(ds, back, strict=True):
        assert (ours.image == theirs.image).all() and ours.image_id == theirs.image_id
        assert (ours.masks == theirs.masks).all() and (ours.boxes == theirs.boxes).all()
        assert [order[i - 1] for i in ours.class_ids] == theirs.class_ids.tolist()
        assert (ours.crowd == theirs.crowd).all()
    assert not list(tmp_path.rglob("*.part"))


def test_samples_are_the_callers_own():
    ds = shapes(2)
    before = ds[0].image.copy()
    ds[0].image[:] = 0
    sample = ds[0]
    sample.masks[:] = False
    assert (ds[0].image == before).all() and ds[0].masks.any()
