"""Precision and recall against the score threshold, counted by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.evaluation import compare
from labkit.evaluation.average_precision import outcomes
from labkit.evaluation.thresholds import pooled, threshold_curves

CAT, DOG = 1, 2
HERE, THERE, FAR = (0, 0, 20, 20), (40, 0, 20, 20), (40, 60, 20, 20)


@pytest.fixture
def curve(compared):
    """Right at 0.9, wrong at 0.8, right and wrong at 0.5; three cats, of which two are found."""
    objects = [(1, CAT, HERE), (1, CAT, THERE), (2, CAT, HERE)]
    detections = [
        (1, CAT, HERE, 0.9),
        (1, CAT, FAR, 0.8),
        (1, CAT, THERE, 0.5),
        (2, CAT, FAR, 0.5),
        (1, DOG, FAR, 0.99),
    ]
    return threshold_curves(compared(objects, detections))["cat"]


def test_the_counts_at_every_score(curve):
    assert curve.scores.tolist() == [0.9, 0.8, 0.5]  # equal scores cannot be parted
    assert curve.found.tolist() == [1, 1, 2] and curve.shown.tolist() == [1, 2, 4]
    assert curve.precision.tolist() == [1, 1 / 2, 1 / 2]
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert curve.f1 == pytest.approx([2 / 4, 2 / 5, 4 / 7])


@pytest.mark.parametrize(
    ("score", "found", "false_positives"),
    [(1.0, 0, 0), (0.91, 0, 0), (0.9, 1, 0), (0.85, 1, 0), (0.5, 2, 2), (0.0, 2, 2)],
)
def test_the_operating_point_at_any_score(curve, score, found, false_positives):
    point = curve.at(score)
    assert (point.score, point.found, point.false_positives) == (score, found, false_positives)
    assert point.missed == 3 - found
    assert point.recall == pytest.approx(found / 3)
    assert point.precision == (found / (found + false_positives) if found else 1.0)
    assert point.f1 == pytest.approx(2 * found / (found + false_positives + 3))


def test_thresholds_for_a_purpose(curve):
    assert curve.best().score == 0.5
    assert curve.for_precision(0.9).score == 0.9
    assert curve.for_precision(0.5).score == 0.5  # the most found of those precise enough
    assert curve.for_recall(0.3).score == 0.9
    assert curve.for_recall(0.6).score == 0.5
    assert curve.for_recall(0.7) is None and curve.for_precision(1.1) is None


def test_classes_without_objects_have_no_curve_and_all_classes_are_pooled(compared):
    objects = [(1, CAT, HERE), (1, DOG, FAR)]
    detections = [(1, CAT, HERE, 0.9), (1, DOG, FAR, 0.9), (1, DOG, THERE, 0.4), (2, 3, HERE, 0.99)]
    curves = threshold_curves(compared(objects, detections, classes=("cat", "dog", "cow")))
    assert list(curves) == ["cat", "dog"]
    whole = pooled(curves)
    assert (whole.name, whole.objects) == ("all classes", 2)
    assert whole.scores.tolist() == [0.9, 0.4]
    assert whole.found.tolist() == [2, 2] and whole.shown.tolist() == [2, 3]


def test_nothing_found_and_nothing_to_find(compared):
    unfound = threshold_curves(compared([(1, CAT, HERE)], []))["cat"]
    assert unfound.best() is None and unfound.at(0.5).missed == 1
    assert pooled({"cat": unfound}).scores.size == 0
    with pytest.raises(LabkitError, match="no object in the ground truth"):
        pooled(threshold_curves(compared([], [(1, CAT, HERE, 0.9)])))


@given(
    st.lists(
        st.tuples(st.sampled_from([HERE, THERE, FAR]), st.sampled_from([0.1, 0.4, 0.7])), max_size=8
    )
)
def test_the_best_threshold_is_best_and_the_curve_ends_at_the_whole(scene, detections):
    truth, results = scene(
        [(1, CAT, HERE), (1, CAT, FAR)], [(1, CAT, box, score) for box, score in detections]
    )
    comparison = compare(truth, results)
    curve = threshold_curves(comparison)["cat"]
    found = outcomes(comparison, CAT)
    assert curve.at(0).found == found.hits.sum()
    assert curve.at(0).false_positives == (~found.hits).sum()
    best = curve.best()
    if best is None:
        assert not found.hits.any()
    else:
        assert all(best.f1 >= curve.at(score).f1 for score in (0, 0.1, 0.4, 0.7, 1))
