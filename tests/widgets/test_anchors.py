"""explore_anchors: its grid and its numbers are labkit's, on any image and config."""

import numpy as np
import pytest
import tensorflow as tf
import traitlets

from labkit.data.anchor_fit import anchor_ious, feature_shapes, fit_of, resized
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.ops import boxes as box_ops
from labkit.ops.anchors import pyramid_anchors
from labkit.widgets import explore_anchors
from labkit.widgets.anchors import ROCKET
from labkit.widgets.explorer import script

TINY = Config.preset("tiny")
GREY = np.full((100, 150, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def rocket():
    return explore_anchors()


def test_the_default_picture_has_objects_that_no_anchor_fits(rocket):
    assert list(rocket.names) == list(ROCKET)
    missed = [rocket.names[i] for i in rocket.values["uncovered"]]
    assert "rocket" in missed and "lamp" in missed  # very thin, very small
    assert "nose cone" not in missed


def test_the_grid_is_the_model_s(rocket):
    canvas = tuple(rocket.canvas)
    grids = feature_shapes(*canvas, TINY)
    anchors = pyramid_anchors(
        canvas,
        grids,
        TINY.anchor_sizes,
        TINY.anchor_ratios,
        TINY.anchor_rounding,
        TINY.anchor_offset,
    )
    assert rocket.values["count"] == [len(a) for a in anchors]
    assert [tuple(g[:2]) for g in rocket.values["grids"]] == grids
    best = box_ops.iou(tf.constant(rocket.boxes, tf.float32), tf.concat(anchors, 0)).numpy()
    got = [b["iou"] for b in rocket.values["best"]]
    np.testing.assert_allclose(got, best.max(axis=1), rtol=1e-6)


def test_the_best_iou_is_that_of_the_report_on_a_data_set(rocket):
    boxes, shapes = resized(np.float32(list(ROCKET.values())), [[427, 640]] * len(ROCKET), TINY)
    np.testing.assert_allclose(rocket.boxes, boxes, rtol=1e-5)
    want = anchor_ious(boxes, shapes, TINY).max(axis=(1, 2))
    got = [b["iou"] for b in rocket.values["best"]]
    # The report knows the overlap in closed form, up to the rounding of float32.
    np.testing.assert_allclose(got, want, rtol=1e-4)
    share = len(rocket.values["uncovered"]) / len(boxes)
    assert share == pytest.approx(fit_of(boxes, shapes, TINY).uncovered)


def test_the_anchor_named_best_has_that_iou(rocket):
    for box, best in zip(rocket.boxes, rocket.values["best"], strict=True):
        iou = box_ops.iou(tf.constant([best["anchor"]]), tf.constant([box], tf.float32))
        assert float(iou[0, 0]) == pytest.approx(best["iou"], rel=1e-5)


def test_shown_anchors_are_rows_of_the_grid():
    w = explore_anchors(GREY)
    for level, at in [(0, [0, 0]), (1, [64, 100]), (4, [9999, -9999])]:
        w.level, w.at = level, at
        rows, columns, *_ = w.values["grids"][level]
        grid = pyramid_anchors(w.canvas, [(rows, columns)], [w.sizes[level]], w.ratios, False, 0.5)
        row, column = w.cell
        want = grid[0].numpy().reshape(rows, columns, 3, 4)[row, column]
        np.testing.assert_allclose(w.shown(), want, rtol=1e-6, atol=1e-5)
    assert w.cell == [rows - 1, 0]  # outside the picture: the nearest cell


def test_it_is_driven_from_code():
    w = explore_anchors(GREY, [[10, 20, 90, 28]], names=["mast"])
    before = w.values["best"][0]["iou"]
    w.ratios = [1.0, 10.0]
    assert w.values["best"][0]["iou"] > before
    w.strides = [2] * 5
    assert w.values["count"][0] == w.values["count"][4] > 5000
    w.boxes = []
    assert w.values["best"] == w.values["uncovered"] == []
    w.sizes = [8.0] * 5
    assert w.shown().shape == (2, 4)


def test_covered_is_counted_pixel_by_pixel():
    w = explore_anchors(GREY)
    w.sizes, w.strides, w.ratios = [4.0] * 5, [16] * 5, [1.0, 4.0]
    y1, x1, y2, x2 = np.int32(w.place)
    rows, columns, *stride = w.values["grids"][0]
    anchors = pyramid_anchors(w.canvas, [(rows, columns)], [4.0], [1.0, 4.0], False, 0.5)[0].numpy()
    painted = np.zeros((y2, x2), bool)
    for a in anchors:
        top, left, bottom, right = (int(np.ceil(v - 0.5)) for v in a)  # centres inside
        painted[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    assert 0 < painted.mean() < 1
    assert w.values["covered"][0] == pytest.approx(painted.mean())


def test_inside_counts_what_a_border_rule_would_keep():
    w = explore_anchors(GREY)
    grids = [tuple(g[:2]) for g in w.values["grids"]]
    levels = pyramid_anchors(w.canvas, grids, w.sizes, w.ratios, False, 0.5)
    for level, anchors in enumerate(levels):
        a = anchors.numpy()
        y1, x1, y2, x2 = w.place
        inside = (a[:, 0] >= y1) & (a[:, 1] >= x1) & (a[:, 2] <= y2) & (a[:, 3] <= x2)
        assert w.values["inside"][level] == inside.sum()


@pytest.mark.parametrize("preset", ["tiny", "r50_fpn", "matterport"])
def test_objects_keep_their_place_whatever_the_resizing(preset):
    w = explore_anchors(GREY, [[0, 0, 100, 150]], Config.preset(preset))
    np.testing.assert_allclose(w.boxes[0], w.place, atol=1e-3)  # the whole picture


@pytest.mark.parametrize(
    "boxes, words",
    [
        ([1, 2, 3, 4], r"\[N, 4\]"),
        ([[0, 0, 5]], r"\[N, 4\]"),
        ([[0, 0, 5, 5], [7, 7, 7, 9]], "box 1"),
        ([[0, 0, 101, 5]], "100 x 150"),
    ],
)
def test_bad_boxes_are_one_sentence(boxes, words):
    with pytest.raises(LabkitError, match=words):
        explore_anchors(GREY, boxes)


def test_bad_names_and_traits_are_one_sentence():
    with pytest.raises(LabkitError, match="2 names for 1 boxes"):
        explore_anchors(GREY, [[0, 0, 5, 5]], names=["a", "b"])
    w = explore_anchors(GREY)
    for name, value in [("level", 5), ("ratios", []), ("sizes", [12.0]), ("strides", [0] * 5)]:
        with pytest.raises(traitlets.TraitError):
            setattr(w, name, value)


def test_no_objects_and_no_names_are_fine():
    w = explore_anchors(GREY, np.zeros((0, 4)))
    assert w.values["best"] == [] and "objects" not in w.picture().alt.split("P2:")[1]


def test_the_picture_names_what_is_missed(rocket):
    figure, alt = rocket.draw()
    assert "3 of 5 objects fit no anchor" in alt and "rocket 0.28" in alt
    assert sum("✗" in t.get_text() for t in figure.axes[0].texts) == 3
    odd = explore_anchors(GREY, [[0, 0, 50, 50]], names=["$\\frac{<b>"])
    assert odd.picture().png  # a name is no formula


def test_the_javascript_parses(parses):
    parses(script("geometry.js", "anchors.js"))
