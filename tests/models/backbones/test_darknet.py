"""Darknet-53 computes what timm's computes, and YOLACT's."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from originals import check_golden, loaded

from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.weights import darknet
from labkit.weights.torch_layer import pairs_of_layer
from labkit.weights.transfer import load_tensors

CONFIG = Config.preset("tiny").replace(backbone="darknet53")
YOLACT_S = Path(__file__).resolve().parents[4] / "shared" / "golden_yolact"


@pytest.mark.parametrize(
    "name, changes", [("darknet53", {}), ("darknet53_of_yolact", {"leaky_slope": 0.1})]
)
def test_timm_s_weights_give_timm_s_features(name, changes, golden):
    config = CONFIG.replace(**changes)
    model = loaded(config, darknet.FORMAT, ends_a_branch=".conv2.bn.")
    check_golden(model, golden("backbones"), name)


def test_it_has_as_many_numbers_as_darknet_s_own_file():
    backbone = BACKBONES["darknet53"].build(CONFIG)
    assert backbone.count_params() == (162_482_580 - 20) // 4  # darknet53.conv.74, less its header
    maps = backbone(np.zeros([1, 96, 160, 3], np.float32))
    channels = (128, 256, 512, 1024)
    assert [m.shape for m in maps] == [
        (1, 96 // s, 160 // s, c) for s, c in zip((4, 8, 16, 32), channels, strict=True)
    ]


def test_yolact_s_names_follow_from_ours_and_its_features_are_the_same():
    """Against values of the original code, where they are at hand; see their README for weights."""
    if not YOLACT_S.exists():
        pytest.skip(f"the golden values of YOLACT are not at {YOLACT_S}")
    backbone = BACKBONES["darknet53"].build(CONFIG.replace(leaky_slope=0.1))
    for layer in backbone.layers:
        if layer.weights:
            name = layer.name.replace("_", ".").replace("preconv", "_preconv")
            for pair in pairs_of_layer(f"backbone.{name}", layer):
                shape = pair.outside().shape
                pair.variable.assign(pair.layout.inward(of_yolact(pair.name, shape)))
    with np.load(YOLACT_S / "darknet53_138_eval_A.npz") as want:
        got = backbone(want["input"].transpose(0, 2, 3, 1))
        for level, map_ in zip((3, 4, 5), got[1:], strict=True):
            map_ = np.transpose(map_, (0, 3, 1, 2))
            assert map_.shape == tuple(want[f"C{level}_shape"])
            values = map_.ravel()[want[f"C{level}_idx"]]
            np.testing.assert_allclose(values, want[f"C{level}_val"], rtol=1e-4, atol=2e-4)


def of_yolact(name: str, shape) -> np.ndarray:
    """The value of a tensor of those values: its README's recipe."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) == 4:
        value = z * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith(".weight"):
        value = (0.25 if ".conv2.1." in name else 1.0) * (1 + 0.1 * z)
    else:
        value = np.abs(1 + 0.1 * z) + 0.05 if name.endswith("running_var") else 0.1 * z
    return value.astype(np.float32)


def test_another_backbone_is_refused(micro_config):
    with pytest.raises(LabkitError, match="the model's backbone is 'tiny'"):
        tensors = {"stages.0.conv_down.conv.weight": np.zeros(1)}
        load_tensors(MaskRCNN(micro_config, ["thing"]), tensors, "the file")
