"""`labkit detect`: the names of the drawn pictures, and the file of results."""

import json

import numpy as np
import pytest
from PIL import Image

from labkit import cli
from labkit.commands import detect
from labkit.commands.detect import file_key, unused_path
from labkit.models.detections import Detections


def discs(count, image):
    """That many discs, which are small squares."""
    return Detections(
        np.tile([1, 2, 5, 8], (count, 1)),
        np.ones(count),
        np.ones(count, int),
        class_names=Model.class_names,
        category_ids=Model.category_ids,
        image_size=image.shape[:2],
        mask_probs=np.ones((count, 28, 28)),
        image=image,
    )


class Model:
    class_names, category_ids = ("disc", "N/A 2", "ring"), (7, 8, 9)
    count = 0

    def detect(self, image, **_):
        return discs(self.count, image)


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


def test_results_have_the_ids_of_the_data_and_areas_of_the_masks(monkeypatch, tmp_path, capsys):
    model = Model()
    model.count = 2
    monkeypatch.setattr(detect, "model_of", lambda source: model)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    out = tmp_path / "made" / "on the way"
    assert cli.main(["detect", "--weights", "r", "--out", str(out), str(tmp_path / "a.png")]) == 0
    written = json.loads((out / "detections.json").read_text())
    assert written["categories"] == [{"id": 7, "name": "disc"}, {"id": 9, "name": "ring"}]
    assert [a["category_id"] for a in written["annotations"]] == [7, 7]
    assert [(a["id"], a["area"], a["iscrowd"]) for a in written["annotations"]] == [
        (1, 24.0, 0),
        (2, 24.0, 0),
    ]
    assert "2 objects in 1 picture:" in capsys.readouterr().out


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError])
def test_what_was_found_is_kept_when_the_command_is_stopped(monkeypatch, tmp_path, capsys, end):
    file, seen = tmp_path / "found" / "detections.json", []

    class Stopped(Model):
        count = 1

        def detect(self, image, **_):
            seen.append(len(json.loads(file.read_text())["images"]) if file.exists() else 0)
            if len(seen) == 3:
                raise end
            return super().detect(image)

    monkeypatch.setattr(detect, "model_of", lambda source: Stopped())
    pictures = [str(tmp_path / f"{name}.png") for name in "abcd"]
    for path in pictures:
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(path)
    argv = ["detect", "--weights", "r", "--out", str(file.parent), *pictures]
    if end is KeyboardInterrupt:
        assert cli.main(argv) == 130
    else:
        with pytest.raises(end):
            cli.main(argv)
    assert seen[:2] == [0, 1]  # the first is written at once
    assert len(json.loads(file.read_text())["annotations"]) == 2


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


def test_pictures_with_two_readings_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(detect, "model_of", lambda source: Model())
    pages = [Image.fromarray(np.full((40, 50), 900 + i, np.uint16)) for i in range(3)]
    for name in "ab":
        pages[0].save(tmp_path / f"{name}.tif", save_all=True, append_images=pages[1:])
    argv = ["detect", "--weights", "r", "--out", str(tmp_path / "out"), str(tmp_path)]
    assert cli.main(argv) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(f"2 pictures, the first {tmp_path}/a.tif" in s for s in said)
    assert "several pages" in said[0] and "12 bits" in said[1]
