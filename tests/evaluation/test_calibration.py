"""Scores against how often they are right."""

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.evaluation.calibration import _binned, calibration

HERE, FAR = (0, 0, 20, 20), (60, 60, 20, 20)


def test_four_detections_by_hand(compared):
    objects = [(1, 1, HERE), (2, 1, HERE)]
    detections = [(1, 1, HERE, 0.9), (2, 1, FAR, 0.8), (2, 1, HERE, 0.3), (1, 1, FAR, 0.1)]
    found = calibration(compared(objects, detections), bins=2)
    assert found.edges.tolist() == [0, 0.5, 1] and found.counts.tolist() == [2, 2]
    assert found.confidence == pytest.approx([0.2, 0.85])
    assert found.precision == pytest.approx([0.5, 0.5])
    assert found.ece == pytest.approx((0.3 + 0.35) / 2)
    assert found.worst == pytest.approx(0.35)


def test_scores_on_edges_and_empty_bins():
    found = _binned(np.array([0.0, 0.5, 1.0]), np.array([False, True, True]), 4)
    assert found.counts.tolist() == [1, 0, 1, 1]
    assert np.isnan(found.precision[1]) and np.isnan(found.confidence[1])
    assert found.ece == pytest.approx(0.5 / 3)


def test_a_calibrated_model_has_no_error():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    found = _binned(scores, rng.random(200_000) < scores, 10)
    assert found.ece < 0.01  # 20,000 a bin: three standard deviations of a share are 0.011
    assert _binned(scores, rng.random(200_000) < scores**2, 10).ece > 0.1


def test_classes_are_chosen_and_those_without_objects_left_out(compared):
    objects = [(1, 1, HERE), (1, 2, FAR)]
    comparison = compared(
        objects,
        [(1, 1, HERE, 0.9), (1, 2, HERE, 0.8), (1, 3, HERE, 0.7)],
        classes=("cat", "dog", "cow"),
    )
    assert calibration(comparison).counts.sum() == 2
    assert calibration(comparison, classes=["cat"]).ece == pytest.approx(0.1)
    assert calibration(comparison, classes=["cow"]).counts.sum() == 0
    assert np.isnan(calibration(compared(objects, [])).ece)
    with pytest.raises(LabkitError, match="no class 'cw'"):
        calibration(comparison, classes=["cw"])
    with pytest.raises(LabkitError, match="bins is 0"):
        calibration(comparison, bins=0)


def test_masks_or_boxes(scene):
    from labkit.evaluation import compare

    truth, results = scene([(1, 1, HERE)], [(1, 1, HERE, 0.9)], masks=True)
    results[0]["bbox"] = [60.0, 60.0, 20.0, 20.0]  # the mask is right and the box is not
    assert calibration(compare(truth, results, iou_type="segm")).ece == pytest.approx(0.1)
    assert calibration(compare(truth, results, iou_type="bbox")).ece == pytest.approx(0.9)
