"""A run can be stopped, killed, resumed and trusted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from labkit.data import shapes
from labkit.data.augment import Augment
from labkit.errors import LabkitError
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import History, TrainSettings, callbacks, train
from labkit.training.callbacks import NonFiniteLoss
from labkit.training.checkpoints import save_checkpoint
from labkit.weights.runs import latest_checkpoint, load_model, state_of, weights_of

SETTINGS = TrainSettings(
    steps=6,
    batch_size=2,
    canvas=(64, 64),
    warmup_steps=2,
    checkpoint_every=3,
    checkpoints_kept=9,
    augment=Augment(quarter_turns=True),
)


@pytest.fixture(scope="module")
def data():
    return shapes(5, 64, seed=3)


@pytest.fixture(scope="module")
def whole_run(data, micro_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    model = MaskRCNN(micro_config, data.class_names)
    history = train(model, data, folder, SETTINGS, verbose=False)
    return folder, model, history


def test_a_run_leaves_what_it_promises(whole_run):
    folder, model, history = whole_run
    assert history["step"] == [1, 2, 3, 4, 5, 6]
    assert np.isfinite(history["total"]).all()
    stored = History.load(folder)
    assert stored.rows == history.rows
    record = json.loads((folder / "run.json").read_text())
    assert record["class_names"] == list(model.class_names)
    assert record["settings"]["steps"] == 6
    names = sorted(p.name for p in (folder / "checkpoints").iterdir())
    assert names == ["step-00000003", "step-00000006"]
    assert not list(folder.rglob("*.part"))


def test_the_learning_rate_warms_up_and_falls(whole_run):
    rates = whole_run[2]["lr"]
    assert rates[0] == pytest.approx(0.1 * SETTINGS.learning_rate)
    assert max(rates) == pytest.approx(SETTINGS.learning_rate, rel=0.01)
    assert rates[-1] < rates[-2] < rates[-3]


def test_load_model_detects_the_same(whole_run, data):
    folder, model, _ = whole_run
    image = data[0].image
    expected = model.detect(image, score_threshold=0.0, max_detections=5)
    for path in (folder, folder / "checkpoints" / "step-00000006"):
        again = load_model(path).detect(image, score_threshold=0.0, max_detections=5)
        np.testing.assert_array_equal(again.boxes, expected.boxes)
        np.testing.assert_array_equal(again.scores, expected.scores)


def test_resumed_goes_on_where_it_was_cut(whole_run, data, micro_config, tmp_path):
    folder, _, history = whole_run
    shutil.copytree(folder, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step-00000006")
    (tmp_path / "cut" / "model.weights.h5").unlink()
    resumed = MaskRCNN(micro_config, data.class_names)
    again = train(resumed, data, tmp_path / "cut", SETTINGS, resume=True, verbose=False)
    assert again["step"] == history["step"]
    # The step after the checkpoint sees the same weights, batch, samples and rate. From then on the
    # order of sums in two threads decides the last digit, and a box more or less makes that a
    # percent: the ends are compared below, with deterministic operations.
    np.testing.assert_allclose(again["total"][:4], history["total"][:4], rtol=1e-5)
    np.testing.assert_array_equal(again["lr"], history["lr"])


def test_a_finished_run_resumes_to_itself(whole_run, data, micro_config):
    folder, _, history = whole_run
    model = MaskRCNN(micro_config, data.class_names)
    assert train(model, data, folder, SETTINGS, resume=True, verbose=False).rows == history.rows


def test_while_a_stopped_run_goes_on_its_newest_weights_are_the_checkpoint_s(
    whole_run, data, micro_config, tmp_path
):
    """Weights that an earlier end left would be older than the checkpoints."""
    run = tmp_path / "run"
    shutil.copytree(whole_run[0], run)
    shutil.rmtree(run / "checkpoints" / "step-00000006")

    class Killed(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model = MaskRCNN(micro_config, data.class_names)
        train(model, data, run, SETTINGS, resume=True, verbose=False, callbacks=[Killed()])
    assert weights_of(run).parent == run / "checkpoints" / "step-00000003"


def test_a_checkpoint_that_is_written_again_is_never_half_there(whole_run, tmp_path, monkeypatch):
    """Killed while the old folder of the same step goes, the run has the step or the one before."""
    run, model = tmp_path / "run", whole_run[1]
    shutil.copytree(whole_run[0], run)
    real = shutil.rmtree

    def killed(folder, **options):
        if ".gone" in str(folder) and Path(folder).exists():
            (Path(folder) / "state.json").unlink()
            raise KeyboardInterrupt
        real(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(model, run, 6, keep=9)
    monkeypatch.undo()
    assert state_of(latest_checkpoint(run))["step"] == 3
    save_checkpoint(model, run, 6, keep=1)
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-00000006"]


def test_a_run_that_stops_is_saved_once(data, micro_config, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(callbacks, "save_checkpoint", lambda *args: saved.append(args[2]))

    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    model = MaskRCNN(micro_config, data.class_names)
    train(model, data, tmp_path / "run", SETTINGS, verbose=False, callbacks=[Stop()])
    assert saved == [3]


def test_a_table_that_is_cut_to_nothing_is_gone_from_the_folder(tmp_path):
    row = {"step": 3, "segm_AP": 0.5}
    history = History(validation=[row])
    history.save(tmp_path)
    assert History.load(tmp_path).validation == [row]
    history.cut_after(2).save(tmp_path)
    assert History.load(tmp_path).validation == []


def test_a_run_is_not_overwritten_and_not_mixed(whole_run, data, micro_config):
    folder = whole_run[0]
    model = MaskRCNN(micro_config, data.class_names)
    with pytest.raises(LabkitError, match="already holds a run"):
        train(model, data, folder, SETTINGS, verbose=False)
    with pytest.raises(LabkitError, match="learning_rate"):
        train(model, data, folder, SETTINGS.replace(learning_rate=0.5), resume=True, verbose=False)
    with pytest.raises(LabkitError, match="images"):
        train(model, shapes(6, 64), folder, SETTINGS, resume=True, verbose=False)


def test_class_names_must_agree(data, micro_config, tmp_path):
    with pytest.raises(LabkitError, match="class"):
        train(MaskRCNN(micro_config, ["cat"]), data, tmp_path / "run", SETTINGS, verbose=False)
    assert not (tmp_path / "run").exists()


def test_a_broken_loss_stops_and_names_images_and_loss(data, micro_config, tmp_path):
    model = MaskRCNN(micro_config, data.class_names)
    logits = model.mask_head.get_layer("logits")
    logits.kernel.assign(tf.fill(logits.kernel.shape, np.float32(np.nan)))
    with pytest.raises(NonFiniteLoss, match=r"(?s)Step 1: the loss mask = nan.*'shapes/\d'"):
        train(model, data, tmp_path / "run", SETTINGS, verbose=False)
    assert latest_checkpoint(tmp_path / "run") is None


def test_validation_is_written_down(data, micro_config, tmp_path):
    model = MaskRCNN(micro_config, data.class_names)
    settings = SETTINGS.replace(steps=2, validate_every=2)
    history = train(model, data, tmp_path / "run", settings, validation=data[:2], verbose=False)
    assert [row["step"] for row in history.validation] == [2]
    assert {"bbox_AP", "segm_AP"} <= set(history.validation[0])
    assert History.load(tmp_path / "run").validation == history.validation


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": "3"},
        {"steps": 1.5},
        {"batch_size": 2.5},
        {"learning_rate": "1"},
        {"optimizer": "magic"},
        {"schedule": "up"},
        {"learnin_rate": 1.0},
        {"stages": 3},
        {"canvas": 64},
        {"canvas": (64,)},
        {"canvas": (0, 128)},
        {"augment": None},
    ],
)
def test_settings_refuse_nonsense(wrong):
    with pytest.raises(LabkitError, match=next(iter(wrong))):
        SETTINGS.replace(**wrong)


def test_settings_round_trip_through_json():
    assert TrainSettings.from_dict(json.loads(json.dumps(SETTINGS.to_dict()))) == SETTINGS


# --- in processes of their own, because they are killed or change TensorFlow for good -----------

PROGRAM = """
    import sys
    from labkit.models.config import Config
    from labkit.data import shapes
    from labkit.models.mask_rcnn import MaskRCNN
    from labkit.training import TrainSettings, train

    folder, steps, deterministic = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
    data = shapes(5, 64, seed=3)
    config = Config.from_dict({config!r})
    settings = TrainSettings(steps=steps, batch_size=2, canvas=(64, 64), checkpoint_every=1,
                             checkpoints_kept=2, deterministic=deterministic)
    print("ready", flush=True)
    train(MaskRCNN(config, data.class_names), data, folder, settings, resume=True, verbose=False)
    print("done", flush=True)
