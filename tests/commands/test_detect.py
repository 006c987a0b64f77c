"""`labkit detect`: the names of the drawn pictures."""

import numpy as np
import pytest
from PIL import Image

from labkit import cli
from labkit.commands import detect
from labkit.commands.detect import file_key, unused_path


class Found:
    """Nothing, drawn."""

    names, areas = [], []

    def save(self, path):
        path.write_bytes(b"drawn")

    def to_coco(self, image_id):
        return []


class Model:
    class_names = ("disc",)

    def detect(self, image, **_):
        return Found()


@pytest.mark.parametrize("out", [".", "elsewhere/..", "link"])
def test_a_picture_is_never_overwritten(monkeypatch, tmp_path, capsys, out):
    monkeypatch.setattr(detect, "model_of", lambda source: Model())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    # the names of pictures still to be read are not free either
    names = ("photo-2.png", "photo.png", "a.jpg", "a.png")
    for name in names:
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(name)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    assert cli.main(["detect", "--weights", "r", "--out", out, *names[::-1]]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in names} == before
    drawn = {path.name for path in tmp_path.iterdir() if path.suffix == ".png"} - {*names}
    assert drawn == {"a-2.png", "a-3.png", "photo-3.png", "photo-2-2.png"}
    assert "photo.png: nothing -> " in capsys.readouterr().out


def test_where_nothing_can_be_read_nothing_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(detect, "model_of", lambda source: Model())
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "detections.json").write_text("earlier")
    argv = ["detect", "--weights", "r", "--out", str(tmp_path), str(tmp_path / "a.png")]
    assert cli.main(argv) == 2
    assert "no picture could be read" in capsys.readouterr().err
    assert (tmp_path / "detections.json").read_text() == "earlier"


def test_weights_that_are_a_picture(tmp_path, capsys):
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "a.png")
    assert cli.main(["detect", "--weights", str(tmp_path / "a.png"), str(tmp_path / "a.png")]) == 2
    said = capsys.readouterr().err
    assert "a.png" in said and said.count("\n") == 1


def test_some_disks_do_not_tell_small_letters_from_large_ones(tmp_path):
    taken = {file_key(tmp_path / "IMG.PNG")}
    assert unused_path(tmp_path / "IMG.png", taken).name == "IMG-2.png"
    assert unused_path(tmp_path / "img.png", taken).name == "img-3.png"
