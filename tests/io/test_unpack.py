"""Archives from strangers: unpacked whole, or refused before anything is written."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import LabkitError, MissingFileError
from labkit.io import unpack as module
from labkit.io.unpack import unpack


def archive(folder: Path, files: dict, **options) -> Path:
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def contents(folder: Path) -> dict:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_files_and_folders_come_out(tmp_path):
    files = {"a.txt": b"1", "b/c.txt": b"", "b/d/e.bin": bytes(range(256)), "ü 😀.txt": b"x"}
    target = unpack(archive(tmp_path, files), tmp_path / "deep" / "out")
    assert contents(target) == files
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.zip", "deep"]
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_the_only_folder_is_the_target_and_leftovers_stay_behind(tmp_path):
    files = {
        "set/": b"",
        "set/a/1.png": b"1",
        "set/2.png": b"2",
        "__MACOSX/set/._a": b"junk",
        "set/.DS_Store": b"junk",
    }
    target = unpack(archive(tmp_path, files), tmp_path / "out")
    assert contents(target) == {"a/1.png": b"1", "2.png": b"2"}
    assert contents(unpack(archive(tmp_path, {"one.txt": b"1"}), tmp_path / "two")) == {
        "one.txt": b"1"
    }


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "a/../../out.txt",
        "/etc/out.txt",
        "..\\out.txt",
        "C:/out.txt",
        "C:out.txt",
        "a/..",
        "..",
    ],
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    path = archive(tmp_path, {"good.txt": b"1", name: b"evil"})
    with pytest.raises(LabkitError, match="leads out") as error:
        unpack(path, tmp_path / "in" / "out")
    assert "data.zip" in str(error.value)
    assert not (tmp_path / "in").exists() and not list(tmp_path.rglob("*out.txt"))


@settings(max_examples=200)
@given(st.lists(st.text(alphabet="./\\ab:~", min_size=1, max_size=8), min_size=1, max_size=4))
def test_whatever_the_names_nothing_is_written_outside(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "data.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for name in dict.fromkeys(names):
            opened.writestr(name, b"x")
    try:
        target = unpack(path, folder / "in" / "out")
    except LabkitError:
        assert not (folder / "in" / "out").exists()
    else:
        assert all(p.resolve().is_relative_to(target.resolve()) for p in target.rglob("*"))
    assert {p.name for p in folder.iterdir()} <= {"data.zip", "in"}
    assert not [p for p in folder.rglob("*.part")]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    link = zipfile.ZipInfo("link")
    link.external_attr = (kind | 0o777) << 16
    with pytest.raises(LabkitError, match="link or device"):
        unpack(archive(tmp_path, {link: b"/etc/passwd"}), tmp_path / "out")


def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ALWAYS_ALLOWED", 10_000)
    path = archive(tmp_path, {f"{i}.bin": bytes(1_000_000) for i in range(3)})
    with pytest.raises(LabkitError, match="3,000,000 bytes in 3 files"):
        unpack(path, tmp_path / "out")
    monkeypatch.setattr(module, "MOST_ENTRIES", 2)
    with pytest.raises(LabkitError, match="3 files"):
        unpack(archive(tmp_path, {str(i): b"" for i in range(3)}), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["data.zip"]


def test_a_size_that_is_a_lie_does_not_unpack_to_more(tmp_path):
    """The directory says ten bytes, the data are a million: what comes is not written as whole."""
    path = archive(tmp_path, {"lie.bin": bytes(1_000_000)})
    data = bytearray(path.read_bytes())
    size = struct.pack("<I", 1_000_000)
    for place in (data.find(size), data.rfind(size)):
        data[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    with pytest.raises(LabkitError, match="damaged"):
        unpack(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["data.zip"]


def test_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.txt", b"1")
        with pytest.warns(UserWarning):
            opened.writestr("a.txt", b"2")
    with pytest.raises(LabkitError, match="twice"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b"<html>",
        lambda b: b[:-30],
        lambda b: b[:40] + b"\xff" * 20 + b[60:],
    ],
)
def test_damage_leaves_nothing_behind(tmp_path, damage):
    path = archive(tmp_path, {"a.bin": bytes(range(256)) * 9})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LabkitError, match="damaged or not a zip"):
        unpack(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["data.zip"]


def test_what_is_there_is_not_written_over(tmp_path):
    path = archive(tmp_path, {"a": b"1", "b": b"2"})
    unpack(path, tmp_path / "out")
    with pytest.raises(LabkitError, match="exists already"):
        unpack(path, tmp_path / "out")
    with pytest.raises(MissingFileError, match="no such archive"):
        unpack(tmp_path / "none.zip", tmp_path / "other")


def test_a_full_disk_is_told_before_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 3}))
    with pytest.raises(LabkitError, match="make room"):
        unpack(archive(tmp_path, {"a": b"12345"}), tmp_path / "out")
