"""The region proposal network: its head, what it proposes, and what it is taught."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.models.config import Config
from labkit.models.rpn import flatten_level, propose, rpn_head, rpn_losses, rpn_targets
from labkit.ops import boxes as box_ops
from labkit.ops.anchors import pyramid_anchors
from labkit.ops.nms import batched_nms

CONFIG = Config.preset(
    "tiny", proposals_before_nms=40, proposals=25, proposals_train=15, proposals_before_nms_train=20
)
SHAPES = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
ANCHORS = pyramid_anchors((64, 96), SHAPES, CONFIG.anchor_sizes, CONFIG.anchor_ratios)


# --- the head ---------------------------------------------------------------------------


@pytest.mark.parametrize("convs", [1, 2])
def test_head_shapes_and_size(convs):
    config = Config(rpn_convs=convs)
    head = rpn_head(config)
    objectness, deltas = head(tf.zeros([2, 5, 7, 256]))
    assert objectness.shape == (2, 5, 7, 3) and deltas.shape == (2, 5, 7, 12)
    # torchvision's RPNHead: 593,935 parameters with one convolution, as many more for a second.
    assert head.count_params() == 593_935 + (convs - 1) * (256 * 256 * 9 + 256)


def test_head_starts_undecided():
    objectness, deltas = rpn_head(CONFIG)(tf.random.stateless_normal([1, 9, 9, 64], [1, 2]))
    assert np.abs(tf.sigmoid(objectness) - 0.5).max() < 0.2
    assert np.abs(deltas).max() < 1.0


def test_flattened_maps_are_in_the_anchors_order():
    rows, columns = SHAPES[1]
    y, x, a = np.meshgrid(range(rows), range(columns), range(3), indexing="ij")
    objectness = (100 * y + 10 * x + a)[None].astype("f4")
    deltas = np.repeat(objectness, 4, axis=-1) + np.tile([0, 0.1, 0.2, 0.3], 3).astype("f4")
    logits, deltas = flatten_level(tf.constant(objectness), tf.constant(deltas, tf.float32))
    anchors = ANCHORS[1].numpy()
    for i in (0, 7, 100, len(anchors) - 1):
        cy, cx = (anchors[i, :2] + anchors[i, 2:]) / 2
        assert logits.numpy()[0, i] == 100 * (cy // 8) + 10 * (cx // 8) + i % 3
        np.testing.assert_allclose(deltas[0, i] - logits[0, i], [0, 0.1, 0.2, 0.3], atol=1e-4)


# --- proposals --------------------------------------------------------------------------


def random_outputs(batch: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    logits = [tf.constant(rng.normal(0, 2, (batch, len(a))), tf.float32) for a in ANCHORS]
    deltas = [tf.constant(rng.normal(0, 1, (batch, len(a), 4)), tf.float32) for a in ANCHORS]
    return logits, deltas


def plain_proposals(logits, deltas, size, config, before, most):
    """The steps of Faster R-CNN for one image, one after another."""
    boxes, scores, levels = [], [], []
    for level, (logit, delta, anchor) in enumerate(zip(logits, deltas, ANCHORS, strict=True)):
        top = np.argsort(-logit.numpy(), kind="stable")[:before]
        box = box_ops.decode(tf.gather(delta, top), tf.gather(anchor, top), config.rpn_box_std)
        box = box_ops.clip(box, *size).numpy()
        large = np.all(box[:, 2:] - box[:, :2] >= config.rpn_min_size, axis=1)
        boxes.append(box[large])
        scores.append(tf.sigmoid(logit).numpy()[top][large])
        levels.append(np.full(large.sum(), level))
    boxes, scores, levels = map(np.concatenate, (boxes, scores, levels))
    keep = batched_nms(tf.constant(boxes), scores, levels, config.rpn_nms_iou).numpy()[:most]
    return boxes[keep], scores[keep], levels[keep]


@pytest.mark.parametrize("training", [False, True])
def test_propose_is_its_steps_one_after_another(training):
    sizes = np.float32([[64, 96], [50, 70]])  # the second image is padded
    logits, deltas = random_outputs(2)
    got = propose(logits, deltas, ANCHORS, tf.constant(sizes), CONFIG, training)
    before, most = (20, 15) if training else (40, 25)
    assert got["boxes"].shape == (2, most, 4)
    for i in range(2):
        boxes, scores, levels = plain_proposals(
            [t[i] for t in logits], [t[i] for t in deltas], sizes[i], CONFIG, before, most
        )
        n = got["count"].numpy()[i]
        assert n == len(boxes)
        np.testing.assert_array_equal(got["boxes"][i, :n], boxes)
        np.testing.assert_array_equal(got["scores"][i, :n], scores)
        np.testing.assert_array_equal(got["level"][i, :n], levels)
        assert not np.any(got["boxes"][i, n:]) and not np.any(got["scores"][i, n:])
        assert np.all(got["boxes"][i, :n] <= np.tile(sizes[i], 2))


def test_levels_do_not_suppress_each_other():
    anchors = [tf.constant([[0.0, 0, 32, 32]]), tf.constant([[0.0, 0, 32, 32]])]
    logits = [tf.constant([[3.0]]), tf.constant([[2.0]])]
    deltas = [tf.zeros([1, 1, 4])] * 2
    got = propose(logits, deltas, anchors, tf.constant([[64.0, 64.0]]), CONFIG, False)
    assert got["count"].numpy().tolist() == [2]
    assert got["level"].numpy()[0, :2].tolist() == [0, 1]


def test_where_all_boxes_are_outside_nothing_is_proposed():
    anchors = [tf.constant([[100.0, 100, 132, 132], [-50, -50, -20, -20]])]
    got = propose(
        [tf.ones([1, 2])],
        [tf.zeros([1, 2, 4])],
        anchors,
        tf.constant([[64.0, 64.0]]),
        CONFIG,
        False,
    )
    assert got["count"].numpy().tolist() == [0] and not np.any(got["boxes"])


def test_a_score_of_almost_nothing_still_proposes():
    """Only a box's size and NMS drop it: an RPN that believes in nothing still gives its best."""
    logits, deltas = random_outputs(1)
    got = propose(
        [x - 60 for x in logits], deltas, ANCHORS, tf.constant([[64.0, 96.0]]), CONFIG, False
    )
    assert got["count"].numpy()[0] == 25


