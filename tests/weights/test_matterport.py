"""Matterport's file in fewer numbers: each fold by hand. tests/parity compares the networks."""

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.weights import matterport
from labkit.weights.transfer import load_tensors

SMALL = Config.preset(
    "matterport",
    backbone_blocks=(1, 1, 1, 1),
    backbone_channels=(16, 16, 16, 16),
    stem_channels=8,
    fpn_channels=8,
    rpn_channels=8,
    box_dense=(8, 8),
    mask_convs=(8,) * 4,
    mask_channels=8,
)
CLASSES = {"mrcnn_class_logits/mrcnn_class_logits/bias:0": np.zeros(3)}


def test_a_bias_before_a_norm_moves_into_its_mean():
    got = matterport.folded(
        {
            "conv1/conv1/kernel:0": np.ones((1, 1, 1, 2)),
            "conv1/conv1/bias:0": np.float32([3, -1]),
            "bn_conv1/bn_conv1/gamma:0": np.ones(2),
            "bn_conv1/bn_conv1/beta:0": np.ones(2),
            "bn_conv1/bn_conv1/moving_mean:0": np.float32([0.5, 0.5]),
            "bn_conv1/bn_conv1/moving_variance:0": np.ones(2),
        },
        1e-3,
        "file",
    )
    np.testing.assert_array_equal(got["bn_conv1/moving_mean"], [-2.5, 1.5])
    assert "conv1/bias" not in got and len(got) == 5


def test_a_norm_behind_a_layer_of_the_heads_becomes_part_of_it():
    """x * 2 + 3, less 1, over sqrt(3.999 + 0.001) = 2, times 10, plus 7: x * 10 + 17."""
    got = matterport.folded(
        {
            "mrcnn_mask_conv1/mrcnn_mask_conv1/kernel:0": np.full((1, 1, 1, 1), 2.0),
            "mrcnn_mask_conv1/mrcnn_mask_conv1/bias:0": np.full(1, 3.0),
            "mrcnn_mask_bn1/mrcnn_mask_bn1/gamma:0": np.full(1, 10.0),
            "mrcnn_mask_bn1/mrcnn_mask_bn1/beta:0": np.full(1, 7.0),
            "mrcnn_mask_bn1/mrcnn_mask_bn1/moving_mean:0": np.full(1, 1.0),
            "mrcnn_mask_bn1/mrcnn_mask_bn1/moving_variance:0": np.full(1, 3.999),
        },
        1e-3,
        "file",
    )
    assert {n: v.item() for n, v in got.items()} == {
        "mrcnn_mask_conv1/kernel": 10.0,
        "mrcnn_mask_conv1/bias": 17.0,
    }


def test_two_logits_an_anchor_become_their_difference():
    """softmax([b, o])[1] is sigmoid(o - b)."""
    got = matterport.folded(
        {"rpn_model/rpn_class_raw/bias:0": np.float32([1, 5, 2, 9, 4, 4])}, 1e-3, "file"
    )
    np.testing.assert_array_equal(got["rpn_class_raw/bias"], [4, 7, 0])


def test_the_rows_of_a_class_are_those_of_its_id():
    model = MaskRCNN(SMALL, ["cat", "dog"])
    pairs = {p.name: p for p in matterport.pairs(model)}
    boxes = np.tile(np.arange(12.0), (8, 1))  # background's four, the cat's, the dog's
    np.testing.assert_array_equal(
        pairs["mrcnn_bbox_fc/kernel"].layout.inward(boxes)[0], np.arange(4, 12)
    )
    masks = np.arange(3.0).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(pairs["mrcnn_mask/kernel"].layout.inward(masks).ravel(), [1, 2])
    assert pairs["mrcnn_class_logits/bias"].variable.shape == (3,)  # here background has a row


def test_every_variable_has_a_name_of_its_own_and_goes_there_and_back():
    model = MaskRCNN(SMALL, ["cat", "dog"])
    found = list(matterport.pairs(model))
    parts = (model.backbone, model.fpn, model.rpn_head, model.box_head, model.mask_head)
    assert {id(p.variable) for p in found} == {id(v) for part in parts for v in part.weights}
    assert len({p.name for p in found}) == len(found)
    for pair in found:
        np.testing.assert_array_equal(pair.layout.inward(pair.outside()), pair.variable, pair.name)


