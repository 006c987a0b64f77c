"""The inverted residual: the block of MobileNetV2 and EfficientNet (Sandler et al. 2018).

A 1x1 convolution makes many channels out of few, a depthwise convolution looks at each of them by
itself, and another 1x1 convolution brings them back to few. The shortcut connects the thin ends,
hence "inverted". A 3x3 convolution of C channels costs 9 C^2 multiplications a cell; this block
costs 2 e C^2 + 9 e C for an expansion of e, and most of that in 1x1 convolutions, which are fast.
"""

from dataclasses import dataclass, replace

import keras
from keras import layers

from labkit.models.layers import batch_norm

STEM = 32  # channels of the first convolution, in both networks
ENDS = (1, 2, 4, 6)  # the stages, counted from 0, that end in C2 to C5, in both networks


@dataclass(frozen=True)
class Block:
    """An inverted residual.

    Attributes:
        channels: of the output.
        expansion: so many times the channels of the input lie in between; with 1 the first
            convolution is left out.
        kernel: side of the depthwise convolution.
        stride: of the depthwise convolution.
    """

    channels: int
    expansion: int
    kernel: int = 3
    stride: int = 1


def network(stages, config) -> keras.Model:
    """A stem and seven stages of inverted residuals: images [B, H, W, 3] to C2..C5.

    Args:
        stages: (how many blocks, their settings); only the first block of a stage has the stride.
        config: says how norms are set.
    """
    images = keras.Input((None, None, 3))
    x, maps, number = stem(images, config), [], 0
    for stage, (repeats, block) in enumerate(stages):
        for repeat in range(repeats):
            own = block if repeat == 0 else replace(block, stride=1)
            x = inverted_residual(x, own, config, f"block{number}")
            number += 1
        if stage in ENDS:
            maps.append(x)
    return keras.Model(images, maps, name="backbone")


def inverted_residual(x, block: Block, config, name: str):
    """A map [B, H, W, C] through a block: [B, H / stride, W / stride, block.channels].

    Strided convolutions are padded as TensorFlow's 'same' does, at the far side of an even map.
    """
    shortcut, frozen = x, config.freeze_batch_norm
    if block.expansion > 1:
        x = pointwise(x, block.expansion * x.shape[-1], f"{name}_expand")
        x = relu6(batch_norm(config, f"{name}_expand_bn", frozen=frozen)(x))
    x = layers.DepthwiseConv2D(
        block.kernel, block.stride, "same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = relu6(batch_norm(config, f"{name}_depthwise_bn", frozen=frozen)(x))
    x = pointwise(x, block.channels, f"{name}_project")
    x = batch_norm(config, f"{name}_project_bn", frozen=frozen)(x)  # and no activation
    if block.stride == 1 and shortcut.shape[-1] == block.channels:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def stem(x, config):
    """The first convolution: 3x3 with stride 2, batch norm, ReLU6."""
    x = layers.Conv2D(STEM, 3, 2, "same", use_bias=False, name="stem")(x)
    return relu6(batch_norm(config, "stem_bn", frozen=config.freeze_batch_norm)(x))


def pointwise(x, channels: int, name: str):
    """A 1x1 convolution without bias: a batch norm follows."""
    return layers.Conv2D(channels, 1, use_bias=False, name=name)(x)


def relu6(x):
    """ReLU cut off at 6, which 8-bit arithmetic can represent."""
    return layers.ReLU(max_value=6.0)(x)
