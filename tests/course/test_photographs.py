"""The exercises of notebook 07 teach what labkit itself does."""

import numpy as np
import pytest

from labkit.course.exercises import photographs
from labkit.data import shapes
from labkit.evaluation import evaluate_results


def test_the_mean_of_classes_is_cocos_ap():
    """Stars are left out of the results, and the ground truth has no triangle."""
    names = ["rectangle", "ellipse", "star"]
    truth = shapes(12, 96, seed=3, classes=names).to_coco()
    truth["categories"].append({"id": 9, "name": "triangle"})
    star = names.index("star") + 1
    results = [
        a | {"score": 0.5 + a["id"] / 1000}
        for a in truth["annotations"]
        if a["category_id"] != star and a["id"] % 3
    ]
    evaluation = evaluate_results(truth, results)
    rows = list(evaluation.per_class.values())
    aps = np.array([row["segm"]["AP"] for row in rows])
    objects = np.array([row["objects"] for row in rows])
    assert aps[-1] == -1 and aps[2] == 0 and 0 < evaluation.segm["AP"] < 1
    assert photographs.CLASS_MEAN.reference(aps, objects) == pytest.approx(evaluation.segm["AP"])


@pytest.mark.parametrize("side, iou", [(100, 0.5), (64, 0.75)])
def test_a_shift_beyond_the_largest_fails_the_threshold(side, iou):
    def overlap(shift):
        canvas = np.zeros((2, side, 3 * side), bool)
        canvas[0, :, :side], canvas[1, :, shift : shift + side] = True, True
        return (canvas[0] & canvas[1]).sum() / (canvas[0] | canvas[1]).sum()

    largest = photographs.LARGEST_SHIFT.reference(side, iou)
    assert overlap(int(np.floor(largest))) >= iou > overlap(int(np.floor(largest)) + 1)
