"""ResNet (He et al. 2015) with bottleneck blocks, and ResNeXt (Xie et al. 2016).

A ResNeXt's 3x3 convolutions have groups: each group of outputs reads only its own group of inputs.
For the same cost a bottleneck can then be wider: "32x4d" are 32 groups of 4 channels each where a
ResNet has 64 channels. In each later stage they have twice as many.

Published ResNets differ in where a block halves the map: `stride_in_1x1=True` is the first 1x1
convolution, as in the paper, Caffe and `keras.applications`; False is the 3x3, as in torchvision.
Layers are named after torchvision's (`layer1_0_conv1` is its `layer1.0.conv1`), so that its weights
can be loaded by name.
"""

import re

import keras
from keras import layers

from labkit.errors import LabkitError
from labkit.models.backbones.keras_weights import downloaded, of_rgb
from labkit.models.layers import batch_norm, conv, downsample


def build(config, groups: int = 1, group_width: int = 64) -> keras.Model:
    """Images [B, H, W, 3] to C2..C5, of `config.backbone_channels` channels.

    Args:
        config: Its backbone_blocks count the bottlenecks of each stage: (3, 4, 6, 3) is ResNet-50,
            (3, 4, 23, 3) is ResNet-101.
        groups: Of the 3x3 convolutions; more than one make a ResNeXt.
        group_width: Channels of a group in a stage of 256 channels.

    Raises:
        LabkitError: The channels of a ResNeXt cannot be split into its groups.
    """
    _check_channels(config, groups, group_width)
    frozen = config.freeze_batch_norm
    x = images = keras.Input((None, None, 3))
    x = downsample(x, config.stem_channels, 7, bias=False, name="conv1")
    x = layers.ReLU()(batch_norm(config, "bn1", frozen=frozen)(x))
    if config.stem_pool_padding == "far_side":
        x = layers.MaxPooling2D(3, 2, "same", name="pool1")(x)
    else:  # after a ReLU nothing is negative, so padding with zeros cannot change a maximum
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    maps = []
    stages = zip(config.backbone_channels, config.backbone_blocks, strict=True)
    for stage, (channels, blocks) in enumerate(stages, start=1):
        inner = channels * groups * group_width // 256
        for block in range(blocks):
            halve = block == 0 and stage > 1
            shape, name = (channels, inner, groups), f"layer{stage}_{block}"
            x = _bottleneck(x, shape, halve, block == 0, config, name)
        maps.append(x)
    return keras.Model(images, maps, name="backbone")


def _bottleneck(x, shape: tuple[int, int, int], halve: bool, project: bool, config, name: str):
    """1x1 to the inner channels, 3x3, 1x1 to those of the output, added to the input.

    In a ResNet the inner channels are a quarter of the output's. `shape` is (channels of the
    output, inner channels, groups of the 3x3).
    """
    channels, inner, groups = shape
    frozen = config.freeze_batch_norm
    shortcut = x
    if project:
        shortcut = _conv_halving(x, channels, 1, halve, f"{name}_downsample_0")
        shortcut = batch_norm(config, f"{name}_downsample_1", frozen=frozen)(shortcut)
    first = config.stride_in_1x1
    y = _conv_halving(x, inner, 1, halve and first, f"{name}_conv1")
    y = layers.ReLU()(batch_norm(config, f"{name}_bn1", frozen=frozen)(y))
    y = _conv_halving(y, inner, 3, halve and not first, f"{name}_conv2", groups)
    y = layers.ReLU()(batch_norm(config, f"{name}_bn2", frozen=frozen)(y))
    y = conv(channels, 1, bias=False, name=f"{name}_conv3")(y)
    y = batch_norm(config, f"{name}_bn3", frozen=frozen)(y)
    return layers.ReLU()(layers.Add()([shortcut, y]))


def _conv_halving(x, filters: int, kernel: int, halve: bool, name: str, groups: int = 1):
    # Groups are left to TensorFlow, which computes them on CPUs too, gradients included. On a core
    # of ours the 3x3 of 32x4d at 56 x 56 cells took 6 ms (16 ms with gradients), and 12 ms (34 ms)
    # as 32 convolutions side by side.
    if halve:
        return downsample(x, filters, kernel, bias=False, groups=groups, name=name)
    return conv(filters, kernel, bias=False, groups=groups, name=name)(x)