def test_the_101_layers_of_the_preset_have_matterports_names():
    config = SMALL.replace(backbone_blocks=(3, 4, 23, 3))
    names = {p.name for p in matterport.pairs(MaskRCNN(config, ["cat"]))}
    assert {
        "conv1/kernel",
        "bn_conv1/gamma",
        "res4w_branch2c/kernel",
        "bn5c_branch2a/beta",
        "res2a_branch1/kernel",
        "bn2a_branch1/moving_variance",
    } <= names
    assert not any(n.startswith(("res4x", "res5d")) for n in names)
    stored = {f"{n.split('/')[0]}/{n}:0": np.zeros(1) for n in names}
    assert matterport.blocks(stored) == (3, 4, 23, 3)
    assert matterport.recognises(stored) and not matterport.recognises({"layer1.0.conv1.weight"})


@pytest.mark.parametrize(
    "tensors, why",
    [
        ({**CLASSES, "conv1/conv1/bias:0": np.zeros(2)}, "lacks 'bn_conv1/gamma', which conv1"),
        (
            {**CLASSES, "mrcnn_mask_conv2/mrcnn_mask_conv2/bias:0": np.zeros(2)},
            "lacks 'mrcnn_mask_bn2",
        ),
        ({**CLASSES, "a/conv1/kernel:0": np.zeros(1), "b/conv1/kernel:0": np.zeros(1)}, "twice"),
        (CLASSES, "'conv1/kernel' is missing; .*preset \\(matterport\\) that it was made with"),
    ],
)
def test_a_file_that_is_not_whole_changes_nothing(tensors, why):
    model = MaskRCNN(SMALL, ["cat", "dog"])
    before = [v.numpy() for v in model.weights]
    with pytest.raises(LabkitError, match=why):
        load_tensors(model, tensors, "broken.h5")
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    "change",
    [
        {"class_agnostic": True},
        {"box_dense": (8,)},
        {"rpn_convs": 2},
        {"heads_batch_norm": True},
    ],
)
def test_a_model_of_other_layers_is_refused(change):
    with pytest.raises(LabkitError, match='Config.preset\\("matterport"\\)'):
        load_tensors(MaskRCNN(SMALL.replace(**change), ["cat", "dog"]), CLASSES, "file.h5")


def test_classes_of_the_same_name_keep_their_rows():
    rng = np.random.default_rng(3)
    source, model = MaskRCNN(SMALL, ["cat", "dog"]), MaskRCNN(SMALL, ["yak", "DOG"])
    tensors = {
        pair.name: rng.normal(size=pair.outside().shape).astype("f4")
        for pair in matterport.pairs(source)
    }
    bias = tensors.pop("rpn_class_raw/bias")  # a file has two logits an anchor: here 0 and ours
    tensors["rpn_class_raw/bias"] = np.stack([0 * bias, bias], -1).ravel()
    kernel = tensors.pop("rpn_class_raw/kernel")
    tensors["rpn_class_raw/kernel"] = np.stack([0 * kernel, kernel], -1).reshape(
        *kernel.shape[:-1], -1
    )
    for norm in matterport._HEAD_NORMS.values():
        tensors |= {f"{norm}/{part}": np.ones(8, "f4") for part in matterport._NORM}
    report = load_tensors(model, tensors, "coco.h5", ["cat", "dog"])
    assert report.classes.startswith("'DOG' keeps its row; 'yak' starts anew")
    boxes = model.box_head.get_layer("deltas").kernel.numpy()
    np.testing.assert_array_equal(boxes[:, 4:], tensors["mrcnn_bbox_fc/kernel"][:, 8:])
    logits = model.box_head.get_layer("logits").kernel.numpy()
    theirs = tensors["mrcnn_class_logits/kernel"]
    np.testing.assert_array_equal(logits[:, [0, 2]], theirs[:, [0, 2]])
    assert not np.isin(logits[:, 1], theirs).any()
