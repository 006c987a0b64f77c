"""VocDataset: objects by value, classes by majority, void as nothing."""

import numpy as np
import pytest
from PIL import Image

from labkit.data import VocDataset, load_dataset
from labkit.errors import LabkitError, MissingFileError


def palette(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array.astype(np.uint8)).convert("P")
    image.putpalette([i for value in range(256) for i in (value, 255 - value, 7)])
    image.putdata(array.ravel().tolist())
    image.save(path)


@pytest.fixture
def root(tmp_path):
    """Pictures a and b; a holds a dog, a cat mostly, and a rim of void."""
    for name in "ab":
        (tmp_path / "JPEGImages").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (5, 6, 7)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
    objects, classes = np.zeros((30, 40)), np.zeros((30, 40))
    objects[2:10, 2:10], classes[2:10, 2:10] = 1, 12
    objects[2, 2:10], classes[2, 2:10] = 255, 255
    objects[20:25, 20:30], classes[20:25, 20:30] = 3, 8
    classes[20, 20:30] = 12  # a slip of the brush
    for name, (o, c) in {"a": (objects, classes), "b": (0 * objects, 0 * objects)}.items():
        palette(tmp_path / "SegmentationObject" / f"{name}.png", o)
        palette(tmp_path / "SegmentationClass" / f"{name}.png", c)
    return tmp_path


def lists(root, **splits):
    folder = root / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True)
    for split, text in splits.items():
        (folder / f"{split}.txt").write_text(text)
    return root


def test_reading(root):
    ds = VocDataset(root, strict=True)
    assert len(ds) == 2 and len(ds.class_names) == 20 and ds.check() == []
    sample, empty = ds
    assert [ds.class_names[i - 1] for i in sample.class_ids] == ["dog", "cat"]
    assert sample.boxes.tolist() == [[3, 2, 10, 10], [20, 20, 25, 30]]
    assert sample.masks.sum((1, 2)).tolist() == [56, 50] and len(empty) == 0
    assert type(load_dataset(root)) is VocDataset


def test_splits(root):
    lists(root, train="b\n", val="a\n\n")
    assert [VocDataset(root, split)[0].name for split in ("train", "val")] == ["b.jpg", "a.jpg"]
    assert load_dataset(root)[0].name == "b.jpg"
    assert load_dataset(root, split="val")[0].name == "a.jpg"
    with pytest.raises(LabkitError, match='no split "test"; there are: "train", "val"'):
        load_dataset(root, split="test")
    with pytest.raises(MissingFileError, match="test.txt"):
        VocDataset(root, "test")


def test_every_part_means_the_whole(root):
    for part in ("JPEGImages", "SegmentationObject", "SegmentationClass"):
        assert type(load_dataset(root / part)) is VocDataset
    outer = root.parent / "VOCdevkit"
    outer.mkdir()
    (outer / "VOC2012").symlink_to(root)
    assert type(load_dataset(outer)) is VocDataset


@pytest.mark.parametrize("file", ["classes.txt", "class_names.txt", "labels.txt"])
def test_class_names_in_a_file(root, file):
    names = [f"class {i}" for i in range(1, 15)]
    (root / file).write_text("\n".join(["__ignore__", "_background_", *names]))
    ds = VocDataset(root)
    assert ds.class_names == tuple(names) and ds[0].class_ids.tolist() == [12, 8]
    assert VocDataset(root, class_names=names[:12]).class_names == tuple(names[:12])


def test_an_object_without_a_known_class_is_named(root):
    ds = VocDataset(root, class_names=[f"class {i}" for i in range(1, 11)])
    assert ds[0].class_ids.tolist() == [8] and ds[0].class_ids.tolist() == [8]
    assert len(ds.problems) == 1
    assert "object 1 of SegmentationObject has no class in 1..10" in ds.problems[0]
    with pytest.raises(LabkitError, match="object 1"):
        VocDataset(root, class_names=["a"], strict=True)[0]


@pytest.mark.parametrize(
    "name, words",
    [("none", "has no picture"), ("../a", "not inside"), ("/etc/passwd", "not inside")],
)
def test_a_line_of_a_list_that_cannot_be_used(root, name, words):
    lists(root, train=f"a\n{name}\n")
    with pytest.warns(UserWarning, match=words):
        assert len(VocDataset(root, "train")) == 1


def test_a_picture_without_a_class_map(root):
    (root / "SegmentationClass" / "b.png").unlink()
    with pytest.warns(UserWarning, match=r'"b" cannot be used: .*b\.png: there is no such file'):
        assert len(VocDataset(root)) == 1


def test_missing_folders(root, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(MissingFileError, match="JPEGImages"):
        VocDataset(empty)
    with pytest.raises(MissingFileError, match="SegmentationObject"):
        VocDataset(empty, images=root / "JPEGImages")
    (empty / "SegmentationObject").mkdir(), (empty / "SegmentationClass").mkdir()
    with pytest.raises(LabkitError, match="no picture with a SegmentationObject"):
        VocDataset(empty, images=root / "JPEGImages")
