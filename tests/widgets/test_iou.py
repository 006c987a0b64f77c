"""explore_iou: its numbers are labkit's, its presets have the IoU that they name."""

import numpy as np
import pytest
import tensorflow as tf
import traitlets

from labkit.ops import boxes as box_ops
from labkit.widgets import explore_iou
from labkit.widgets.explorer import script
from labkit.widgets.iou import PRESETS

LEFT, RIGHT = [0, 0, 4, 4], [0, 2, 4, 6]


def test_values_are_labkit_s():
    w = explore_iou([LEFT, RIGHT])
    a, b = (tf.constant([box], tf.float32) for box in w.boxes)
    assert w.values["areas"] == [16, 16]
    assert w.values["shared"] == 8 and w.values["union"] == 24
    assert w.values["iou"] == pytest.approx(float(box_ops.iou(a, b)[0, 0]))
    assert w.values["giou"] == pytest.approx(float(box_ops.giou(a, b)[0, 0]))


def test_it_is_driven_from_code():
    w = explore_iou()
    w.boxes = np.float32([LEFT, LEFT])
    assert w.values["iou"] == 1
    w.boxes = [LEFT, [10, 10, 12, 12]]
    assert w.values["iou"] == 0 and w.values["giou"] < 0
    w.boxes = [[1, 1, 1, 1]] * 2  # empty, and no NaN
    assert w.values["iou"] == w.values["giou"] == 0


@pytest.mark.parametrize("boxes", [[LEFT], [LEFT] * 3, [LEFT, [4, 4, 0, 0]], 7])
def test_wrong_boxes_are_refused(boxes):
    with pytest.raises(traitlets.TraitError, match="2 boxes"):
        explore_iou(boxes)
    w = explore_iou([LEFT, RIGHT])
    with pytest.raises(traitlets.TraitError):
        w.boxes = boxes
    assert w.boxes == [LEFT, RIGHT]


def test_a_wrong_measure_is_refused():
    with pytest.raises(traitlets.TraitError, match="measure"):
        explore_iou(measure="DIoU")


@pytest.mark.parametrize("name", [n for n in PRESETS if "IoU 0.5" in n])
def test_presets_have_the_iou_in_their_name(name):
    assert explore_iou(PRESETS[name]).values["iou"] == pytest.approx(0.5, abs=5e-4)  # three digits


@pytest.mark.parametrize("name, boxes", PRESETS.items())
def test_presets_fit_on_the_grid(name, boxes):
    height, width = explore_iou().size
    for y1, x1, y2, x2 in boxes:
        assert 0 <= y1 < y2 <= height and 0 <= x1 < x2 <= width


@pytest.mark.parametrize("shape", [(40, 300, 3), (300, 40, 3), (16, 16, 3)])
def test_on_any_image_the_first_boxes_lie_inside_and_overlap(shape):
    w = explore_iou(image=np.zeros(shape, np.uint8))
    assert w.size == list(shape[:2]) and w.presets == {}
    for y1, x1, y2, x2 in w.boxes:
        assert 0 <= y1 < y2 <= shape[0] and 0 <= x1 < x2 <= shape[1]
    assert 0 < w.values["iou"] < 1


def test_the_picture_says_what_it_shows():
    w = explore_iou([LEFT, RIGHT])
    figure, alt = w.draw()
    assert "overlapping" in alt and "0.333" in alt
    plain = len(figure.axes[0].patches)
    w.measure = "GIoU"
    assert len(w.draw()[0].axes[0].patches) == plain + 1  # the box around both
    w.boxes = [LEFT, [10, 10, 12, 12]]
    assert "Two separate boxes" in w.draw()[1]
    w = explore_iou(image=np.zeros((20, 30, 3), np.uint8))
    assert len(w.draw()[0].axes[0].images) == 1


def test_the_javascript_parses(parses):
    parses(script("geometry.js", "iou.js"))
