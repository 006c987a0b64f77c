"""Config: frozen, round-trips through JSON, and refuses what cannot work in one sentence."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.config import CHOICES, PRESETS, Config
from labkit.models.detector_config import CHOICES as SHARED_CHOICES
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.losses import LOSS_NAMES


@pytest.mark.parametrize("name", PRESETS)
def test_presets_round_trip_through_json(name):
    config = Config.preset(name)
    assert Config.from_dict(json.loads(config.to_json())) == config
    assert hash(Config.from_dict(config.to_dict())) == hash(config)


def test_changes_round_trip_and_leave_the_original_alone():
    before = Config.preset("tiny")
    after = before.replace(anchor_ratios=[0.25, 1, 4, 8], detections=7)
    assert after.anchor_ratios == (0.25, 1, 4, 8) and after.anchors_per_cell == 4
    assert before == PRESETS["tiny"] and before != after
    assert Config.from_dict(json.loads(after.to_json())) == after
    assert Config.preset("tiny", anchor_ratios=(0.25, 1, 4, 8), detections=7) == after


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().detections = 5


@pytest.mark.parametrize(
    "make",
    [
        lambda **c: Config().replace(**c),
        lambda **c: Config.preset("tiny", **c),
        Config.from_dict,
    ],
)
def test_unknown_names_are_refused_with_a_hint(make):
    wrong = {"detection": 100}
    with pytest.raises(LabkitError, match="no field 'detection'; did you mean 'detections'"):
        make(wrong) if make == Config.from_dict else make(**wrong)
    wrong = {"zzzzzz": 1}
    with pytest.raises(LabkitError, match="no field 'zzzzzz'; there are: ") as caught:
        make(wrong) if make == Config.from_dict else make(**wrong)
    assert "did you mean" not in str(caught.value)


def test_an_unknown_preset_is_answered_with_the_list():
    with pytest.raises(LabkitError, match="no preset 'big'; there are: r50_fpn, .*tiny"):
        Config.preset("big")


FIELDS = {f.name: f.type for f in dataclasses.fields(Config)}
WRONG_TYPE = {
    int: ["7", 0.5, True, None],
    float: ["0.5", None, float("nan"), float("inf"), True],
    bool: [1, "yes", None],
    str: [5, None],
}


@pytest.mark.parametrize("name", [n for n in FIELDS if n != "loss_weights"])
def test_every_field_refuses_the_wrong_type(name):
    kind = FIELDS[name]
    item = kind if kind in WRONG_TYPE else kind.__args__[0]
    for value in WRONG_TYPE[item]:
        wrong = value if kind in WRONG_TYPE else (value,) * len(getattr(Config(), name) or [1])
        with pytest.raises(LabkitError, match=f"'{name}' must be"):
            Config().replace(**{name: wrong})
    if kind not in WRONG_TYPE:
        with pytest.raises(LabkitError, match=f"'{name}' must be"):
            Config().replace(**{name: 5})


ABOVE_ZERO = (
    "image_min_side image_max_side pad_multiple stem_channels fpn_channels rpn_convs rpn_samples "
    "proposals_before_nms_train proposals_train proposals_before_nms proposals roi_samples "
    "box_pool mask_pool mask_channels detections max_instances roi_canonical_size"
).split()
FRACTIONS = (
    "rpn_positive_iou rpn_negative_iou rpn_positive_fraction rpn_nms_iou roi_positive_iou "
    "roi_positive_fraction score_threshold nms_iou anchor_offset batch_norm_momentum leaky_slope"
).split()
NOT_NEGATIVE = (
    "mini_mask roi_sampling_ratio seed rpn_channels smooth_l1_beta rpn_min_size batch_norm_epsilon"
).split()
ITEMS_ABOVE_ZERO = (
    "image_std anchor_sizes anchor_ratios rpn_box_std roi_box_std backbone_channels "
    "backbone_blocks box_convs box_dense mask_convs"
).split()
LENGTHS = dict(
    image_mean=3,
    image_std=3,
    backbone_channels=4,
    backbone_blocks=4,
    anchor_sizes=5,
    rpn_box_std=4,
    roi_box_std=4,
)

OF_BACKBONE = ("backbone_channels", "backbone_blocks")  # empty: the backbone's default

IMPOSSIBLE = [
    *[(name, 0) for name in ABOVE_ZERO],
    *[(name, -3) for name in ABOVE_ZERO],
    *[(name, value) for name in FRACTIONS for value in (-0.1, 1.1)],
    *[(name, -1) for name in NOT_NEGATIVE],
    *[(name, (0,) * LENGTHS.get(name, 1)) for name in ITEMS_ABOVE_ZERO],
    *[(name, (1,) * (length + 1)) for name, length in LENGTHS.items()],
    *[(name, ()) for name in LENGTHS if name not in OF_BACKBONE],
    *[(name, "none of these") for name in (*SHARED_CHOICES, *CHOICES)],
    ("anchor_ratios", ()),
    ("loss_weights", (1, 1, -1, 1, 1)),
    ("loss_weights", (1, 1, 1, 1)),
    ("loss_weights", 1.0),
    ("loss_weights", {"mask": -1}),
    ("loss_weights", {"mask": "1"}),
    ("loss_weights", {"mask": True}),
    ("loss_weights", {"msak": 1}),
    ("strides", (4, 8, 16, 32, 48)),
    ("strides", (8, 16, 32, 64, 128)),
    ("pad_multiple", 48),
]


@pytest.mark.parametrize("name, value", IMPOSSIBLE, ids=str)
def test_impossible_values_are_refused_by_name(name, value):
    with pytest.raises(LabkitError, match=name) as caught:
        Config().replace(**{name: value})
    assert "\n" not in str(caught.value) and str(caught.value).startswith("Config: ")


def test_values_that_contradict_each_other_are_refused():
    with pytest.raises(LabkitError, match="rpn_negative_iou"):
        Config().replace(rpn_negative_iou=0.8, rpn_positive_iou=0.7)
    with pytest.raises(LabkitError, match="image_max_side"):
        Config().replace(image_min_side=800, image_max_side=600)
    with pytest.raises(LabkitError, match="multiple of 'pad_multiple' where 'resize' is square"):
        Config.preset("matterport", image_max_side=1000)


def test_a_backbone_brings_its_channels_and_blocks():
    for config in (
        Config(backbone="resnet101"),
        Config.preset("r50_fpn", backbone="resnet101"),
        Config.preset("tiny").replace(backbone="resnet101"),
        Config.from_dict({"backbone": "resnet101"}),
        Config(backbone_blocks=(3, 4, 23, 3)).replace(backbone="resnet101", backbone_blocks=()),
    ):
        assert config.backbone_blocks == (3, 4, 23, 3)
        assert config.backbone_channels == (256, 512, 1024, 2048)
    assert Config(backbone="resnet101").replace(backbone="resnet50") == Config()
    assert Config.preset("tiny").backbone_channels == (48, 80, 128, 192)


def test_channels_and_blocks_chosen_by_hand_stay_with_another_backbone():
    own = dict(backbone_channels=(16, 16, 24, 32), backbone_blocks=(1, 1, 1, 1))
    config = Config.preset("tiny", **own).replace(backbone="resnet50")
    assert {name: getattr(config, name) for name in own} == own
    config = Config(backbone_blocks=(1, 2, 2, 1)).replace(backbone="tiny")
    assert config.backbone_blocks == (1, 2, 2, 1) and config.backbone_channels[0] == 48


def test_a_backbone_brings_the_pixels_of_its_weights():
    mobilenet = Config.preset("tiny", backbone="mobilenet_v2")
    assert mobilenet.image_mean == mobilenet.image_std == (127.5, 127.5, 127.5)
    assert mobilenet.batch_norm_epsilon == 1e-3
    resnext = Config.preset("lite0_fpn").replace(backbone="resnext50_32x4d")
    v1 = Config.preset("torchvision_v1")
    for name in ("image_mean", "image_std", "batch_norm_epsilon", "stride_in_1x1"):
        assert getattr(resnext, name) == getattr(v1, name)
    darknet = Config.preset("lite0_fpn", backbone="darknet53")
    assert darknet.leaky_slope == 0.01 and darknet.image_mean == v1.image_mean
    assert darknet.replace(backbone="resnet50").image_mean == Config().image_mean
    lite0 = Config.preset("lite0_fpn")
    assert {n: getattr(lite0, n) for n in BACKBONES["efficientnet_lite0"].settings} == (
        BACKBONES["efficientnet_lite0"].settings
    )


def test_pixels_in_the_same_change_win_and_what_two_backbones_share_stays():
    own = Config(backbone="tiny").replace(backbone="vgg16", image_mean=(1, 2, 3))
    assert own.image_mean == (1, 2, 3) and own.image_std == (1, 1, 1)
    assert Config.from_dict(own.to_dict()) == own
    for preset in ("torchvision_v1", "matterport"):
        before = Config.preset(preset)
        after = before.replace(backbone="resnet101")
        assert {n: getattr(after, n) for n in BACKBONES["resnet50"].settings} == (
            {n: getattr(before, n) for n in BACKBONES["resnet50"].settings}
        )
    without = Config.preset("lite0_fpn", backbone="tiny")  # it has no weights that need any
    assert without.image_mean == (127.0, 127.0, 127.0)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_settings_of_a_backbone_are_fields(name):
    config = Config.preset("tiny", backbone=name)
    assert {n: getattr(config, n) for n in BACKBONES[name].settings} == BACKBONES[name].settings


def test_runs_that_spell_resnet_101_by_its_blocks_keep_their_config():
    stored = {"backbone": "resnet50", "backbone_blocks": [3, 4, 23, 3]}
    config = Config.from_dict(stored)
    assert config.backbone == "resnet50" and config.backbone_blocks == (3, 4, 23, 3)
    preset = Config.preset("matterport")
    assert (preset.backbone, preset.backbone_blocks) == ("resnet50", (3, 4, 23, 3))


def test_whole_numbers_serve_as_floats():
    assert Config().replace(score_threshold=0, smooth_l1_beta=1).smooth_l1_beta == 1


def test_the_paper_is_the_default():
    c = Config.preset("r50_fpn")
    assert c == Config()
    assert (c.rpn_samples, c.roi_samples, c.detections) == (256, 512, 100)
    assert (c.rpn_positive_iou, c.rpn_negative_iou, c.rpn_nms_iou) == (0.7, 0.3, 0.7)
    assert c.strides == (4, 8, 16, 32, 64) and c.anchors_per_cell == 3


def test_losses_are_weighted_by_name():
    config = Config(loss_weights={"mask": 0.5})
    assert config.loss_weights == {n: 0.5 if n == "mask" else 1.0 for n in LOSS_NAMES}
    assert Config.LOSSES == LOSS_NAMES
    with pytest.raises(TypeError, match="frozen"):
        config.loss_weights["mask"] = 1.0
    # a run of an earlier labkit holds five numbers, in the order of the losses
    assert Config.from_dict({"loss_weights": [1, 1, 1, 1, 0.5]}) == config


@pytest.mark.parametrize("levels", [4, 6])
def test_the_number_of_pyramid_levels_follows_the_strides(levels, micro_config):
    config = micro_config.replace(
        strides=(4, 8, 16, 32, 64, 128)[:levels], anchor_sizes=(8, 12, 16, 24, 32, 48)[:levels]
    )
    found = MaskRCNN(config, ["a"]).detect_in_batch(
        tf.zeros([1, 128, 128, 3]), tf.constant([[128.0, 128.0]])
    )
    assert [m.shape[1] for m in found["maps"]] == [128 // s for s in config.strides]
    assert len(found["anchors"]) == len(found["objectness"]) == levels


def test_another_level_is_another_stride_and_another_anchor():
    with pytest.raises(LabkitError, match="'anchor_sizes' must have 6 values"):
        Config(strides=(4, 8, 16, 32, 64, 128))


def test_numbers_and_arrays_of_numpy_are_taken_as_pythons_own():
    config = Config(
        seed=np.int64(3),
        nms_iou=np.float32(0.5),
        freeze_batch_norm=np.bool_(True),
        anchor_sizes=np.array([8.0, 16.0, 32.0, 64.0, 128.0]),
        anchor_ratios=[np.float64(0.5), 1.0],
    )
    assert (config.seed, config.nms_iou, config.freeze_batch_norm) == (3, 0.5, True)
    assert config.anchor_sizes == (8.0, 16.0, 32.0, 64.0, 128.0)
    assert json.loads(config.to_json())["anchor_ratios"] == [0.5, 1.0]
    with pytest.raises(LabkitError, match="'seed' must be int, got 0.5"):
        Config(seed=np.float32(0.5))


def test_an_image_size_that_no_memory_holds_is_refused():
    with pytest.raises(LabkitError, match="'image_max_side' must be at most 16384, got 100000"):
        Config(image_min_side=100_000, image_max_side=100_000)
    assert Config(image_max_side=100_000, resize="none").resize == "none"  # it is not used there
