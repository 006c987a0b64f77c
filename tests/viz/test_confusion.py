"""Confusion and mean overlap as heat maps."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from labkit.errors import LabkitError
from labkit.viz import confusion_figure, overlap_figure, show

MATRIX = np.array([[0, 4, 0], [3, 12, 1], [0, 2, 8]])


def shown(figure):
    return figure.axes[0].images[0].get_array()


def test_rows_or_columns_are_shares():
    by_truth = shown(confusion_figure(MATRIX, ["cat", "dog"]))
    np.testing.assert_allclose(by_truth[:2].sum(axis=1), 1)
    assert by_truth.mask[2].all() and not by_truth.mask[:2].any()
    by_found = shown(confusion_figure(MATRIX, ["cat", "dog"], normalise="prediction"))
    np.testing.assert_allclose(by_found[:, :2].sum(axis=0), 1)
    assert by_found.mask[:, 2].all() and not by_found.mask[:, :2].any()
    assert by_found[0, 0] == pytest.approx(12 / 18)
    with pytest.raises(LabkitError, match="'truth' or 'prediction'"):
        confusion_figure(MATRIX, ["cat", "dog"], normalise="all")


def test_mean_overlaps_have_no_background():
    overlaps = np.full((3, 3), np.nan)
    overlaps[1, 1], overlaps[2, 2], overlaps[2, 1] = 0.91, 1.0, 0.55
    figure = overlap_figure(overlaps, ["cat", "dog"])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == [".91", "", ".55", "1.00"]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["cat", "dog"]
    assert show(figure, alt="overlaps").png
    with pytest.raises(LabkitError, match="3 names are given"):
        overlap_figure(overlaps, ["a", "b", "c"])


def test_91_classes_keep_every_name_readable():
    figure = confusion_figure(np.eye(92, dtype=int), [f"class {i}" for i in range(91)])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    labels = figure.axes[0].get_yticklabels()
    assert len(labels) == 2 * 92  # at both ends of the rows
    boxes = [label.get_window_extent(renderer) for label in labels[:92]]
    gaps = [low.y0 - high.y1 for low, high in zip(boxes, boxes[1:], strict=False)]
    assert min(gaps) > 0


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
