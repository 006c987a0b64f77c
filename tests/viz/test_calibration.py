"""Reliability diagrams."""

import numpy as np

from labkit.evaluation.calibration import calibration
from labkit.viz import calibration_figure, show


def test_reliability_is_drawn_as_it_was_measured(edge_comparison):
    found = calibration(edge_comparison)
    figure = calibration_figure({"one": found})
    bars = [patch.get_height() for patch in figure.axes[0].patches]
    np.testing.assert_array_equal(bars, np.nan_to_num(found.precision))
    assert f"ECE {found.ece:.3f}" in figure.axes[0].get_title(loc="left")
    assert show(figure, alt="calibration").png


def test_runs_stand_side_by_side_even_without_detections(nothing):
    found = calibration(nothing)
    figure = calibration_figure({"$one": found, "two": found})
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == [
        r"\$one: no detections",
        "two: no detections",
    ]
    assert show(figure, alt="nothing").png
