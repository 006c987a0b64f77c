"""The confusion matrix, on cases small enough to count by hand."""

from pathlib import Path

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.evaluation import compare, confusion_matrix, evaluate_results
from labkit.evaluation.confusion import mean_overlaps, normalised, without_empty_classes
from labkit.models.detections import Detections
from labkit.ops.coco_masks import encode_rle
from labkit.ops.mask_boxes import boxes_from_masks

GOLDEN = Path(__file__).parents[1] / "golden"
SIZE = (40, 60)


def patch(y, x, height=10, width=10):
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def truth_of(objects):
    """objects: (image id, category id, mask, is it a crowd)."""
    return {
        "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in (1, 2)],
        "categories": [{"id": 5, "name": "disc"}, {"id": 9, "name": "ring"}],
        "annotations": [
            {
                "image_id": image_id,
                "category_id": category,
                "segmentation": encode_rle(mask),
                "iscrowd": int(crowd),
            }
            for image_id, category, mask, crowd in objects
        ],
    }


def found(image_id, class_ids, scores, masks):
    masks = np.array(masks, bool).reshape(-1, *SIZE)
    return Detections(
        boxes_from_masks(masks),
        scores,
        class_ids,
        masks=masks,
        class_names=("disc", "ring"),
        image_size=SIZE,
        image_id=image_id,
    )


def test_right_confused_missed_and_false_positives():
    truth = truth_of(
        [
            (1, 5, patch(0, 0), False),
            (1, 9, patch(0, 20), False),
            (1, 9, patch(0, 40), False),
            (2, 5, patch(20, 20), False),
        ]
    )
    detections = [
        found(1, [1, 1, 2], [0.9, 0.8, 0.7], [patch(0, 0), patch(1, 20), patch(25, 0)]),
        found(2, [1], [0.3], [patch(20, 20)]),  # too weak
    ]
    matrix = confusion_matrix(truth, detections)
    #                         missed disc ring
    assert matrix.tolist() == [[0, 0, 1], [1, 1, 0], [1, 1, 0]]
    assert confusion_matrix(truth, detections, score_threshold=0.3)[1].tolist() == [0, 2, 0]
    assert confusion_matrix(truth, detections, iou_threshold=0.95)[2].tolist() == [2, 0, 0]


def test_the_better_score_takes_the_object():
    truth = truth_of([(1, 5, patch(0, 0), False)])
    both = found(1, [1, 2], [0.7, 0.8], [patch(0, 0), patch(0, 1)])
    assert confusion_matrix(truth, both).tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_what_lies_in_a_crowd_is_not_counted():
    truth = truth_of([(1, 5, patch(0, 0, 30, 30), True)])
    inside = found(1, [2], [0.9], [patch(5, 5)])
    assert confusion_matrix(truth, inside).sum() == 0
    outside = found(1, [2], [0.9], [patch(5, 45)])
    assert confusion_matrix(truth, outside).tolist() == [[0, 0, 1], [0] * 3, [0] * 3]


def test_nothing_at_all():
    assert confusion_matrix(truth_of([]), []).tolist() == [[0] * 3] * 3
    assert confusion_matrix(truth_of([(1, 9, patch(0, 0), False)]), []).sum() == 1
    assert confusion_matrix(truth_of([]), [found(1, [], [], [])]).sum() == 0


def test_files_and_evaluations_fit_too():
    files = GOLDEN / "coco_main_gt.json", GOLDEN / "coco_main_dt.json"
    evaluation = evaluate_results(*files)
    for iou_type in ("segm", "bbox"):
        matrix = confusion_matrix(*files, iou_type=iou_type)
        np.testing.assert_array_equal(
            matrix, confusion_matrix(evaluation.coco_gt, evaluation.results, iou_type=iou_type)
        )
        objects = [numbers["objects"] for numbers in evaluation.per_class.values()]
        assert matrix[1:].sum(axis=1).tolist() == objects
        assert matrix[0, 0] == 0
        strong = sum(result["score"] >= 0.5 for result in evaluation.results)
        assert matrix[:, 1:].sum() <= strong  # those in crowds are not counted


def test_bad_input_is_named():
    one = found(1, [1], [0.9], [patch(0, 0)])
    with pytest.raises(LabkitError, match="two Detections carry the image id 1"):
        confusion_matrix(truth_of([]), [one, one])
    with pytest.raises(LabkitError, match="image_id 7 is not among"):
        confusion_matrix(truth_of([]), found(7, [1], [0.9], [patch(0, 0)]))
    with pytest.raises(LabkitError, match="'segm' or 'bbox'"):
        confusion_matrix(truth_of([]), [], iou_type="mask")
    boxes = [{"image_id": 1, "category_id": 5, "score": 0.9, "bbox": [0, 0, 9, 9]}]
    with pytest.raises(LabkitError, match="compare boxes with iou_type='bbox'"):
        confusion_matrix(truth_of([]), boxes)
    assert confusion_matrix(truth_of([]), boxes, iou_type="bbox")[0, 1] == 1


def test_shares_by_truth_and_by_prediction():
    matrix = np.array([[0, 4, 0, 0], [3, 12, 1, 0], [0, 2, 8, 0], [0, 0, 0, 0]])
    by_truth = normalised(matrix, "truth")
    np.testing.assert_allclose(by_truth.sum(axis=1), [1, 1, 1, 0])
    assert by_truth[1, 1] == 12 / 16
    by_found = normalised(matrix, "prediction")
    np.testing.assert_allclose(by_found.sum(axis=0), [1, 1, 1, 0])
    assert by_found[1, 1] == 12 / 18
    with pytest.raises(LabkitError, match="'truth' or 'prediction'"):
        normalised(matrix, "rows")


def test_classes_that_never_occur_are_dropped():
    matrix = np.zeros((5, 5), int)
    matrix[2, 2], matrix[4, 0], matrix[0, 4] = 5, 1, 2
    small, names = without_empty_classes(matrix, ["a", "b", "c", "d"])
    assert names == ["b", "d"]
    assert small.tolist() == [[0, 0, 2], [0, 5, 0], [1, 0, 0]]
    assert without_empty_classes(np.zeros((3, 3), int), ["a", "b"])[1] == []


def test_mean_overlaps_of_the_pairs():
    truth = truth_of(
        [(1, 5, patch(0, 0), False), (2, 5, patch(0, 0), False), (1, 9, patch(20, 20), False)]
    )
    detections = [
        found(1, [1, 1], [0.9, 0.8], [patch(0, 0, 5), patch(20, 20)]),
        found(2, [1], [0.7], [patch(0, 0)]),
    ]
    comparison = compare(truth, detections)
    means = mean_overlaps(comparison)
    assert means[1, 1] == pytest.approx((0.5 + 1) / 2) and means[2, 1] == 1
    assert np.isnan(means[0]).all() and np.isnan(means[:, 0]).all() and np.isnan(means[2, 2])
    assert np.isnan(mean_overlaps(comparison, score_threshold=1)).all()
    assert confusion_matrix(comparison).tolist() == confusion_matrix(truth, detections).tolist()
