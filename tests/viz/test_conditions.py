"""AP against size, occlusion and crowding."""

import numpy as np

from labkit.evaluation.conditions import CONDITIONS, under_condition
from labkit.viz import condition_figure, show


def test_conditions_leave_gaps_where_nothing_is(edge_comparison):
    found = {name: under_condition(edge_comparison, name) for name in CONDITIONS}
    figure = condition_figure({"one": found, "two": found})
    for ax, result in zip(figure.axes, found.values(), strict=True):
        drawn = ax.lines[0].get_ydata()
        np.testing.assert_array_equal(np.isnan(drawn), result.objects == 0)
    assert show(figure, alt="conditions").png


def test_nothing_at_all_can_be_drawn(nothing):
    found = {name: under_condition(nothing, name) for name in CONDITIONS}
    figure = condition_figure({"one": found})
    assert all(np.isnan(ax.lines[0].get_ydata()).all() for ax in figure.axes)
    assert show(figure, alt="nothing").png
