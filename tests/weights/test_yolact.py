"""YOLACT's own files: every variable has its place there, and the way back loses nothing."""

import json

import numpy as np
import pytest

import labkit
from labkit.errors import LabkitError
from labkit.models.registry import build_detector
from labkit.models.yolact_config import YolactConfig
from labkit.weights import load_tensors
from labkit.weights.files import read_tensors
from labkit.weights.formats import recognised
from labkit.weights.pretrained import find_weights
from labkit.weights.yolact import FORMAT, export, pairs

SMALL = dict(
    image_min_side=64,
    image_max_side=64,
    backbone_blocks=(1, 1, 1, 1),
    fpn_channels=8,
    prototypes=4,
    freeze_batch_norm=False,
)
NAMES = ("cat", "dog", "tie")


def small(seed=0, names=NAMES, **changes):
    return build_detector(YolactConfig.preset("yolact_r50", seed=seed, **SMALL, **changes), names)


@pytest.fixture(scope="module")
def state():
    """What a file of such a network holds, the backbone's alias of the oldest files included."""
    tensors = export(small(seed=1))
    again = {
        "backbone.layer1.0.conv1.weight": tensors["backbone.layers.0.0.conv1.weight"],
        "fpn.downsample_layers.2.weight": np.ones((8, 8, 3, 3), np.float32),
    }
    return tensors | again


@pytest.mark.parametrize("name", ["r50_138", "darknet53_138"])
def test_every_tensor_of_the_original_has_a_place(golden_folders, name):
    """By name and shape, of the network with ResNet-50 (which ships) and of Darknet-53's."""
    places = (golden_folders[0] / "yolact", golden_folders[1].with_name("golden_yolact"))
    files = [place / f"{name}_params.json" for place in places]
    path = next((f for f in files if f.exists()), None)
    if path is None:
        pytest.skip(f"{name}_params.json is not at hand")
    listed = json.loads(path.read_text())
    shapes = {n: tuple(e["shape"]) for n, e in listed.items() if e["kind"] != "skip"}
    preset = {"r50": "yolact_r50", "darknet53": "yolact_darknet53"}[name.partition("_")[0]]
    model = build_detector(YolactConfig.preset(preset), [f"class {i}" for i in range(80)])
    assert {p.name: p.outside().shape for p in pairs(model)} == shapes


@pytest.mark.parametrize("form", ["legacy", "zip"])
def test_a_file_goes_in_and_out_bit_for_bit(state, tmp_path, torch_writers, form):
    path = tmp_path / "yolact_resnet50_54_800000.pth"
    path.write_bytes(torch_writers[form](state))
    tensors, model = read_tensors(path), small()
    assert recognised(tensors) is FORMAT
    report = load_tensors(model, tensors, path.name)
    assert not report.missing and set(report.skipped.values()) == {
        "counters that nothing reads",
        "the same tensors under an older name",
    }
    labkit.weights.export(model, tmp_path / "back.pth")
    out = read_tensors(tmp_path / "back.pth")
    assert out.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(out[name], value)
        assert out[name].dtype == value.dtype, name


def test_what_a_file_tells(state, tmp_path, torch_writers):
    path = tmp_path / "own.pth"
    path.write_bytes(torch_writers["zip"]({"model": state}))
    weights = find_weights(path)
    assert weights.count == 3 and weights.preset == "yolact_r50"
    deep = state | {"backbone.layers.2.22.conv1.weight": np.zeros(1)}
    assert FORMAT.config(deep) == YolactConfig.preset("yolact_base")
    dark = state | {"backbone._preconv.0.weight": np.zeros(1)}
    assert FORMAT.config(dark) == YolactConfig.preset("yolact_darknet53")


def test_classes_of_the_same_name_keep_their_rows(state):
    model = small(names=("dog", "comb"))
    report = load_tensors(model, dict(state), "own.pth", NAMES)
    assert "'dog' keeps its row; 'comb' starts anew" in report.classes
    theirs = state["prediction_layers.0.conf_layer.bias"].reshape(3, 4)
    ours = model.head.get_layer("logits").bias.numpy().reshape(3, 3)
    np.testing.assert_array_equal(ours[:, :2], theirs[:, [0, 2]])
    theirs = state["semantic_seg_conv.weight"][1, :, 0, 0]
    np.testing.assert_array_equal(model.semantic_net.get_layer("logits").kernel[0, 0, :, 0], theirs)


def test_a_network_that_the_original_has_not_is_refused():
    model = build_detector(YolactConfig.preset("yolact_tiny"), NAMES)
    with pytest.raises(LabkitError, match="YOLACT's code has no such model"):
        export(model)
