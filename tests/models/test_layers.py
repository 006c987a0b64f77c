"""The building blocks: group norm is Keras' own, in value and gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from labkit.models.layers import group_norm


def both(channels: int):
    """labkit's group norm and Keras', with the same random scale and shift."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(1, 0.3, channels), rng.normal(0, 0.3, channels)]
    made = group_norm("norm"), keras.layers.GroupNormalization(groups=8, epsilon=1e-3)
    for layer in made:
        layer.build((None, None, None, channels))
        layer.set_weights(weights)
    return made


@pytest.mark.parametrize("shape", [(2, 8, 8, 16), (3, 1, 5, 24), (1, 1, 1, 8), (0, 4, 4, 8)])
def test_group_norm_is_that_of_keras(shape):
    rng = np.random.default_rng(1)
    x = tf.constant(rng.normal(3, 2, shape), tf.float32)
    wanted = tf.constant(rng.normal(size=shape), tf.float32)
    answers = []
    for layer in both(shape[-1]):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y * wanted)
        gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
        answers.append([y, *gradients])
    for mine, theirs in zip(*answers, strict=True):
        # the sums are taken in another order
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=2e-5)


def test_group_norm_of_a_flat_map_is_its_shift():
    layer, _ = both(8)
    y = layer(tf.fill((1, 4, 4, 8), 1000.0))
    np.testing.assert_allclose(y[0, 0, 0], layer.beta, atol=0.02)  # 1e-3 under the root bounds it


def test_group_norm_does_not_overflow_in_float16():
    layer = group_norm("half")
    layer.dtype_policy = keras.DTypePolicy("mixed_float16")
    x = np.random.default_rng(2).normal(0, 300, (1, 8, 8, 8)).astype(np.float16)  # squares: 90,000
    y = layer(tf.constant(x))
    assert y.dtype == tf.float16
    assert np.isfinite(y.numpy()).all() and 0.8 < float(np.std(y)) < 1.2


def test_its_weights_have_the_name_that_keras_gives_them(tmp_path):
    """Files of weights written with Keras' layer still fit."""
    mine, theirs = both(8)
    inputs = keras.Input((4, 4, 8))
    keras.Model(inputs, theirs(inputs)).save_weights(tmp_path / "a.weights.h5")
    fresh = group_norm("another")
    keras.Model(inputs, fresh(inputs)).load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(fresh.gamma, mine.gamma)
