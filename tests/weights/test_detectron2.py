"""Detectron2's files: every variable has its place, in its conventions, and others are named."""

import pickle

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.inference import batch_of
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.resize import resized_shape
from labkit.ops.anchors import pyramid_anchors
from labkit.weights import load_tensors
from labkit.weights.detectron2 import FORMAT, pairs
from labkit.weights.files import read_tensors
from labkit.weights.formats import recognised
from labkit.weights.pretrained import find_weights

SMALL = dict(
    backbone_blocks=(1, 1, 1, 1),
    fpn_channels=8,
    box_dense=(16, 16),
    mask_convs=(8,) * 4,
    mask_channels=8,
    freeze_batch_norm=False,
)
NAMES = ("cat", "dog", "tie")


def small(seed=0, names=NAMES, **changes):
    return MaskRCNN(Config.preset("detectron2", seed=seed, **SMALL, **changes), names)


@pytest.fixture(scope="module")
def state():
    """What a file of such a network holds."""
    tensors = {pair.name: pair.outside() for pair in pairs(small(seed=1))}
    rng = np.random.default_rng(0)
    tensors = {n: rng.normal(size=v.shape).astype("f4") for n, v in tensors.items()}
    pixels = {"pixel_mean": np.zeros((3, 1, 1), "f4"), "pixel_std": np.ones((3, 1, 1), "f4")}
    cells = {f"proposal_generator.anchor_generator.cell_anchors.{i}": np.zeros(3) for i in range(5)}
    return tensors | pixels | cells


def test_the_names_are_detectron2_s(state):
    """By the facts of its code: which tensors there are, and of which shapes."""
    shapes = {name: value.shape for name, value in state.items()}
    assert shapes["backbone.bottom_up.stem.conv1.weight"] == (64, 3, 7, 7)
    assert shapes["backbone.bottom_up.stem.conv1.norm.running_var"] == (64,)
    assert shapes["backbone.bottom_up.res2.0.shortcut.weight"] == (256, 64, 1, 1)
    assert shapes["backbone.bottom_up.res5.0.conv3.norm.bias"] == (2048,)
    assert shapes["backbone.fpn_lateral5.weight"] == (8, 2048, 1, 1)
    assert shapes["backbone.fpn_output2.bias"] == (8,)
    assert shapes["proposal_generator.rpn_head.conv.weight"] == (8, 8, 3, 3)
    assert shapes["proposal_generator.rpn_head.anchor_deltas.weight"] == (12, 8, 1, 1)
    assert shapes["proposal_generator.rpn_head.objectness_logits.bias"] == (3,)
    assert shapes["roi_heads.box_head.fc1.weight"] == (16, 8 * 49)
    assert shapes["roi_heads.box_predictor.cls_score.weight"] == (4, 16)
    assert shapes["roi_heads.box_predictor.bbox_pred.weight"] == (12, 16)
    assert shapes["roi_heads.mask_head.mask_fcn4.bias"] == (8,)
    assert shapes["roi_heads.mask_head.deconv.weight"] == (8, 8, 2, 2)
    assert shapes["roi_heads.mask_head.predictor.weight"] == (3, 8, 1, 1)


@pytest.mark.parametrize("form", ["pkl", "pth"])
def test_a_file_goes_in_and_out_bit_for_bit(state, tmp_path, torch_writers, form):
    path = tmp_path / f"model_final.{form}"
    if form == "pkl":
        path.write_bytes(pickle.dumps({"model": state, "__author__": "me"}, 2))
    else:  # of a user's own training
        path.write_bytes(torch_writers["zip"]({"model": state, "iteration": 89999}))
    tensors, model = read_tensors(path), small()
    assert recognised(tensors) is FORMAT
    report = load_tensors(model, tensors, path.name)
    assert not report.missing and len(report.skipped) == 7
    for pair in pairs(model):
        np.testing.assert_array_equal(pair.outside(), state[pair.name])


