"""Figures of precision and recall against the score."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.cbook import STEP_LOOKUP_MAP

from labkit.errors import LabkitError
from labkit.evaluation.thresholds import ThresholdCurve, pooled, threshold_curves
from labkit.viz import f1_bars, raw_pr_figure, show, threshold_figure


@pytest.fixture(scope="module")
def curves(edge_comparison):
    return threshold_curves(edge_comparison)


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.axison]


def test_all_classes_come_first_and_each_panel_names_its_best_threshold(curves):
    figure = threshold_figure(curves)
    best = pooled(curves).best()
    assert titles(figure)[0] == f"all classes: F1 {best.f1:.2f} at {best.score:.2f}"
    assert len(titles(figure)) == 1 + len(curves)
    line = figure.axes[0].lines[0]  # precision over score, held on to score 0
    np.testing.assert_array_equal(line.get_ydata()[:-1], pooled(curves).precision)
    assert line.get_xdata()[-1] == 0
    # what is drawn between two scores is what the higher one shows
    steps = STEP_LOOKUP_MAP[line.get_drawstyle()](*line.get_data())
    corners = list(zip(*steps, strict=True))
    for (x0, y0), (x1, y1) in zip(corners, corners[1:], strict=False):
        if x1 < x0:
            assert y0 == y1 == pooled(curves).at((x0 + x1) / 2).precision
    assert show(figure, alt="thresholds").png


@pytest.mark.parametrize(
    "panels, columns", [(1, 1), (2, 2), (4, 4), (5, 3), (6, 3), (7, 4), (9, 3), (13, 3)]
)
def test_few_places_stay_empty(curves, panels, columns):
    curve = next(iter(curves.values()))
    few = {f"{i}": replace(curve, name=f"{i}") for i in range(panels)}
    figure = raw_pr_figure(few, classes=list(few))
    assert figure.axes[0].get_gridspec().ncols == columns
    shown = [ax for ax in figure.axes if ax.axison]
    assert len(shown) == panels
    assert all(ax.get_xlabel() for ax in shown[-columns:])
    assert [bool(ax.get_ylabel()) for ax in shown] == [i % columns == 0 for i in range(panels)]


def test_the_raw_curve_and_the_operating_point_at_a_score(curves):
    figure = raw_pr_figure(curves, score=0.5, classes=["c5"])
    point = curves["c5"].at(0.5)
    square = next(line for line in figure.axes[0].lines if line.get_label() == "score 0.5")
    assert (square.get_xdata()[0], square.get_ydata()[0]) == (point.recall, point.precision)
    raw = next(line for line in figure.axes[0].lines if line.get_label() == "as counted")
    np.testing.assert_array_equal(raw.get_ydata(), curves["c5"].precision)
    assert show(figure, alt="raw").png
    with pytest.raises(LabkitError, match="no class 'c90' with objects"):
        raw_pr_figure(curves, classes=["c90"])


def test_one_class_has_one_panel_and_what_was_never_found_says_so():
    empty = ThresholdCurve("$_x", 3, np.zeros(0), np.zeros(0, int), np.zeros(0, int))
    assert titles(threshold_figure({"$_x": empty})) == [r"\$_x: nothing found"]
    assert titles(raw_pr_figure({"$_x": empty})) == [r"\$_x: 3 objects"]
    bars = f1_bars({"$_x": empty})
    assert [t.get_text() for t in bars.axes[0].get_yticklabels()] == [r"\$_x (never found)"]
    for draw in (threshold_figure, raw_pr_figure):
        assert show(draw({"$_x": empty}), alt="empty").png
        with pytest.raises(LabkitError, match="no object in the ground truth"):
            draw({})


def test_bars_are_sorted_by_f1(curves):
    figure = f1_bars(curves)
    drawn = figure.axes[0].collections[0].get_offsets()[:, 0]
    assert (np.diff(drawn) <= 0).all() and len(drawn) == sum(
        c.best() is not None for c in curves.values()
    )
    assert show(figure, alt="bars").png
