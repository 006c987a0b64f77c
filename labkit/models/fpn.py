"""The feature pyramid: each level combines the meaning of the deep maps with its own detail.

Source: Feature Pyramid Networks (Lin et al. 2017).
"""

import keras
from keras import layers

from labkit.models.layers import batch_norm, conv


def feature_pyramid(config, channels) -> keras.Model:
    """C2..C5 to P2..P6 (at `config.strides`), all with `config.fpn_channels` channels.

    Args:
        config: A `Config`.
        channels: Of C2..C5, as the backbone returns them.
    """
    maps = [keras.Input((None, None, c)) for c in channels]
    x, outputs = None, []
    for level in (5, 4, 3, 2):  # top-down
        lateral = _conv(maps[level - 2], 1, config, f"inner{level}")
        if x is not None:
            lateral = layers.Add()([lateral, layers.UpSampling2D(2, name=f"up{level}")(x)])
        x = lateral
        outputs.insert(0, _conv(x, 3, config, f"layer{level}"))
    # P6 and beyond exist for the largest anchors only: every second cell of the level below.
    for level in range(6, 2 + len(config.strides)):
        outputs.append(layers.MaxPooling2D(1, 2, name=f"pool{level}")(outputs[-1]))
    return keras.Model(maps, outputs, name="fpn")


def _conv(x, kernel: int, config, name: str):
    norm = config.fpn_batch_norm
    x = conv(config.fpn_channels, kernel, bias=not norm, init="glorot_uniform", name=name)(x)
    return batch_norm(config, f"{name}_bn")(x) if norm else x
