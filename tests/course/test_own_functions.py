"""A learner's function takes the place of labkit's, and the network computes the same."""

from pathlib import Path

import nbformat
import numpy as np
import pytest
import tensorflow as tf
from solved import answers_of

import labkit
from labkit.course import swaps
from labkit.course.adapters import PLACES
from labkit.course.checking import check
from labkit.course.own_functions import use, used
from labkit.data import shapes
from labkit.data.pipeline import Batches, BatchPlan
from labkit.errors import LabkitError
from labkit.models import heads
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops import boxes as box_ops

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
FILES = (
    "01a_boxes_and_iou",
    "01b_anchors_and_deltas",
    "02a_rpn_targets",
    "02b_proposals",
    "04_heads_and_losses",
)


@pytest.fixture(autouse=True)
def labkits_again():
    yield
    for name in used():
        use(name, None)


@pytest.fixture(scope="module")
def mine():
    """{exercise: the solution that stands in its notebook}."""
    written = {}
    for file in FILES:
        written |= answers_of(nbformat.read(NOTEBOOKS / f"{file}.ipynb", as_version=4))
    return {name: written[name] for name in PLACES}


def test_a_whole_detector_of_own_functions(mine, micro_config):
    """The same losses and gradients as labkit's, and the same detections."""
    data = shapes(4, 64, seed=3)
    config = micro_config.replace(seed=0)
    batch = Batches(data, config, BatchPlan(batch_size=2, canvas=(64, 64))).batch(0)
    batch = {k: tf.constant(v) for k, v in batch.items()}

    def outcome():
        model = MaskRCNN(config, data.class_names)
        with tf.GradientTape() as tape:
            losses = model.losses_of(batch)
            total = tf.add_n(list(losses.values()))
        gradients = tape.gradient(total, model.trainable_variables)
        found = model.detect(data[0].image, score_threshold=0.0)
        return losses, gradients, found

    losses, gradients, found = outcome()
    original = box_ops.iou
    for name, function in mine.items():
        use(name, function)
    assert set(used()) == set(PLACES) and box_ops.iou is not original
    own_losses, own_gradients, own_found = outcome()
    # An IoU in float64 would match other anchors where two tie in float32 alone; the solution's is
    # in float32, as labkit's.
    for name, loss in losses.items():
        np.testing.assert_allclose(own_losses[name], loss, rtol=1e-4, err_msg=name)
    apart = [a - b for a, b in zip(own_gradients, gradients, strict=True)]
    assert tf.linalg.global_norm(apart) < 1e-3 * tf.linalg.global_norm(gradients)
    np.testing.assert_allclose(own_found.scores, found.scores, rtol=1e-4)
    np.testing.assert_allclose(own_found.boxes, found.boxes, rtol=1e-4, atol=1e-2)


def test_every_call_goes_through_the_function(mine):
    """Also where a module has imported the function by its name."""
    calls = []

    def counted(iou, real, high, low):
        calls.append(iou.shape)
        return mine["match_anchors"](iou, real, high, low)

    theirs = heads.match
    use("match_anchors", counted)
    assert heads.match is not theirs and labkit.match is heads.match
    calls.clear()
    heads.match(tf.zeros([2, 5, 3]), tf.ones([2, 3], bool), 0.7, 0.3, True)
    assert calls == [(5, 3), (5, 3)]
    heads.match(tf.zeros([2, 5, 3]), tf.ones([2, 3], bool), 0.5, 0.5, False)
    assert len(calls) == 2  # the heads' rule is labkit's
    use("match_anchors", None)
    assert heads.match is theirs and used() == ()


def test_a_check_compares_with_labkit_even_then(mine):
    use("iou_matrix", mine["iou_matrix"])
    with swaps.labkits_own():
        theirs = box_ops.iou
    assert box_ops.iou is not theirs

    def wrong(a, b):
        return mine["iou_matrix"](a, b) * 0.9

    assert not check("iou_matrix", wrong).passed
    assert check("iou_matrix", mine["iou_matrix"]).passed
    assert box_ops.iou is not theirs


def test_a_function_that_is_wrong_stays_out(mine):
    theirs = box_ops.encode
    with pytest.raises(LabkitError, match="'encode' does not pass its check yet: .* Hint: "):
        use("encode", lambda boxes, anchors, std: boxes - anchors)
    assert box_ops.encode is theirs
    with pytest.raises(LabkitError, match="no step of the detector is called 'ancors'; there are:"):
        use("ancors", mine["encode"])


@pytest.mark.parametrize("stride", [(8, 8), (8, 9)])
def test_grids_whose_strides_differ(mine, stride):
    cell = PLACES["cell_anchors"].original(12.0, (0.5, 1.0))
    place = PLACES["grid_anchors"]
    ours = place.adapter(mine["grid_anchors"])(cell, (3, 4), stride, 0.5)
    np.testing.assert_allclose(ours, place.original(cell, (3, 4), stride, 0.5), rtol=1e-6)


@pytest.mark.parametrize("groups, boxes_of", [(1, 1), (3, 1), (3, 3)])
def test_nms_of_a_batch(mine, groups, boxes_of):
    rng = np.random.default_rng(2)
    near = rng.uniform(0, 30, (2, 20, boxes_of, 2))
    boxes = np.concatenate([near, near + rng.uniform(5, 30, near.shape)], -1).astype("f4")
    scores = rng.uniform(0, 1, (2, 20, groups)).astype("f4")
    place = PLACES["nms"]
    ours = place.adapter(mine["nms"])(boxes, scores, 0.3, 12, 0.2)
    for own, theirs in zip(ours, place.original(boxes, scores, 0.3, 12, 0.2), strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-6)


def test_levels_of_another_canonical_size_and_an_empty_list(mine):
    boxes = np.float32([[[0, 0, 20, 30], [0, 0, 200, 90]]])
    place = PLACES["level_of"]
    ours = place.adapter(mine["level_of"])
    for options in ({"canonical_size": 56.0}, {"rounding": "nearest"}):
        assert (ours(boxes, 4, **options) == place.original(boxes, 4, **options)).numpy().all()
    assert ours(np.zeros((0, 4), "f4"), 4).shape == (0,)


def test_smooth_l1_has_its_gradient(mine):
    x = tf.constant([-2.0, -0.05, 0.0, 0.08, 3.0])
    place = PLACES["smooth_l1"]
    slopes = []
    for function in (place.adapter(mine["smooth_l1"]), place.original):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(function(x, 1 / 9))
        slopes.append(tape.gradient(total, x))
    np.testing.assert_allclose(*slopes, atol=1e-3)
