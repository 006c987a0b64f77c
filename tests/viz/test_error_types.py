"""Bars of error types, of one run and of several."""

import pytest

from labkit.evaluation.error_types import ERROR_TYPES, error_types
from labkit.viz import error_type_figure, show


def test_each_type_has_a_bar_of_its_cost_and_its_count(edge_comparison):
    found = error_types(edge_comparison)
    figure = error_type_figure({"$one": found, "_two": found})
    costs = [patch.get_width() for patch in figure.axes[0].patches]
    assert costs == 2 * [found.costs[name] for name in ERROR_TYPES]
    counts = [patch.get_width() for patch in figure.axes[1].patches]
    assert counts == 2 * [found.counts[name] for name in ERROR_TYPES]
    assert len(figure.legends[0].get_texts()) == 2
    assert show(figure, alt="types").png
    assert not error_type_figure({"one": found}).legends


@pytest.mark.parametrize("runs", [1, 3])
def test_nothing_at_all_can_be_drawn(nothing, runs):
    found = error_types(nothing)
    figure = error_type_figure({f"run {i}": found for i in range(runs)})
    assert show(figure, alt="nothing").png
