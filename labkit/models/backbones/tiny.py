"""A small residual network for two CPU cores: about a million parameters to C5.

Basic blocks of two 3x3 convolutions (He et al. 2015), with few channels where maps are large. The
stem is two strided 3x3 convolutions instead of a 7x7 and a pooling: this is cheaper and keeps more
detail, which matters at 128 px.
"""

import keras
from keras import layers

from labkit.models.layers import conv, downsample, group_norm


def build(config) -> keras.Model:
    """Images [B, H, W, 3] to C2..C5, of `config.backbone_channels` channels."""
    x = images = keras.Input((None, None, 3))
    x = downsample(x, config.stem_channels, 3, bias=False, name="stem")
    x = layers.ReLU()(group_norm("stem_norm")(x))
    maps = []
    stages = zip(config.backbone_channels, config.backbone_blocks, strict=True)
    for stage, (channels, blocks) in enumerate(stages, start=2):
        x = downsample(x, channels, 3, bias=False, name=f"c{stage}_down")
        x = layers.ReLU()(group_norm(f"c{stage}_down_norm")(x))
        for block in range(blocks):
            x = _basic_block(x, channels, f"c{stage}_{block}")
        maps.append(x)
    return keras.Model(images, maps, name="backbone")


def _basic_block(x, channels: int, name: str):
    y = conv(channels, 3, bias=False, name=f"{name}_conv1")(x)
    y = layers.ReLU()(group_norm(f"{name}_norm1")(y))
    y = conv(channels, 3, bias=False, name=f"{name}_conv2")(y)
    y = group_norm(f"{name}_norm2")(y)
    return layers.ReLU()(layers.Add()([x, y]))
