"""Ground truth and detections side by side."""

from pathlib import Path

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.evaluation import compare, evaluate_results
from labkit.evaluation.error_types import error_types

GOLDEN = Path(__file__).parents[1] / "golden"
PATHS = GOLDEN / "coco_main_gt.json", GOLDEN / "coco_main_dt.json"


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_overlaps_are_those_of_pycocotools(kind):
    comparison = compare(*PATHS, iou_type=kind)
    stored = np.load(GOLDEN / "coco_main.npz")
    ids = stored["cat_ids"].tolist()
    for key in [k for k in stored if k.startswith(f"{kind}_iou_1")]:
        image, category = map(int, key.split("_")[2:])
        pairs = comparison.image(image)
        class_id = ids.index(category) + 1
        mine = pairs.overlaps[pairs.classes == class_id][:, pairs.object_classes == class_id]
        np.testing.assert_array_equal(mine, stored[key])


def test_an_image_that_was_not_compared():
    comparison = compare(*PATHS)
    with pytest.raises(LabkitError, match=f"no image 'x' among the {len(comparison.images)} that"):
        comparison.image("x")


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


def crowded(count: int):
    """One picture with so many squares of 4 px, and all of them found."""
    places = [(i % 40 * 5, i // 40 * 5) for i in range(count)]
    squares = [
        {
            "image_id": 1,
            "category_id": 1,
            "bbox": [x, y, 4, 4],
            "area": 16,
            "iscrowd": 0,
            "segmentation": [[x, y, x + 4, y, x + 4, y + 4, x, y + 4]],
        }
        for x, y in places
    ]
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "height": 200, "width": 200}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [s | {"id": i} for i, s in enumerate(squares, 1)],
    }
    return evaluate_results(truth, [s | {"score": 0.9} for s in squares], max_dets=count)


def test_hundreds_of_masks_in_a_picture():
    """From 256 masks on, pycocotools 2.0.11 cannot take their areas at once."""
    comparison = compare(crowded(300))
    assert comparison.images[0].areas.tolist() == [16.0] * 300
    assert error_types(comparison, max_dets=300).counts["missed"] == 0
