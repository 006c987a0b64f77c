"""Runs on disk: one that commit d1e44ea wrote loads, detects and goes on as it did there.

`tests/golden/run_of_d1e44ea.zip` holds that run (four steps of a Mask R-CNN small enough to keep),
its checkpoint of step 2, a .keras file, and what its model found in an image.
"""

import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import labkit
from labkit.errors import LabkitError
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.registry import detector_of_run
from labkit.training import History, TrainSettings, train
from labkit.weights.runs import load_model, read_run, weights_of

STORED = Path(__file__).parents[1] / "golden" / "run_of_d1e44ea.zip"


# On a processor without AVX, rounding lets another proposal into the sample: the loss "class" is
# then 0.2 % off at step 3 and 1.0 % at step 4, while every other loss stays within 0.03 %. The
# faults that this test is for move more: other pictures move "rpn_box" by 60 %, a lost state of the
# optimizer moves "class" by 3.2 % and "box" by 0.4 % at step 4.
TOLERANCES = {"class": 0.02, "total": 0.02}


@pytest.fixture
def old(tmp_path):
    with zipfile.ZipFile(STORED) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def check_detections(model, folder):
    with np.load(folder / "detections.npz") as want:
        found = model.detect(want["image"])
        assert len(found) == len(want["boxes"]) > 5
        # the order of additions may differ between versions of TensorFlow: measured 0 here
        np.testing.assert_allclose(found.boxes, want["boxes"], atol=1e-3)
        np.testing.assert_allclose(found.scores, want["scores"], atol=1e-5)
        np.testing.assert_array_equal(found.class_ids, want["class_ids"])
        masks = np.unpackbits(want["masks"], count=found.masks.size).reshape(found.masks.shape)
        assert (masks != found.masks).mean() < 1e-3


def test_an_old_run_detects_what_it_detected(old):
    assert "detector" not in read_run(old / "run")  # there was only one
    model = load_model(old / "run")
    assert isinstance(model, MaskRCNN) and model.category_ids == (1, 2, 3, 4)
    assert model.loss_weights == {
        "objectness": 1.0,
        "rpn_box": 2.0,
        "class": 1.0,
        "box": 1.0,
        "mask": 0.5,
    }
    check_detections(model, old)


def test_an_old_keras_file_does_too(old):
    check_detections(keras.saving.load_model(old / "model.keras"), old)
    model = load_model(old / "model.keras")
    check_detections(model, old)
    assert model.category_ids == (1, 2, 3, 4)


def test_a_keras_file_of_something_else_is_one_sentence(tmp_path):
    keras.Sequential([keras.Input([2]), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(LabkitError, match="other.keras holds a Sequential, not a detector"):
        load_model(tmp_path / "other.keras")
    (tmp_path / "broken.keras").write_bytes(b"PK")
    with pytest.raises(LabkitError, match="broken.keras cannot be read as a Keras model"):
        load_model(tmp_path / "broken.keras")


def test_its_weights_load_into_a_new_model(old):
    record = read_run(old / "run")
    config, detector = detector_of_run(record)
    model = detector(config, record["class_names"])
    report = labkit.weights.load(model, weights_of(old / "run"))
    assert not report.missing and len(report.loaded) == len(model.weights)
    check_detections(model, old)


def test_an_old_run_goes_on_where_it_was_stopped(old):
    """From its checkpoint of step 2 to its end: the losses that it had there."""
    whole = History.load(old / "run")
    (old / "run" / "model.weights.h5").unlink()
    record = read_run(old / "run")
    data, validation = labkit.shapes(12, 64, seed=3), labkit.shapes(4, 64, seed=9)
    config, detector = detector_of_run(record)
    model = detector(config, record["class_names"])
    settings = TrainSettings.from_dict(record["settings"])
    again = train(
        model, data, old / "run", settings, validation=validation, resume=True, verbose=False
    )
    assert len(again) == 4 and again.rows[:2] == whole.rows[:2]
    for ours, theirs in zip(again.rows[2:], whole.rows[2:], strict=True):
        for name, value in theirs.items():
            rel = TOLERANCES.get(name, 1e-3)
            assert ours[name] == pytest.approx(value, rel=rel), name
    assert [row["step"] for row in again.validation_losses] == [2, 4]
    assert read_run(old / "run")["detector"] == "mask_rcnn"  # it says so from now on


def test_an_old_run_is_diagnosed_and_reported(old):
    assert labkit.diagnose(old / "run").steps == 4


def test_a_run_that_holds_nothing_is_one_sentence(old):
    shutil.rmtree(old / "run" / "checkpoints")
    (old / "run" / "model.weights.h5").unlink()
    with pytest.raises(LabkitError, match="holds no weights and no checkpoint yet"):
        load_model(old / "run")
