"""Every operator on the level of a RoI's size, and a training step through each."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.data import shapes
from labkit.data.pipeline import Batches, BatchPlan
from labkit.models.config import CHOICES, Config
from labkit.models.heads import pool_rois
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.roi import roi_align, roi_crop_and_resize, roi_pool
from labkit.ops.roi_pyramid import roi_level

CONFIG = Config(roi_canonical_size=32.0)
STRIDES = (4, 8, 16, 32)
MAPS = [tf.random.stateless_normal([2, 96 // s, 128 // s, 3], [s, 0]) for s in STRIDES]
SIDES = [6.0, 9, 15, 17, 31, 33, 64, 70]
ROIS = tf.constant(
    [[[5.0, 7, 5 + s, 7 + s] for s in SIDES], [[20.0, 3, 20 + s, 3 + s / 2] for s in SIDES]]
)


def on_one_level(op, image, roi, level, config):
    box, features = roi[None], MAPS[level][image : image + 1]
    if op == "align":
        return roi_align(features, box, [0], 5, 1 / STRIDES[level], config.roi_sampling_ratio)[0]
    if op == "pool":
        return roi_pool(features, box, [0], 5, 1 / STRIDES[level])[0]
    return roi_crop_and_resize(features, box, [0], 5, (96, 128))[0]


@pytest.mark.parametrize("op", CHOICES["roi_op"])
@pytest.mark.parametrize("rounding", CHOICES["roi_level_rounding"])
def test_each_roi_is_pooled_from_its_own_level(op, rounding):
    config = CONFIG.replace(roi_op=op, roi_level_rounding=rounding)
    levels = roi_level(ROIS, 4, 32.0, 4, rounding).numpy()
    assert set(levels.ravel()) >= {0, 1, 2, 3}
    got = pool_rois(MAPS, ROIS, 5, config)
    for image in range(2):
        for i, level in enumerate(levels[image]):
            want = on_one_level(op, image, ROIS[image, i], level, config)
            np.testing.assert_allclose(got[image, i], want, atol=1e-4)  # as in tests/test_roi.py


@pytest.mark.parametrize("op", CHOICES["roi_op"])
def test_no_rois_and_shapes_in_a_graph(op):
    config = CONFIG.replace(roi_op=op)
    assert pool_rois(MAPS, tf.zeros([2, 0, 4]), 7, config).shape == (2, 0, 7, 7, 3)
    specs = [tf.TensorSpec(m.shape) for m in MAPS]

    @tf.function
    def graph(a, b, c, d, rois):
        return pool_rois([a, b, c, d], rois, 7, config)

    got = graph.get_concrete_function(*specs, tf.TensorSpec([2, 9, 4])).structured_outputs
    assert tuple(got.shape) == (2, 9, 7, 7, 3)


def test_matterports_level_is_by_the_part_of_the_image():
    """224 of 1024 px belong to P4, and so does half an octave to either side: 158.4 .. 316.8.

    Inside, a box ends at its last pixel and the image is 1023 long: hence the limits below."""
    config = Config.preset("matterport")
    maps = [tf.fill([1, 1024 // s, 1024 // s, 1], float(s)) for s in STRIDES]
    edges = [224 * 1023 / 1024 * 2**k + 1 for k in (-1.5, -0.5, 0.5)]
    sides = [e + d for e in edges for d in (-0.01, 0.01)]
    rois = tf.constant([[[0.0, 0, s, s] for s in sides]])
    got = pool_rois(maps, rois, 1, config)[0, :, 0, 0, 0]
    np.testing.assert_array_equal(got, [4, 8, 8, 16, 16, 32])


@pytest.mark.parametrize("op", CHOICES["roi_op"])
def test_the_network_learns_through_every_operator(op, micro_config):
    data = shapes(4, 64, seed=3)
    config = micro_config.replace(roi_op=op, roi_canonical_size=32.0)
    batch = Batches(data, config, BatchPlan(2, (64, 64))).batch(0)
    batch = {k: tf.constant(v) for k, v in batch.items()}
    model = MaskRCNN(config, data.class_names)

    with tf.GradientTape() as tape:
        losses = model.trace_losses(batch)["losses"]
        total = losses["class"] + losses["box"] + losses["mask"]
    variables = model.backbone.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(total, variables), strict=True):
        if variable.name != "kernel":  # a bias or a norm may well get none from a dead unit
            continue
        assert gradient is not None and np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path
