"""The other definitions of AP, worked out by hand beside COCO's."""

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.evaluation import evaluate_results
from labkit.evaluation.ap_variants import (
    cityscapes_ap,
    class_image_ap,
    image_aps,
    mean_image_ap,
    region_ap,
)

BOX = (0, 0, 20, 20)
ELSEWHERE = [(x, y, 20, 20) for y in (30, 60) for x in (0, 30, 60)]


def test_one_set_of_detections_and_five_numbers(compared, scene):
    # Image 1: one object, found at 0.9. Image 2: four objects, a false positive at 0.95, one found
    # at 0.8, three missed. In one curve: wrong, right, right of 5 objects.
    objects = [(1, 1, BOX)] + [(2, 1, box) for box in ELSEWHERE[:4]]
    detections = [(1, 1, BOX, 0.9), (2, 1, BOX, 0.95), (2, 1, ELSEWHERE[0], 0.8)]
    comparison = compared(objects, detections, classes=("cat",), masks=True)
    # precision 0, 1/2, 2/3 at recall 0, 0.2, 0.4; interpolated 2/3 up to 0.4
    coco = evaluate_results(*scene(objects, detections, classes=("cat",), masks=True))
    assert coco.segm["AP50"] == pytest.approx(41 * (2 / 3) / 101)
    assert region_ap(comparison) == pytest.approx(0.4 * 2 / 3)
    assert cityscapes_ap(comparison).AP50 == pytest.approx(
        0.2 * (0 + 1 / 2) / 2 + 0.2 * (1 / 2 + 2 / 3) / 2
    )
    # image 1 alone: 1; image 2 alone: precision 1/2 up to recall 1/4
    assert image_aps(comparison) == pytest.approx({1: 1.0, 2: 1 / 8})
    assert mean_image_ap(comparison) == pytest.approx(9 / 16)  # twice COCO's
    assert class_image_ap(comparison) == mean_image_ap(comparison)  # there is but one class


def test_the_mean_over_images_does_not_see_scores_that_cannot_be_compared(compared):
    # Each image ranks its own detections rightly, but image 2 is sure of everything it says.
    objects = [(1, 1, BOX), (2, 1, BOX)]
    detections = [(1, 1, BOX, 0.3), (2, 1, BOX, 0.9)]
    detections += [(2, 1, box, 0.8) for box in ELSEWHERE]
    comparison = compared(objects, detections, masks=True)
    assert mean_image_ap(comparison) == 1.0
    assert region_ap(comparison) == pytest.approx(0.5 + 0.5 * 2 / 8)


def test_classes_and_images_are_averaged_in_another_order(compared):
    # cats in both images, found in the first only; a dog in the first, found
    objects = [(1, 1, BOX), (2, 1, BOX), (1, 2, ELSEWHERE[0])]
    detections = [(1, 1, BOX, 0.9), (1, 2, ELSEWHERE[0], 0.8)]
    comparison = compared(objects, detections, masks=True)
    assert mean_image_ap(comparison) == pytest.approx((1 + 0) / 2)
    assert class_image_ap(comparison) == pytest.approx((1 / 2 + 1) / 2)
    assert region_ap(comparison) == pytest.approx((1 / 2 + 1) / 2)


def test_cityscapes_overlap_must_be_larger_than_the_threshold(compared, scene):
    half = [(1, 1, (0, 0, 20, 20))], [(1, 1, (0, 0, 20, 10), 0.9)]  # IoU exactly 0.5
    assert cityscapes_ap(compared(*half, masks=True)).AP50 == 0
    assert evaluate_results(*scene(*half, masks=True)).segm["AP50"] == pytest.approx(1)


def test_cityscapes_ignores_small_objects_groups_and_what_lies_in_them(compared):
    small = (50, 50, 9, 9)
    objects = [(1, 1, BOX), (1, 1, small), (1, 1, (60, 0, 40, 40), True)]
    good = (1, 1, BOX, 0.5)
    in_group, on_small, alarm = ((1, 1, box, 0.9) for box in ((62, 2, 10, 10), small, ELSEWHERE[0]))
    assert cityscapes_ap(compared(objects, [good], masks=True)).AP == 1
    for ignored in ([in_group], [on_small], [in_group, on_small]):
        assert cityscapes_ap(compared(objects, [good, *ignored], masks=True)).AP == 1
    # one false positive before the hit: precision 0 at recall 0, then 1/2 at recall 1
    assert cityscapes_ap(compared(objects, [good, alarm], masks=True)).AP == pytest.approx(1 / 4)
    # a group of another class ignores nothing
    other = (1, 2, (62, 2, 10, 10), 0.9)
    result = cityscapes_ap(compared([*objects, (2, 2, BOX)], [good, other], masks=True))
    assert result.per_class["cat"]["AP"] == 1 and result.per_class["dog"]["AP"] == 0


def test_cityscapes_counts_a_second_detection_as_wrong(compared):
    twice = compared([(1, 1, BOX)], [(1, 1, BOX, 0.9), (1, 1, (0, 0, 20, 19), 0.8)], masks=True)
    # precision 1 at recall 1, then 1/2 at the same recall: the area is up to recall 1 once
    assert cityscapes_ap(twice).AP50 == pytest.approx(1)
    worse_first = compared([(1, 1, BOX)], [(1, 1, BOX, 0.8), (1, 1, (0, 0, 20, 19), 0.9)])
    assert cityscapes_ap(worse_first).AP50 == pytest.approx(1)  # the better score is the hit


def test_equal_scores_are_one_point_of_the_cityscapes_curve(compared):
    comparison = compared(
        [(1, 1, BOX)], [(1, 1, BOX, 0.5), *((1, 1, box, 0.5) for box in ELSEWHERE[:3])]
    )
    assert cityscapes_ap(comparison).AP50 == pytest.approx(1 / 4)


def test_nothing_to_find_and_nothing_found(compared):
    empty = compared([], [(1, 1, BOX, 0.9)])
    assert cityscapes_ap(empty).AP == mean_image_ap(empty) == class_image_ap(empty) == -1
    unfound = compared([(1, 1, BOX)], [])
    assert cityscapes_ap(unfound).AP == mean_image_ap(unfound) == class_image_ap(unfound) == 0
    assert cityscapes_ap(unfound).per_class == {
        "cat": {"AP": 0.0, "AP50": 0.0},
        "dog": {"AP": -1.0, "AP50": -1.0},
    }
    with pytest.raises(LabkitError, match="iou_type='segm'"):
        region_ap(unfound)


def test_perfect_results_are_one_by_every_definition(compared):
    rng = np.random.default_rng(0)
    objects = [(image, int(rng.integers(1, 3)), box) for image in (1, 2) for box in ELSEWHERE]
    detections = [(*o, float(score)) for o, score in zip(objects, rng.random(12), strict=True)]
    comparison = compared(objects, detections, masks=True)
    assert cityscapes_ap(comparison).AP == pytest.approx(1)
    for definition in (mean_image_ap, class_image_ap, region_ap):
        assert definition(comparison) == pytest.approx(1)
