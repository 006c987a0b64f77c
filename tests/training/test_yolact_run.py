"""What a training brings with it works for YOLACT as for Mask R-CNN."""

import json
import math

import pytest

import labkit
from labkit.cli import main
from labkit.models.yolact import YOLACT
from labkit.training import Stage, TrainSettings

pytestmark = pytest.mark.slow

SETTINGS = TrainSettings(
    steps=4,
    batch_size=2,
    canvas=(64, 64),
    warmup_steps=1,
    checkpoint_every=2,
    validate_every=2,
    film=2,
    stages=(Stage("heads", 2), Stage("all", 2)),
)


@pytest.fixture(scope="module")
def run(micro_yolact, tmp_path_factory):
    """(folder, history) of four steps in two stages, validated and filmed twice."""
    folder = tmp_path_factory.mktemp("yolact") / "run"
    data = labkit.shapes(6, 64, seed=3)
    model = YOLACT(micro_yolact, data.class_names)
    history = labkit.train(model, data[:4], folder, SETTINGS, validation=data[4:], verbose=False)
    return folder, history


def test_every_step_has_its_four_losses_and_vital_signs(run):
    _, history = run
    assert [row["stage"] for row in history.rows] == [1, 1, 2, 2]
    assert all(math.isfinite(row[name]) for row in history.rows for name in YOLACT.LOSSES)
    assert all(name in row for row in history.vitals for name in (*YOLACT.SIGNS, "gradient"))


def test_a_stage_trains_nothing_but_its_part(micro_yolact, tmp_path):
    data = labkit.shapes(4, 64, seed=3)
    model = YOLACT(micro_yolact, data.class_names)
    before = {name: part.get_weights() for name, part in model.parts().items()}
    settings = SETTINGS.replace(stages=(Stage("heads", 2),), steps=2, validate_every=0, film=0)
    labkit.train(model, data, tmp_path / "run", settings, verbose=False)
    moved = {
        name
        for name, part in model.parts().items()
        if any((a != b).any() for a, b in zip(before[name], part.get_weights(), strict=True))
    }
    assert moved == set(model.parts()) - {"backbone"}


def test_its_film_has_the_validation_pictures_at_every_validation(run):
    film = labkit.read_film(run[0])
    assert [frame.step for frame in film.frames] == [2, 4]
    assert len(film.truth) == 2 and all(len(frame.detections) == 2 for frame in film.frames)


def test_it_is_diagnosed_evaluated_and_reported(run, tmp_path, capsys):
    folder, _ = run
    assert isinstance(labkit.load_model(folder), YOLACT)
    assert all(finding.remedy for finding in labkit.diagnose(folder).findings)
    truth, pictures, page = tmp_path / "truth.json", tmp_path / "pictures", tmp_path / "page.html"
    labkit.shapes(2, 64, seed=5).save_coco(truth, pictures)
    data = ["--annotations", str(truth), "--images", str(pictures)]
    assert main(["report", str(folder), *data, "--out", str(page)]) == 0
    assert "AP50" in page.read_text("utf-8")
    capsys.readouterr()
    assert main(["evaluate", "--weights", str(folder), *data, "--json"]) == 0
    assert {"bbox", "segm"} <= set(json.loads(capsys.readouterr().out))
