"""The from-scratch AP: each step by hand, and the whole against pycocotools."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from labkit.evaluation import compare, evaluate_results
from labkit.evaluation.average_precision import (
    COCO_IOUS,
    area_under_curve,
    average_precision,
    coco_101_points,
    coco_arrays,
    interpolated,
    match_detections,
    outcomes,
    precision_recall,
    voc_11_points,
    within_area,
)
from labkit.evaluation.coco_conventions import COCO_AREAS
from labkit.evaluation.cocoeval import SparseCOCOeval

GOLDEN = Path(__file__).parents[1] / "golden"
RANGES = [(0, 1e10), *COCO_AREAS.values()]
NONE = np.zeros(0, bool)


# ------------------------------------------------------------------ the steps, by hand


HITS = np.array([1, 1, 1, 1, 0, 1], bool)  # the example of the course: 5 objects


def test_the_curve_of_the_example():
    precision, recall = precision_recall(HITS, 5)
    np.testing.assert_allclose(precision, [1, 1, 1, 1, 4 / 5, 5 / 6])
    np.testing.assert_allclose(recall, [0.2, 0.4, 0.6, 0.8, 0.8, 1])
    np.testing.assert_allclose(interpolated(precision), [1, 1, 1, 1, 5 / 6, 5 / 6])
    assert area_under_curve(precision, recall) == pytest.approx(0.8 + 0.2 * 5 / 6)
    assert voc_11_points(precision, recall) == pytest.approx((9 + 2 * 5 / 6) / 11)
    assert coco_101_points(precision, recall) == pytest.approx((81 + 20 * 5 / 6) / 101)


def test_no_detections_and_recall_that_ends():
    assert area_under_curve(*precision_recall(NONE, 3)) == 0
    assert voc_11_points(*precision_recall(NONE, 3)) == 0
    half = precision_recall(np.array([True]), 2)  # recall 0.5 at precision 1, then nothing
    assert area_under_curve(*half) == 0.5
    assert voc_11_points(*half) == pytest.approx(6 / 11)
    assert coco_101_points(*half) == pytest.approx(51 / 101)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 20))
def test_properties_of_the_areas(hits, missed):
    hits = np.array(hits, bool)
    precision, recall = precision_recall(hits, max(1, int(hits.sum()) + missed))
    smooth = interpolated(precision)
    assert (np.diff(smooth) <= 0).all() and (smooth >= precision).all()
    area = area_under_curve(precision, recall)
    assert 0 <= area <= (recall[-1] if len(recall) else 0) + 1e-12
    # the mean over 101 points is the area within one step of recall
    assert abs(coco_101_points(precision, recall) - area) <= 0.0101
    first = np.sort(~hits)  # the same detections in the best order
    assert area_under_curve(*precision_recall(~first, max(1, int(hits.sum()) + missed))) >= area


def test_each_detection_takes_the_best_free_object():
    overlaps = np.array([[0.6, 0.7], [0.9, 0.8], [0.9, 0.0]])
    assert match_detections(overlaps, 0.5).tolist() == [1, 0, -1]
    assert match_detections(overlaps, 0.75).tolist() == [-1, 0, -1]
    assert match_detections(np.full((2, 2), 0.5), 0.5).tolist() == [1, 0]  # the later of equals
    assert match_detections(np.ones((1, 1)), 1.0).tolist() == [0]
    assert match_detections(np.zeros((2, 0)), 0.5).tolist() == [-1, -1]
    assert match_detections(np.zeros((0, 2)), 0.5).tolist() == []


def test_what_is_ignored_is_taken_last_and_crowds_by_many():
    overlaps = np.array([[0.6, 0.9], [0.6, 0.9], [0.6, 0.9]])
    ignored = np.array([False, True])
    assert match_detections(overlaps, 0.5, ignored).tolist() == [0, 1, -1]
    assert match_detections(overlaps, 0.5, ignored, ignored).tolist() == [0, 1, 1]


# ------------------------------------------------------------------ against pycocotools


def by_pycocotools(truth, results, kind, evaluator=COCOeval):
    with redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {**truth, "annotations": [dict(a) for a in truth["annotations"]]}
        gt.createIndex()
        drop = "segmentation" if kind == "bbox" else "bbox"
        found = [{k: v for k, v in entry.items() if k != drop} for entry in results]
        run = evaluator(gt, gt.loadRes(found), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def assert_equal_arrays(comparison, arrays, places):
    for a, area in enumerate(RANGES):
        precision, recall, scores = coco_arrays(comparison, inside=within_area(*area))
        # 1e-12: pycocotools adds 2e-16 to the number of detections before it divides by it
        np.testing.assert_allclose(precision, arrays["precision"][:, :, places, a, -1], atol=1e-12)
        np.testing.assert_allclose(recall, arrays["recall"][:, places, a, -1], atol=1e-12)
        # At recall 0 pycocotools names the score of its first detection even if that is ignored.
        np.testing.assert_array_equal(scores[:, 1:], arrays["scores"][:, 1:, places, a, -1])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("name", ["main", "edge"])
def test_every_array_and_number_of_the_golden_files(name, kind):
    paths = GOLDEN / f"coco_{name}_gt.json", GOLDEN / f"coco_{name}_dt.json"
    comparison = compare(*paths, iou_type=kind)
    stored = np.load(GOLDEN / f"coco_{name}.npz")
    arrays = {part: stored[f"{kind}_{part}"] for part in ("precision", "recall", "scores")}
    assert_equal_arrays(comparison, arrays, range(len(comparison.class_names)))

    numbers = getattr(evaluate_results(*paths), kind)
    by_area = [coco_arrays(comparison, inside=within_area(*area)) for area in RANGES]
    by_limit = [coco_arrays(comparison, max_dets=limit) for limit in (1, 10, 100)]
    own = [mean(by_area[0][0]), mean(by_area[0][0][0]), mean(by_area[0][0][5])]
    own += [mean(arrays[0]) for arrays in by_area[1:]]
    own += [mean(arrays[1]) for arrays in by_limit] + [mean(arrays[1]) for arrays in by_area[1:]]
    np.testing.assert_allclose(own, list(numbers.values()), atol=1e-12)
    assert average_precision(comparison, 0.75) == pytest.approx(numbers["AP75"], abs=1e-12)


def mean(values):
    values = values[values > -1]
    return values.mean() if len(values) else -1.0


boxes = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 40)] * 2)
one_object = st.tuples(boxes, st.integers(1, 3), st.integers(1, 2), st.sampled_from([0, 0, 0, 1]))
one_detection = st.tuples(
    boxes | st.just(None), st.integers(1, 3), st.integers(1, 2), st.sampled_from([0.1, 0.5, 0.9])
)


@st.composite
def data_sets(draw):
    """Images 1..3, of which one may be empty; classes 1..3, of which 3 never has an object.

    Scores tie often, and half of the detections repeat an object's box, moved by a pixel.
    """
    objects = draw(st.lists(one_object, min_size=1, max_size=9))
    found = draw(st.lists(one_detection, min_size=1, max_size=12))
    scale = draw(st.sampled_from([1, 4]))  # so that all sizes of COCO occur
    annotations = [
        {
            "id": i + 1,
            "image_id": image,
            "category_id": category,
            "iscrowd": crowd,
            "bbox": [scale * float(v) for v in box],
            "area": float(scale**2 * box[2] * box[3]),
        }
        for i, (box, image, category, crowd) in enumerate(objects)
    ]
    results = []
    for i, (box, image, category, score) in enumerate(found):
        near = annotations[i % len(annotations)]
        x, y, w, h = near["bbox"] if box is None else [scale * float(v) for v in box]
        image = near["image_id"] if box is None else image
        results.append(
            {
                "image_id": image,
                "category_id": category + (score == 0.1),
                "score": score,
                "bbox": [x + i % 2, y, w, h],
            }
        )
    return {
        "images": [{"id": i, "height": 300, "width": 300} for i in (1, 2, 3)],
        "categories": [{"id": i, "name": f"class {i}"} for i in (1, 2, 3)],
        "annotations": annotations,
    }, results


@given(data_sets())
@settings(max_examples=40)
def test_random_data_give_the_arrays_of_pycocotools(data):
    truth, results = data
    run = by_pycocotools(truth, results, "bbox")
    assert_equal_arrays(compare(truth, results), run.eval, [0, 1, 2])
    sparse = by_pycocotools(truth, results, "bbox", SparseCOCOeval)
    for part in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(sparse.eval[part], run.eval[part])
    evaluation = evaluate_results(truth, results)
    np.testing.assert_array_equal(list(evaluation.bbox.values()), run.stats)


def test_masks_with_pycocotools_own_evaluator_and_without_empty_pairs():
    comparison = compare(GOLDEN / "coco_main_gt.json", GOLDEN / "coco_main_dt.json")
    truth = {
        "images": [
            {"id": p.image_id, "height": p.size[0], "width": p.size[1]} for p in comparison.images
        ],
        "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3, 5, 90)],
        "annotations": comparison.annotations,
    }
    ways = COCOeval, SparseCOCOeval
    runs = [by_pycocotools(truth, comparison.entries, "segm", way) for way in ways]
    for part in ("precision", "recall", "scores"):
        np.testing.assert_array_equal(runs[0].eval[part], runs[1].eval[part])


# ------------------------------------------------------------------ outcomes


def test_outcomes_point_at_the_results_they_come_from():
    comparison = compare(GOLDEN / "coco_edge_gt.json", GOLDEN / "coco_edge_dt.json")
    for class_id, _ in enumerate(comparison.class_names, 1):
        found = outcomes(comparison, class_id)
        entries = [comparison.entries[i] for i in found.detections]
        assert [entry["score"] for entry in entries] == found.scores.tolist()
        assert len({entry["category_id"] for entry in entries}) <= 1
        assert found.hits.sum() <= found.objects
        assert (np.diff(found.scores) <= 0).all()


def test_a_class_without_objects_and_an_empty_data_set_have_no_ap():
    truth = {
        "images": [{"id": 1, "height": 9, "width": 9}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [],
    }
    found = [{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 3, 3]}]
    for results in ([], found):
        precision, recall, _ = coco_arrays(compare(truth, results, iou_type="bbox"))
        assert (precision == -1).all() and (recall == -1).all()
        assert average_precision(compare(truth, results, iou_type="bbox")) == -1
    np.testing.assert_allclose(COCO_IOUS[[0, 5, 9]], [0.5, 0.75, 0.95])