def test_shapes_are_static_in_a_graph():
    @tf.function
    def graph(*maps):
        got = propose(maps[:5], maps[5:], ANCHORS, tf.constant([[64.0, 96.0]] * 2), CONFIG, True)
        return got["boxes"], got["scores"], got["level"], got["count"]

    specs = [tf.TensorSpec([2, len(a)]) for a in ANCHORS]
    specs += [tf.TensorSpec([2, len(a), 4]) for a in ANCHORS]
    got = graph.get_concrete_function(*specs).structured_outputs
    assert [tuple(s.shape) for s in got] == [(2, 15, 4), (2, 15), (2, 15), (2,)]


# --- targets and losses -----------------------------------------------------------------


def test_targets_golden(golden):
    """Positive, negative and ignored of all 20,460 anchors of two images, as torchvision's."""
    g = golden("maskrcnn_v1_train")
    shapes = [(64, 80), (32, 40), (16, 20), (8, 10), (4, 5)]
    config = Config(rpn_samples=10**6)
    levels = pyramid_anchors((256, 320), shapes, config.anchor_sizes, config.anchor_ratios, True)
    anchors = tf.concat(levels, 0)
    gt = [g.boxes(f"{image}_gt_boxes_resized") for image in "AB"]
    most = max(map(len, gt)) + 1
    boxes = tf.constant([np.pad(b, [(0, most - len(b)), (0, 0)]) for b in gt])
    valid = tf.sequence_mask([len(b) for b in gt], most)
    got = rpn_targets(anchors, boxes, valid, tf.random.uniform([2, len(anchors)]), config)
    matches = got["matches"].numpy()
    labels = np.where(matches >= 0, 1, np.where(matches == -1, 0, -1))
    for i, image in enumerate("AB"):
        np.testing.assert_array_equal(labels[i], g[f"{image}_anchor_labels_i8"])
    np.testing.assert_array_equal(got["positive"], labels == 1)
    np.testing.assert_array_equal(got["negative"], labels == 0)


def some_objects():
    boxes = tf.constant([[[5.0, 5, 30, 40], [40, 60, 60, 90]], [[10.0, 10, 12, 12], [0, 0, 0, 0]]])
    return boxes, tf.constant([[True, True], [True, False]])


def test_targets_lead_back_to_the_objects():
    boxes, valid = some_objects()
    anchors = tf.concat(ANCHORS, 0)
    got = rpn_targets(anchors, boxes, valid, tf.random.uniform([2, len(anchors)]), CONFIG)
    decoded = box_ops.decode(got["deltas"], anchors[None], CONFIG.rpn_box_std).numpy()
    for i in range(2):
        positive, matches = got["positive"].numpy()[i], got["matches"].numpy()[i]
        assert positive.any() and np.all(valid.numpy()[i][matches[positive]])
        want = boxes.numpy()[i][matches[positive]]
        np.testing.assert_allclose(decoded[i][positive], want, atol=1e-3)  # ulp of 100 px
        assert set(np.flatnonzero(valid[i])) == set(matches[matches >= 0])  # nobody is left out
    sampled = np.sum(got["positive"] | got["negative"], axis=1)
    assert np.all(sampled == CONFIG.rpn_samples)
    assert np.all(np.sum(got["positive"], axis=1) <= CONFIG.rpn_samples / 2)


@pytest.mark.parametrize("objects", [0, 2])
def test_images_without_objects_teach_background(objects):
    anchors = tf.concat(ANCHORS, 0)
    logits, deltas = random_outputs(2)
    got = rpn_targets(
        anchors,
        tf.zeros([2, objects, 4]),
        tf.zeros([2, objects], tf.bool),
        tf.random.uniform([2, len(anchors)]),
        CONFIG,
    )
    assert not np.any(got["positive"])
    assert np.sum(got["negative"]) == 2 * CONFIG.rpn_samples
    with tf.GradientTape() as tape:
        tape.watch(deltas)
        losses = rpn_losses(logits, deltas, got, CONFIG)
    assert losses["rpn_box"] == 0 and np.isfinite(losses["objectness"])
    gradients = tape.gradient(losses["rpn_box"], deltas)
    assert all(not np.any(g) for g in gradients)


def test_losses_with_positives_and_with_no_sample_at_all():
    boxes, valid = some_objects()
    anchors = tf.concat(ANCHORS, 0)
    logits, deltas = random_outputs(2)
    targets = rpn_targets(anchors, boxes, valid, tf.random.uniform([2, len(anchors)]), CONFIG)
    losses = rpn_losses(logits, deltas, targets, CONFIG)
    assert losses.keys() == {"objectness", "rpn_box"}
    assert all(0 < float(v) < 100 for v in losses.values())
    perfect = rpn_losses(
        logits, tf.split(targets["deltas"], [len(a) for a in ANCHORS], 1), targets, CONFIG
    )
    assert perfect["rpn_box"] == 0
    none = targets | {k: tf.zeros_like(targets[k]) for k in ("positive", "negative")}
    assert all(v == 0 for v in rpn_losses(logits, deltas, none, CONFIG).values())
