"""Truth and results side by side."""

from pathlib import Path

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.evaluation import compare, evaluate_results

GOLDEN = Path(__file__).parents[1] / "golden"
PATHS = GOLDEN / "coco_main_gt.json", GOLDEN / "coco_main_dt.json"


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_overlaps_are_those_of_pycocotools(kind):
    comparison = compare(*PATHS, iou_type=kind)
    stored = np.load(GOLDEN / "coco_main.npz")
    ids, pairs_of = stored["cat_ids"].tolist(), {p.image_id: p for p in comparison.images}
    for key in [k for k in stored if k.startswith(f"{kind}_iou_1")]:
        image, category = map(int, key.split("_")[2:])
        pairs = pairs_of[image]
        class_id = ids.index(category) + 1
        mine = pairs.overlaps[pairs.classes == class_id][:, pairs.object_classes == class_id]
        np.testing.assert_array_equal(mine, stored[key])


def test_an_evaluation_compares_what_it_evaluated():
    evaluation = evaluate_results(*PATHS)
    comparison = compare(evaluation)
    assert comparison.iou_type == "segm" and compare(comparison) is comparison
    assert comparison.class_names == evaluation.class_names
    assert comparison.object_counts()[1:].tolist() == [
        row["objects"] for row in evaluation.per_class.values()
    ]
    assert [p.image_id for p in comparison.images] == sorted(p.image_id for p in comparison.images)
    for pairs in comparison.images:
        assert (np.diff(pairs.scores) <= 0).all()
        assert pairs.overlaps.shape == (len(pairs.classes), len(pairs.object_classes))
    assert compare(evaluation, iou_type="bbox").iou_type == "bbox"
    assert compare(evaluate_results(*PATHS, iou_types=["bbox"])).iou_type == "bbox"


def test_images_of_a_class_and_bad_kinds(compared):
    here = (0, 0, 9, 9)
    comparison = compared([(1, 1, here)], [(2, 2, here, 0.5), (2, 1, here, 0.4)], images=(1, 2, 3))
    assert [p.image_id for p in comparison.images_with(1)] == [1, 2]
    assert [p.image_id for p in comparison.images_with(2)] == [2]
    with pytest.raises(LabkitError, match="'segm' or 'bbox'"):
        compare(*PATHS, iou_type="mask")