"""


def start(folder, config, steps: int, deterministic: bool = False):
    program = textwrap.dedent(PROGRAM).replace("{config!r}", repr(config.to_dict()))
    command = [sys.executable, "-c", program, str(folder), str(steps), str(deterministic)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]


STEPS = 20  # of the runs below


@pytest.fixture(scope="module")
def whole(micro_config, tmp_path_factory):
    """A deterministic run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(folder, micro_config, STEPS, deterministic=True))
    return folder


def test_killed_at_any_moment_nothing_is_half_written(whole, micro_config, tmp_path):
    """Killed twice while it saves after every step; then resumed to the end of a whole run.

    With deterministic operations the ends are equal bit for bit. Without them, sums in two threads
    differ in the last digit; a suppressed box more or less makes that 3 % of a loss in 30 steps.
    """
    killed = tmp_path / "killed"
    for more in (2, 5):
        process = start(killed, micro_config, STEPS, deterministic=True)
        before = _newest(killed)
        deadline = time.monotonic() + 300
        while _newest(killed) < before + more and time.monotonic() < deadline:
            time.sleep(0.003)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert before < _newest(killed) < STEPS, "the kill came before a step or after the last"
        load_model(latest_checkpoint(killed))  # whole: loads, and fits its model
    finish(start(killed, micro_config, STEPS, deterministic=True))
    assert History.load(killed).rows == History.load(whole).rows
    for mine, theirs in zip(load_model(killed).weights, load_model(whole).weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)


def _newest(folder) -> int:
    checkpoint = latest_checkpoint(folder)
    return int(checkpoint.name[5:]) if checkpoint else 0


def test_the_same_seed_gives_the_same_losses_twice(whole, micro_config, tmp_path):
    finish(start(tmp_path / "again", micro_config, STEPS, deterministic=True))
    again = History.load(tmp_path / "again")
    assert again.rows == History.load(whole).rows  # bit for bit, as written
