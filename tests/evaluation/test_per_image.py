"""Counts of single images, and the worst of them."""

import math

import pytest

from labkit.errors import LabkitError
from labkit.evaluation.per_image import CRITERIA, agreement, image_scores, worst_images

HERE, FAR = (0, 0, 20, 20), (60, 60, 20, 20)
LOOSE = (0, 0, 20, 16)  # IoU 0.8 with HERE


@pytest.fixture
def comparison(compared):
    """1: all found. 2: one missed. 3: a confident false positive. 4: empty. 5: loose, confused."""
    objects = [(1, 1, HERE), (2, 1, HERE), (2, 1, FAR), (5, 1, HERE), (5, 1, FAR)]
    detections = [
        (1, 1, HERE, 0.9),
        (2, 1, HERE, 0.9),
        (2, 1, FAR, 0.4),
        (3, 1, HERE, 0.95),
        (5, 1, LOOSE, 0.6),
        (5, 2, FAR, 0.7),
    ]
    return compared(objects, detections, images=(1, 2, 3, 4, 5))


def test_each_image_is_counted(comparison):
    rows = {row.image_id: row for row in image_scores(comparison)}
    counts = {i: (r.objects, r.found, r.missed, r.false_positives) for i, r in rows.items()}
    assert counts == {
        1: (1, 1, 0, 0),
        2: (2, 1, 1, 0),
        3: (0, 0, 0, 1),
        4: (0, 0, 0, 0),
        5: (2, 1, 1, 1),
    }
    assert [rows[i].f1 for i in (1, 2, 3, 4, 5)] == pytest.approx([1, 2 / 3, 0, 1, 1 / 2])
    assert rows[2].ap == 1 and rows[3].ap == rows[4].ap == -1  # AP counts weak detections too
    assert rows[5].mean_iou == pytest.approx(0.8) and math.isnan(rows[3].mean_iou)
    assert rows[3].highest_false_positive == 0.95 and rows[1].highest_false_positive == 0
    assert rows[5].missed == 1


@pytest.mark.parametrize(
    ("by", "first"),
    [
        ("f1", [3, 5, 2]),
        ("missed", [2, 5]),
        ("false_positives", [3, 5]),
        ("highest_false_positive", [3, 5]),
        ("mean_iou", [5, 1, 2]),
        ("ap", [5]),
    ],
)
def test_the_worst_come_first(comparison, by, first):
    order = [row.image_id for row in worst_images(image_scores(comparison), by)]
    assert order[: len(first)] == first and len(order) == 5


def test_any_criterion_and_count(comparison):
    rows = image_scores(comparison)
    assert [r.image_id for r in worst_images(rows, lambda r: r.image_id, 2)] == [5, 4]
    assert len(CRITERIA) == 6
    with pytest.raises(LabkitError, match="'size' is none of f1, ap"):
        worst_images(rows, "size")


def test_agreement_of_an_image_with_a_crowd(compared):
    objects = [(1, 1, (0, 0, 50, 50), True), (1, 1, FAR)]
    detections = [(1, 1, HERE, 0.9), (1, 1, FAR, 0.8), (1, 2, FAR, 0.7), (1, 1, HERE, 0.1)]
    found = agreement(compared(objects, detections).images[0])
    assert found.agreed == [(1, 1)] and found.missed == [] and found.false_positives == [2]
