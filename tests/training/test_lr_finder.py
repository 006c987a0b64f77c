"""The range test: rates rise, weights come back, the suggestion lies where the loss falls."""

import json

import numpy as np
import pytest

import labkit
from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.models.mask_rcnn import MaskRCNN
from labkit.training import TrainSettings
from labkit.training.lr_finder import RateTest, Rising, find_learning_rate, running_mean


def test_rates_rise_in_equal_ratios():
    rates = np.array([float(Rising(1e-4, 1.0, 5)(i)) for i in range(5)])
    np.testing.assert_allclose(rates, [1e-4, 1e-3, 1e-2, 1e-1, 1], rtol=1e-5)
    again = Rising.from_config(Rising(1e-4, 1.0, 5).get_config())
    assert float(again(3)) == pytest.approx(0.1)


def test_the_running_mean_starts_at_the_first_value():
    np.testing.assert_allclose(running_mean(np.full(7, 3.0)), 3.0)
    mean = running_mean(np.r_[np.zeros(50), np.ones(50)])
    assert mean[0] == 0 and 0.99 < mean[-1] < 1 and (np.diff(mean) >= 0).all()
    assert running_mean(np.array([])).shape == (0,)


def test_the_suggestion_of_a_known_curve():
    """A loss that falls from 3 to 1 around 1e-3, and rises steeply after 1e-1."""
    rates = np.geomspace(1e-5, 1, 400)
    octaves = np.log10(rates)
    losses = 2 - np.tanh(2 * (octaves + 3)) + np.maximum(octaves + 1, 0) ** 2 * 20
    test = RateTest(rates, losses, losses, diverged=True)
    assert 7e-4 < test.steepest < 1.5e-3
    assert 3e-2 < test.lowest < 1.5e-1
    assert test.lowest <= test.edge < 3 * test.lowest
    assert test.suggestion == pytest.approx(test.edge / 3)
    assert "suggested" in str(test) and "and then rose" in str(test)
    assert "never rose" in str(RateTest(rates, losses, losses, diverged=False))


@pytest.mark.parametrize("dip", [3e-4, 3e-3])
def test_a_flat_bottom_is_not_judged_by_its_deepest_dent(dip):
    """As good as the lowest from 1e-4 to 1e-2: where chance puts the lowest must not matter."""
    rates = np.geomspace(1e-6, 1, 300)
    losses = np.interp(np.log10(rates), [-6, -4, -2, 0], [3.0, 1.0, 1.0, 9.0])
    losses[np.abs(np.log(rates / dip)) < 0.1] -= 0.02
    test = RateTest(rates, losses, losses, diverged=True)
    assert test.lowest == pytest.approx(dip, rel=0.1)
    assert 9e-3 < test.edge < 1.2e-2 and 3e-3 < test.suggestion < 4e-3


def test_the_fall_at_the_beginning_is_not_the_steepest():
    """The biases settle within steps, at whatever rate the test begins with."""
    rates = np.geomspace(1e-5, 1e-1, 80)
    losses = np.r_[np.linspace(9, 3, 5), np.full(35, 3.0), np.linspace(3, 1, 20), np.full(20, 1.0)]
    test = RateTest(rates, losses, losses, diverged=False)
    assert rates[39] <= test.steepest <= rates[60]


@pytest.mark.parametrize("seed", range(5))
def test_the_steepest_fall_is_not_a_dent_of_the_noise(seed):
    """A loss that falls from 2.4 to 1.7 around 2e-4, in batches whose losses differ by as much."""
    rates = np.geomspace(1e-5, 1e-2, 60)
    losses = 2.05 - 0.35 * np.tanh(4 * np.log10(rates / 2e-4))
    losses += np.random.default_rng(seed).normal(0, 0.08, 60)
    losses[52] -= 0.6  # one batch of easy pictures, next to the minimum
    test = RateTest(rates, losses, running_mean(losses), diverged=False)
    assert test.lowest > 4e-3
    assert 1.5e-4 < test.steepest < 6e-4  # the running mean lags behind


def test_a_fall_of_few_steps_has_a_steepest_rate():
    rates = np.geomspace(1e-5, 1e-3, 14)
    losses = np.r_[np.linspace(3, 2, 4), np.full(10, 9.0)]
    assert RateTest(rates, losses, losses, diverged=True).steepest in rates[:4]
    assert RateTest(rates, losses[::-1], losses[::-1], diverged=False).steepest in rates[9:]


def test_what_json_holds():
    losses = np.r_[np.linspace(3, 1, 20), 8.0]
    rates = np.geomspace(1e-5, 1, 21)
    found = json.loads(json.dumps(RateTest(rates, losses, losses, diverged=True).to_dict()))
    assert found["edge"] == rates[19] and found["diverged"] is True
    assert found["rates"] == rates.tolist() and found["losses"] == found["smoothed"]


def test_weights_and_optimizer_come_back():
    data = labkit.shapes(8, size=64, seed=0)
    config = labkit.Config.preset(
        "tiny", image_min_side=64, image_max_side=64, max_instances=data.max_instances
    )
    model = labkit.MaskRCNN(config, data.class_names)
    model.compile(optimizer="sgd")
    optimizer = model.optimizer
    before = [w.copy() for w in model.get_weights()]
    settings = labkit.TrainSettings.preset("tiny", batch_size=2, canvas=(64, 64))
    # Rates of a thousand and more: the test must end by itself, and still give back the weights.
    found = find_learning_rate(model, data, settings, first=1e-3, last=1e9, steps=40)
    assert found.diverged and len(found.rates) < 40
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    assert np.isfinite(found.losses).all()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.optimizer is optimizer


@pytest.mark.parametrize("options", [{"first": 0}, {"first": 2.0, "last": 1.0}, {"steps": 3}])
def test_impossible_tests_are_refused(options):
    with pytest.raises(LabkitError, match="find_learning_rate: 'first' must be above 0"):
        find_learning_rate(None, None, **options)


def test_a_loss_that_breaks_at_once_suggests_nothing(monkeypatch, micro_config):
    data = shapes(4, 64, seed=1)
    model = MaskRCNN(micro_config, data.class_names)
    settings = TrainSettings(batch_size=2, canvas=(64, 64))
    with pytest.raises(LabkitError, match=r"broke after \d steps, .* lower 'first', which"):
        find_learning_rate(model, data, settings.replace(clip_norm=0.0), first=1e20, last=1e30)
