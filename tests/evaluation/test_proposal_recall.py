"""Recall of proposals: by hand, by its properties, and without objects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.evaluation.proposal_recall import best_overlaps, recall

A, B = [0, 0, 10, 10], [20, 20, 30, 30]
HALF_OF_A = [0, 0, 5, 10]


def test_best_overlap_of_each_object():
    found = best_overlaps([HALF_OF_A, [0, 0, 8, 10], B], [A, B, [50, 50, 60, 60]])
    np.testing.assert_allclose(found, [0.8, 1.0, 0.0], rtol=1e-6)
    assert found.dtype == np.float32


def test_nothing_proposed_and_nothing_there():
    assert best_overlaps([], [A, B]).tolist() == [0, 0]
    assert best_overlaps([A], []).shape == (0,)
    assert recall([np.zeros((0, 4))], [[A]]) == 0
    assert np.isnan(recall([[A]], [np.zeros((0, 4))]))
    assert np.isnan(recall([], []))


def test_recall_by_hand():
    proposals, objects = [[HALF_OF_A, A], [B]], [[A, B], [A]]
    assert recall(proposals, objects) == pytest.approx(1 / 3)
    assert recall(proposals, objects, iou=0.6, most=1) == 0
    # An IoU that is exactly the threshold counts.
    assert recall(proposals, objects, iou=0.5, most=1) == pytest.approx(1 / 3)


def test_one_proposal_may_cover_two_objects():
    assert recall([[A]], [[A, A]]) == 1


def test_one_array_for_each_picture():
    with pytest.raises(LabkitError, match="of 1 images and objects of 2"):
        recall([[A]], [[A], [B]])


boxes = st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2), max_size=8).map(
    lambda rows: np.float32([(y, x, y + h, x + w) for y, x, h, w in rows]).reshape(-1, 4)
)


@given(boxes, boxes, st.integers(0, 8))
def test_more_proposals_never_find_less_and_a_higher_bar_never_more(proposals, objects, most):
    few = recall([proposals], [objects], most=most)
    if not len(objects):
        assert np.isnan(few)
        return
    everything = recall([proposals], [objects])
    assert 0 <= few <= everything <= 1
    assert recall([proposals], [objects], iou=0.9) <= everything
    assert recall([np.concatenate([proposals, objects])], [objects], iou=1 - 1e-6) == 1
