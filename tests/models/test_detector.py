"""The seam: what labkit does with any detector, shown on a second one that it does not know.

`tests/helpers/toy_detector.py` is that detector. It is added to the registry here, and trained,
resumed, validated, diagnosed and distributed by the code that trains Mask R-CNN.
"""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from toy_detector import ToyConfig, ToyDetector

import labkit
from labkit import cli
from labkit.data.batch_order import BatchPlan
from labkit.data.pipeline import Batches
from labkit.errors import LabkitError
from labkit.models.detector_config import DetectorConfig
from labkit.models.learner import Learnt
from labkit.models.registry import (
    DETECTORS,
    Entry,
    build_detector,
    loss_names,
    name_of,
    presets,
)
from labkit.training import History, Stage, TrainSettings, diagnose, read_film, train
from labkit.weights.pretrained import from_pretrained
from labkit.weights.runs import load_model, read_run

TOY = Entry("toy_detector:ToyConfig", "toy_detector:ToyDetector")
SETTINGS = TrainSettings(
    steps=3,
    batch_size=2,
    canvas=(64, 64),
    checkpoint_every=1,
    checkpoints_kept=3,
    validate_every=3,
    validate_losses_every=1,
    best_by="total",
    warmup_steps=1,
    film=1,
)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(DETECTORS, "toy", TOY)


@pytest.fixture(scope="module")
def data():
    return labkit.shapes(6, 64, seed=3)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A training of three steps: (its folder, the model, the history)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "toy", TOY)
        folder = tmp_path_factory.mktemp("runs") / "toy"
        model = build_detector(ToyConfig(), data.class_names)
        history = train(model, data, folder, SETTINGS, validation=data[:2], verbose=False)
    return folder, model, history


def test_its_classes_keep_their_rows_by_name(run):
    folder, model, _ = run
    names = model.class_names
    other = from_pretrained(folder, ["new", *names[::-1]], verbose=False)
    logits, theirs = (m.head.get_layer("logits").kernel.numpy() for m in (other, model))
    np.testing.assert_array_equal(logits[..., 2:], theirs[..., :0:-1])
    np.testing.assert_array_equal(logits[..., 0], theirs[..., 0])
    assert not np.isin(logits[..., 1], theirs).any()


def test_a_line_in_the_registry_is_enough():
    assert presets()["toy"] == ToyConfig.preset("toy") and name_of(ToyConfig()) == "toy"
    assert loss_names() == ("objectness", "rpn_box", "class", "box", "mask", "semantic")
    assert isinstance(build_detector(ToyConfig(), ["a"]), ToyDetector)
    with pytest.raises(LabkitError, match="ToyConfig: there is no preset 'tiny'; there are: toy"):
        ToyConfig.preset("tiny")


def test_it_trains_and_writes_down_its_own_losses(run):
    folder, _, history = run
    assert history.losses == ToyConfig.LOSSES and len(history) == 3
    assert History.load(folder).rows == history.rows
    for row in history.rows:
        assert row["total"] == pytest.approx(row["class"] + row["box"] + row["mask"], rel=1e-6)
        assert row["mask"] > 0 and row["box"] > 0
    names = ["step", "seconds", "waiting", "cells", "found", "gradient", "update"]
    assert [list(row) for row in history.vitals] == [names] * 3
    assert read_run(folder)["detector"] == "toy"


class Scaled:
    """An optimizer that multiplies losses, as one for float16 does."""

    def __init__(self, scale):
        self.scale = scale

    def scale_loss(self, loss):
        return loss * self.scale


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_norm_of_gradients_is_of_the_loss_that_was_not_scaled(scale):
    model = build_detector(ToyConfig(), ["a"])
    model.optimizer = Scaled(scale)
    learnt = Learnt({}, {}, {"cells": (tf.constant(3.0), tf.constant(2.0))}, {})
    gradients = [tf.constant([3.0 * scale, 0.0]), None, tf.constant([[4.0 * scale]])]
    signs = model.signs_of(learnt, gradients)
    assert float(signs["cells"]) == 1.5
    np.testing.assert_allclose(signs["gradient"], 5.0, rtol=1e-6)
    assert float(model.signs_of(learnt, [tf.zeros([1])])["gradient"]) == 0.0
    nothing = Learnt({}, {}, {"found": (tf.zeros([]), tf.zeros([]))}, {})
    assert np.isnan(model.signs_of(nothing, gradients)["found"])


