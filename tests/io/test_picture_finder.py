"""Names from other machines lead to the one file that is meant, and never out of the folder."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.io.data_files import Unusable
from labkit.io.picture_finder import Found, PictureFinder, base_name


def finder(folder, *names) -> PictureFinder:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return PictureFinder(folder)


FOREIGN = [
    "..\\..\\label-studio\\upload\\4\\b.png",
    "/home/anna/pics/b.png",
    "C:\\Users\\anna\\b.png",
    "D:/work/b.png",
    "\\\\server\\share\\b.png",
    "/data/local-files/?d=pics/b.png",
    "/data/local-files/?d=pics%2Fb.png",
    "https://example.org/pics/b.png",
    "https://example.org/pics/b.png?size=large&v=2",
    "https://example.org/download?file=pics/b.png",
    "s3://bucket/b.png",
    "file:///home/anna/b.png",
    "pics/b.png",
    "../b.png",
]


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("there", ["b.png", "sub/deep/b.png"])
def test_the_one_file_of_that_name(tmp_path, name, there):
    found = finder(tmp_path, there, "c.png").find(name)
    assert found.name == there and found.path == tmp_path / there and found.exists
    assert found.how == f'as "{there}"'


@pytest.mark.parametrize("name", ["b.png", "./b.png", "sub/c.png", "sub/../b.png", "sub\\c.png"])
def test_the_very_name_comes_first(tmp_path, name):
    found = finder(tmp_path, "b.png", "sub/c.png", "sub/b.png").find(name)
    assert found.exists and found.how == "" and found.name == name
    assert found.path in (tmp_path / "b.png", tmp_path / "sub" / "c.png")


def test_of_several_files_the_one_whose_folders_agree(tmp_path):
    there = finder(tmp_path, "train/b.png", "val/b.png", "deep/val/c.png", "other/c.png")
    assert there.find("/home/anna/set/val/b.png").name == "val/b.png"
    assert there.find("/home/anna/deep/val/c.png").name == "deep/val/c.png"
    with pytest.raises(Unusable, match=r'any of 2 files .*"train/b.png", "val/b.png"'):
        there.find("/home/anna/b.png")


def test_another_case_and_another_unicode_form(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "Müller.JPG") for form in ("NFC", "NFD"))
    there = finder(tmp_path, nfd, "pics/A.PNG")
    assert there.find(nfc).path == tmp_path / nfd
    assert there.find("müller.jpg").exists
    assert there.find("pics/a.png").name == "pics/A.PNG"
    assert there.find("/else/where/a.png").name == "pics/A.PNG"
    if len(os.listdir(finder(tmp_path, "x.png", "X.png").folder)) == 4:  # a system that tells
        assert PictureFinder(tmp_path).find("X.png").how == ""
        with pytest.raises(Unusable, match="any of 2 files"):
            PictureFinder(tmp_path).find("C:\\x.PNG")


def test_percent_signs(tmp_path):
    there = finder(tmp_path, "a b.png", "50%25.png")
    assert there.find("a%20b.png").name == "a b.png"
    assert there.find("50%25.png").how == ""  # the very name


def test_another_format_beside_it(tmp_path):
    assert finder(tmp_path, "a.png").find("a.jpg").name == "a.png"
    assert PictureFinder(tmp_path).find("a").name == "a.png"
    with pytest.raises(Unusable, match="any of 2 files"):
        finder(tmp_path, "a.tif").find("a.jpg")


def test_a_missing_picture_is_not_replaced_by_another_of_its_name(tmp_path):
    there = finder(tmp_path, "images/a.png", "masks/b.png", "val/b.png", "c.png")
    for name in ("images/b.png", "/home/anna/images/b.png"):  # the folder is there, the file not
        with pytest.raises(Unusable) if name[0] == "/" else _nothing():
            assert not there.find(name).exists
    assert finder(tmp_path / "m", "masks/b.png").find("pics/b.png").exists is False
    with pytest.raises(Unusable, match="no file of that name is there"):
        there.find("/home/anna/none.png")


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_no_file_is_taken_for_two_names(tmp_path):
    there = finder(tmp_path, "b.png", "c.png")
    one, two, three = there.find_all(["b.png", "/home/anna/b.png", "/home/anna/c.png"])
    assert one.how == "" and three.name == "c.png"
    assert isinstance(two, Unusable) and "belongs to another picture" in str(two)
    first, second = there.find_all(["/x/b.png", "/y/b.png"])
    assert isinstance(first, Unusable) and isinstance(second, Unusable)
    assert all(found.exists for found in there.find_all(["/x/b.png", "/x/b.png"]))


def test_nothing_outside_is_found(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    there = finder(inside, "a.png")
    finder(outside, "secret.png")
    (inside / "link.png").symlink_to(outside / "secret.png")
    (inside / "door").symlink_to(outside)
    for name in ("../out/secret.png", str(outside / "secret.png"), "https://x/secret.png"):
        try:
            assert not there.find(name).exists
        except Unusable:
            pass
    with pytest.raises(Unusable):
        PictureFinder(inside).find("/home/anna/link.png")


@given(st.text(st.characters(codec=None), max_size=12) | st.text("./\\aC:%?=2F", max_size=12))
def test_no_name_leads_out(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp() / "finder"
    there = finder(folder, "a", "a.png", "C/a.png")
    try:
        found = there.find(name)
    except Unusable as error:
        assert "\n" not in str(error)
        str(error).encode("utf-8")
    else:
        assert isinstance(found, Found) and folder in found.path.parents


def test_base_names():
    assert {base_name(name) for name in FOREIGN} == {"b.png"}
    assert base_name("") == base_name("..") == ""
