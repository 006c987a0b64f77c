"""The six error types: one made-up case of each, and invariants of all."""

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.evaluation import compare, evaluate_results
from labkit.evaluation.error_types import ERROR_TYPES, ap_after_fixing, error_types

GOLDEN = Path(__file__).parents[1] / "golden"
CAT, DOG = 1, 2
HERE, FAR = (10, 10, 20, 20), (60, 60, 20, 20)
SHIFTED = (20, 10, 20, 20)  # IoU 1/3 with HERE


def types(result):
    return [error.type for error in result.errors]


def one_error(compared, objects, detections, expected):
    result = error_types(compared(objects, detections))
    assert types(result) == expected
    assert result.counts == {name: expected.count(name) for name in ERROR_TYPES}
    return result


@pytest.mark.parametrize("background, found", [(0.0, 0.5), (0.5, 0.5), (0.1, 1.5)])
def test_thresholds_that_make_no_sense(compared, background, found):
    comparison = compared([], [(1, CAT, HERE, 0.9)])
    with pytest.raises(LabkitError, match="background_iou must be above 0 and below found_iou"):
        error_types(comparison, background_iou=background, found_iou=found)


def test_nothing_wrong(compared):
    result = one_error(compared, [(1, CAT, HERE)], [(1, CAT, HERE, 0.9)], [])
    assert result.ap == 1 and set(result.costs.values()) == {0.0}


def test_classification(compared):
    objects = [(1, CAT, HERE), (1, DOG, FAR)]
    detections = [(1, DOG, HERE, 0.9), (1, DOG, FAR, 0.8)]
    result = one_error(compared, objects, detections, ["classification"])
    assert result.ap == pytest.approx((0 + 1 / 2) / 2)  # cats: none; dogs: a false positive first
    assert result.costs["classification"] == pytest.approx(1 - result.ap)
    error = result.errors[0]
    assert (error.image_id, error.entry, error.object) == (1, 0, 0)


def test_localisation(compared):
    result = one_error(compared, [(1, CAT, HERE)], [(1, CAT, SHIFTED, 0.9)], ["localisation"])
    assert result.ap == 0 and result.costs["localisation"] == 1
    assert result.costs["missed"] == 0  # not missed: a detection belongs to it


def test_both(compared):
    result = one_error(compared, [(1, CAT, HERE)], [(1, DOG, SHIFTED, 0.9)], ["both", "missed"])
    assert result.costs["both"] == 0  # taking it away finds no cat
    assert result.costs["missed"] == 1


def test_duplicate(compared):
    objects = [(1, CAT, HERE), (2, CAT, HERE)]
    detections = [(1, CAT, HERE, 0.9), (1, CAT, (10, 10, 20, 19), 0.8), (2, CAT, HERE, 0.7)]
    result = one_error(compared, objects, detections, ["duplicate"])
    # right, wrong, right of two: 51 recalls at precision 1 and 50 at 2/3
    assert result.costs["duplicate"] == pytest.approx(1 - (51 + 50 * 2 / 3) / 101)


def test_background(compared):
    objects, detections = [(1, CAT, HERE)], [(1, CAT, FAR, 0.9), (1, CAT, HERE, 0.8)]
    result = one_error(compared, objects, detections, ["background"])
    assert result.costs["background"] == pytest.approx(1 / 2)


def test_missed(compared):
    result = one_error(compared, [(1, CAT, HERE), (2, CAT, FAR)], [(1, CAT, HERE, 0.9)], ["missed"])
    assert result.costs["missed"] == pytest.approx(1 - 51 / 101)
    assert (result.errors[0].image_id, result.errors[0].entry, result.errors[0].object) == (
        2,
        None,
        1,
    )


def test_fixing_several_errors_on_an_object_keeps_only_the_best(compared):
    objects = [(1, CAT, HERE)]
    detections = [(1, CAT, SHIFTED, 0.5), (1, DOG, HERE, 0.9), (1, CAT, (18, 10, 20, 20), 0.7)]
    comparison = compared(objects, detections)
    assert sorted(types(error_types(comparison))) == [
        "classification",
        "localisation",
        "localisation",
    ]
    # fixing localisation finds the cat at 0.7 and drops the other one
    assert ap_after_fixing(comparison, ["localisation"]) == 1
    assert ap_after_fixing(comparison, ERROR_TYPES) == 1


def test_crowds_are_no_errors_and_hide_none(compared):
    objects = [(1, CAT, (0, 0, 50, 50), True), (1, CAT, FAR)]
    inside, outside = (1, CAT, HERE, 0.9), (1, CAT, (60, 5, 20, 20), 0.8)
    assert types(error_types(compared(objects, [inside, (1, CAT, FAR, 0.7)]))) == []
    assert types(error_types(compared(objects, [inside, outside]))) == ["background", "missed"]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("name", ["main", "edge"])
def test_the_ap_before_fixing_is_cocos(name, kind):
    paths = GOLDEN / f"coco_{name}_gt.json", GOLDEN / f"coco_{name}_dt.json"
    result = error_types(compare(*paths, iou_type=kind))
    assert result.ap == pytest.approx(getattr(evaluate_results(*paths), kind)["AP50"], abs=1e-12)


places = st.sampled_from([HERE, SHIFTED, FAR, (12, 10, 20, 20), (60, 66, 20, 20), (40, 40, 5, 5)])
one_object = st.tuples(st.sampled_from([1, 2]), st.sampled_from([CAT, DOG]), places, st.booleans())
one_detection = st.tuples(
    st.sampled_from([1, 2]), st.sampled_from([CAT, DOG]), places, st.sampled_from([0.2, 0.5, 0.9])
)


@given(objects=st.lists(one_object, max_size=6), detections=st.lists(one_detection, max_size=8))
@settings(max_examples=40)
def test_invariants_on_random_scenes(scene, objects, detections):
    truth, results = scene(objects, detections)
    comparison = compare(truth, results)
    result = error_types(comparison)
    false = [error for error in result.errors if error.entry is not None]
    assert len({error.entry for error in false}) == len(false)  # one type each
    counted = comparison.object_counts().sum()
    if not counted:
        assert result.ap == -1 and set(result.costs.values()) == {0.0}
        return
    assert ap_after_fixing(comparison, ERROR_TYPES) == pytest.approx(1)
    assert ap_after_fixing(comparison, ()) == result.ap
    assert min(result.costs.values()) >= -1e-12  # fixing never harms
    ap50 = evaluate_results(truth, results).bbox["AP50"]
    assert result.ap == pytest.approx(ap50, abs=1e-12)
    if result.ap == pytest.approx(1):
        assert not any(error.entry is None for error in result.errors)


def test_fixing_two_types_is_at_least_as_good_as_one(compared):
    objects = [(1, CAT, HERE), (1, DOG, FAR), (2, CAT, HERE), (2, CAT, FAR)]
    detections = [
        (1, DOG, HERE, 0.9),
        (1, DOG, (60, 70, 20, 20), 0.8),
        (2, CAT, HERE, 0.7),
        (2, CAT, HERE, 0.6),
        (2, DOG, (0, 60, 9, 9), 0.95),
    ]
    comparison = compared(objects, detections)
    single = {name: ap_after_fixing(comparison, [name]) for name in ERROR_TYPES}
    for pair in combinations(ERROR_TYPES, 2):
        assert ap_after_fixing(comparison, pair) >= max(single[name] for name in pair) - 1e-12
