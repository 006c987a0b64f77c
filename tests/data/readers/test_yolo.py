"""YOLO's segmentation format: what `save_yolo` writes, and what Roboflow and people write."""

import numpy as np
import pytest
from PIL import Image

from labkit.data import YoloDataset, load_dataset, save_yolo, shapes, splits
from labkit.errors import LabkitError, MissingFileError

SQUARE = "0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6"  # of 100 x 50 pixels: x 10 to 50, y 5 to 30


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (50, 100, 3), np.uint8)
    Image.fromarray(values).save(path)


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


@pytest.fixture
def folder(tmp_path):
    """Two classes; the pictures a (one object) and b (none) of the split train."""
    for name in "ab":
        picture(tmp_path / "images" / "train" / f"{name}.jpg", ord(name))
    text(tmp_path / "labels" / "train" / "a.txt", f"1 {SQUARE}")
    text(tmp_path / "data.yaml", "path: .", "train: images/train", "names:", "  0: x", "  1: y")
    return tmp_path


def test_round_trip(tmp_path):
    parts = {"train": shapes(5, 96, seed=4), "val": shapes(3, 64, seed=5)}
    for name, part in parts.items():
        save_yolo(part, tmp_path, name)
    assert splits(tmp_path) == ("train", "val")
    for name, part in parts.items():
        ds = load_dataset(tmp_path, split=name, strict=True)
        assert type(ds) is YoloDataset and ds.class_names == part.class_names
        for read, written in zip(ds, part, strict=True):
            assert (read.masks == written.masks).all() and (read.image == written.image).all()
            assert (read.class_ids == written.class_ids).all()


def test_reading(folder):
    ds = YoloDataset(folder, strict=True)
    assert ds.class_names == ("x", "y") and len(ds) == 2 and ds.check() == []
    assert ds[0].class_ids.tolist() == [2] and ds[0].boxes.tolist() == [[5, 10, 30, 50]]
    assert ds[0].masks.sum() == 40 * 25 and len(ds[1]) == 0
    for path in (folder, folder / "data.yaml", folder / "images" / "train"):
        assert type(load_dataset(path)) is YoloDataset and len(load_dataset(path)) == 2


@pytest.mark.parametrize(
    "names, expected",
    [
        ("names: [x, y]", ("x", "y")),
        ("names: ['x', 2]", ("x", "2")),
        ("nc: 2\nnames:\n- x\n- y", ("x", "y")),
        ("names: {1: y, 0: x}", ("x", "y")),
        ('names: {"1": y}', ("class 0", "y")),
    ],
)
@pytest.mark.parametrize(
    "path", ["images/train", "../images/train", "/home/anna/set/images/train", r"..\images\train"]
)
def test_ways_to_write_data_yaml(folder, names, expected, path):
    text(folder / "data.yaml", f"train: '{path}'", f"val: {path}/none", names)
    ds = load_dataset(folder, strict=True)
    assert ds.class_names == expected and ds[0].class_ids.tolist() == [2]


def test_named_beside_other_annotations(folder):
    (folder / "labels" / "val").mkdir()
    picture(folder / "images" / "val" / "c.jpg")
    (folder / "x.json").write_text('{"images": [], "annotations": [], "categories": []}')
    text(folder / "data.yaml", "train: images/train", "val: images/val", "names: [x, y]")
    assert splits(folder, "yolo") == ("train", "val")
    assert len(load_dataset(folder, format="yolo")) == 2
    assert len(load_dataset(folder, format="yolo", split="val")) == 1


def test_a_list_of_pictures_as_a_split(folder):
    text(folder / "train.txt", "./images/train/a.jpg", "/somewhere/else/images/train/b.jpg")
    text(folder / "data.yaml", "train: train.txt", "names: [x, y]")
    assert [s.name for s in load_dataset(folder)] == ["images/train/a.jpg", "images/train/b.jpg"]


