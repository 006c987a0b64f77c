"""Where implementations part: one test for each row of the README's table, of the row's name.

Each shows the behaviours by switching the setting that the row names, or, where there is none, pins
labkit's by a number computed by hand.
"""

import math
import re
from ast import literal_eval
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from labkit.models.backbones import resnet
from labkit.models.config import Config
from labkit.models.detections import Detections
from labkit.models.heads import mask_targets, pool_rois, roi_targets, select
from labkit.models.inference import batch_of
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.resize import resize_image, resized_shape
from labkit.models.rpn import propose, rpn_targets
from labkit.ops import boxes as box_ops
from labkit.ops.anchors import cell_anchors, grid_anchors, pyramid_anchors
from labkit.ops.losses import box_loss, smooth_l1
from labkit.ops.matching import sample
from labkit.ops.roi_pyramid import roi_level

README = Path(__file__).resolve().parents[1] / "README.md"
DEFAULT, MATTERPORT = Config(), Config.preset("matterport")
TORCHVISION = Config.preset("torchvision_v1")


def rows() -> dict[str, list[str]]:
    """The cells of the README's table by the name of the row's test."""
    text = README.read_text(encoding="utf-8")
    section = re.search(r"^## Differences from .*?(?=^## )", text, re.M | re.S)[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return {
        "_".join(re.findall(r"[a-z0-9]+", cells[0].lower().replace("'s", "s"))): cells
        for cells in lines[2:]
    }


def test_every_row_has_its_test_and_every_test_its_row():
    tests = {name.removeprefix("test_row_") for name in globals() if name.startswith("test_row_")}
    assert tests == set(rows())


def test_every_setting_named_is_one():
    """With a value that is not the default's, and is the preset's where it says so."""
    for name, cells in rows().items():
        assert len(cells) == 6, name
        for setting, value in re.findall(r"`(\w+)(?:=([^`]+))?`", cells[5]):
            assert hasattr(DEFAULT, setting), (name, setting)
            if value:
                changed = DEFAULT.replace(image_max_side=1344, **{setting: literal_eval(value)})
                assert changed != DEFAULT.replace(image_max_side=1344), (name, setting)
        for setting, value in re.findall(r"`(?:(\w+)=)?([^`]+)`: Matterport", cells[5]):
            setting = setting or re.search(r"`(\w+)=", cells[5])[1]
            assert getattr(MATTERPORT, setting) == literal_eval(value), (name, setting)


# --- the image --------------------------------------------------------------------------


def test_row_size_of_the_image():
    """500 x 668 by 1.6 is 800 x 1068.8; 900 x 1000 has no need to be enlarged."""
    assert resized_shape(500, 668, DEFAULT) == (800, 1068)
    assert resized_shape(500, 668, MATTERPORT) == (766, 1024)  # 766.47
    assert resized_shape(900, 1000, DEFAULT) == (800, 888)
    assert resized_shape(900, 1000, MATTERPORT) == (900, 1000)


def test_row_filter_of_the_resize():
    """A white row among nine, at a third of the size: pixels 1, 4 and 7 are looked at, or all."""
    line = np.zeros((9, 9, 3), np.uint8)
    line[3] = 255
    assert resize_image(line, 3, 3, TORCHVISION.resize_filter).max() == 0
    assert resize_image(line, 3, 3, MATTERPORT.resize_filter).max() == 0
    assert resize_image(line, 3, 3, DEFAULT.resize_filter).max() > 50
    grey = np.full((2, 2, 3), 200, np.uint8)
    grey[0, 0] = 0
    assert resize_image(grey, 4, 4, TORCHVISION.resize_filter)[3, 1:, 0].tolist() == [200] * 3
    assert resize_image(grey, 4, 4, MATTERPORT.resize_filter)[3, 1:, 0].tolist() == [150, 150, 112]


def test_row_sides_of_the_padding():
    picture = np.full((40, 64, 3), 255, np.uint8)
    for resize, first in (("shortest_edge", 0), ("square", 12)):
        config = Config(image_min_side=40, image_max_side=64, resize=resize)
        batch, _ = batch_of([picture], config)
        assert batch.shape == (1, 64, 64, 3)
        assert np.flatnonzero(batch[0, :, 0, 0])[[0, -1]].tolist() == [first, first + 39]


def test_row_colour_of_the_padding():
    """0 is the mean colour after normalisation; black is less by the mean."""
    images, sizes = tf.fill([1, 4, 4, 3], 0.0), tf.constant([[2.0, 4]])
    for config, expected in (
        (DEFAULT, 0.0),
        (DEFAULT.replace(resize="square", image_max_side=1344), -123.68),
    ):
        x = MaskRCNN.normalise(SimpleNamespace(config=config), images, sizes)
        assert float(x[0, 3, 0, 0]) == pytest.approx(expected)


# --- the backbone -----------------------------------------------------------------------

SMALL = dict(backbone_blocks=(1, 1, 1, 1), backbone_channels=(8, 8, 8, 8), stem_channels=1)


def test_row_where_a_bottleneck_halves():
    for config, strides in ((DEFAULT, [(2, 2), (1, 1)]), (TORCHVISION, [(1, 1), (2, 2)])):
        layer = resnet.build(config.replace(**SMALL)).get_layer
        assert [layer(f"layer2_0_conv{i}").strides for i in (1, 2)] == strides


def test_row_padding_of_the_stems_pool():
    """A spot in row 1: 3-cell windows from -1, 1, ... see it twice, from 0, 2, ... once."""
    image = np.zeros((1, 16, 16, 3), np.float32)
    image[0, 2, 2] = 1.0  # the stem's convolution below takes every second pixel as it is
    for padding, seen in (("both_sides", 2), ("far_side", 1)):
        model = resnet.build(DEFAULT.replace(**SMALL, stem_pool_padding=padding))
        kernel = np.zeros((7, 7, 3, 1), np.float32)
        kernel[3, 3, 0] = 1.0
        model.get_layer("conv1").set_weights([kernel])
        stem = keras.Model(model.input, model.get_layer("pool1").output)
        assert np.count_nonzero(stem(image)[0, :, 0]) == seen


# --- anchors and boxes ------------------------------------------------------------------


def test_row_anchors_in_whole_pixels():
    """32 px twice as wide as high: 22.63 x 45.25."""
    for config, far in ((DEFAULT, [11, 23]), (MATTERPORT, [11.314, 22.627])):
        got = cell_anchors(32, (0.5,), config.anchor_rounding)
        np.testing.assert_allclose(got[0], [-far[0], -far[1], *far], atol=1e-3)


def test_row_centre_of_an_anchor():
    cell = np.float32([[-8, -8, 8, 8]])
    for offset, centre in ((DEFAULT.anchor_offset, 0), (0.5, 8)):
        got = grid_anchors(cell, (1, 1), (16, 16), offset)
        np.testing.assert_array_equal(got[0], [centre - 8] * 2 + [centre + 8] * 2)


def test_row_stride_of_p6s_anchors():
    """224 rows make 7 of P5 and 4 of P6: 56 px each. In 256 rows there is nothing to round."""
    for side, step in ((224, 56.0), (256, 64.0)):
        (level,) = pyramid_anchors((side, side), [(4, 4)], (512,), (1.0,))
        assert float(level[4, 0] - level[0, 0]) == step


def proposals(anchors, config, deltas=None, size=64.0):
    """Boxes proposed from anchors, each on a level of its own, all with the same score."""
    levels = [tf.constant([a], tf.float32) for a in anchors]
    deltas = [tf.constant([[d]], tf.float32) for d in deltas or [[0.0] * 4] * len(levels)]
    logits = [tf.zeros([1, 1]) for _ in levels]
    got = propose(logits, deltas, levels, tf.constant([[size, size]]), config, False)
    return got["boxes"][0, : int(got["count"][0])].numpy()


def test_row_end_of_a_box():
    """Ten rows, twice as high: 20 rows about the middle, or twice nine, and the last pixel."""
    anchor, double = [[20.0, 20, 30, 30]], [[0, 0, math.log(2), math.log(2)]]
    got = proposals(anchor, DEFAULT, double)
    np.testing.assert_allclose(got[0], [15, 15, 35, 35], atol=1e-5)
    inclusive = DEFAULT.replace(inclusive_boxes=True)
    got = proposals(anchor, inclusive, double)
    np.testing.assert_allclose(got[0], [15.5, 15.5, 34.5, 34.5], atol=1e-5)
    for config in (DEFAULT, inclusive):  # the RPN is taught by half-open boxes, Matterport's too
        objects, valid = tf.constant([[[15.0, 15, 35, 35]]]), tf.constant([[True]])
        taught = rpn_targets(tf.constant(anchor), objects, valid, tf.zeros([1, 1]), config)
        np.testing.assert_allclose(taught["deltas"][0], double, atol=1e-6)


def test_row_largest_log_of_a_scale():
    box = box_ops.decode(tf.constant([[0.0, 0, 10, 0]]), tf.constant([[0.0, 0, 2, 2]]))
    assert float(box[0, 2] - box[0, 0]) == pytest.approx(2 * 62.5)  # and not 2 e^10 = 44053


def test_row_proposals_across_levels():
    twice = [[0.0, 0, 32, 32], [0, 0, 32, 32]]
    assert len(proposals(twice, DEFAULT)) == 2
    assert len(proposals(twice, DEFAULT.replace(proposals_joint=True))) == 1


def test_row_clip_filter_nms():
    """Nothing is left of the one beyond the image."""
    anchors = [[0.0, 0, 32, 32], [80, 0, 99, 32]]
    assert len(proposals(anchors, DEFAULT)) == 1
    assert len(proposals(anchors, DEFAULT.replace(rpn_min_size=0.0))) == 2


# --- regions of interest ----------------------------------------------------------------


def test_row_level_of_a_roi():
    """112 px are an octave below 224, 160 half of one; 111.99999 is 112 but for rounding."""
    sides = tf.constant([111.9, 111.99999, 160.0, 223.9, 224.0])
    boxes = tf.stack([0 * sides, 0 * sides, sides, sides], axis=-1)
    for config, levels in ((DEFAULT, [2, 3, 3, 3, 4]), (MATTERPORT, [3, 3, 4, 4, 4])):
        got = roi_level(boxes, 4, rounding=config.roi_level_rounding)
        assert (got.numpy() + 2).tolist() == levels


def pooled(values, config, output=1):
    """The bins of a RoI over all of a P2 of 8 x 8 cells whose rows all hold `values`."""
    maps = [tf.tile(tf.constant(values, tf.float32)[None, None, :, None], [1, 8, 1, 1])]
    config = config.replace(roi_canonical_level=2)
    return pool_rois(maps, tf.constant([[[0.0, 0, 32, 32]]]), output, config)[0, 0, 0, :, 0].numpy()


def test_row_half_a_cell():
    """On a ramp, the middle of bins of four cells: 2 and 6, less a half where that is taken off."""
    ramp = range(8)
    np.testing.assert_allclose(pooled(ramp, DEFAULT, 2), [2, 6], atol=1e-5)
    np.testing.assert_allclose(
        pooled(ramp, DEFAULT.replace(roi_aligned=True), 2), [1.5, 5.5], atol=1e-5
    )
    np.testing.assert_allclose(pooled(ramp, MATTERPORT, 2), [0, 7], atol=1e-5)


def test_row_samples_a_bin():
    """A bright second column in one bin of eight: 1/8, a sample at 1.5 of two, or at 3.5 alone."""
    values, aligned = [0, 1, 0, 0, 0, 0, 0, 0], DEFAULT.replace(roi_aligned=True)
    assert pooled(values, aligned.replace(roi_sampling_ratio=0))[0] == pytest.approx(1 / 8)
    assert pooled(values, aligned)[0] == pytest.approx((0.5 + 0) / 2)
    assert pooled(values, aligned.replace(roi_op="crop_and_resize"))[0] == 0


# --- detection --------------------------------------------------------------------------


def chosen(probabilities, config):
    """Class and score of what is detected: RoIs far from each other, all classes' boxes alike."""
    number = len(probabilities)
    start = tf.range(number, dtype=tf.float32)[:, None] * 100
    boxes = tf.concat([start, start, start + 50, start + 50], 1)[None, :, None]
    boxes = tf.tile(boxes, [1, 1, 2, 1])
    probabilities = tf.constant([probabilities])
    _, scores, classes, count = select(
        boxes,
        probabilities,
        tf.fill([1, number], True),
        config,
        config.score_threshold,
        config.nms_iou,
        100,
    )
    n = int(count[0])
    return sorted(
        (int(c), round(float(s), 2)) for c, s in zip(classes[0, :n], scores[0, :n], strict=True)
    )


def test_row_classes_of_a_roi():
    rois = [[0.1, 0.5, 0.4], [0.5, 0.3, 0.2]]
    assert chosen(rois, DEFAULT) == [(1, 0.3), (1, 0.5), (2, 0.2), (2, 0.4)]
    assert chosen(rois, MATTERPORT.replace(score_threshold=0.05)) == [(1, 0.5)]


def test_row_score_threshold():
    """Halves are what float32 holds exactly."""
    rois = [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]
    assert (DEFAULT.score_threshold, MATTERPORT.score_threshold) == (0.05, 0.7)
    assert chosen(rois, DEFAULT.replace(score_threshold=0.75)) == []
    assert chosen(rois, MATTERPORT.replace(score_threshold=0.75)) == [(1, 0.75)]


# --- training ---------------------------------------------------------------------------


def test_row_positives_among_rois():
    """Where positives are few, negatives fill up: Matterport would take 20 with 10 positives."""
    candidates = tf.range(2000)[None]
    priority = tf.random.stateless_uniform([1, 2000], [1, 2])
    for config, most, number in ((DEFAULT, 128, 512), (MATTERPORT, 66, 200)):
        for available, taken in ((1000, most), (10, 10)):
            positive, negative = sample(
                candidates < available,
                candidates >= available,
                config.roi_samples,
                config.roi_positive_fraction,
                priority,
            )
            assert int(tf.reduce_sum(tf.cast(positive, tf.int32))) == taken
            assert int(tf.reduce_sum(tf.cast(negative, tf.int32))) == number - taken


def test_row_objects_among_proposals():
    """Without a single proposal there is one RoI: the object itself."""
    gt = {"boxes": tf.constant([[[3.0, 4, 30, 40]]]), "classes": tf.constant([[2]])}
    got = roi_targets(tf.zeros([1, 5, 4]), tf.constant([0]), gt, tf.zeros([1, 6]), DEFAULT)
    assert got["positive"].numpy().sum() == got["sampled"].numpy().sum() == 1
    np.testing.assert_array_equal(got["rois"][0, 0], [3, 4, 30, 40])
    np.testing.assert_array_equal(got["deltas"][0, 0], [0, 0, 0, 0])


def test_row_beta_of_smooth_l1():
    """At a difference of 1/2: 1/2 - 1/18; 1/2; 1/8."""
    betas = (DEFAULT.smooth_l1_beta, 0, MATTERPORT.smooth_l1_beta)
    got = [float(smooth_l1(tf.constant(0.5), beta)) for beta in betas]
    assert got == pytest.approx([4 / 9, 1 / 2, 1 / 8])


def test_row_divisor_of_box_losses():
    """Two positives of 16 samples, each off by 2 in four numbers: 2 x 4 x 1.5 / 16.

    The mean over the positives' eight numbers would be 1.5."""
    positive = tf.constant([True, True, False])
    loss = box_loss(tf.fill([3, 4], 2.0), tf.zeros([3, 4]), positive, tf.constant(16), 1.0)
    assert float(loss) == pytest.approx(0.75)


def test_row_mask_targets():
    """The left half of a mask is empty. Its own pixels, or those half a pixel further right."""
    mask = np.zeros((1, 1, 56, 56), np.uint8)
    mask[..., 28:] = 1
    roi, match = tf.constant([[[0.0, 0, 56, 56]]]), tf.constant([[0]])
    frame = roi if DEFAULT.mini_mask else None
    mini = mask_targets(roi, match, tf.constant(mask), frame, 28)[0, 0, 14]
    np.testing.assert_allclose(mini[12:16], [0, 0, 1, 1], atol=1e-6)
    full = mask_targets(roi, match, tf.constant(mask), None, 28)[0, 0, 14]
    # samples at 26.5 and 27.5 of pixels whose centres count as whole numbers: 0 and 1/2
    np.testing.assert_allclose(full[12:16], [0, 0.25, 1, 1], atol=1e-6)


def test_row_mask_in_the_image():
    """All cells 0.6, four pixels each: the pixel at the border gets 0.625 of that, the next 0.875.

    So one line of pixels falls below a half, and the next one's corners: 110 x 110 - 4. Widened by
    a cell and cut to 121 pixels, the zeros around are 4.03 pixels wide and reach 2.4 into the box.
    """
    counts = {}
    for config in (DEFAULT, TORCHVISION, MATTERPORT):
        found = Detections(
            [[10.0, 10, 122, 122]],
            [0.9],
            [1],
            class_names=["a"],
            image_size=(140, 140),
            mask_probs=np.full((1, 28, 28), 0.6),
            paste=config.mask_paste,
        )
        counts[config.mask_paste] = int(found.masks.sum())
    assert counts["exact"] == 110 * 110 - 4 and counts["in_box"] == 112 * 112
    assert counts["integer"] not in (counts["exact"], counts["in_box"])


def test_row_corners_of_detections(micro_config):
    image = np.random.default_rng(1).integers(0, 255, (37, 61, 3)).astype(np.uint8)
    model = MaskRCNN(micro_config, ["a"])
    exact = model.detect(image, score_threshold=0.0)
    model.config = micro_config.replace(whole_pixel_boxes=True)  # after the network, so the same
    whole = model.detect(image, score_threshold=0.0)
    assert len(exact) > 3 and np.abs(exact.boxes - np.round(exact.boxes)).max() > 0.1
    kept = np.round(exact.boxes)
    kept = kept[(kept[:, 2:] > kept[:, :2]).all(1)]
    np.testing.assert_array_equal(whole.boxes, kept)
