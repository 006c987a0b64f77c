"""`labkit doctor`, and the stages of `labkit train`: options to settings, findings to a status."""

import argparse
import json

import pytest

from labkit import cli
from labkit.commands.train import changed_settings, staged
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.training import History, Stage, TrainSettings
from labkit.training.checkpoints import save_run


def written(folder, loss_at_end: float) -> None:
    """A run of 100 steps whose loss goes from 3 to a number, all classes of the data in it."""
    losses = [3.0 + (loss_at_end - 3.0) * i / 99 for i in range(100)]
    rows = [
        {
            "step": i,
            "stage": 1,
            "lr": 1e-3,
            "total": total,
            "objectness": total / 2,
            "rpn_box": 0.0,
            "class": total / 2,
            "box": 0.0,
            "mask": 0.0,
        }
        for i, total in enumerate(losses, 1)
    ]
    History(rows).save(folder)
    save_run(
        folder,
        {
            "config": {"loss_weights": [1, 1, 1, 1, 1]},
            "class_names": ["a"],
            "settings": TrainSettings(steps=100).to_dict(),
            "images": 9,
        },
    )


def test_a_finding_is_printed_and_the_status_says_so(tmp_path, capsys):
    written(tmp_path, 3.0)
    assert cli.main(["doctor", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "1 finding" in out and "the loss never falls" in out and "remedy:" in out
    assert cli.main(["doctor", str(tmp_path), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["name"] == "the loss never falls"


def test_a_healthy_run(tmp_path, capsys):
    written(tmp_path, 0.5)
    assert cli.main(["doctor", str(tmp_path)]) == 0
    assert "no finding" in capsys.readouterr().out


def test_no_run_is_one_sentence(tmp_path, capsys):
    assert cli.main(["doctor", str(tmp_path / "nothing")]) == 2
    assert "run.json does not exist" in capsys.readouterr().err


def options(**given):
    return argparse.Namespace(**({"recipe": None, "stage": [], "steps": None} | given))


def asked(settings, *options):
    """The settings of `labkit train` with these options, where the data or a recipe gave some."""
    args = cli.build_parser().parse_args(["train", "--run", "r", "--data", "shapes", *options])
    return changed_settings(Config(), settings, args)[1]


def test_a_rate_that_is_given_is_not_scaled():
    halved = TrainSettings(batch_size=4, learning_rate=3e-3, rate_for_batch=8)
    assert halved.peak_rate < 3e-3 and asked(halved).peak_rate == halved.peak_rate
    assert asked(halved, "--learning-rate", "0.001").peak_rate == 1e-3
    assert asked(halved, "--set", "learning_rate=0.001").peak_rate == 1e-3
    assert asked(halved, "--batch-size", "8").peak_rate == 3e-3
    both = asked(halved, "--learning-rate", "0.001", "--set", "rate_for_batch=1")
    assert both.peak_rate == pytest.approx(2e-3)


def test_stages_on_the_command_line():
    settings = TrainSettings(steps=50)
    assert staged(settings, options()) == settings
    found = staged(settings, options(stage=["heads:30", "all:2epochs@0.001"]))
    assert found.stages == (Stage("heads", steps=30), Stage("all", epochs=2, learning_rate=0.001))
    assert staged(found, options()) == found  # a resumed run keeps its own
    assert len(staged(settings, options(recipe="food", steps=500)).stages) == 5
    for wrong in ({"recipe": "food", "stage": ["all:3"]}, {"stage": ["all:3"], "steps": 4}):
        with pytest.raises(LabkitError):
            staged(settings, options(**wrong))