def test_colours_background_and_boxes_are_turned_around(state):
    model = small()
    load_tensors(model, dict(state), "m.pkl")
    theirs = state["backbone.bottom_up.stem.conv1.weight"]
    kernel = model.backbone.get_layer("conv1").kernel.numpy()
    np.testing.assert_array_equal(kernel[:, :, 0, 5], theirs[5, 2])  # our red, their last
    logits = model.box_head.get_layer("logits").bias.numpy()
    np.testing.assert_array_equal(
        logits, state["roi_heads.box_predictor.cls_score.bias"][[3, 0, 1, 2]]
    )
    deltas = model.box_head.get_layer("deltas").bias.numpy()
    want = state["roi_heads.box_predictor.bbox_pred.bias"].reshape(3, 4)[:, [1, 0, 3, 2]]
    np.testing.assert_array_equal(deltas, want.ravel())


def test_what_a_file_tells(state, tmp_path):
    path = tmp_path / "own.pkl"
    path.write_bytes(pickle.dumps({"model": state}, 2))
    weights = find_weights(path)
    assert (weights.count, weights.preset) == (3, "detectron2")
    deep = {"backbone.bottom_up.res4.22.conv1.weight": np.zeros(1)}
    assert FORMAT.config(deep).backbone == "resnet101"
    x101 = FORMAT.config({"backbone.bottom_up.res2.0.conv2.weight": np.zeros((256, 8, 3, 3))})
    assert x101.backbone == "resnext101_32x8d" and not x101.stride_in_1x1
    np.testing.assert_allclose(x101.image_mean, (123.675, 116.28, 103.53))
    np.testing.assert_allclose(x101.image_std, (58.395, 57.12, 57.375))
    assert FORMAT.config({}) == Config.preset("detectron2")
    assert Config.preset("detectron2").image_std == (1, 1, 1)


@pytest.mark.parametrize(
    "name, what",
    [
        ("backbone.bottom_up.res4.0.conv2_offset.weight", "deformable convolutions"),
        ("roi_heads.res5.0.conv1.weight", "a C4 network"),
        ("sem_seg_head.predictor.weight", "Panoptic FPN"),
        ("roi_heads.box_head.0.fc1.weight", "Cascade R-CNN"),
        ("backbone.fpn_lateral2.norm.weight", "the new baselines"),
        ("roi_heads.keypoint_head.conv_fcn1.weight", "Keypoint R-CNN"),
    ],
)
def test_configurations_that_are_not_read_are_named(state, name, what):
    with pytest.raises(LabkitError, match=f"does not read: {what}.*it reads Mask R-CNN with R50"):
        load_tensors(small(), {**state, name: np.zeros(1)}, "model_final.pkl")
    without = {n: v for n, v in state.items() if "mask_head" not in n}
    with pytest.raises(LabkitError, match="without a mask head"):
        load_tensors(small(), without, "model_final.pkl")


# --- its rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, want",
    [((480, 640), (800, 1067)), ((427, 640), (800, 1199)), ((500, 1000), (667, 1333))],
)
def test_sizes_are_rounded_to_the_nearest_pixel(shape, want):
    assert resized_shape(*shape, Config.preset("detectron2")) == want


def test_strides_are_those_of_the_levels():
    """P6 of 800 rows has 13 cells of 64 px, where torchvision's have 61."""
    config = Config.preset("detectron2")
    batch, _ = batch_of([np.zeros((480, 640, 3), np.uint8)], config)
    assert batch.shape == (1, 800, 1088, 3)
    (anchors,) = pyramid_anchors((800, 1088), [(13, 17)], (512,), (1.0,), strides=(64,))
    np.testing.assert_array_equal(anchors[-1], np.float32([768, 1024] * 2) + [-256, -256, 256, 256])
    (anchors,) = pyramid_anchors((800, 1088), [(13, 17)], (512,), (1.0,))
    np.testing.assert_array_equal(anchors[-1][0], 61 * 12 - 256)
