"""The registry: a file and a line are a backbone; the config, the pyramid and commands follow."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_backbone

import labkit
from labkit import cli
from labkit.data.pipeline import Batches, BatchPlan
from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES, KERAS, Backbone
from labkit.models.backbones.resnet import KERAS_NETWORKS
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training.stages import PARTS, parts_of, weight_paths
from labkit.weights.transfer import load_tensors


@pytest.fixture
def toy(monkeypatch, micro_config) -> Config:
    """The line that adds a backbone, and a config with it."""
    monkeypatch.setitem(BACKBONES, "toy", Backbone("toy_backbone"))
    return micro_config.replace(backbone="toy", **EMPTY)


def test_the_registry_does_not_import_keras():
    code = "import sys, labkit.models.config; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", BACKBONES)
def test_every_entry_builds_four_maps_of_its_channels(name, micro_config):
    entry = BACKBONES[name]
    config = small(micro_config, name)
    model = entry.build(config)
    assert model.name == "backbone"
    assert [m.shape for m in model(tf.zeros([1, 64, 64, 3]))] == [
        (1, 64 // s, 64 // s, c)
        for s, c in zip((4, 8, 16, 32), [m.shape[-1] for m in model.outputs], strict=True)
    ]
    if entry.channels:
        assert tuple(m.shape[-1] for m in model.outputs) == config.backbone_channels
    names = {layer.name for layer in model.layers}
    assert entry.torchvision_names == ("layer1_0_conv1" in names)
    assert not (entry.imagenet == KERAS and entry.torchvision_names) or (
        entry.blocks in KERAS_NETWORKS
    )


@pytest.mark.parametrize("name", BACKBONES)
def test_a_mask_rcnn_with_it_trains(name, micro_config):
    data = labkit.shapes(2, 64, seed=3)
    config = small(micro_config, name).replace(freeze_batch_norm=True)
    model = MaskRCNN(config, data.class_names)
    model.compile(optimizer=keras.optimizers.SGD(1e-4))
    batch = Batches(data, config, BatchPlan(2, (64, 64))).batch(0)
    batch = {key: tf.constant(value) for key, value in batch.items()}
    first = model.backbone.trainable_variables[0]
    before = first.numpy()
    model.train_step(batch)
    assert all(np.isfinite(float(loss)) for loss in model.last_losses.values())
    assert np.isfinite(first.numpy()).all() and (first.numpy() != before).any()


def small(config: Config, name: str) -> Config:
    """The config with a backbone of one block a stage, of few channels, where it has a choice."""
    shape = {"backbone_channels": (64, 64, 128, 128), "backbone_blocks": (1, 1, 1, 1)}
    return config.replace(backbone=name, **(shape if BACKBONES[name].blocks else EMPTY))


EMPTY = {"backbone_channels": (), "backbone_blocks": ()}


def test_a_config_accepts_it(toy):
    assert Config.from_dict(toy.to_dict()) == toy and toy.backbone == "toy"
    assert Config.preset("r50_fpn", backbone="toy").backbone_channels == ()
    with pytest.raises(LabkitError, match="'backbone_blocks' must have 0 values, got 4"):
        toy.replace(backbone_blocks=(1, 1, 1, 1))


def test_it_is_unknown_without_the_line():
    with pytest.raises(LabkitError, match="'backbone' must be one of resnet50, .*got 'toy'"):
        Config(backbone="toy")


def test_the_pyramid_reads_its_channels(toy):
    model = MaskRCNN(toy, ["cat"])
    assert [i.shape[-1] for i in model.fpn.inputs] == list(toy_backbone.CHANNELS)
    assert model.fpn.get_layer("inner2").kernel.shape == (1, 1, 4, toy.fpn_channels)


def test_the_whole_model_runs_on_it(toy):
    model = MaskRCNN(toy, ["cat"])
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    maps = model.features(image[None].astype(np.float32), tf.constant([[64.0, 64.0]]))
    assert [m.shape[1:] for m in maps] == [(s, s, toy.fpn_channels) for s in (16, 8, 4, 2, 1)]
    assert float(np.std(maps[0])) > 0
    assert model.detect(image).boxes.shape[1] == 4


def test_stages_find_its_maps_whatever_its_layers_are_called(toy):
    model = MaskRCNN(toy, ["cat"])
    paths = [path for path, _, _ in weight_paths(model)]
    assert paths[0] == "backbone/C2/toy2/kernel" and "backbone/C5/toy5/bias" in paths
    assert parts_of(model, PARTS["heads"]) == ["fpn", "rpn", "box_head", "mask_head"]


def test_weights_of_a_resnet_are_refused(toy):
    with pytest.raises(
        LabkitError, match="torchvision has no 'toy' backbone: make the model with one of resnet50"
    ):
        load_tensors(MaskRCNN(toy, ["cat"]), {"layer1.0.conv1.weight": np.zeros(1)}, "a.pth")


def test_imagenet_is_refused_in_a_sentence(toy, capsys, tmp_path):
    argv = "train --data shapes --image-size 64 --set backbone=toy --backbone-weights imagenet"
    assert cli.main([*argv.split(), "--run", str(tmp_path / "r")]) == 2
    err = capsys.readouterr().err
    assert "the backbone toy has no ImageNet weights; these presets have: r50_fpn, " in err
    assert err.count("\n") == 1 and not (tmp_path / "r").exists()
