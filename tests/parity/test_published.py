"""The comparison with published detections, on a model of our own instead of a download."""

import json

import numpy as np
import pytest
from PIL import Image

import labkit
from labkit.cli import main
from labkit.errors import LabkitError
from labkit.parity import published
from labkit.weights import pretrained


class Finder:
    """Finds the same objects in every picture."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def detect(self, picture):
        masks = np.zeros((2, *picture.shape[:2]), bool)
        masks[0, 5:35, 6:50], masks[1, 2:6, 2:6] = True, True
        return labkit.Detections(
            np.float32([[5.6, 6.2, 35.4, 50.1], [2, 2, 6, 6]]) + self.shift,
            [0.9, 0.3],
            [1, 2],
            class_names=("cat", "dog"),
            image_size=picture.shape[:2],
            masks=masks,
        )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two pictures, and a file of what is "published" of them in the cache."""
    images, found = [], Finder().detect(np.zeros((40, 60, 3)))
    for number in (7, 885):
        Image.new("RGB", (60, 40)).save(tmp_path / f"{number:012d}.jpg")
        dets = []
        for name, box, score, rle in zip(
            found.names, np.trunc(found.boxes), found.scores, found.rles(), strict=True
        ):
            y1, x1, y2, x2 = (float(v) for v in box)
            bbox = [x1, y1, x2 - x1, y2 - y1]
            dets.append({"score": float(score), "bbox": bbox, "category": name, "mask": rle})
        images.append({"image_id": number, "dets": dets})
    images.append({"image_id": 9, "dets": []})  # whose picture is not there
    cache = tmp_path / "cache" / "parity"
    cache.mkdir(parents=True)
    (cache / "yolact_base.json").write_text(json.dumps({"info": {}, "images": images}))
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_command_compares_what_is_there(folder, monkeypatch, capsys):
    monkeypatch.setattr(pretrained, "from_pretrained", lambda *a, **k: Finder())
    assert main(["parity", "--published", "yolact_base", "--images", str(folder), "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert [g["values"] for g in groups] == [4, 4, 2]
    assert all(g["deviation"] == 0 and "of 2 of 3 pictures" in g["group"] for g in groups)
    monkeypatch.setattr(pretrained, "from_pretrained", lambda *a, **k: Finder(shift=5.0))
    assert main(["parity", "--published", "yolact_base", "--images", str(folder)]) == 1
    assert "FAILS" in capsys.readouterr().out


def test_what_is_missing_is_a_sentence(folder, tmp_path, capsys):
    with pytest.raises(LabkitError, match="no detections are published; .*yolact_im700"):
        next(published.compare_published("coco-r50-fpn", folder))
    (tmp_path / "none").mkdir()
    with pytest.raises(LabkitError, match="holds none of the 3 pictures, 000000000885.jpg for"):
        next(published.compare_published("yolact_base", tmp_path / "none"))
    assert main(["parity", "--published", "yolact_base"]) == 2
    assert "--images" in capsys.readouterr().err
    assert main(["parity"]) == 2
    assert "--golden" in capsys.readouterr().err
