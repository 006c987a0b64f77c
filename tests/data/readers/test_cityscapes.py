"""CityscapesDataset: polygons and instance maps say the same; groups are crowds."""

import json

import numpy as np
import pytest
from PIL import Image

from labkit.data import CityscapesDataset, load_dataset
from labkit.errors import LabkitError, MissingFileError

NAME = "aachen_000000_000019"


def box(label, x1, y1, x2, y2, **more):
    return {"label": label, "polygon": [[x1, y1], [x2, y1], [x2, y2], [x1, y2]], **more}


OBJECTS = [
    box("sky", 0, 0, 39, 9),
    box("car", 2, 10, 15, 20),
    box("car", 10, 12, 25, 25),
    box("tree", 0, 0, 1, 1, deleted=1),
    box("person", 30, 5, 33, 20, deleted=0),
    box("person", 0, 0, 39, 29, deleted=1),
    box("bicyclegroup", 28, 18, 37, 27),
    box("pole", 12, 0, 13, 29),
    box("license plate", 4, 18, 6, 19),
    box("trailer", 34, 0, 39, 4),
]


@pytest.fixture
def root(tmp_path):
    for split in ("train", "val"):
        for part in ("leftImg8bit", "gtFine"):
            (tmp_path / part / split / "aachen").mkdir(parents=True)
        Image.new("RGB", (40, 30), (5, 6, 7)).save(
            tmp_path / "leftImg8bit" / split / "aachen" / f"{NAME}_leftImg8bit.png"
        )
        polygons(tmp_path, OBJECTS, split)
    return tmp_path


def truth(root, ending, split="train"):
    return root / "gtFine" / split / "aachen" / f"{NAME}_gtFine_{ending}"


def polygons(root, objects, split="train", height=30, width=40):
    content = {"imgHeight": height, "imgWidth": width, "objects": objects}
    truth(root, "polygons.json", split).write_text(json.dumps(content))


def test_polygons(root):
    ds = CityscapesDataset(root, strict=True)
    assert ds.class_names[:3] == ("person", "rider", "car")
    assert ds.category_ids == (24, 25, 26, 27, 28, 31, 32, 33)
    sample = ds[0]
    names = [ds.class_names[i - 1] for i in sample.class_ids]
    assert names == ["bicycle", "person", "car", "car"]
    assert sample.crowd.tolist() == [True, False, False, False]
    assert sample.name == f"aachen/{NAME}_leftImg8bit.png" and ds.check() == []
    bicycles, person, first, second = sample.masks
    assert not sample.masks[:, :, 12].any() and (sample.masks.sum(0) <= 1).all()
    assert first[10:21, 2:10].all() and not first[12:, 10:].any() and second[12:26, 14:26].all()
    assert person[5:18, 30:34].all() and not person[18:].any()  # the group is in front
    assert bicycles.sum() == 100 and ds.instance_sizes()[0].tolist() == [13, 11, 14]
    assert type(load_dataset(root)) is CityscapesDataset
    assert len(load_dataset(root, split="val")) == 1


def test_instance_maps_say_the_same_and_come_first(root):
    drawn = CityscapesDataset(root)[0]
    ids = np.zeros((30, 40), np.int32)
    for mask, value in zip(drawn.masks, (33, 24_000, 26_000, 26_001), strict=True):
        ids[mask] = value
    ids[0] = 23  # sky
    ids[1, :3] = 30_000  # a trailer
    Image.fromarray(ids.astype(np.uint16)).save(truth(root, "instanceIds.png"))
    truth(root, "polygons.json").unlink()
    read = CityscapesDataset(root, strict=True)[0]
    assert (read.masks == drawn.masks).all() and (read.class_ids == drawn.class_ids).all()
    assert (read.crowd == drawn.crowd).all()


@pytest.mark.parametrize(
    "wrong, words",
    [
        (box("dragon", 1, 1, 5, 5), 'the label "dragon"'),
        (box("Car", 1, 1, 5, 5), 'the label "Car"'),
        ({"label": "car"}, '"polygon" of None'),
        ({"label": "car", "polygon": [[1, 1], [2, 2]]}, "three corners"),
        ({"label": "car", "polygon": [[1, 1], [2, "2"], [3, 3]]}, "not [x, y]"),
        ({"label": "car", "polygon": [[1, 1], [2, 1e9], [3, 3]]}, "far outside"),
        ({"polygon": [[1, 1], [2, 2], [3, 3]]}, 'no "label"'),
        (None, 'no "label"'),
    ],
)
def test_an_object_that_cannot_be_used_is_named(root, wrong, words):
    polygons(root, [wrong, box("car", 2, 2, 9, 9)])
    ds = CityscapesDataset(root)
    assert len(ds[0]) == 1 and len(ds[0]) == 1 and len(ds.problems) == 1
    assert words in ds.problems[0] and "objects[0]" in ds.problems[0]
    with pytest.raises(LabkitError):
        CityscapesDataset(root, strict=True)[0]


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "not json"),
        ("[]", 'no list "objects"'),
        ('{"objects": []}', "imgHeight"),
        ('{"objects": [], "imgHeight": 9, "imgWidth": 40}', "for 9 x 40 pixels"),
    ],
)
def test_polygons_that_cannot_be_used(root, text, words):
    truth(root, "polygons.json").write_text(text)
    ds = CityscapesDataset(root)
    with pytest.raises(LabkitError, match=words):
        ds[0]
    assert len(ds.check()) == 1 and "polygons.json" in ds.check()[0]


def test_a_picture_without_annotations_is_named(root):
    extra = root / "leftImg8bit" / "train" / "bonn"
    extra.mkdir()
    Image.new("RGB", (40, 30)).save(extra / "bonn_1_leftImg8bit.png")
    with pytest.warns(UserWarning, match="bonn/bonn_1_leftImg8bit.png.* has neither"):
        assert len(CityscapesDataset(root)) == 1


def test_missing_folders(root, tmp_path_factory):
    with pytest.raises(MissingFileError, match="test"):
        CityscapesDataset(root, "test")
    with pytest.raises(MissingFileError, match="gtFine"):
        CityscapesDataset(tmp_path_factory.mktemp("a"), images=root / "leftImg8bit")
    (root / "leftImg8bit" / "test").mkdir(), (root / "gtFine" / "test").mkdir()
    with pytest.raises(LabkitError, match="no picture CITY/NAME_leftImg8bit.png"):
        CityscapesDataset(root, "test")