def _check_channels(config, groups: int, group_width: int) -> None:
    multiple = 256 // group_width
    if groups > 1 and any(channels % multiple for channels in config.backbone_channels):
        raise LabkitError(
            f"backbone_channels of {config.backbone} must be multiples of {multiple}, got "
            f"{config.backbone_channels}: change them, or leave them out."
        )


# --- ImageNet weights of keras.applications ---------------------------------------------

# Blocks of each stage -> the network of keras.applications. All have the channels below.
KERAS_NETWORKS = {(3, 4, 6, 3): "ResNet50", (3, 4, 23, 3): "ResNet101"}
_STEM, _CHANNELS = 64, (256, 512, 1024, 2048)


def load_imagenet(backbone: keras.Model, source: keras.Model | None = None) -> int:
    """Copy the ImageNet weights of the ResNet of `keras.applications` that has the same layers.

    Its convolutions have a bias; ours have none, because a batch norm follows. A bias b only shifts
    the mean that the norm subtracts, so the stored mean becomes mean - b. The first convolution of
    `keras.applications` reads BGR, ours reads RGB.

    Args:
        backbone: A model that `build` made.
        source: The model of `keras.applications`; by default Keras downloads it.

    Returns:
        The number of convolutions (each with its batch norm) that were copied.

    Raises:
        LabkitError: `keras.applications` has no such network, or its weights cannot be downloaded.
    """
    name = _keras_network(backbone)
    if source is None:
        file = f"{name.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5"
        source = downloaded(name, file)
    pairs = list(_keras_names(backbone))
    for ours_conv, ours_norm, theirs in pairs:
        kernel, bias = source.get_layer(f"{theirs}_conv").get_weights()
        gamma, beta, mean, variance = source.get_layer(f"{theirs}_bn").get_weights()
        if ours_conv == "conv1":
            kernel = of_rgb(kernel)
        backbone.get_layer(ours_conv).set_weights([kernel])
        backbone.get_layer(ours_norm).set_weights([gamma, beta, mean - bias, variance])
    return len(pairs)


def _keras_network(backbone: keras.Model) -> str:
    """The name in `keras.applications` of the network with the backbone's blocks and channels."""
    first_convs = [re.fullmatch(r"layer(\d)_\d+_conv1", layer.name) for layer in backbone.layers]
    stages = [int(found[1]) for found in first_convs if found]
    blocks = tuple(stages.count(stage) for stage in (1, 2, 3, 4))
    channels = tuple(output.shape[-1] for output in backbone.outputs)
    stem = backbone.get_layer("conv1").filters
    if blocks not in KERAS_NETWORKS or (stem, channels) != (_STEM, _CHANNELS):
        known = " and ".join(f"{b} ({name})" for b, name in KERAS_NETWORKS.items())
        raise LabkitError(
            f"There are no ImageNet weights for a ResNet with blocks {blocks}, channels {channels} "
            f"and {stem} channels in the stem. There are for blocks {known} with channels "
            f"{_CHANNELS} and {_STEM} in the stem: change backbone_blocks, backbone_channels or "
            "stem_channels, or train without these weights: --backbone-weights none."
        )
    return KERAS_NETWORKS[blocks]


def _keras_names(backbone):
    """(our convolution, our batch norm, beginning of Keras' names) for each convolution."""
    yield "conv1", "bn1", "conv1"
    for layer in backbone.layers:
        part = layer.name.split("_")
        if len(part) == 3 and part[2].startswith("conv"):
            stage, block, number = int(part[0][5:]), int(part[1]), int(part[2][4:])
            stem = f"conv{stage + 1}_block{block + 1}"
            yield layer.name, layer.name.replace("conv", "bn"), f"{stem}_{number}"
        elif layer.name.endswith("downsample_0"):
            stage, block = int(part[0][5:]), int(part[1])
            norm = layer.name.replace("downsample_0", "downsample_1")
            yield layer.name, norm, f"conv{stage + 1}_block{block + 1}_0"
