"""Files that have two readings are named, each kind once."""

import numpy as np
import pytest
from PIL import Image

from labkit.io.picture_remarks import remarks_on

DEEP = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)  # up to 1,999: 12 bits


def saved(path, picture, **options):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **options)
    return path


def test_plain_files_have_no_remark(tmp_path):
    files = [
        saved(tmp_path / "a.png", Image.new("RGB", (50, 40), "red")),
        saved(tmp_path / "b.png", DEEP * 30),
        saved(tmp_path / "c.mpo", Image.new("RGB", (50, 40)), save_all=True, append_images=[]),
        tmp_path / "missing.png",
    ]
    (tmp_path / "no picture.png").write_bytes(b"text")
    assert remarks_on([*files, tmp_path / "no picture.png"]) == []


@pytest.mark.parametrize(
    "array, words",
    [
        (DEEP, ["no value above 4095, read as the 12 bits"]),
        (DEEP // 10, ["12 bits", "99.9 % of the values"]),  # 8 bits in a file of 16
        (np.where(DEEP == 7, 65000, DEEP).astype(np.uint16), ["99.9 % of the values"]),
        (np.zeros_like(DEEP), ["12 bits"]),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_depths(tmp_path, array, words, suffix):
    remarks = remarks_on([saved(tmp_path / f"a.{suffix}", array)])
    assert len(remarks) == len(words)
    for remark, word in zip(remarks, words, strict=True):
        assert word in remark and remark.startswith(f"{tmp_path}/a.{suffix}: ")


def test_depths_that_differ(tmp_path):
    files = [saved(tmp_path / "a.png", DEEP), saved(tmp_path / "b.png", DEEP * 30)]
    (remark,) = remarks_on(files)
    assert "their brightness does not agree" in remark and "a.png" in remark


def test_pages_are_counted_once_for_all_files(tmp_path):
    pages = [Image.new("L", (50, 40), grey) for grey in (1, 2)]
    files = [
        saved(tmp_path / f"{name}.tif", pages[0], save_all=True, append_images=pages[1:])
        for name in "ab"
    ]
    (remark,) = remarks_on(files)
    assert remark.startswith(f"2 pictures, the first {files[0]}: a file of several pages")


@pytest.mark.parametrize(
    "size, orientation, ambiguous",
    [((50, 40), 3, True), ((50, 40), 6, False), ((40, 40), 6, True), ((40, 40), 1, False)],
)
def test_turns_that_the_size_does_not_show(tmp_path, size, orientation, ambiguous):
    exif = Image.Exif()
    exif[0x0112] = orientation
    remarks = remarks_on([saved(tmp_path / "a.jpg", Image.new("RGB", size), exif=exif)])
    assert len(remarks) == ambiguous and all("EXIF turn" in remark for remark in remarks)


def test_channels_beyond_the_colours(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = np.zeros((40, 50, 5), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", planarconfig="contig")
    (remark,) = remarks_on([tmp_path / "a.tif"])
    assert "more than 4 channels" in remark
