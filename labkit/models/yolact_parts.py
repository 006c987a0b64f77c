"""The networks of a YOLACT: pyramid, prototypes, head, and a classifier of cells.

Source: YOLACT (Bolya et al. 2019, sec. 3 and 4). The pyramid differs from Mask R-CNN's in that it
enlarges maps by interpolation, has a ReLU behind every level, and makes the coarsest levels by
convolutions (as RetinaNet's does).
"""

import keras
import tensorflow as tf
from keras import layers

from labkit.models.layers import conv, downsample, group_norm, small_normal

XAVIER = "glorot_uniform"


class ResizeLike(layers.Layer):
    """A map [B, h, w, C] interpolated bilinearly to the rows and columns of another."""

    def call(self, inputs):
        x, like = inputs
        return tf.cast(tf.image.resize(x, tf.shape(like)[1:3]), x.dtype)

    def compute_output_shape(self, shapes):
        x, like = shapes
        return (x[0], *like[1:3], x[3])


class Doubled(layers.Layer):
    """A map [B, h, w, C] interpolated bilinearly to twice its rows and columns.

    Keras' UpSampling2D does this for sizes that are known when a graph is made, and only then.
    """

    def call(self, x):
        return tf.cast(tf.image.resize(x, 2 * tf.shape(x)[1:3]), x.dtype)

    def compute_output_shape(self, shape):
        twice = (side and 2 * side for side in shape[1:3])
        return (shape[0], *twice, shape[3])


def first_level(config) -> int:
    """The number of the finest level: 2 for strides from 4 on, 3 from 8 on."""
    return {4: 2, 8: 3}[config.strides[0]]


def pyramid(config, channels) -> keras.Model:
    """C2..C5 or C3..C5 to the levels at `config.strides`, of `config.fpn_channels` channels.

    Args:
        config: a `YolactConfig`.
        channels: of the backbone's maps that it reads.
    """
    first, width = first_level(config), config.fpn_channels
    maps = [keras.Input((None, None, c)) for c in channels]
    x, merged = None, []
    for level in range(5, first - 1, -1):  # top-down
        c = maps[level - first]
        lateral = conv(width, 1, init=XAVIER, name=f"lateral{level}")(c)
        if x is not None:
            lateral = layers.Add()([lateral, ResizeLike(name=f"up{level}")([x, lateral])])
        x = lateral
        merged.insert(0, x)
    outputs = [
        _conv_relu(x, width, config, f"level{level}") for level, x in enumerate(merged, first)
    ]
    for level in range(6, first + len(config.strides)):
        outputs.append(
            downsample(outputs[-1], width, 3, bias=True, init=XAVIER, name=f"level{level}")
        )
    return keras.Model(maps, outputs, name="fpn")


def prototype_net(config) -> keras.Model:
    """The finest level [B, h, w, C] to prototypes [B, 2h, 2w, config.prototypes], none negative."""
    x = features = keras.Input((None, None, config.fpn_channels))
    channels = config.prototype_channels or config.fpn_channels
    for i in range(config.prototype_convs):
        x = _conv_relu(x, channels, config, f"conv{i}")
    x = Doubled(name="up")(x)
    x = _conv_relu(x, channels, config, f"conv{config.prototype_convs}")
    x = layers.ReLU()(conv(config.prototypes, 1, init=XAVIER, name="prototypes")(x))
    return keras.Model(features, x, name="prototypes")


def head(config, classes: int) -> keras.Model:
    """The network that all levels share: a map to the deltas, logits and coefficients of anchors.

    For A anchors at a cell [h, w]: deltas [h, w, 4 A], logits of background and classes
    [h, w, (1 + N) A], coefficients in -1..1 [h, w, k A].
    """
    x = features = keras.Input((None, None, config.fpn_channels))
    channels, anchors = config.head_channels or config.fpn_channels, config.anchors_per_cell
    x = _conv_relu(x, channels, config, "conv")
    deltas = conv(4 * anchors, 3, init=small_normal(), name="deltas")(x)
    logits = conv((1 + classes) * anchors, 3, init=small_normal(), name="logits")(x)
    # Not small: where coefficients are nearly 0, prototypes learn nothing.
    coefficients = conv(config.prototypes * anchors, 3, init=XAVIER, name="coefficients")(x)
    coefficients = layers.Activation("tanh", name="tanh")(coefficients)
    return keras.Model(features, [deltas, logits, coefficients], name="head")


def semantic_net(config, classes: int) -> keras.Model:
    """The finest level to a logit for every class at every cell: a lesson for the features alone.

    Detection does not use it.
    """
    features = keras.Input((None, None, config.fpn_channels))
    logits = conv(classes, 1, init=small_normal(), name="logits")(features)
    return keras.Model(features, logits, name="semantic")


def _conv_relu(x, channels: int, config, name: str):
    """A 3x3 convolution and ReLU, with group norm between them where the config says so."""
    x = conv(channels, 3, init=XAVIER, name=name)(x)
    if config.group_norm:
        x = group_norm(f"{name}_gn")(x)
    return layers.ReLU()(x)