def test_nothing_outside_the_folder_is_read(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    picture(outside / "images" / "z.jpg")
    text(folder / "data.yaml", f"train: {outside}/images", "val: images/train", "names: [x, y]")
    for ds in (load_dataset(folder, split=name) for name in ("train", "val")):
        assert len(ds) == 2
        assert all(ds.picture_file(i).is_relative_to(folder) for i in range(2))


@pytest.mark.parametrize("layout", ["split/images", "images", "side by side"])
def test_without_a_yaml_the_classes_are_numbers(tmp_path, layout):
    places = {
        "split/images": ("train/images", "train/labels"),
        "images": ("images", "labels"),
        "side by side": (".", "."),
    }
    images, labels = (tmp_path / place for place in places[layout])
    picture(images / "a.png")
    text(labels / "a.txt", f"2 {SQUARE}")
    with pytest.warns(UserWarning, match="no data.yaml or classes.txt.*--class-names"):
        ds = load_dataset(tmp_path)
    assert ds.class_names == ("0", "1", "2") and ds[0].class_ids.tolist() == [3]
    assert load_dataset(tmp_path, class_names=["x", "y", "z"], strict=True).class_names[2] == "z"
    text(labels / "classes.txt", "x", "y", "z")
    assert load_dataset(tmp_path, strict=True).class_names == ("x", "y", "z")


@pytest.mark.parametrize(
    "line, words",
    [
        ("1 0.1 0.1 0.5 0.1", "all 1 objects are boxes"),
        (f"2 {SQUARE}", "line 1 has the class 2, but there are 2: 0 to 1"),
        (f"0.5 {SQUARE}", "line 1 begins with 0.5"),
        (f"0 {SQUARE} 0.93", "the last one is a score"),
        ("0 0.1 0.1", "too few for a polygon"),
        ("0 10 10 50 10 50 60", "from 0 to 1, not pixels"),
        ("cat 0.1 0.1 0.5 0.1 0.5 0.6", "is 'cat 0.1 .*, not numbers"),
        ("0 nan 0.1 0.5 0.1 0.5 0.6", "not finite"),
        ("0 0.1 0.1 0.1 0.1 0.1 0.1", "covers no pixel|no area"),
        (f"1 {SQUARE}\n1 {SQUARE}", "line 2 is the same as an earlier line"),
    ],
)
def test_lines_that_cannot_be_used(folder, line, words):
    text(folder / "labels" / "train" / "a.txt", *line.split("\n"))
    with pytest.raises(LabkitError, match=words):
        YoloDataset(folder, strict=True)


def test_boxes_are_counted_and_can_be_masks(folder):
    text(folder / "labels" / "train" / "a.txt", f"1 {SQUARE}", "0 0.3 0.35 0.4 0.5")
    with pytest.warns(UserWarning, match="1 of 2 objects are boxes.*--boxes-as-masks"):
        assert len(YoloDataset(folder)[0]) == 1
    ds = YoloDataset(folder, boxes_as_masks=True, strict=True)
    assert ds[0].boxes.tolist() == [[5, 10, 30, 50]] * 2


def test_a_txt_without_a_picture_is_named(folder):
    text(folder / "labels" / "train" / "c.txt", f"1 {SQUARE}")
    with pytest.warns(UserWarning, match="c.txt has no picture"):
        YoloDataset(folder)


def test_corners_a_little_outside_are_cut(folder):
    text(folder / "labels" / "train" / "a.txt", "0 -0.001 0 1.0004 0 1.0004 1 -0.001 1")
    assert YoloDataset(folder, strict=True)[0].masks.all()


def test_what_is_no_yolo(tmp_path, folder):
    with pytest.raises(MissingFileError, match="no split"):
        YoloDataset(folder, "test")
    text(folder / "data.yaml", "train: images/train", "names: [x, x]")
    with pytest.raises(LabkitError, match="a name twice"):
        load_dataset(folder)
    text(folder / "data.yaml", "train: images/train", "names: 3")
    with pytest.raises(LabkitError, match="not a list of names"):
        load_dataset(folder)
    text(folder / "data.yaml", "train: [", "names: 3")
    with pytest.raises(LabkitError, match="is not yaml"):
        load_dataset(folder / "data.yaml")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(LabkitError, match="neither a data.yaml nor"):
        YoloDataset(empty)
