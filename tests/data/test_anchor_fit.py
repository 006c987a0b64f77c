"""The closed form against the grid itself, and anchors that fit better or are not suggested."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.anchor_fit import anchor_ious, feature_shapes, fit_of, resized, suggest_anchors
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.anchors import pyramid_anchors
from labkit.ops.boxes import iou

NATIVE = Config.preset("tiny", resize="none")


def true_grid(boxes, shape, config) -> np.ndarray:
    """The best IoU [N, 5] of every level, with all its anchors built."""
    pad = config.pad_multiple
    padded = [-(-side // pad) * pad for side in shape]
    levels = pyramid_anchors(
        padded,
        feature_shapes(*shape, config),
        config.anchor_sizes,
        config.anchor_ratios,
        config.anchor_rounding,
        config.anchor_offset,
    )
    boxes = tf.constant(boxes, tf.float32)
    return np.stack([tf.reduce_max(iou(boxes, level), axis=1) for level in levels], axis=1)


@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(20, 300), st.integers(20, 300)),
    preset=st.sampled_from(["tiny", "r50_fpn"]),
    offset=st.sampled_from([0.0, 0.5]),
    rounding=st.booleans(),
)
def test_the_nearest_cell_has_the_best_anchor(seed, shape, preset, offset, rounding):
    """Everywhere: at the border, where the grid ends before the image, and for odd level sizes."""
    config = Config.preset(
        preset,
        resize="none",
        anchor_offset=offset,
        anchor_rounding=rounding,
        anchor_sizes=(9, 17, 41, 96, 201),
    )
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, 1, (6, 2, 2)), axis=1) * shape
    boxes = np.concatenate([corners[:, 0], np.maximum(corners[:, 1], corners[:, 0] + 1)], 1)
    boxes = np.float32(boxes)
    ours = anchor_ious(boxes, np.tile(shape, (6, 1)), config)
    np.testing.assert_allclose(ours.max(axis=2), true_grid(boxes, shape, config), atol=2e-5)


def test_levels_are_as_large_as_the_models(micro_config):
    model = MaskRCNN(micro_config, ["a"])
    for shape in ((64, 64), (40, 100), (96, 33)):
        padded = [-(-side // 32) * 32 for side in shape]
        images = tf.zeros([1, *padded, 3])
        maps = model.features(images, tf.constant([shape], tf.float32))
        assert [tuple(m.shape[1:3]) for m in maps] == feature_shapes(*shape, micro_config)


def test_an_anchor_itself_is_covered_whole():
    centre = (np.array([16, 16]) + 0.5) * 4  # a cell of P2, with the preset's half-cell offset
    box = np.float32([[*(centre - 6), *(centre + 6)]])
    shapes = np.array([[128, 128]])
    assert fit_of(box, shapes, NATIVE).uncovered == 0
    assert fit_of(box, shapes, NATIVE).mean_iou == pytest.approx(1, abs=1e-6)
    assert fit_of(box + 1.5, shapes, NATIVE).mean_iou < 0.7  # position matters
    assert fit_of(box * 1e-3, shapes, NATIVE).uncovered == 1


def test_boxes_are_resized_with_their_images():
    config = Config.preset("tiny", image_min_side=100, image_max_side=200)
    boxes = np.float32([[0, 0, 50, 100], [10, 10, 20, 20]])
    seen, shapes = resized(boxes, np.array([[50, 100], [400, 100]]), config)
    np.testing.assert_allclose(seen, [[0, 0, 100, 200], [5, 5, 10, 10]], rtol=1e-5)
    assert shapes.tolist() == [[100, 200], [200, 50]]


@pytest.mark.parametrize("height, width", [(6, 6), (10, 70), (150, 8), (60, 60)])
def test_suggested_anchors_gain_what_is_claimed(height, width):
    """Boxes of one kind, anywhere: the share badly covered falls, and it is the true share."""
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 1, (300, 2)) * (256 - height * 1.2, 256 - width * 1.2)
    sides = np.array([height, width]) * rng.uniform(0.8, 1.2, (300, 2))
    boxes, shapes = np.float32(np.hstack([corner, corner + sides])), np.full((300, 2), 256)
    before, after = fit_of(boxes, shapes, NATIVE), suggest_anchors(boxes, shapes, NATIVE)
    config = NATIVE.replace(anchor_sizes=after.sizes, anchor_ratios=after.ratios)
    poor = (true_grid(boxes, (256, 256), config).max(axis=1) < 0.5).mean()
    assert after.uncovered == pytest.approx(poor, abs=0.01)
    if before.uncovered > 0.02:
        assert after.uncovered < 0.6 * before.uncovered
    else:
        assert after == before
    assert list(after.sizes) == sorted(after.sizes) and len(after.ratios) == 3


@settings(max_examples=8)
@given(st.integers(0, 500), st.integers(0, 40))
def test_a_suggestion_is_never_worse_and_always_the_same(seed, count):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (count, 2))
    boxes = np.float32(np.hstack([corner, corner + np.exp(rng.normal(3, 1, (count, 2)))]))
    shapes = np.full((count, 2), 160)
    before, after = fit_of(boxes, shapes, NATIVE), suggest_anchors(boxes, shapes, NATIVE)
    assert count == 0 or after.uncovered <= before.uncovered
    if count:
        assert suggest_anchors(boxes, shapes, NATIVE) == after
    NATIVE.replace(anchor_sizes=after.sizes, anchor_ratios=after.ratios)  # a Config takes them


def test_no_boxes_no_shares():
    nothing = np.zeros((0, 4), np.float32), np.zeros((0, 2), int)
    for fit in (fit_of(*nothing, NATIVE), suggest_anchors(*nothing, NATIVE)):
        assert np.isnan(fit.uncovered) and fit.sizes == tuple(map(float, NATIVE.anchor_sizes))
