"""Recipes: whole, in order, and the paper's numbers where they are the paper's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.training import TrainSettings, recipe
from labkit.training.recipes import RECIPES
from labkit.training.schedules import make_optimizer, rate_of
from labkit.training.stages import PARTS

STAGED = [name for name in RECIPES if name != "paper"]


@given(st.sampled_from(STAGED), st.integers(6, 5000), st.sampled_from([1, 2]))
def test_stages_share_all_the_steps(name, steps, accumulate):
    steps *= accumulate
    settings = TrainSettings(steps=steps, accumulate=accumulate, learning_rate=1.0)
    made = recipe(name, settings)
    assert sum(stage.steps for stage in made.stages) == steps
    assert made.planned(100).steps == steps  # every length is a multiple of accumulate
    for stage, turn in zip(made.stages, RECIPES[name].turns, strict=True):
        assert stage.steps > 0 and stage.learning_rate == turn.rate
        assert abs(stage.steps - turn.share * steps) <= 2 * accumulate * len(made.stages)


def test_shares_are_whole():
    for name, known in RECIPES.items():
        assert sum(turn.share for turn in known.turns) == pytest.approx(1.0), name
        assert known.source and known.does and known.own


def test_the_papers_schedule():
    settings = recipe("paper", TrainSettings(batch_size=16))
    assert (settings.steps, settings.learning_rate) == (90_000, pytest.approx(0.02))
    assert (settings.optimizer, settings.momentum, settings.weight_decay) == ("sgd", 0.9, 1e-4)
    optimizer = make_optimizer(settings)
    rates = [rate_of(optimizer, step) for step in (59_990, 60_010, 80_010)]
    assert rates == pytest.approx([0.02, 0.002, 0.0002], rel=1e-4)


@pytest.mark.parametrize("batch, accumulate", [(2, 1), (2, 8), (1, 1)])
def test_other_batches_see_as_many_images(batch, accumulate):
    settings = recipe("paper", TrainSettings(batch_size=batch, accumulate=accumulate))
    assert settings.steps * batch == 90_000 * 16
    assert settings.peak_rate == pytest.approx(0.02 * batch * accumulate / 16)


def test_a_shorter_run_of_the_paper_warms_up_for_less():
    settings = recipe("paper", TrainSettings(batch_size=8), steps=900)
    assert (settings.steps, settings.warmup_steps) == (900, 10)


def test_the_order_is_the_reports():
    def words(name):
        return [stage.trains for stage in recipe(name, TrainSettings(steps=100)).stages]

    food = words("food")
    assert food[0] == "heads" and food[-1] == "all" and all(word in PARTS for word in food)
    (stage,) = recipe("cityscapes", TrainSettings(steps=100)).stages
    weights = {"objectness": 0, "rpn_box": 0, "class": 1, "box": 1, "mask": 1}
    assert stage.loss_weights == weights
    assert "rpn" not in stage.trains and "fpn" not in stage.trains


def test_steps_must_suit_accumulation():
    with pytest.raises(LabkitError, match="multiple of accumulate = 4, got 102"):
        recipe("food", TrainSettings(steps=102, accumulate=4))


def test_unknown_and_too_short():
    with pytest.raises(LabkitError, match="no recipe 'pizza'; there are: paper, food"):
        recipe("pizza", TrainSettings())
    with pytest.raises(LabkitError, match="5 stages, more than 4 steps"):
        recipe("food", TrainSettings(steps=4))
