"""The running average: kept by the definition, seen by detection, resumed with the run."""

import shutil

import numpy as np
import pytest

from labkit.data import shapes
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import TrainSettings, train
from labkit.training.averages import averaged, keeps_average
from labkit.training.callbacks import Checkpointer
from labkit.training.stages import Stage
from labkit.weights.runs import AVERAGE, WEIGHTS, load_model

SETTINGS = TrainSettings(
    steps=4,
    batch_size=2,
    canvas=(64, 64),
    warmup_steps=0,
    ema=0.5,
    checkpoint_every=1,
    checkpoints_kept=9,
)


def weights_in(path, config, names) -> list[np.ndarray]:
    model = MaskRCNN(config, names)
    model.load_weights(path)
    return [w.numpy() for w in model.trainable_variables]


@pytest.fixture(scope="module")
def data():
    return shapes(5, 64, seed=3)


@pytest.fixture(scope="module")
def run(data, micro_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "averaged"
    model = MaskRCNN(micro_config, data.class_names)
    train(model, data, folder, SETTINGS, verbose=False)
    return folder, model


def test_the_average_follows_its_definition(run, data, micro_config):
    """Of checkpoints 1, 2, 3 by hand: a = w1, then a = a / 2 + w / 2."""
    folders = [run[0] / "checkpoints" / f"step-{n:08d}" for n in (1, 2, 3)]
    own = [weights_in(f / WEIGHTS, micro_config, data.class_names) for f in folders]
    expected = [w1 / 4 + w2 / 4 + w3 / 2 for w1, w2, w3 in zip(*own, strict=True)]
    for got, want in zip(
        weights_in(folders[2] / AVERAGE, micro_config, data.class_names), expected, strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_what_is_loaded_is_the_average(run, data, micro_config):
    folder, model = run
    middle = folder / "checkpoints" / "step-00000003"
    average = weights_in(middle / AVERAGE, micro_config, data.class_names)
    for got, want in zip(load_model(middle).trainable_variables, average, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)
    # The run ends with the average in the model, in the last checkpoint and in the final weights.
    for got, want in zip(load_model(folder).weights, model.weights, strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_within_the_block_and_only_there(run):
    model = run[1]
    assert keeps_average(model)
    marked = model.trainable_variables[0]
    average = marked.numpy()
    marked.assign(average + 1)
    with averaged(model):
        np.testing.assert_array_equal(marked.numpy(), average)
    np.testing.assert_array_equal(marked.numpy(), average + 1)
    marked.assign(average)  # the model is the other tests' too


def test_a_run_with_an_average_goes_on(run, data, micro_config, tmp_path):
    folder, model = run
    shutil.copytree(folder, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step-00000004")
    again = MaskRCNN(micro_config, data.class_names)
    train(again, data, tmp_path / "cut", SETTINGS, resume=True, verbose=False)
    # One step from the same weights, batch and samples; sums in two threads differ in rounding,
    # and Adam makes of a gradient near zero a step of the full rate either way, in its first steps
    # even several rates long.
    for a, b in zip(again.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=8 * SETTINGS.learning_rate)
    first = [v.numpy() for v in again.optimizer.variables]
    assert len(first) == len(model.optimizer.variables)


def test_without_an_average_there_is_none(data, micro_config, tmp_path):
    model = MaskRCNN(micro_config, data.class_names)
    train(model, data, tmp_path / "run", SETTINGS.replace(ema=0.0, steps=1), verbose=False)
    assert not keeps_average(model) and not list((tmp_path / "run").rglob(AVERAGE))
    before = [w.numpy() for w in model.weights]
    with averaged(model):
        pass
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_the_next_stage_begins_with_the_average(data, micro_config, tmp_path, monkeypatch):
    """As a resumed run does, whose checkpoint at the end of a stage holds the average."""
    began = []
    real = Checkpointer.on_train_end
    monkeypatch.setattr(
        Checkpointer,
        "on_train_end",
        lambda self, logs=None: (
            began.append([w.numpy() for w in self.model.weights]),
            real(self, logs),
        )[1],
    )
    model = MaskRCNN(micro_config, data.class_names)
    stages = [Stage("all", steps=2), Stage("mask_head", steps=1)]
    train(model, data, tmp_path / "run", SETTINGS, stages=stages, verbose=False)
    stored = weights_in(
        tmp_path / "run" / "checkpoints" / "step-00000002" / WEIGHTS, micro_config, data.class_names
    )
    kept = len(model.backbone.trainable_variables)
    for at_end, in_file, after in zip(
        began[0][:kept], stored[:kept], model.trainable_variables[:kept], strict=True
    ):
        np.testing.assert_array_equal(at_end, in_file)
        np.testing.assert_array_equal(after.numpy(), in_file)  # frozen in the second stage
