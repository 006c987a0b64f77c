"""The two heads: their networks, the sample of RoIs, what it is taught, and the masks."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.models.config import Config
from labkit.models.heads import box_head, mask_head, mask_targets, roi_targets
from labkit.ops import boxes as box_ops

CONFIG = Config.preset(
    "tiny",
    roi_samples=12,
    roi_positive_fraction=0.25,
    roi_positive_iou=0.5,
    class_agnostic=False,
    box_passes=1,
)


# --- the networks -----------------------------------------------------------------------


def test_box_head_has_the_paper_s_layers():
    head = box_head(Config(), 90)
    logits, deltas = head(tf.zeros([3, 7, 7, 256]))
    assert logits.shape == (3, 91) and deltas.shape == (3, 90, 4)
    # torchvision's TwoMLPHead (13,895,680) and predictor, less the deltas of the background.
    assert head.count_params() == 13_895_680 + 1025 * 91 + 1025 * 4 * 90


def test_mask_head_has_the_paper_s_layers():
    head = mask_head(Config(), 90)
    assert head(tf.zeros([3, 14, 14, 256])).shape == (3, 28, 28, 90)
    # torchvision's MaskRCNNHeads (2,360,320), deconvolution (262,400) and a mask a class.
    assert head.count_params() == 2_360_320 + 262_400 + 257 * 90


def test_heads_with_convolutions_and_batch_norm():
    config = Config(box_convs=(256,) * 4, box_dense=(1024,), heads_batch_norm=True)
    box, mask = box_head(config, 90), mask_head(config, 90)
    # torchvision's v2: four bias-free convolutions with a batch norm each, then one dense layer.
    convs = 4 * (256 * 256 * 9 + 4 * 256)
    dense = 256 * 49 * 1024 + 1024
    assert box.count_params() == convs + dense + 1025 * 91 + 1025 * 4 * 90
    assert mask.count_params() == convs + 262_400 + 257 * 90


def test_heads_start_undecided():
    rois = tf.random.stateless_normal([5, 7, 7, 64], [1, 2])
    logits, deltas = box_head(CONFIG, 3)(rois)
    assert np.abs(tf.nn.softmax(logits) - 0.25).max() < 0.2 and np.abs(deltas).max() < 0.2
    masks = mask_head(CONFIG, 3)(tf.random.stateless_normal([2, 14, 14, 64], [3, 4]))
    assert np.abs(tf.sigmoid(masks) - 0.5).max() < 0.2


def test_box_head_takes_no_rois_at_all():
    head = box_head(CONFIG, 3)
    # in a graph, as in a model: called eagerly, Keras 3.13 refuses a convolution of nothing
    anything = tf.TensorSpec([None, 7, 7, 64])
    logits, deltas = tf.function(lambda x: head(x), [anything])(tf.zeros([0, 7, 7, 64]))
    assert logits.shape == (0, 4) and deltas.shape == (0, 3, 4)


# --- the sample of RoIs -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["all", "firstk"])
def test_roi_targets_golden(golden, mode):
    """Which RoIs torchvision samples, of which class, and how they should move."""
    g = golden("maskrcnn_v1_train")
    config = Config() if mode == "firstk" else Config(roi_samples=10**6, roi_positive_fraction=1.0)
    for image in "AB":
        proposals = g.boxes(f"{mode}_{image}_proposals")
        boxes, classes = g.boxes(f"{image}_gt_boxes_resized"), g[f"{image}_gt_labels"]
        # There the objects come after the proposals, and the first are taken.
        order = np.concatenate([len(proposals) + np.arange(len(boxes)), np.arange(len(proposals))])
        got = roi_targets(
            tf.constant(proposals[None]),
            tf.constant([len(proposals)]),
            {"boxes": tf.constant(boxes[None]), "classes": tf.constant(classes[None], tf.int32)},
            -tf.constant(order[None], tf.float32),
            config,
        )
        got = {k: v.numpy()[0][got["sampled"].numpy()[0]] for k, v in got.items()}
        want = {
            "rois": g.boxes(f"{mode}_{image}_sampled"),
            "classes": g[f"{mode}_{image}_labels"],
            "matches": g[f"{mode}_{image}_matched"],
            "deltas": g.boxes(f"{mode}_{image}_regtargets"),
        }
        mine, theirs = (np.lexsort(t["rois"].T) for t in (got, want))
        np.testing.assert_array_equal(got["rois"][mine], want["rois"][theirs])
        np.testing.assert_array_equal(got["classes"][mine], want["classes"][theirs])
        positive = got["classes"][mine] > 0
        assert positive.any()
        for name in ("matches", "deltas"):
            # Deltas: a few ulp of a centre of some hundred pixels, by a size of ten and std 0.1.
            np.testing.assert_allclose(
                got[name][mine][positive], want[name][theirs][positive], rtol=1e-5, atol=1e-4
            )


def random_scene(seed: int, batch=2, objects=4, proposals=30):
    """Objects (padding with class 0), and proposals of which some lie close to an object."""
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 60, (batch, objects, 2)), rng.uniform(8, 40, (batch, objects, 2))
    boxes = np.concatenate([corner, corner + size], -1)
    classes = rng.integers(0, 4, (batch, objects))
    boxes *= classes[..., None] > 0
    near = boxes[:, rng.integers(0, objects, proposals)] if objects else 0
    near = near + rng.normal(0, 4, (batch, proposals, 4))
    y1, x1, y2, x2 = np.moveaxis(np.abs(near), -1, 0)
    near = np.stack([y1, x1, np.maximum(y2, y1 + 1), np.maximum(x2, x1 + 1)], -1)
    count = rng.integers(0, proposals + 1, batch)
    near *= (np.arange(proposals) < count[:, None])[..., None]
    gt = {"boxes": tf.constant(boxes, tf.float32), "classes": tf.constant(classes, tf.int32)}
    priority = tf.constant(rng.uniform(size=(batch, objects + proposals)), tf.float32)
    return tf.constant(near, tf.float32), tf.constant(count, tf.int32), gt, priority


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_roi_targets_keep_their_promises(seed):
    proposals, count, gt, priority = random_scene(seed)
    tensors = roi_targets(proposals, count, gt, priority, CONFIG)
    got = {k: v.numpy() for k, v in tensors.items()}
    boxes, classes = gt["boxes"].numpy(), gt["classes"].numpy()
    positive, sampled = got["positive"], got["sampled"]
    assert positive.shape == (2, 12) and np.all(positive <= sampled)
    assert np.all(np.diff(positive.astype(int)) <= 0) and np.all(np.diff(sampled.astype(int)) <= 0)
    assert np.all(positive.sum(1) <= 3)  # a quarter of 12
    for name in ("deltas", "rois"):
        assert np.all(np.isfinite(got[name]))
    assert not np.any(got["classes"][~positive]) and np.all(got["classes"][positive] > 0)
    decoded = box_ops.decode(tensors["deltas"], tensors["rois"], CONFIG.roi_box_std).numpy()
    for i in range(2):
        overlap = box_ops.iou(tensors["rois"][i], gt["boxes"][i]).numpy()
        overlap = np.where(classes[i] > 0, overlap, 0.0)
        on, off = positive[i], sampled[i] & ~positive[i]
        matched = got["matches"][i][on]
        assert np.all(overlap[on].max(1) >= 0.5) and np.all(overlap[off].max(1) < 0.5)
        np.testing.assert_array_equal(matched, overlap[on].argmax(1))
        np.testing.assert_array_equal(got["classes"][i][on], classes[i][matched])
        np.testing.assert_allclose(decoded[i][on], boxes[i][matched], atol=1e-3)  # ulp of 100 px
        if (classes[i] > 0).any():  # an object's own box is among the candidates
            assert on.any()
        # No padding is sampled: its boxes are empty.
        assert np.all(box_ops.area(tensors["rois"][i]).numpy()[sampled[i]] > 0)


@pytest.mark.parametrize("inclusive", [False, True])
def test_rois_are_matched_and_encoded_by_the_boxes_that_the_config_wants(inclusive):
    """Of ten rows, 5.4 are 0.54 half-open; from first to last pixel they are 4.4 of 9, or 0.49."""
    gt = {"boxes": tf.constant([[[0.0, 0, 10, 10]]]), "classes": tf.constant([[1]])}
    proposals = tf.constant([[[0.0, 0, 5.4, 10], [0, 0, 6, 10]]])
    config = CONFIG.replace(inclusive_boxes=inclusive)
    got = roi_targets(proposals, tf.constant([2]), gt, tf.constant([[0.9, 0.2, 0.5]]), config)
    of_row = {round(float(r[2]), 1): i for i, r in enumerate(got["rois"][0])}
    assert bool(got["positive"][0, of_row[5.4]]) is not inclusive
    i = of_row[6.0]
    scale = np.log(9 / 5 if inclusive else 10 / 6)
    shift = (4.5 - 2.5) / 5 if inclusive else (5 - 3) / 6
    want = [shift / 0.1, 0, scale / 0.2, 0]
    assert got["positive"][0, i] and CONFIG.roi_box_std == (0.1, 0.1, 0.2, 0.2)
    np.testing.assert_allclose(got["deltas"][0, i], want, atol=1e-5)


@pytest.mark.parametrize("objects", [0, 3])
@pytest.mark.parametrize("real", [0, 20])
def test_without_objects_or_without_anything(objects, real):
    proposals = np.zeros((1, 20, 4), np.float32)
    proposals[0, :real] = [10.0, 10, 20, 20]
    gt = {"boxes": tf.zeros([1, objects, 4]), "classes": tf.zeros([1, objects], tf.int32)}
    got = roi_targets(
        tf.constant(proposals),
        tf.constant([real]),
        gt,
        tf.random.uniform([1, 20 + objects]),
        CONFIG,
    )
    assert not np.any(got["positive"]) and not np.any(got["classes"])
    assert np.sum(got["sampled"]) == min(real, 12)
    assert np.all(np.isfinite(got["deltas"]))
    masks = mask_targets(
        got["rois"], got["matches"], tf.ones([1, objects, 8, 8], tf.uint8), gt["boxes"], 4
    )
    assert masks.shape == (1, 12, 4, 4) and np.all(np.isfinite(masks))


def test_fewer_candidates_than_samples():
    proposals, count, gt, priority = random_scene(1, proposals=3)
    got = roi_targets(proposals, count, gt, priority, CONFIG)
    assert got["rois"].shape == (2, 7, 4)  # 3 proposals and 4 objects


def test_shapes_are_static_in_a_graph():
    @tf.function
    def graph(proposals, count, boxes, classes, priority, masks):
        got = roi_targets(proposals, count, {"boxes": boxes, "classes": classes}, priority, CONFIG)
        mini = mask_targets(got["rois"], got["matches"], masks, boxes, 28)
        return got["rois"], got["classes"], got["deltas"], got["sampled"], mini

    spec = tf.TensorSpec
    got = graph.get_concrete_function(
        spec([2, 30, 4]),
        spec([2], tf.int32),
        spec([2, 5, 4]),
        spec([2, 5], tf.int32),
        spec([2, 35]),
        spec([2, 5, 56, 56], tf.uint8),
    ).structured_outputs
    assert [tuple(s.shape) for s in got] == [
        (2, 12, 4),
        (2, 12),
        (2, 12, 4),
        (2, 12),
        (2, 12, 28, 28),
    ]


# --- the masks --------------------------------------------------------------------------


def test_a_mini_mask_seen_through_its_own_frame_is_halved():
    """Two samples a bin and axis at the centres of the mini-mask's cells: the mean of 2 x 2."""
    mini = np.random.default_rng(0).integers(0, 2, (1, 2, 56, 56)).astype(np.uint8)
    frames = tf.constant([[[3.0, 4, 40, 70], [10.5, 0, 30, 9]]])
    got = mask_targets(frames, tf.constant([[0, 1]]), tf.constant(mini), frames, 28)
    want = mini.reshape(1, 2, 28, 2, 28, 2).mean((3, 5))
    np.testing.assert_allclose(got, want, atol=1e-4)  # positions up to 56 cells: 4e-6 each


