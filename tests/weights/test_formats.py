"""The table of formats: which one a file is in, for which detector, and how to add one."""

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.registry import DETECTORS
from labkit.weights import (
    darknet,
    detectron2,
    efficientnet_lite,
    formats,
    labkit_layout,
    matterport,
    torchvision,
    yolact,
)
from labkit.weights.formats import FORMATS, formats_of, recognised
from labkit.weights.pair import Format, Pair
from labkit.weights.transfer import load_tensors


@pytest.mark.parametrize(
    "name, expected",
    [
        ("backbone.body.conv1.weight", torchvision.FORMAT),
        ("backbone.bottom_up.stem.conv1.weight", detectron2.FORMAT),
        ("prediction_layers.0.conf_layer.bias", yolact.FORMAT),
        ("mrcnn_class_logits/mrcnn_class_logits/bias:0", matterport.FORMAT),
        ("layer1.0.conv1.weight", torchvision.BACKBONE_FORMAT),
        ("_conv_stem.weight", efficientnet_lite.FORMAT),
        ("stages.0.conv_down.conv.weight", darknet.FORMAT),
        ("backbone/layers/conv2d/vars/0", labkit_layout.FORMAT),
        ("something", None),
    ],
)
def test_one_name_tells_the_format(name, expected):
    tensors = {name: np.zeros(1)}
    assert recognised(tensors) is expected
    assert [f for of in FORMATS.values() for f in of if f.recognises(tensors)] == (
        [expected] if expected else []
    )


def test_a_subclass_has_the_formats_of_its_detector(micro_config):
    class Mine(MaskRCNN):
        pass

    model = Mine(micro_config, ["cat"])
    assert formats_of(model) == (*FORMATS["mask_rcnn"], *FORMATS[formats.ANY])


def test_a_new_format_is_one_line(micro_config, monkeypatch):
    layer_of = {"cls": "logits", "reg": "deltas"}
    new = Format(
        name="somebody's",
        recognises=lambda tensors: "cls" in tensors,
        pairs=lambda model: [
            Pair(name, model.box_head.get_layer(layer).bias) for name, layer in layer_of.items()
        ],
        prepared=lambda tensors, config, source: {n.lower(): t for n, t in tensors.items()},
        unread=lambda loaded, tensors: {n: tensors[n] for n in tensors if n.startswith("momentum")},
        presets=("tiny",),
        skipped={"^momentum": "what an optimizer remembers"},
    )
    monkeypatch.setitem(FORMATS, "mask_rcnn", (*FORMATS["mask_rcnn"], new))
    model = MaskRCNN(micro_config, ["cat", "dog"])
    given = {"cls": np.float32([1, 2, 3]), "REG": np.float32([4, 5, 6, 7])}
    report = load_tensors(model, {**given, "momentum": np.ones(1), "x": np.ones(1)}, "file")
    assert report.loaded == ["cls", "reg"] and not report.missing
    assert report.skipped == {
        "momentum": "what an optimizer remembers",
        "x": "no such part in this model",
    }
    np.testing.assert_array_equal(model.box_head.get_layer("logits").bias, given["cls"])
    np.testing.assert_array_equal(model.box_head.get_layer("deltas").bias, given["REG"])
    assert set(model.unread_tensors) == {"momentum"}
    # Which layers depend on the classes, the model says, not the format.
    other = load_tensors(model, {**given, "cls": np.zeros(9)}, "file")
    assert other.missing == ["cls"] and "made for other classes" in other.skipped["cls"]


def test_what_is_in_no_format_names_those_there_are(micro_config):
    model = MaskRCNN(micro_config, ["cat"])
    with pytest.raises(LabkitError) as caught:
        load_tensors(model, {"something": np.zeros(1)}, "file")
    assert all(f.name in str(caught.value) for f in formats_of(model))


def test_every_key_of_the_table_is_a_detector():
    assert set(FORMATS) <= {*DETECTORS, formats.ANY}


def test_a_backbone_that_torchvision_lacks_is_named(micro_config):
    model = MaskRCNN(micro_config, ["cat"])
    with pytest.raises(LabkitError, match="no 'tiny' backbone: .* resnet50, resnet101"):
        load_tensors(model, {"layer1.0.conv1.weight": np.zeros(1)}, "file")


@pytest.mark.parametrize("blocks", [(3, 4, 6, 3), (3, 4, 23, 3)])
def test_a_resnet_tells_how_deep_it_is(blocks):
    found = torchvision.BACKBONE_FORMAT.config(resnet_tensors(blocks, (64, 64, 3, 3)))
    assert found == Config.preset("torchvision_v1", backbone_blocks=blocks)


@pytest.mark.parametrize(
    "name, blocks, kernel",
    [
        ("resnext50_32x4d", (3, 4, 6, 3), (128, 4, 3, 3)),
        ("resnext101_32x8d", (3, 4, 23, 3), (256, 8, 3, 3)),
    ],
)
def test_a_resnext_tells_its_groups(name, blocks, kernel):
    found = torchvision.BACKBONE_FORMAT.config(resnet_tensors(blocks, kernel))
    assert found == Config.preset("torchvision_v1", backbone=name)


def resnet_tensors(blocks, kernel) -> dict[str, np.ndarray]:
    names = [f"layer{s}.{b}.conv1.weight" for s, n in enumerate(blocks, 1) for b in range(n)]
    return dict.fromkeys(names, np.zeros(1)) | {"layer1.0.conv2.weight": np.zeros(kernel)}


def test_another_models_file_of_keras_is_told_from_this_ones(micro_config):
    model = MaskRCNN(micro_config, ["cat"])
    with pytest.raises(LabkitError, match="is missing; .* choose the config that it was made with"):
        load_tensors(model, {"layers/dense/vars/0": np.zeros(1)}, "file")
