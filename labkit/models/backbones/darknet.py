"""Darknet-53: the backbone of YOLOv3 (Redmon & Farhadi 2018) and of YOLACT's fastest network.

A ResNet without poolings: a strided 3x3 convolution halves the map, and a block adds to it what a
1x1 convolution to half the channels and a 3x3 convolution back make of it. After every convolution
come a batch norm and a leaky ReLU, after the sum nothing.

Layers are named after YOLACT's: `layers_3_2_conv1_0` is its `layers.3.2.conv1.0`, the first
convolution of the second block of the fourth stage (block 0 is what halves the map), and 1 in place
of the last 0 its batch norm. `config.leaky_slope` is 0.1 in Darknet and YOLACT; the ImageNet
weights of timm were trained with 0.01.
"""

import keras
from keras import layers

from labkit.models.layers import batch_norm, conv, downsample

STEM = 32
STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))  # channels, blocks


def build(config) -> keras.Model:
    """Images [B, H, W, 3] to C2..C5 of 128, 256, 512 and 1024 channels."""
    images = keras.Input((None, None, 3))
    x = conv(STEM, 3, bias=False, name="preconv_0")(images)
    x = _norm_and_activation(x, config, "preconv_1")
    maps = []
    for stage, (channels, blocks) in enumerate(STAGES):
        name = f"layers_{stage}"
        x = downsample(x, channels, 3, bias=False, name=f"{name}_0_0")
        x = _norm_and_activation(x, config, f"{name}_0_1")
        for block in range(1, blocks + 1):
            x = _residual(x, config, f"{name}_{block}")
        maps.append(x)
    return keras.Model(images, maps[1:], name="backbone")  # the first is at stride 2


def _residual(x, config, name: str):
    """1x1 down to half the channels, 3x3 back up, added to the input."""
    channels = x.shape[-1]
    y = conv(channels // 2, 1, bias=False, name=f"{name}_conv1_0")(x)
    y = _norm_and_activation(y, config, f"{name}_conv1_1")
    y = conv(channels, 3, bias=False, name=f"{name}_conv2_0")(y)
    y = _norm_and_activation(y, config, f"{name}_conv2_1")
    return layers.Add(name=f"{name}_add")([x, y])


def _norm_and_activation(x, config, name: str):
    x = batch_norm(config, name, frozen=config.freeze_batch_norm)(x)
    return layers.LeakyReLU(negative_slope=config.leaky_slope)(x)
