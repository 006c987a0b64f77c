"""Design tasks: the outcome of an answer is measured, whatever the way to it."""

import numpy as np
import pytest

from labkit.course import check
from labkit.course.design import Design
from labkit.course.exercises import EXERCISES, anchor_design, box_design, rate_design

TINY = ((12, 24, 48, 96, 160), (0.5, 1, 2))


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.json"))


def cosine(peak, warmup=0):
    def schedule(step):
        if step < warmup:
            return peak * (step + 1) / warmup
        return peak * (1 + np.cos(np.pi * (step - warmup) / (rate_design.STEPS - warmup))) / 2

    return schedule


@pytest.mark.parametrize(
    "answer, message, hint",
    [
        (TINY, "1 of 3 objects fit", "about 10 times as high as wide"),
        # the right ratio is not enough: on P3 its anchors stand too far apart
        (((12, 26, 48, 60, 160), (1, 4.6, 10)), "2 of 3", "anchors of its size stand 8 px apart"),
        (((26, 12, 48, 160, 160), (1, 4.6, 10)), "of 3 objects", "√(h·w)"),
        (((26, 15, 26, 60, 160), (1, 2, 4.6, 7, 10)), "more than 9,000", "which of yours"),
        ((TINY[0][:3], (1,)), "'anchor_sizes' must have 5 values", ""),
        ("garbage", "give (sizes, ratios)", ""),
        (None, "give (sizes, ratios)", ""),
    ],
)
def test_anchors_that_do_not_fit_yet(answer, message, hint):
    verdict = check("rocket_anchors", answer)
    assert not verdict.passed and message in verdict.message and hint in verdict.hint


@pytest.mark.parametrize("ratios", [(1.2, 4.6, 10), (1, 5, 11)])
def test_more_than_one_answer_fits(ratios):
    assert check("rocket_anchors", ((26, 15, 26, 60, 160), ratios)).passed


SHIFTED, LARGER, SMALLER = (40, 60, 80, 120), (20, 40, 100, 100), (40, 40, 60, 100)


@pytest.mark.parametrize(
    "answer, message, hint",
    [
        ((SHIFTED, (30, 30, 90, 110), SMALLER), "larger 0.50", ""),
        ((SHIFTED, (20, 20, 100, 120), SMALLER), "larger 0.30", "What is the union?"),
        (((40, 70, 80, 130), LARGER, SMALLER), "shifted 0.33", "shares w − s"),
        ((SHIFTED, LARGER, (45, 45, 75, 95)), "smaller 0.62", "What is the intersection?"),
        ((LARGER, LARGER, SMALLER), "shifted 0.50", "be 40 pixels high and 60 wide"),
        ((SHIFTED, SHIFTED, SMALLER), "larger 0.50", "contain the whole object"),
        ((SHIFTED, LARGER, LARGER), "smaller 0.50", "lie within the object"),
        ((SHIFTED, LARGER), "give three boxes", ""),
        ((SHIFTED, LARGER, (40, 40, 40, 100)), "a box without area", ""),
        (None, "give three boxes", ""),
    ],
)
def test_boxes_with_the_same_iou(answer, message, hint):
    verdict = check("equal_iou", answer)
    assert message in verdict.message and hint in verdict.hint
    assert verdict.passed == (message == "larger 0.50" and not hint)


def test_a_shift_along_the_other_side_is_as_good():
    half = np.sqrt(2)
    around = (60 - 20 * half, 70 - 30 * half, 60 + 20 * half, 70 + 30 * half)
    within = (60 - 20 / half, 70 - 30 / half, 60 + 20 / half, 70 + 30 / half)
    down = 40 / 3
    assert check("equal_iou", ((40 + down, 40, 80 + down, 100), around, within)).passed
    y1, x1, y2, x2 = box_design.OBJECT
    assert (y2 - y1, x2 - x1) == (40, 60)  # as a hint says


def test_the_objects_are_those_of_the_photo():
    from skimage import data

    from labkit.models.config import Config
    from labkit.models.resize import padded_shape, resized_shape
    from labkit.widgets.anchors import ROCKET

    shape = data.rocket().shape[:2]
    config = Config.preset("tiny")
    resized = resized_shape(*shape, config)
    assert padded_shape(*resized, config) == anchor_design.CANVAS
    for name, box in anchor_design.OBJECTS.items():
        scale = np.tile(np.array(resized) / shape, 2)
        np.testing.assert_allclose(
            box, np.array(ROCKET[name.replace("with", "and")]) * scale, atol=1.1, err_msg=name
        )


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.15, 0.2])
def test_no_constant_rate_is_enough(rate):
    assert not check("schedule", lambda step: rate).passed
    assert not check("schedule", cosine(rate)).passed


@pytest.mark.parametrize("rate, hint", [(0.05, "flat directions"), (0.2, "jumps about")])
def test_the_hint_names_what_keeps_a_constant_rate_back(rate, hint):
    assert hint in check("schedule", lambda step: rate).hint


def test_a_high_rate_needs_a_warm_up():
    verdict = check("schedule", cosine(1.2))
    assert not verdict.passed and "diverges" in verdict.message
    verdict = check("schedule", cosine(1.2, warmup=50))
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    "answer, message",
    [
        (0.1, "give a function"),
        (lambda step: -1, "negative or not finite"),
        (lambda step: float("nan"), "negative or not finite"),
        (lambda step: 1 / 0, "ZeroDivisionError"),
        (lambda step: None, "TypeError"),
    ],
)
def test_schedules_of_another_form(answer, message):
    verdict = check("schedule", answer)
    assert not verdict.passed and message in verdict.message


@pytest.mark.parametrize("design", [e for e in EXERCISES.values() if isinstance(e, Design)])
def test_every_design_has_steps_of_hints(design):
    assert len(design.hints) >= 3