def test_outside_its_frame_a_mini_mask_is_empty():
    frames = tf.constant([[[20.0, 20, 40, 40]]])
    mini = tf.fill([1, 1, 56, 56], np.uint8(1))
    rois = tf.constant([[[10.0, 20, 30, 40], [50, 50, 60, 60]]])  # half above it; far away
    got = mask_targets(rois, tf.zeros([1, 2], tf.int32), mini, frames, 28).numpy()
    assert not np.any(got[0, 0, :13]) and np.all(got[0, 0, 15:] == 1) and not np.any(got[0, 1])


def test_mini_masks_and_full_masks_agree():
    """A disc, stored either way, gives nearly the same target: the mini-mask is the cheaper one."""
    y, x = np.mgrid[0:96, 0:96] + 0.5
    full = ((y - 48) ** 2 + (x - 50) ** 2 < 30**2).astype(np.uint8)
    frame = np.float32([[[18, 20, 78, 80]]])
    at = (np.arange(56) + 0.5) / 56 * 60
    mini = ((at[:, None] - 30) ** 2 + (at - 30) ** 2 < 30**2).astype(np.uint8)
    roi, zero = tf.constant([[[22.0, 15, 70, 84]]]), tf.zeros([1, 1], tf.int32)
    one = mask_targets(roi, zero, tf.constant(full[None, None]), None, 28).numpy()
    other = mask_targets(roi, zero, tf.constant(mini[None, None]), tf.constant(frame), 28).numpy()
    assert np.mean((one >= 0.5) == (other >= 0.5)) > 0.95
