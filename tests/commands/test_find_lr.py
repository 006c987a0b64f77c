"""`labkit find-lr`: options to a range test, a range test to words, JSON and a picture."""

import json

import numpy as np
import pytest

import labkit
from labkit import cli
from labkit.commands import find_lr
from labkit.training import lr_finder
from labkit.training.lr_finder import RateTest, running_mean


@pytest.fixture
def asked(monkeypatch):
    """What find_learning_rate is asked; it answers with a curve that falls, then rises."""
    calls = []

    def answer(model, dataset, settings, *, first, last, steps):
        calls.append((model, dataset, settings, first, last, steps))
        rates = np.geomspace(first, last, steps)
        losses = 3 - np.exp(-((np.log10(rates) + 2) ** 2))
        return RateTest(rates, losses, running_mean(losses), diverged=False)

    monkeypatch.setattr(lr_finder, "find_learning_rate", answer)
    return calls


def test_it_tests_the_training_that_is_planned(asked, capsys):
    argv = [
        "find-lr",
        "--data",
        "shapes",
        "--image-size",
        "64",
        "--batch-size",
        "2",
        "--seed",
        "5",
        "--set",
        "optimizer=sgd",
        "--set",
        "augment.mirror=false",
        "--from",
        "1e-4",
        "--to",
        "0.5",
        "--steps",
        "40",
    ]
    assert cli.main(argv) == 0
    ((model, dataset, settings, *test),) = asked
    assert test == [1e-4, 0.5, 40]
    assert (settings.batch_size, settings.optimizer, settings.canvas) == (2, "sgd", (64, 64))
    assert not settings.augment.mirror
    assert model.config.image_min_side == 64 and model.config.seed == 5
    assert model.class_names == dataset.class_names
    assert "suggested" in capsys.readouterr().out


def test_json_and_the_files_of_out(asked, capsys, tmp_path):
    labkit.shapes(2, 64).save_coco(tmp_path / "a.json", tmp_path / "images")
    argv = [
        "find-lr",
        "--annotations",
        str(tmp_path / "a.json"),
        "--images",
        str(tmp_path / "images"),
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    assert cli.main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "out" / "rates.json").read_text("utf-8"))
    assert len(found["rates"]) == len(found["losses"]) == 100
    assert found["suggestion"] < found["edge"] and found["diverged"] is False
    assert (tmp_path / "out" / "rates.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "argv, words",
    [
        ([], "say on which data"),
        (["--data", "nowhere"], "nowhere"),
        (["--data", "shapes", "--annotations", "a.json"], "not both"),
        (["--data", "shapes", "--set", "optimiser=sgd"], "did you mean 'optimizer'"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(argv, words, asked, capsys):
    assert cli.main(["find-lr", *argv]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and not asked


def test_a_test_that_cannot_be_is_one_sentence(capsys):
    argv = ["find-lr", "--data", "shapes", "--image-size", "64", "--from", "2", "--to", "1"]
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert err.startswith("labkit find-lr: --from must be above 0 and below --to")
    assert err.count("\n") == 1
    assert "suggested" not in out


@pytest.mark.slow
def test_a_real_test_from_the_command_line(capsys):
    argv = [
        "find-lr",
        "--data",
        "shapes",
        "--image-size",
        "64",
        "--batch-size",
        "2",
        "--steps",
        "12",
        "--json",
    ]
    assert cli.main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert 1e-5 <= found["suggestion"] <= 1 and len(found["losses"]) <= 12


def test_the_fewest_steps_are_known_without_tensorflow():
    assert find_lr.FEWEST_STEPS == lr_finder.FIRST_LOOK
