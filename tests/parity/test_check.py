"""A check that cannot fail would prove nothing: each way to differ is seen."""

import math

import numpy as np
import pytest

from labkit.parity.check import Check, in_reference_order


def test_counts_and_keeps_the_largest_deviation():
    check = Check("numbers", atol=0.1).add([1.0, 2.0], [1.05, 2.0]).add([3.0], [3.01])
    assert check.ok and check.values == 3
    assert check.deviation == pytest.approx(0.05)


@pytest.mark.parametrize(
    "got, want",
    [
        ([1.2], [1.0]),
        ([np.nan], [1.0]),
        ([np.inf], [1.0]),
        ([1.0, 1.0], [1.0]),
        ([], [1.0]),
        ([np.nan], [np.nan]),
    ],
)
def test_what_is_too_far_or_no_number_or_of_another_shape_fails(got, want):
    assert not Check("numbers", atol=0.1).add(got, want).ok


def test_a_failure_is_not_forgotten():
    check = Check("numbers").add([1], [2]).add([1], [1])
    assert not check.ok and check.deviation == 1


def test_relative_and_absolute_tolerances_add_up():
    assert Check("n", atol=0.1, rtol=0.1).add([1.19], [1.0]).ok
    assert not Check("n", atol=0.1, rtol=0.1).add([1.21], [1.0]).ok
    assert Check("n", atol=1e-4).tolerance == "1e-04"
    assert Check("n", rtol=1e-4).tolerance == "1e-04 |v|"
    assert Check("n", 1e-4, 1e-5).tolerance == "1e-04 + 1e-05 |v|"
    assert Check("n").tolerance == "0"


def test_nothing_equals_nothing():
    check = Check("none").add(np.zeros((0, 4)), np.zeros((0, 4)))
    assert check.ok and check.values == 0 and not math.isinf(check.deviation)


def test_order_follows_boxes_and_classes():
    boxes = np.float32([[0, 0, 4, 4], [10, 10, 14, 14], [0, 0, 4, 4]])
    found = {"boxes": boxes, "classes": np.array([1, 1, 2]), "scores": np.array([0.9, 0.8, 0.7])}
    order = [2, 1, 0]
    mine = in_reference_order(found, boxes[order], found["classes"][order])
    np.testing.assert_array_equal(mine["scores"], found["scores"][order])
    assert mine["count"] == 3


@pytest.mark.parametrize("kept", [[0, 1], [0, 1, 1], [0, 1, 2, 2]])
def test_one_too_few_or_too_many_shows_in_the_count(kept):
    boxes = np.float32([[0, 0, 4, 4], [10, 10, 14, 14], [20, 0, 24, 4]])
    assert in_reference_order({"boxes": boxes[kept]}, boxes)["count"] != 3


def test_no_detections_on_either_side():
    none = np.zeros((0, 4), np.float32)
    assert in_reference_order({"boxes": none}, none)["count"] == 0
    some = np.ones((2, 4), np.float32)
    assert in_reference_order({"boxes": some}, none)["count"] != 0
