"""The building blocks of every part of the network: convolutions and two kinds of norm.

They are Keras' layers, with the conventions of the papers' code set in one place.
"""

import keras
import tensorflow as tf
from keras import layers


def conv(
    filters: int,
    kernel: int,
    stride: int = 1,
    *,
    bias: bool = True,
    groups: int = 1,
    init="he_normal",
    name: str,
):
    """A 2-D convolution whose output has ceil(input / stride) cells.

    With stride 2, Keras' 'same' pads an even map at its far side only, which shifts features by
    half a cell; torch pads both sides. `downsample` does so before it calls this function, so a
    strided convolution is 'valid' here.
    """
    padding = "same" if stride == 1 else "valid"
    return layers.Conv2D(
        filters,
        kernel,
        stride,
        padding,
        groups=groups,
        use_bias=bias,
        kernel_initializer=init,
        name=name,
    )


def downsample(
    x, filters: int, kernel: int, *, bias: bool, groups: int = 1, init="he_normal", name: str
):
    """Halve a map with a strided convolution, padded equally on both sides (as torch does)."""
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    return conv(filters, kernel, 2, bias=bias, groups=groups, init=init, name=name)(x)


def batch_norm(config, name: str, *, frozen: bool = False):
    """Batch norm; if frozen, it uses its stored statistics and is not trained."""
    norm = layers.BatchNormalization(
        momentum=config.batch_norm_momentum, epsilon=config.batch_norm_epsilon, name=name
    )
    norm.trainable = not frozen
    return norm


def group_norm(name: str):
    """Group norm (Wu & He 2018): statistics of groups of channels in one image, none stored.

    With four images a step, batch statistics are noisy: from scratch, group norm learns the same
    in fewer steps.
    """
    return GroupNormalization(groups=8, epsilon=1e-3, name=name)


class GroupNormalization(layers.GroupNormalization):
    """Keras' layer for maps [B, H, W, C] in half the time; the same name, so saved weights fit.

    Keras splits the channels and computes on [B, H, W, G, C / G]. Here each channel is averaged
    first, and only the [B, C] means are split into groups.
    """

    def call(self, inputs):
        x = tf.cast(inputs, tf.float32)  # the squares of float16 overflow
        mean = self._of_groups(tf.reduce_mean(x, axis=(1, 2)))
        square = self._of_groups(tf.reduce_mean(tf.square(x), axis=(1, 2)))
        variance = tf.maximum(square - tf.square(mean), 0.0)
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        shift = self.beta - mean * scale
        return tf.cast(x * scale[:, None, None] + shift[:, None, None], self.compute_dtype)

    def _of_groups(self, means: tf.Tensor) -> tf.Tensor:
        """Means of channels [B, C] to the mean of each channel's group [B, C]."""
        members = means.shape[-1] // self.groups
        split = tf.reshape(means, (-1, self.groups, members))
        return tf.repeat(tf.reduce_mean(split, axis=2), members, axis=1)


def small_normal(std: float = 0.01):
    """Small random weights: the initialiser of every output layer."""
    return keras.initializers.RandomNormal(stddev=std)
