"""Errors are one line that can be printed, whatever names they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError, MissingFileError, counted, opening, printable


@given(st.text(st.characters(codec=None)))
def test_printable(text):
    line = printable(text)
    line.encode("utf-8")
    assert line.isprintable()
    assert line == text or not text.isprintable()


def test_counted():
    assert [counted(n, "object") for n in (0, 1, 2)] == ["0 objects", "1 object", "2 objects"]
    assert counted(1, "class") == "1 class" and counted(3, "class") == "3 classes"


def test_what_people_write_stays_as_it_is():
    assert printable("né & <b> 🎈.png") == "né & <b> 🎈.png"
    assert printable("a\nb\ud800\0") == r"a\nb\ud800\x00"


def test_a_missing_file_is_both():
    error = MissingFileError("a.json: there is no such file.")
    assert isinstance(error, LabkitError) and isinstance(error, FileNotFoundError)
    assert str(error) == "a.json: there is no such file." and str(MissingFileError()) == ""


@pytest.mark.parametrize(
    "name, kind, sentence",
    [
        ("none.json", MissingFileError, "none.json: there is no such file; check the path."),
        ("", LabkitError, " is a folder; give the path of one file."),
        ("a.txt/b", MissingFileError, "b: there is no such file; check the path."),
        ("n" * 300, LabkitError, "n cannot be opened (File name too long)."),
    ],
)
def test_opening_says_what_is_wrong_with_a_path(tmp_path, name, kind, sentence):
    (tmp_path / "a.txt").touch()
    path = tmp_path / name
    with pytest.raises(kind) as caught, opening(path), open(path):
        pass
    assert str(caught.value).endswith(sentence) and type(caught.value) is kind


def test_opening_leaves_other_errors_alone(tmp_path):
    with pytest.raises(LabkitError, match="^mine$"), opening(tmp_path):
        raise LabkitError("mine")
    with pytest.raises(KeyError), opening(tmp_path):
        raise KeyError("a")
