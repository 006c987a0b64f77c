"""Learning rates and optimizers: the numbers they promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from labkit.training import TrainSettings
from labkit.training.schedules import (
    AdamWithL2,
    SGDWithL2,
    WarmUp,
    inner,
    make_optimizer,
    plateau_factor,
    rate_of,
)


def rates(schedule, steps) -> list[float]:
    return [float(schedule(step)) for step in steps]


def test_the_warm_up_is_a_line_from_a_tenth_to_the_peak():
    got = rates(WarmUp(1.0, 100, 10, "constant"), [0, 5, 10, 99])
    np.testing.assert_allclose(got, [0.1, 0.55, 1.0, 1.0], rtol=1e-6)


def test_cosine_is_half_at_half_time_and_nothing_at_the_end():
    got = rates(WarmUp(2.0, 110, 10, "cosine"), [10, 60, 110, 500])
    np.testing.assert_allclose(got, [2.0, 1.0, 0.0, 0.0], atol=1e-6)


def test_steps_are_those_of_the_paper_or_any_others():
    papers = WarmUp(0.02, 90_000, 0, "step")
    np.testing.assert_allclose(
        rates(papers, [59_999, 60_001, 79_999, 80_001]), [0.02, 0.002, 0.002, 0.0002], rtol=1e-5
    )
    own = WarmUp(1.0, 100, 0, "step", milestones=(0.2, 0.5, 0.9))
    np.testing.assert_allclose(rates(own, [10, 30, 60, 95]), [1, 0.1, 0.01, 1e-3], rtol=1e-5)


def test_a_schedule_is_saved_with_its_model():
    schedule = WarmUp(0.5, 100, 10, "step", milestones=(0.5,))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    steps = range(0, 100, 7)
    assert rates(again, steps) == rates(schedule, steps)


@pytest.mark.parametrize(
    "losses, factor",
    [
        ([], 1.0),
        ([3.0] * 9, 1.0),  # no window is whole
        ([3.0] * 10, 1.0),  # one window: nothing to compare it with
        ([3.0] * 20, 0.1),
        ([3.0] * 10 + [2.0] * 10, 1.0),
        ([3.0] * 10 + [2.0] * 10 + [1.99] * 10, 0.1),  # less than 1 % is none
        ([3.0] * 10 + [2.0] * 20 + [1.5] * 10 + [1.6] * 10, 0.01),
        ([3.0] * 10 + [90.0] * 4 + [2.0] * 6, 1.0),  # spikes do not move the median
        ([1.0] * 200, 1e-3),  # and no lower
    ],
)
def test_a_plateau_takes_a_tenth(losses, factor):
    assert plateau_factor(losses, 10) == pytest.approx(factor)


@pytest.mark.parametrize("decay", [0.0, 1e-4])
@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adadelta"])
def test_every_optimizer_takes_a_step_downhill(name, decay):
    settings = TrainSettings(
        optimizer=name, learning_rate=0.1, warmup_steps=0, schedule="constant", weight_decay=decay
    )
    optimizer, x = make_optimizer(settings), keras.Variable([3.0, -2.0], name="kernel")
    for _ in range(3):
        optimizer.apply([2 * x.value], [x])
    assert np.all(np.abs(x.numpy()) < [3.0, 2.0])
    assert rate_of(optimizer, 0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "kind, plain", [(SGDWithL2, keras.optimizers.SGD), (AdamWithL2, keras.optimizers.Adam)]
)
def test_l2_is_part_of_the_gradient_and_spares_bias(kind, plain):
    names = ("kernel", "bias")
    ours, theirs = ([keras.Variable([2.0], name=n) for n in names] for _ in range(2))
    gradient = tf.constant([0.5])
    kind(0.1, l2=0.25).apply([gradient, gradient], ours)
    plain(0.1).apply([gradient + 0.25 * 2.0, gradient], theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)


def test_accumulated_gradients_make_one_step_of_their_mean():
    settings = TrainSettings(
        optimizer="sgd",
        learning_rate=0.1,
        warmup_steps=0,
        weight_decay=0,
        schedule="constant",
        clip_norm=0.0,
        accumulate=3,
        steps=6,
    )
    optimizer, x = make_optimizer(settings), keras.Variable([1.0], name="kernel")
    seen = []
    for gradient in (1.0, 2.0, 6.0):
        optimizer.apply([tf.constant([gradient])], [x])
        seen.append(float(x.numpy()[0]))
    assert seen == pytest.approx([1.0, 1.0, 1.0 - 0.1 * 3.0])


def test_float16_gets_a_loss_scale_around_the_same_optimizer():
    optimizer = make_optimizer(TrainSettings(precision="mixed_float16", ema=0.9))
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(inner(optimizer), keras.optimizers.AdamW) and inner(optimizer).use_ema
    assert rate_of(optimizer, 0) == pytest.approx(0.1 * TrainSettings().learning_rate)
