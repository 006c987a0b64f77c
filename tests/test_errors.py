"""Errors are one line that can be printed, whatever names they hold."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError, MissingFileError, printable


@given(st.text(st.characters(codec=None)))
def test_printable(text):
    line = printable(text)
    line.encode("utf-8")
    assert line.isprintable()
    assert line == text or not text.isprintable()


def test_what_people_write_stays_as_it_is():
    assert printable("né & <b> 🎈.png") == "né & <b> 🎈.png"
    assert printable("a\nb\ud800\0") == r"a\nb\ud800\x00"


def test_a_missing_file_is_both():
    error = MissingFileError("a.json: there is no such file.")
    assert isinstance(error, LabkitError) and isinstance(error, FileNotFoundError)
    assert str(error) == "a.json: there is no such file." and str(MissingFileError()) == ""