def test_a_scale_that_grows_with_the_step_does_not_change_its_norm(data):
    """Keras doubles the scale of float16 in the update: the norm is by the scale before it."""
    batch = Batches(data, ToyConfig(), BatchPlan(2, (64, 64))).batch(0)
    batch, norms = {name: tf.constant(value) for name, value in batch.items()}, []
    for scaled in (False, True):
        model = build_detector(ToyConfig(), data.class_names)
        optimizer = tf.keras.optimizers.SGD(0.0)
        if scaled:
            optimizer = tf.keras.optimizers.LossScaleOptimizer(
                optimizer, initial_scale=8.0, dynamic_growth_steps=1
            )
        model.compile(optimizer=optimizer)
        model.train_step(batch)
        norms.append(model.last_signs["gradient"])
    assert float(optimizer.dynamic_scale) == 16.0
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)


def test_a_detector_that_extends_another_is_saved_and_read(tmp_path):
    @tf.keras.utils.register_keras_serializable("labkit-tests")
    class Quieter(ToyDetector):
        pass

    model = Quieter(ToyConfig(detections=3), ["a"])
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is Quieter and again.config == model.config


def test_a_config_of_no_detector_is_one_sentence():
    with pytest.raises(LabkitError, match="DetectorConfig belongs to no detector in"):
        build_detector(DetectorConfig(), ["a"])


def test_what_it_says_at_first_is_what_guessing_says(run):
    row = run[2].rows[0]
    guesses = ToyDetector.guessing(4)
    assert row["class"] == pytest.approx(guesses["class"], rel=0.3)
    assert row["mask"] == pytest.approx(guesses["mask"], rel=0.3)


def test_it_is_validated(run):
    folder, _, history = run
    assert [row["step"] for row in history.validation] == [3]
    assert {"bbox_AP", "segm_AP"} < set(history.validation[0])
    assert [set(row) for row in history.validation_losses] == [
        {"step", "total", *ToyConfig.LOSSES}
    ] * 3
    best = json.loads((folder / "best.json").read_text())
    lowest = min(history.validation_losses, key=lambda row: row["total"])
    assert best["step"] == lowest["step"] and (folder / "best.weights.h5").exists()
    assert len(read_film(folder)) == 1


def test_it_resumes_where_it_stopped(run, data, tmp_path):
    """Two steps, then the third in another process of mind: the same losses as without a stop."""
    _, _, history = run
    for steps, resume in ((SETTINGS, False), (SETTINGS, True)):
        model = build_detector(ToyConfig(), data.class_names)
        stop = StopAfter(1) if not resume else None
        again = train(
            model,
            data,
            tmp_path / "run",
            steps,
            validation=data[:2],
            resume=resume,
            callbacks=[stop] if stop else [],
            verbose=False,
        )
    assert [row["step"] for row in again.rows] == [1, 2, 3]
    for ours, whole in zip(again.rows, history.rows, strict=True):
        assert ours["total"] == pytest.approx(whole["total"], rel=1e-5)


class StopAfter(tf.keras.callbacks.Callback):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == self.batch


