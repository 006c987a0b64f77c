"""labkit beside Matterport's detector, as tests/helpers/matterport_reference.py writes it down."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from matterport_reference import (
    BEFORE,
    BLOCKS,
    CANONICAL,
    DETECTIONS,
    PROPOSALS,
    SCORE,
    SHORT,
    SIDE,
    SIZES,
    WIDTHS,
    normalised,
    pooled,
    reference,
    weights,
    write,
)

from labkit.models.config import Config
from labkit.models.inference import batch_of
from labkit.models.mask_rcnn import MaskRCNN

CONFIG = Config.preset(
    "matterport",
    backbone_blocks=BLOCKS,
    backbone_channels=WIDTHS,
    stem_channels=8,
    fpn_channels=16,
    rpn_channels=24,
    box_dense=(32, 32),
    mask_convs=(16,) * 4,
    mask_channels=16,
    image_min_side=SHORT,
    image_max_side=SIDE,
    anchor_sizes=SIZES,
    roi_canonical_size=CANONICAL,
    proposals_before_nms=BEFORE,
    proposals=PROPOSALS,
    detections=DETECTIONS,
    score_threshold=SCORE,
    freeze_batch_norm=True,
)

# float32 through some twenty layers, of features up to 30
FEATURES = {"rtol": 1e-4, "atol": 1e-4}
NORMAL = 1e-5  # of a side: a thousandth of a pixel


# --- labkit beside it -------------------------------------------------------------------

# Enlarged and lying, with an odd number of rows to pad; enlarged and upright; made smaller, and its
# own size, which is neither.
SHAPES = [(60, 90), (100, 64), (230, 150), (110, 128)]


@pytest.fixture(scope="module")
def layers():
    return weights()


@pytest.fixture(scope="module")
def model(layers, tmp_path_factory):
    path = tmp_path_factory.mktemp("matterport") / "mask_rcnn_coco.h5"
    write(path, layers)
    return MaskRCNN.from_pretrained(path, config=CONFIG, verbose=False)


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def both(request, layers, model):
    """(picture, the reference's values, labkit's)"""
    rng = np.random.default_rng(request.param)
    coarse = rng.integers(0, 256, (8, 8, 3))
    picture = np.kron(coarse, np.ones((32, 32, 1)))[: request.param[0], : request.param[1]]
    picture = np.uint8(np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255))
    batch, sizes = batch_of([picture], CONFIG)
    result = model.detect_in_batch(tf.constant(batch), tf.constant(sizes))
    return picture, reference(picture, layers), SimpleNamespace(batch=batch[0], **result)


def test_all_of_the_file_is_used(model, layers):
    assert not model.load_report.skipped and not model.load_report.missing
    folded = sum(n.startswith(("mrcnn_class_bn", "mrcnn_mask_bn")) for n in layers)
    biases = sum(n.startswith(("res", "conv1")) for n in layers)
    total = sum(len(arrays) for arrays in layers.values())
    assert len(model.load_report.loaded) == total - 4 * folded - biases


def test_the_picture_in_its_square(both):
    _, r, found = both
    np.testing.assert_array_equal(found.batch, r.square)


def test_features(both):
    _, r, found = both
    for level, (mine, want) in enumerate(zip(found.maps, r.maps, strict=True), start=2):
        np.testing.assert_allclose(mine, want, **FEATURES, err_msg=f"P{level}")
        assert 0.1 < np.abs(want).max() < 30


def test_region_proposal_network(both):
    _, r, found = both
    mine = tf.sigmoid(tf.concat(found.objectness, 1))[0]
    np.testing.assert_allclose(mine, r.object, atol=1e-4)
    np.testing.assert_allclose(tf.concat(found.deltas, 1)[0], r.deltas, **FEATURES)
    anchors = normalised(tf.concat(found.anchors, 0), (SIDE, SIDE))
    np.testing.assert_allclose(anchors, r.anchors, atol=NORMAL)


def test_proposals(both):
    _, r, found = both
    count = int(found.proposals["count"][0])
    mine = normalised(found.proposals["boxes"][0, :count], (SIDE, SIDE))
    assert count == len(r.proposals) == PROPOSALS
    np.testing.assert_allclose(mine, r.proposals, atol=NORMAL)


@pytest.mark.parametrize("side", [7, 14])
def test_pooling_on_every_level(both, model, side):
    _, r, found = both
    size = np.exp(np.random.default_rng(4).uniform(np.log(3), np.log(100), (40, 2)))
    start = np.random.default_rng(5).uniform(-4, 60, (40, 2))  # beyond the square, too
    boxes = np.float32(np.concatenate([start, start + size], axis=1))
    want, level = pooled(r.maps, normalised(boxes, (SIDE, SIDE)), side)
    assert set(level) == {2, 3, 4, 5}
    mine = model.pool(found.maps, tf.constant(boxes[None]), side)[0]
    # 1e-4 px is 2e-5 of a cell of P2, between cells that differ by up to 50
    np.testing.assert_allclose(mine, want, rtol=1e-4, atol=1e-3)


def test_class_probabilities(both):
    _, r, found = both
    want = tf.nn.softmax(r.logits)
    np.testing.assert_allclose(found.class_probabilities[0], want, atol=1e-4)


def test_detections(both, model):
    picture, r, found = both
    count = int(found.count[0])
    assert count == len(r.normal) > 3 and r.labels.max() > 1
    mine = normalised(found.boxes[0, :count], (SIDE, SIDE))
    np.testing.assert_allclose(mine, r.normal, atol=NORMAL)
    np.testing.assert_allclose(found.masks[0, :count][r.real], r.grids, atol=1e-4)
    detections = model.detect(picture)
    # Nothing here lies so near the middle between two pixels that rounding could decide.
    assert np.abs(r.exact - np.floor(r.exact) - 0.5).min() > 1e-4
    np.testing.assert_array_equal(detections.boxes, r.boxes)
    np.testing.assert_array_equal(detections.class_ids, r.labels)
    np.testing.assert_allclose(detections.scores, r.scores, atol=1e-4)
    for mine, want in zip(detections.masks, r.masks, strict=True):
        np.testing.assert_array_equal(mine, want)


# --- the file's other shapes ------------------------------------------------------------


@pytest.mark.parametrize("root, text", [("", str), ("model_weights", bytes)])
def test_every_way_keras_2_wrote_it(root, text, layers, model, tmp_path):
    write(tmp_path / "file.h5", layers, root, text)
    again = MaskRCNN.from_pretrained(tmp_path / "file.h5", config=CONFIG, verbose=False)
    for mine, want in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, want, err_msg=mine.path)
    if root:
        (why,) = again.load_report.skipped.values()
        assert "optimizer" in why


def test_other_classes_keep_all_but_the_last_layers(layers, model, tmp_path, capsys):
    write(tmp_path / "file.h5", layers)
    tooth = MaskRCNN.from_pretrained(tmp_path / "file.h5", class_names=["tooth"], config=CONFIG)
    text = capsys.readouterr().out
    assert "made for other classes (these layers start anew)" in text
    assert sorted(tooth.load_report.missing) == [
        f"mrcnn_{layer}/{part}"
        for layer in ("bbox_fc", "class_logits", "mask")
        for part in ("bias", "kernel")
    ]
    np.testing.assert_array_equal(tooth.fpn.weights[0], model.fpn.weights[0])
    assert model.class_names == ("class 1", "class 2", "class 3")
