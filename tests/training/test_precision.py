"""Mixed precision: 16 bits inside the network, 32 outside, and the same numbers to 16 bits."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.data import shapes
from labkit.data.pipeline import Batches, BatchPlan
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.losses import LOSS_NAMES
from labkit.training import TrainSettings, train
from labkit.training.precision import computing_in
from labkit.training.stages import layer_paths


@pytest.fixture(scope="module")
def data():
    return shapes(4, 64, seed=3)


@pytest.fixture(scope="module")
def batch(data, micro_config):
    plan = BatchPlan(2, (64, 64))
    return {k: tf.constant(v) for k, v in Batches(data, micro_config, plan).batch(0).items()}


# Unit roundoff is 2^-11 in float16 and 2^-8 in bfloat16. Of a dozen layers one after the other
# each rounds once or twice: 20 roundings that add up. Measured: a tenth and a third of this.
@pytest.mark.parametrize(
    "precision, bound", [("mixed_float16", 20 / 2**11), ("mixed_bfloat16", 20 / 2**8)]
)
def test_maps_and_losses_are_those_of_float32(precision, bound, batch, data, micro_config):
    model = MaskRCNN(micro_config, data.class_names)
    exact = model.trace_losses(batch)
    with computing_in(model, precision):
        assert model.backbone(tf.zeros([1, 64, 64, 3]))[0].dtype == precision.removeprefix("mixed_")
        mixed = model.trace_losses(batch)
    for ours, theirs in zip(mixed["maps"], exact["maps"], strict=True):
        assert ours.dtype == tf.float32
        assert np.abs(ours - theirs).max() < bound * np.abs(theirs).max()
    for name in ("class_logits", "box_deltas", "mask_logits"):
        assert mixed[name].dtype == tf.float32
    # Losses of the RPN: the heads' are of proposals, and one that is suppressed changes its sample.
    for name in LOSS_NAMES[:2]:
        assert mixed["losses"][name].dtype == tf.float32
        assert abs(mixed["losses"][name] - exact["losses"][name]) < bound


def test_afterwards_everything_is_as_before(batch, data, micro_config):
    model = MaskRCNN(micro_config, data.class_names)
    before = {n: float(v) for n, v in model.losses_of(batch).items()}
    picture = data[0].image
    found = model.detect(picture, score_threshold=0.0, max_detections=5)
    with computing_in(model, "mixed_bfloat16"):
        model.detect(picture)
    assert {layer.compute_dtype for _, layer in layer_paths(model)} == {"float32"}
    assert {n: float(v) for n, v in model.losses_of(batch).items()} == before
    again = model.detect(picture, score_threshold=0.0, max_detections=5)
    np.testing.assert_array_equal(again.boxes, found.boxes)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_a_run_in_mixed_precision_keeps_float32_weights(precision, data, micro_config, tmp_path):
    model = MaskRCNN(micro_config, data.class_names)
    settings = TrainSettings(steps=4, batch_size=2, canvas=(64, 64), precision=precision)
    before = [w.numpy() for w in model.trainable_weights]
    history = train(model, data, tmp_path / "run", settings, verbose=False)
    assert np.isfinite(history["total"]).all()
    # float16 begins with a loss scale that may be too high: such a step is left out, the next has
    # half of it.
    assert np.isfinite([row["gradient"] for row in history.vitals])[-1]
    assert {w.dtype for w in model.weights} == {"float32"}
    changed = [
        not np.array_equal(a, b.numpy())
        for a, b in zip(before, model.trainable_weights, strict=True)
    ]
    assert all(changed)