def test_it_is_read_back_from_its_run(run, data):
    folder, model, _ = run
    again = load_model(folder)
    assert isinstance(again, ToyDetector) and again.config == model.config
    image = data[0].image
    for ours, theirs in zip(
        *(m.detect(image, max_detections=5).boxes for m in (again, model)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_of_an_unknown_detector_is_refused_in_a_sentence(run, monkeypatch):
    monkeypatch.delitem(DETECTORS, "toy")
    with pytest.raises(LabkitError, match="no detector 'toy'; there are: mask_rcnn"):
        load_model(run[0])


def test_it_cannot_be_resumed_as_another_detector(run, data, micro_config):
    model = build_detector(micro_config, data.class_names)
    with pytest.raises(LabkitError, match="started with detector toy, not mask_rcnn"):
        train(model, data, run[0], SETTINGS, validation=data[:2], resume=True, verbose=False)


def test_it_is_diagnosed_by_general_checks_and_by_its_own(run):
    found = diagnose(run[0])
    assert found.steps == 3
    general = "there are more classes than the data have"  # six images show three of four shapes
    assert [f.name for f in found.findings if f.name != "no cell finds its object"] == [general]
    rows = [row | {"found": 0.0} for row in run[2].vitals]
    history = History.load(run[0])
    history.vitals[:] = rows
    history.save(run[0])
    assert [f.name for f in diagnose(run[0]).findings] == [general, "no cell finds its object"]


def test_stages_know_its_parts_and_its_words(data, tmp_path):
    for word, frozen in (("heads", "backbone"), ("last", "backbone"), ("backbone", "head")):
        model = build_detector(ToyConfig(), data.class_names)
        parts = model.parts()
        before = [w.numpy() for w in parts[frozen].weights]
        stages = [Stage(word, steps=1, loss_weights={"mask": 0})]
        train(
            model,
            data,
            tmp_path / word,
            SETTINGS.replace(validate_every=0),
            stages=stages,
            validation=data[:2],
            verbose=False,
        )
        for old, new in zip(before, parts[frozen].weights, strict=True):
            np.testing.assert_array_equal(old, new.numpy())
    with pytest.raises(LabkitError, match="no loss 'objectness'; there are: class, box, mask"):
        train(
            model,
            data,
            tmp_path / "wrong",
            SETTINGS,
            validation=data[:2],
            stages=[Stage("all", steps=1, loss_weights={"objectness": 0})],
        )


def test_a_metric_that_it_does_not_have_is_refused(data, tmp_path):
    model = build_detector(ToyConfig(), data.class_names)
    with pytest.raises(LabkitError, match="no loss 'objectness'; there are: class, box, mask"):
        train(
            model,
            data,
            tmp_path / "run",
            SETTINGS.replace(best_by="objectness"),
            validation=data[:2],
        )


def test_the_command_line_evaluates_and_diagnoses_it(run, capsys):
    assert (
        cli.main(
            [
                "evaluate",
                "--weights",
                str(run[0]),
                "--data",
                "shapes",
                "--json",
                "--image-size",
                "64",
            ]
        )
        == 0
    )
    assert "segm" in json.loads(capsys.readouterr().out)
    assert cli.main(["doctor", str(run[0])]) in (0, 1)
    assert "3 steps" in capsys.readouterr().out


PROGRAM = """
    import json, sys
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    import labkit
    from labkit.models.registry import DETECTORS, Entry, build_detector
    from labkit.training import TrainSettings, make_strategy, train
    DETECTORS["toy"] = Entry("toy_detector:ToyConfig", "toy_detector:ToyDetector")
    settings, folder = TrainSettings.from_dict(json.loads(sys.argv[1])), sys.argv[2]
    data = labkit.shapes(6, 64, seed=3)
    with make_strategy("mirrored").scope():
        model = build_detector(DETECTORS["toy"].config_class(), data.class_names)
    history = train(model, data, folder, settings, validation=data[:2], verbose=False)
    print(json.dumps({"rows": history.rows, "vitals": history.vitals}))
"""


def test_two_devices_learn_what_one_learns(run, tmp_path):
    helpers = os.path.dirname(sys.modules["toy_detector"].__file__)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(PROGRAM),
            json.dumps(SETTINGS.to_dict()),
            str(tmp_path / "run"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([helpers, *sys.path])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for two, one in zip(found["rows"], run[2].rows, strict=True):
        for name in ("total", *ToyConfig.LOSSES):
            assert two[name] == pytest.approx(one[name], rel=1e-5), name
    for two, one in zip(found["vitals"], run[2].vitals, strict=True):
        assert two["cells"] == one["cells"]
        assert two["gradient"] == pytest.approx(one["gradient"], rel=1e-4)
    assert read_run(tmp_path / "run")["distribution"]["replicas"] == 2
