"""MaskFolderDataset: a file an instance, overlaps kept."""

import numpy as np
import pytest
from PIL import Image

from labkit.data import MaskFolderDataset, load_dataset
from labkit.errors import LabkitError, MissingFileError

LEFT, RIGHT = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
LEFT[5:15, 5:20], RIGHT[5:15, 15:30] = 255, 255


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Pictures "one", with two masks that overlap, and "two", with none."""
    for name in ("one", "two"):
        save(tmp_path / name / "images" / f"{name}.png", np.full((30, 40, 3), 9, np.uint8))
        (tmp_path / name / "masks").mkdir()
    save(tmp_path / "one" / "masks" / "l.png", LEFT)
    save(tmp_path / "one" / "masks" / "r.png", RIGHT)
    return tmp_path


def test_reading(folder):
    ds = MaskFolderDataset(folder, class_name="cell", strict=True)
    assert ds.class_names == ("cell",) and len(ds) == 2 and ds.check() == []
    sample, empty = ds
    assert (sample.masks == np.stack([LEFT, RIGHT]) // 255).all() and sample.masks.all(0).any()
    assert sample.name == "one/images/one.png" and len(empty) == 0 and ds.max_instances == 2
    for path, count in ((folder, 2), (folder / "one", 1), (folder / "one" / "masks", 1)):
        ds = load_dataset(path)
        assert type(ds) is MaskFolderDataset and len(ds) == count
    outer = folder / "stage1_train"
    outer.mkdir()
    for name in ("one", "two"):
        (folder / name).rename(outer / name)
    assert len(load_dataset(folder)) == 2


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_masks_of_every_mode(folder, mode):
    mask = Image.fromarray(LEFT)
    if mode == "I;16":
        mask = Image.fromarray(LEFT.astype(np.uint16))
    else:
        mask = mask.convert(mode)  # where there is alpha, it is opaque everywhere
    mask.save(folder / "one" / "masks" / "l.png")
    assert (MaskFolderDataset(folder)[0].masks[0] == (LEFT > 0)).all()


def test_a_folder_without_masks_says_nothing_about_its_picture(folder):
    (folder / "two" / "masks").rmdir()
    with pytest.warns(UserWarning, match='"two" has no folder "masks"'):
        assert len(MaskFolderDataset(folder)) == 1
    with pytest.raises(LabkitError, match='"two"'):
        MaskFolderDataset(folder, strict=True)


@pytest.mark.parametrize("count", [0, 2])
def test_one_picture_a_folder(folder, count):
    for i in range(count):
        save(folder / "two" / "images" / f"{i}.png", LEFT)
    (folder / "two" / "images" / "two.png").unlink()
    with pytest.warns(UserWarning, match=f"has {count} pictures"):
        assert len(MaskFolderDataset(folder)) == 1


def test_a_mask_that_cannot_be_used_is_named_once(folder):
    save(folder / "one" / "masks" / "small.png", LEFT[:9])
    save(folder / "one" / "masks" / "zero.png", 0 * LEFT)
    (folder / "one" / "masks" / "broken.png").write_bytes(b"no picture")
    ds = MaskFolderDataset(folder)
    assert len(ds[0]) == 2 and len(ds[0]) == 2
    words = ["broken.png is not a picture", "small.png has 9 x 40 pixels", "zero.png covers no"]
    assert len(ds.problems) == 3
    assert all(word in problem for word, problem in zip(words, ds.problems, strict=True))
    assert ds.check() == ds.problems and ds.labels(0).boxes.shape == (2, 4)
    with pytest.raises(LabkitError, match="broken.png"):
        MaskFolderDataset(folder, strict=True)[0]


def test_a_mask_that_is_a_link_out_is_left_out(folder, tmp_path_factory):
    secret = save(tmp_path_factory.mktemp("secret") / "s.png", LEFT)
    (folder / "one" / "masks" / "s.png").symlink_to(secret)
    ds = MaskFolderDataset(folder)
    assert len(ds[0]) == 2 and "leads out" in ds.problems[0]


def test_folders_of_no_use(tmp_path):
    with pytest.raises(MissingFileError):
        MaskFolderDataset(tmp_path / "none")
    with pytest.raises(LabkitError, match="no folder with images and masks"):
        MaskFolderDataset(tmp_path)


def two_discs():
    rows, columns = np.ogrid[:120, :160]
    inside = [(rows - 40) ** 2 + (columns - x) ** 2 < 400 for x in (40, 100)]
    return np.where(inside[0] | inside[1], 255, 0).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_mask_of_several_parts(tmp_path, suffix):
    save(tmp_path / "one" / "images" / "one.png", np.zeros((120, 160, 3), np.uint8))
    save(tmp_path / "one" / "masks" / f"all.{suffix}", two_discs())
    with pytest.warns(UserWarning, match=r"one/masks/all\.\w+: the only mask.*--connected-comp"):
        ds = MaskFolderDataset(tmp_path)
    assert len(ds[0]) == 1 and (ds[0].masks[0] == (two_discs() > 0)).mean() > 0.999
    ds = MaskFolderDataset(tmp_path, connected_components=True, strict=True)
    assert ds.problems == ds.check() == [] and len(ds[0]) == ds.max_instances == 2


def test_a_mask_of_the_background(folder):
    save(folder / "two" / "masks" / "r.png", 255 - RIGHT)
    with pytest.warns(UserWarning, match=r"two/masks/r\.png: the mask covers the border"):
        MaskFolderDataset(folder)
