"""The learning rate that goes with a batch."""

import math

import pytest

from labkit.errors import LabkitError
from labkit.training import Stage, TrainSettings
from labkit.training.schedules import inner, make_optimizer, rate_of
from labkit.training.stages import legs


def test_the_rate_of_the_paper_becomes_the_preset_s():
    """0.02 for 16 images is 0.0025 for 2: what the preset for one GPU has worked out already."""
    preset = TrainSettings.preset("r50_fpn")
    paper = preset.replace(learning_rate=0.02, rate_for_batch=16)
    assert paper.peak_rate == pytest.approx(preset.peak_rate)


@pytest.mark.parametrize(
    ("optimizer", "factor"), [("sgd", 4), ("adam", 2), ("adamw", 2), ("adadelta", 2)]
)
def test_four_times_the_batch(optimizer, factor):
    settings = TrainSettings(
        optimizer=optimizer,
        batch_size=8,
        rate_for_batch=4,
        accumulate=2,
        learning_rate=0.01,
        warmup_steps=0,
        schedule="constant",
    )
    assert settings.peak_rate == pytest.approx(0.01 * factor)
    assert rate_of(inner(make_optimizer(settings)), 0) == pytest.approx(0.01 * factor)


def test_without_a_batch_of_its_own_a_rate_stays():
    assert TrainSettings(learning_rate=0.3, batch_size=64).peak_rate == 0.3


def test_a_stage_s_own_rate_is_scaled_too():
    stages = (Stage(steps=1, learning_rate=0.1), Stage(steps=1))
    settings = TrainSettings(stages=stages, learning_rate=0.01, batch_size=18, rate_for_batch=2)
    rates = [leg.settings.peak_rate for leg in legs(settings)]
    assert rates == pytest.approx([0.1 * math.sqrt(9), 0.01 * math.sqrt(9)])


def test_a_negative_batch_is_refused():
    with pytest.raises(LabkitError, match="rate_for_batch"):
        TrainSettings(rate_for_batch=-1)


def test_epochs_become_steps_within_the_limits():
    settings = TrainSettings(epochs=10, images_seen=(300, 900), batch_size=4, accumulate=2)
    lengths = {10: 76, 30: 76, 50: 126, 90: 226, 5000: 226}  # a multiple of 2
    assert {images: settings.planned(images).steps for images in lengths} == lengths
    assert settings.planned(10).planned(5000).steps == 76  # what is planned stays


def test_steps_that_are_given_replace_epochs():
    settings = TrainSettings.preset("lite0_fpn", steps=30)
    assert settings.epochs == 0 and settings.planned(61).steps == 30
    assert TrainSettings.preset("r50_fpn").planned(118_287).steps == pytest.approx(
        720_000, rel=0.01
    )


def test_a_range_of_images_has_two_ends():
    with pytest.raises(
        LabkitError, match="'images_seen' must be two numbers, the smaller one first"
    ):
        TrainSettings(images_seen=(30, 10))
