"""The curves of what mini-masks lose."""

import numpy as np

from labkit.data.mini_mask_error import EDGES, MaskLoss, MiniMaskError
from labkit.viz import show
from labkit.viz.mini_masks import mini_mask_curves


def table(counts):
    rows = []
    for low, high, count in zip(EDGES, (*EDGES[1:], np.inf), counts, strict=True):
        for side in (28, 56):
            iou = 1 - low / 5000 - (0.02 if side == 28 else 0.01) if count else np.nan
            rows.append(MaskLoss(side, low, high, count, iou, iou - 0.01))
    return MiniMaskError(rows)


def test_a_line_for_each_side_over_the_sizes_that_occur():
    figure = mini_mask_curves(table([3, 4, 0, 1, 0, 2]))
    assert show(figure, alt="curves", dpi=50).png
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["28 x 28 cells", "56 x 56 cells"]
    assert [line.get_xdata().tolist() for line in lines] == [[0, 1, 3, 5]] * 2
    assert (lines[0].get_ydata() < lines[1].get_ydata()).all()
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()][-1] == "512 +"


def test_the_axis_ends_with_the_sizes_that_occur():
    ax = mini_mask_curves(table([0, 3, 0, 1, 0, 0])).axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["32-64", "64-128", "128-256"]
    assert ax.lines[0].get_xdata().tolist() == [0, 2]


def test_no_masks_no_lines():
    assert show(mini_mask_curves(table([0] * 6)), alt="empty", dpi=50).png
