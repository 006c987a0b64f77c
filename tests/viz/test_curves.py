"""Loss curves, precision-recall curves and the confusion matrix as figures."""

from pathlib import Path

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.evaluation import evaluate_results
from labkit.viz import confusion_figure, loss_curves, pr_curves, show
from labkit.viz.curves import smoothed

GOLDEN = Path(__file__).parents[1] / "golden"
LOSSES = ("objectness", "rpn_box", "class", "box", "mask")


def history(steps=200):
    rng = np.random.default_rng(0)
    lists = {name: rng.random(steps).tolist() for name in LOSSES}
    lists["total"] = np.sum([lists[name] for name in LOSSES], axis=0).tolist()
    return {"step": list(range(1, steps + 1)), "lr": [0.01] * steps, **lists}


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.axison]


@pytest.fixture(scope="module")
def edge():
    return evaluate_results(GOLDEN / "coco_edge_gt.json", GOLDEN / "coco_edge_dt.json")


# ------------------------------------------------------------------ training


def test_five_losses_their_total_the_rate_and_the_validation():
    validation = {"step": [100, 200], "bbox_AP": [0.2, 0.4], "segm_AP": [-1, 0.3]}
    figure = loss_curves(history(), validation=validation)
    assert len(titles(figure)) == 8
    assert titles(figure)[-2:] == ["learning rate", "validation AP"]
    ap = figure.axes[7]
    np.testing.assert_array_equal(ap.lines[1].get_ydata(), [np.nan, 0.3])
    assert show(figure, alt="losses").png
    rows = [{"step": 100, "bbox_AP": 0.2}, {"step": 200, "bbox_AP": 0.4}]
    line = loss_curves(history(), validation=rows).axes[7].lines[0]
    assert line.get_ydata().tolist() == [0.2, 0.4]
    assert len(titles(loss_curves(history(), validation=[]))) == 7


def test_raw_values_are_faint_below_the_smooth_line():
    raw, smooth = loss_curves(history(), smoothing=21).axes[0].lines
    assert raw.get_linewidth() < smooth.get_linewidth()
    assert np.ptp(smooth.get_ydata()) < np.ptp(raw.get_ydata())
    assert len(loss_curves(history(), smoothing=1).axes[0].lines) == 1


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_short_trainings(steps):
    assert show(loss_curves(history(steps)), alt="losses").png


def test_a_loss_that_broke_is_pointed_out_and_hides_nothing():
    broken = history()
    broken["mask"][50:53] = [float("nan"), float("inf"), 1e9]
    figure = loss_curves(broken)
    panel = figure.axes[5]
    assert [text.get_text() for text in panel.texts] == ["2 not finite"]
    assert panel.get_ylim()[1] < 10
    show(loss_curves({name: [float("nan")] * 5 for name in LOSSES}), alt="all broken")


def test_bad_histories_are_named():
    with pytest.raises(LabkitError, match="history has none of total, objectness"):
        loss_curves({"loss": [1, 2]})
    with pytest.raises(LabkitError, match="'mask' has 2 values for 200 steps"):
        loss_curves({**history(), "mask": [1, 2]})


def test_smoothing():
    np.testing.assert_allclose(smoothed(np.ones(30), 7), 1)
    spike = np.ones(101)
    spike[50] = 1000
    np.testing.assert_allclose(smoothed(spike, 11), 1)
    line = np.arange(100.0)
    np.testing.assert_allclose(smoothed(line, 9)[20:80], line[20:80], atol=0.51)
    assert len(smoothed(np.random.rand(20_000), 1000)) == 20_000


# ------------------------------------------------------------------ evaluation


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


def test_nothing_to_draw_is_said(edge):
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


@pytest.mark.parametrize("count", [1, 3, 40])
def test_confusion_figure(count):
    matrix = np.random.default_rng(0).integers(0, 9, (count + 1, count + 1))
    figure = confusion_figure(matrix, [f"$class_{i}" for i in range(count)], title="$")
    assert show(figure, alt="confusion").png
    words = [text.get_text() for text in figure.axes[0].texts]
    assert len(words) == (0 if count == 40 else (count + 1) ** 2)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()][-1] == "missed"


def test_confusion_figure_counts_and_shape():
    matrix = np.array([[0, 4], [3, 12]])
    words = [text.get_text() for text in confusion_figure(matrix, ["cell"]).axes[0].texts]
    assert words == ["12", "3", "4", "–"]
    with pytest.raises(LabkitError, match="2 names are given"):
        confusion_figure(matrix, ["cell", "ring"])
