"""What is told on the way: what batches left out, once an epoch and in few words."""

import json

import numpy as np
import pytest

from labkit.data import shapes
from labkit.data.augment import Augment
from labkit.data.batch_order import BatchPlan
from labkit.data.merging import merge
from labkit.data.pipeline import Batches
from labkit.io.history import History
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import TrainSettings, train
from labkit.training.callbacks import LeftOut
from labkit.weights.runs import load_model


class Run:
    """Batches of four pictures of four objects each, of which three fit; one epoch is two steps."""

    def __init__(self, limit=3, start=0, pause=0.0):
        ds = shapes(4, 64, seed=3, min_objects=4, max_objects=4)
        config = Config.preset("tiny", resize="none", max_instances=limit)
        self.batches = Batches(ds, config, BatchPlan(2, (64, 64)))
        self.history = History([{"step": start}])
        self.callback = LeftOut(self.batches, self.history, start, pause)

    def step(self, number, ahead=0):
        for i in range(number - 1, number + ahead):
            self.batches.batch(i)
        self.history.rows.append({"step": number})
        self.callback.on_train_batch_end(number)


def test_a_line_at_the_end_of_every_epoch(capsys):
    run = Run()
    run.step(1)
    assert capsys.readouterr().out == ""
    run.step(2)
    line = "Epoch 1: left out 4 instances (over the limit of 3 instances).\n"
    assert capsys.readouterr().out == line
    run.step(3)
    assert capsys.readouterr().out == ""
    run.step(4)
    assert capsys.readouterr().out.startswith("Epoch 2: left out 4 ")


def test_batches_made_ahead_count_for_their_own_epoch(capsys):
    run = Run()
    run.step(1)
    run.step(2, ahead=3)
    assert "Epoch 1: left out 4 instances" in capsys.readouterr().out


def test_short_epochs_are_told_together(capsys):
    run = Run(pause=1e9)
    for step in range(1, 9):
        run.step(step)
    assert capsys.readouterr().out.count("\n") == 1  # the first; then the pause
    run.callback.pause = 0.0
    run.step(9)
    assert capsys.readouterr().out.startswith("Epochs 2 to 4: left out 12 instances")


def test_nothing_left_out_nothing_said_and_a_resumed_run_tells_of_its_own(capsys):
    quiet = Run(limit=8)
    quiet.step(1), quiet.step(2)
    assert capsys.readouterr().out == ""
    resumed = Run(start=2)
    resumed.step(3), resumed.step(4)
    assert capsys.readouterr().out.startswith("Epoch 2: left out 4")


# ---- a training with all of it -----------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed():
    """Two pictures on their side, three upright."""
    return merge(
        [shapes(2, (32, 64), seed=1, max_objects=2), shapes(3, (64, 32), seed=2, max_objects=2)]
    )


def settings(**changes):
    return TrainSettings(
        steps=4,
        batch_size=2,
        canvas=(32, 64),
        checkpoint_every=4,
        buckets=True,
        augment=Augment(copy_paste=0.5, hue=0.1),
        **changes,
    )


def test_training_with_buckets_and_a_cache(mixed, micro_config, tmp_path, capsys):
    model = MaskRCNN(micro_config.replace(max_instances=1, resize="none"), mixed.class_names)
    history = train(model, mixed, tmp_path / "run", settings(), cache=tmp_path / "cache")
    assert np.isfinite(history["total"]).all() and len(history) == 4
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == len(mixed)
    out = capsys.readouterr().out
    assert "Epoch 1: left out" in out and "Left out of 4 batches:" in out
    stored = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert TrainSettings.from_dict(stored) == settings()
    load_model(tmp_path / "run")


def test_a_run_of_before_new_settings_is_resumed(mixed, micro_config, tmp_path):
    """run.json of an older version lacks fields; their defaults are what it was trained with."""
    plain = TrainSettings(steps=1, batch_size=2, canvas=(64, 64), checkpoint_every=1)
    model = MaskRCNN(micro_config, mixed.class_names)
    train(model, mixed, tmp_path / "run", plain, verbose=False)
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    record["settings"]["augment"] = {
        "mirror": True,
        "quarter_turns": False,
        "scale": [1.0, 1.0],
        "brightness": 0.0,
    }
    del record["settings"]["buckets"]
    path.write_text(json.dumps(record))
    again = train(
        MaskRCNN(micro_config, mixed.class_names),
        mixed,
        tmp_path / "run",
        plain,
        resume=True,
        verbose=False,
    )
    assert again["step"] == [1]
