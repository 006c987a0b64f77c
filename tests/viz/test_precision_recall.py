"""Precision-recall curves as figures."""

from pathlib import Path

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.evaluation import evaluate_results
from labkit.viz import pr_curves, show

GOLDEN = Path(__file__).parents[1] / "golden"


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.axison]


@pytest.fixture(scope="module")
def edge():
    return evaluate_results(GOLDEN / "coco_edge_gt.json", GOLDEN / "coco_edge_dt.json")


def test_boxes_and_masks_at_three_thresholds(edge):
    figure = pr_curves(edge)
    assert titles(figure) == [
        f"{kind}, {iou}: AP {value:.3f}"
        for kind, numbers in (("boxes", edge.bbox), ("masks", edge.segm))
        for iou, value in (
            ("IoU 0.50", numbers["AP50"]),
            ("IoU 0.75", numbers["AP75"]),
            ("IoU 0.50:0.95", numbers["AP"]),
        )
    ]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["c1", "c2", "c3", "c5", "mean of classes"]  # c90 has no ground truth
    assert show(figure, alt="curves").png


def test_one_threshold_gives_two_panels_side_by_side(edge):
    figure = pr_curves(edge, ious=[0.5], classes=["c1"])
    assert len(figure.axes) == 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["c1", "mean of classes", "3 more classes"]
    with pytest.raises(LabkitError, match="no class 'cat'"):
        pr_curves(edge, classes=["cat"])
    with pytest.raises(LabkitError, match="no curve at IoU 0.33"):
        pr_curves(edge, ious=[0.33])


def test_a_curve_is_drawn_as_it_was_computed(edge):
    panel = pr_curves(edge, ious=[0.5]).axes[1]
    drawn = next(line for line in panel.lines if line.get_label() == "c5")
    curve = edge.curves["segm"].at(0.5)[:, edge.class_names.index("c5")]
    reached = curve[curve > 0]
    np.testing.assert_array_equal(drawn.get_ydata()[: len(reached)], reached)
    assert drawn.get_ydata()[-1] == 0  # straight down where recall ends


def truth(annotations, names=("$a", "_b")):
    return {
        "images": [{"id": 1, "height": 20, "width": 20}],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
        "annotations": annotations,
    }


def test_without_ground_truth_the_titles_say_so(edge):
    figure = pr_curves(evaluate_results(truth([]), []))
    assert titles(figure)[0] == "boxes, IoU 0.50: no ground truth"
    assert show(figure, alt="empty").png


def test_perfect_results_boxes_only_and_many_classes():
    names = [f"class {i}" for i in range(30)]
    boxes = [
        {"image_id": 1, "category_id": i + 1, "bbox": [1, 1, 9, 9], "iscrowd": 0} for i in range(30)
    ]
    results = [{**box, "score": 0.9} for box in boxes]
    figure = pr_curves(evaluate_results(truth(boxes, names), results))
    assert titles(figure)[0] == "boxes, IoU 0.50: AP 1.000"
    assert len(figure.axes) == 3
    assert figure.legends[0].get_texts()[-1].get_text() == "20 more classes"
