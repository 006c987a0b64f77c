"""What a training shows of itself: one bar on a terminal, a few lines in a log, or nothing."""

import contextlib
import re

import keras
import pytest
from terminal import on_terminal

from labkit.data import shapes
from labkit.evaluation import coco
from labkit.io import progress
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import History, TrainSettings, train
from labkit.training.progress import Progress
from labkit.training.stages import Stage

SETTINGS = TrainSettings(steps=2, batch_size=2, canvas=(64, 64), checkpoint_every=2)
STAGES = [Stage("heads", 1), Stage("all", 1)]


@pytest.fixture(scope="module")
def data():
    return shapes(4, 64, seed=3)


@pytest.fixture(autouse=True)
def every_state(monkeypatch):
    """Bars are drawn at every step, also those of validations that take less than a second."""
    monkeypatch.setattr(progress, "REDRAW", 0)
    monkeypatch.setattr(
        coco, "progress_bar", lambda **options: progress.progress_bar(**options | {"delay": 0})
    )


def row(step: int, total: float) -> dict:
    return {"step": step, "stage": 1, "lr": 0.00123, "total": total, "box": total / 2}


def test_the_bar_tells_losses_rate_and_ap():
    history = History()
    with on_terminal() as terminal, contextlib.closing(Progress(history, 100, 400)) as bar:
        bar.on_train_begin()
        assert " 100/400 [" in terminal.screen()[0]
        for step in range(101, 161):
            history.rows.append(row(step, 99.0 if step <= 140 else 2.0))
            bar.on_train_batch_end(step)
        (line,) = terminal.screen()
        assert line.startswith("training:  40%|") and " 160/400 [" in line
        assert line.endswith(", total 2.000, box 1.000, lr 1.2e-03]")
        history.validation.append({"step": 160, "bbox_AP": 0.25, "segm_AP": 0.125})
        history.rows.append(row(161, 2.0))
        bar.on_train_batch_end(161)
        assert terminal.screen()[0].endswith(", AP box 0.250 mask 0.125]")


def test_stages_and_validations_on_a_terminal(data, micro_config, tmp_path):
    model = MaskRCNN(micro_config, data.class_names)
    settings = SETTINGS.replace(validate_every=1)
    with on_terminal() as terminal:
        train(model, data, tmp_path, settings, stages=STAGES, validation=data[:2])
    lines = terminal.screen()
    assert "evaluating: " in terminal.getvalue()
    expected = [
        r"Training on .* \(float32\)\.",
        r"Stage 1: heads .*",
        r"training:  50%\|█+ +\| 1/2 \[.*, AP box 0\.\d{3} mask 0\.\d{3}\]",
        r"Stage 2: all .*",
        r"training: 100%\|█+\| 2/2 \[.*, total [\d.]+, objectness .*\]",
    ]
    assert len(lines) == len(expected), lines
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line)


def test_a_training_that_breaks_off_closes_its_bar(data, micro_config, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = MaskRCNN(micro_config, data.class_names)
    with on_terminal() as terminal:
        with pytest.raises(KeyboardInterrupt):
            train(model, data, tmp_path, SETTINGS, callbacks=[Stop()])
        print("stopped")
    assert terminal.screen()[-2].startswith("training:   0%|")
    assert terminal.screen()[-1] == "stopped"


def test_not_verbose_is_silent_also_while_it_validates(data, micro_config, tmp_path):
    model = MaskRCNN(micro_config, data.class_names)
    settings = SETTINGS.replace(steps=1, validate_every=1)
    with on_terminal() as terminal:
        train(model, data, tmp_path, settings, validation=data[:2], verbose=False)
    assert terminal.getvalue() == ""
