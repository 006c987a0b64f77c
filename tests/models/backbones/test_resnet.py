"""ResNets: torchvision's sizes, Keras' features, and a clear error if there is no network."""

import keras
import made_up_weights
import numpy as np
import pytest
import tensorflow as tf
from originals import check_golden, check_maps, loaded

from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.backbones.resnet import load_imagenet
from labkit.models.config import Config
from labkit.weights import torchvision

CHANNELS = (256, 512, 1024, 2048)


def build(**changes) -> keras.Model:
    config = Config(**changes)
    return BACKBONES[config.backbone].build(config)


@pytest.fixture(scope="module")
def backbone():
    return build()


@pytest.fixture(scope="module")
def resnet101():
    return build(backbone="resnet101")


@pytest.fixture(scope="module")
def of_101_blocks():
    """ResNet-101 as the matterport preset and older runs write it."""
    return build(backbone="resnet50", backbone_blocks=(3, 4, 23, 3))


@pytest.mark.parametrize("shape", [(64, 96), (32, 32)])
def test_strides_and_channels(backbone, shape):
    maps = backbone(tf.zeros([2, *shape, 3]))
    strides = (4, 8, 16, 32)
    assert [m.shape for m in maps] == [
        (2, shape[0] // s, shape[1] // s, c) for s, c in zip(strides, CHANNELS, strict=True)
    ]


def test_it_has_torchvision_s_layers():
    """Its parameters, and the map halved in a bottleneck's 3x3 convolution."""
    model = build(freeze_batch_norm=False, stride_in_1x1=False)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == 25_557_032 - 2_049_000 == 23_508_032  # ResNet-50 less its classifier
    stored = sum(int(np.prod(w.shape)) for w in model.non_trainable_weights)
    assert stored == 2 * 26_560  # a mean and a variance for each channel with a batch norm
    check_where_it_halves(model, "conv2", "conv1")


def test_resnet101_has_torchvision_s_layers(resnet101):
    stored = 2 * 52_672  # a mean and a variance for each channel with a batch norm
    assert resnet101.count_params() == 44_549_160 - 2_049_000 + stored
    names = {layer.name for layer in resnet101.layers}
    assert "layer3_22_conv3" in names and "layer3_23_conv1" not in names


def test_resnet101_is_the_same_network_in_both_spellings(resnet101, of_101_blocks):
    def described(model):
        return [(v.path, v.shape) for v in model.weights]

    assert described(resnet101) == described(of_101_blocks)


def test_frozen_batch_norms_do_not_train(backbone):
    norms = [x for x in backbone.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 53 and not any(n.trainable_weights for n in norms)
    norm = norms[0]
    before = [w.numpy().copy() for w in norm.weights]
    norm(tf.random.stateless_normal([2, 4, 4, 64], [1, 2]) * 9 + 5, training=True)
    for old, new in zip(before, norm.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_the_paper_and_keras_halve_in_the_first_convolution(backbone):
    check_where_it_halves(backbone, "conv1", "conv2")


def check_where_it_halves(model, one, other):
    for stage in (2, 3, 4):
        assert model.get_layer(f"layer{stage}_0_{one}").strides == (2, 2)
        assert model.get_layer(f"layer{stage}_0_{other}").strides == (1, 1)


@pytest.mark.parametrize(
    "fixture, network, count, names",
    [
        ("backbone", "ResNet50", 53, ["2_block3", "3_block4", "4_block6", "5_block3"]),
        ("resnet101", "ResNet101", 104, ["2_block3", "3_block4", "4_block23", "5_block3"]),
    ],
)
def test_load_imagenet_gives_keras_features(fixture, network, count, names, request):
    source = getattr(keras.applications, network)(weights=None, include_top=False)
    made_up_weights.into_keras(source, last_of_branch="_3_bn")
    backbone = request.getfixturevalue(fixture)
    assert load_imagenet(backbone, source) == count
    names = [f"conv{name}_out" for name in names]
    check_maps(backbone, source, names, keras.applications.resnet50.preprocess_input, Config())


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x8d"])
def test_torchvision_s_weights_give_torchvision_s_features(name, golden):
    config = Config.preset("torchvision_v1", backbone=name)
    model = loaded(config, torchvision.BACKBONE_FORMAT, ends_a_branch=".bn3.")
    check_golden(model, golden("backbones"), name)


def test_a_resnext_has_torchvision_s_layers():
    for name, torchvision_s in (("resnext50_32x4d", 25_028_904), ("resnext101_32x8d", 88_791_336)):
        model = build(backbone=name, freeze_batch_norm=False)
        trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        assert trainable == torchvision_s - 2_049_000  # less its classifier
    assert model.get_layer("layer1_0_conv2").kernel.shape == (3, 3, 8, 256)


def test_channels_that_its_groups_cannot_share_are_refused():
    with pytest.raises(LabkitError, match="of resnext50_32x4d must be multiples of 64, got"):
        build(backbone="resnext50_32x4d", backbone_channels=(64, 96, 128, 256))


@pytest.mark.parametrize(
    "fixture, network",
    [("backbone", "ResNet50"), ("resnet101", "ResNet101"), ("of_101_blocks", "ResNet101")],
)
def test_without_a_network_one_sentence_says_what_to_do(fixture, network, request, monkeypatch):
    def fail(**options):
        assert options == {"weights": "imagenet", "include_top": False}
        raise OSError("URL fetch failure on https://storage.example/resnet50.h5: no route to host")

    monkeypatch.setattr(keras.applications, network, fail)
    backbone = request.getfixturevalue(fixture)
    before = backbone.get_layer("conv1").get_weights()[0].copy()
    with pytest.raises(LabkitError) as caught:
        BACKBONES[network.lower()].load_imagenet(backbone)
    message = str(caught.value)
    assert "could not be downloaded" in message and "~/.keras/models" in message
    assert "\n" not in message and "no route to host" in message
    assert f" {network.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5 " in message
    np.testing.assert_array_equal(before, backbone.get_layer("conv1").get_weights()[0])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"stem_channels": 24}, "and 24 channels in the stem"),
        ({"backbone_channels": (4, 4, 4, 4)}, r"channels \(4, 4, 4, 4\)"),
        (
            {"backbone_blocks": (3, 4, 5, 3), "backbone_channels": (4, 4, 4, 4)},
            r"with blocks \(3, 4, 5, 3\)",
        ),
    ],
)
def test_imagenet_has_no_weights_for_other_shapes(changes, words, monkeypatch):
    model = build(**changes)
    before = [w.numpy() for w in model.weights]
    for network in ("ResNet50", "ResNet101"):
        monkeypatch.delattr(keras.applications, network)  # nothing is downloaded
    with pytest.raises(LabkitError, match=f"^There are no ImageNet weights .*{words}") as caught:
        load_imagenet(model)
    assert "(3, 4, 23, 3) (ResNet101)" in str(caught.value) and "\n" not in str(caught.value)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new)
