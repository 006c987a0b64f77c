"""explore_deltas: the numbers are labkit.encode's, and dragging them is labkit.decode."""

import numpy as np
import pytest
import tensorflow as tf
import traitlets

from labkit.errors import LabkitError
from labkit.ops import boxes as box_ops
from labkit.widgets import explore_deltas
from labkit.widgets.explorer import script

ANCHOR, BOX = [0, 0, 10, 20], [10, 0, 30, 10]


def test_values_are_labkit_s():
    w = explore_deltas(ANCHOR, BOX)
    want = box_ops.encode(tf.constant([BOX], tf.float32), tf.constant([ANCHOR], tf.float32))[0]
    np.testing.assert_allclose(w.deltas, want)
    np.testing.assert_allclose([w.values[n] for n in ("dy", "dx", "dh", "dw")], want)
    assert w.values["anchor_sides"] == [10, 20] and w.values["box_sides"] == [20, 10]
    w.divide = True
    np.testing.assert_allclose(w.deltas, want / [0.1, 0.1, 0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize("divide", [False, True])
def test_deltas_move_the_box_and_come_back(divide):
    w = explore_deltas(ANCHOR)
    w.divide = divide
    w.deltas = [0.5, -0.25, 0.3, -0.1]
    # float32, divided by a std of 0.1
    np.testing.assert_allclose(w.deltas, [0.5, -0.25, 0.3, -0.1], atol=1e-5)
    w.deltas = [0, 0, 0, 0]
    assert w.box == w.anchor


def test_wild_deltas_give_a_large_box_and_no_error():
    w = explore_deltas(ANCHOR)
    w.deltas = [0, 0, 1e6, 0]
    assert w.box[2] - w.box[0] == pytest.approx(10 * 62.5)


@pytest.mark.parametrize("name", ["anchor", "box"])
def test_a_box_without_area_is_refused_in_words(name):
    w = explore_deltas(ANCHOR, BOX)
    with pytest.raises(traitlets.TraitError, match="log 0"):
        setattr(w, name, [5, 5, 5, 9])
    with pytest.raises(traitlets.TraitError, match="y1 <= y2"):
        setattr(w, name, [9, 5, 5, 9])
    assert w.anchor == ANCHOR and w.box == BOX


@pytest.mark.parametrize("std", [[1, 1, 1], [0.1, 0.1, 0, 0.2], [1, 1, 1, float("nan")], "ab"])
def test_a_wrong_std_is_one_sentence(std):
    with pytest.raises(LabkitError, match="four numbers above 0"):
        explore_deltas(std=std)


@pytest.mark.parametrize("shape", [(30, 400, 3), (400, 30, 3)])
def test_on_any_image_both_boxes_lie_inside(shape):
    w = explore_deltas(image=np.zeros(shape, np.uint8))
    for y1, x1, y2, x2 in (w.anchor, w.box):
        assert 0 <= y1 < y2 <= shape[0] and 0 <= x1 < x2 <= shape[1]
    assert len(w.draw()[0].axes[0].images) == 1


def test_the_picture_says_the_numbers():
    w = explore_deltas(ANCHOR, BOX)
    assert "dy = 1.50" in w.picture().alt and "std" not in w.picture().alt
    w.divide = True
    assert "dy = 15.00" in w.picture().alt and "std" in w.picture().alt


def test_the_javascript_parses(parses):
    parses(script("geometry.js", "deltas.js"))
