"""Names and json from strangers: nothing leads out of its folder, nothing breaks a sentence."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import (
    Unusable,
    image_files,
    path_inside,
    quote,
    read_json,
    refuse_links_out,
    shown,
    subfolders,
    whole,
    write_text,
)

OUTSIDE = [
    "../a.png",
    "/etc/passwd",
    "deep/../../a.png",
    ".",
    "",
    "..",
    "deep/..",
    "..\\a.png",
    "..\\..\\windows\\a.png",
    "C:\\a.png",
    "c:/a.png",
    "\\a.png",
    "\\\\server\\share\\a.png",
    "deep\\..\\..\\a.png",
    "a.png\0.jpg",
    "./..",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(Unusable, match="not inside|no file can have"):
        path_inside(tmp_path, name)


@pytest.mark.parametrize(
    "name, parts",
    [
        ("a.png", ["a.png"]),
        ("deep/a.png", ["deep", "a.png"]),
        ("deep\\a.png", ["deep", "a.png"]),
        ("deep/../a.png", ["a.png"]),
        ("<b>né\n🎈.png", ["<b>né\n🎈.png"]),
        ("a:b.png", ["a:b.png"]),
        ("..a", ["..a"]),
    ],
)
def test_names_inside(tmp_path, name, parts):
    assert path_inside(tmp_path, name) == tmp_path.joinpath(*parts)


@pytest.mark.skipif(os.name == "nt", reason="there a backslash always separates")
def test_a_file_with_a_backslash_in_its_name_is_found(tmp_path):
    (tmp_path / "a\\b.png").touch()
    assert path_inside(tmp_path, "a\\b.png").exists()


@given(st.text(st.characters(codec=None), max_size=12) | st.text("./\\aC:", max_size=12))
def test_no_name_leads_out(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    try:
        path = path_inside(folder, name)
    except Unusable as error:
        assert "\n" not in str(error)
        str(error).encode("utf-8")  # can be printed, whatever the name holds
    else:
        assert os.path.commonpath([folder, os.path.abspath(path)]) == str(folder)
        assert path != folder


def test_links_out_are_refused_and_links_inside_are_not(tmp_path):
    folder, secret = tmp_path / "images", tmp_path / "secret.png"
    folder.mkdir(), secret.touch(), (folder / "a.png").touch()
    (folder / "out.png").symlink_to(secret)
    (folder / "in.png").symlink_to(folder / "a.png")
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "alias").symlink_to(folder)
    for name in ("out.png", "up/secret.png"):
        with pytest.raises(LabkitError, match="leads out"):
            refuse_links_out(folder, folder / name)
    refuse_links_out(folder, folder / "in.png")
    refuse_links_out(tmp_path / "alias", tmp_path / "alias" / "a.png")  # the folder may be a link


@given(st.text(st.characters(codec=None)))
def test_quoting_is_one_printable_line(text):
    line = quote(text)
    line.encode("utf-8")
    assert line[0] == line[-1] == '"' and "\n" not in line and "\r" not in line


def test_long_and_deep_values_are_shortened():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    for value in (deep, list(range(10**6)), "x" * 10**6, {"\ud800": 1}):
        assert len(shown(value)) < 200
        shown(value).encode("utf-8")
    assert shown("7") == "'7'" and shown(None) == "None"


@pytest.mark.parametrize("value", [None, True, 1.0, "1", [1], float("nan")])
def test_whole_numbers(value):
    assert whole({"id": 7}, "id") == 7
    with pytest.raises(Unusable, match='"id" is .*, not a whole number'):
        whole({"id": value}, "id")


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "not json"),
        (b"{", "line 1"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "nested"),
        (b"[" + b"1" * 5_000 + b"]", "thousands of digits"),
    ],
)
def test_json_that_is_none(tmp_path, data, words):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(LabkitError, match=words) as error:
        read_json(path)
    assert str(path) in str(error.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(MissingFileError, match="none.json"):
        read_json(tmp_path / "none.json")
    with pytest.raises(LabkitError, match="is a folder"):
        read_json(tmp_path)
    with pytest.raises(MissingFileError, match="no such folder"):
        image_files(tmp_path / "none")
    (tmp_path / "a.png").touch()
    with pytest.raises(LabkitError, match="is a file"):
        subfolders(tmp_path / "a.png")


def test_what_is_written_is_read_back_and_no_draft_is_left(tmp_path):
    write_text(tmp_path / "new" / "a.json", json.dumps(["é", 1]))
    assert read_json(tmp_path / "new" / "a.json") == ["é", 1]
    (tmp_path / "bom.json").write_text("[2]", encoding="utf-8-sig")
    assert read_json(tmp_path / "bom.json") == [2]
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_listing_leaves_hidden_files_out(tmp_path):
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in image_files(tmp_path)] == ["a.jpg", "b.PNG"]
    assert [path.name for path in subfolders(tmp_path)] == ["folder.png"]
