"""Files with the same bytes, whatever they are called."""

from labkit.io.duplicates import same_files


def test_same_bytes(tmp_path):
    long = bytes(range(256)) * 40
    contents = {"a": b"x", "b": b"y", "c": b"x", "d": long, "e": long[:-1] + b"!", "f": long}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in contents]
    groups = same_files([*paths, paths[1], tmp_path / "missing"])
    assert [[path.name for path in group] for group in groups] == [["a", "c"], ["d", "f"]]
    assert same_files([]) == []
