"""A file is there whole or not at all."""

import pytest

from labkit.io.whole_file import whole_file


def test_it_appears_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "new" / "a.weights.h5"
    with whole_file(path) as draft:
        assert draft.name == path.name
        draft.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
