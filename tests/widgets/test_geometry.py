"""geometry.js: what follows the mouse is what labkit computes. Run in V8, without a browser."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.ops import anchors as anchor_ops
from labkit.ops import boxes as box_ops
from labkit.ops import roi as roi_ops
from labkit.ops.roi_pyramid import roi_level
from labkit.widgets import explorer

py_mini_racer = pytest.importorskip("py_mini_racer")

TEXT = (Path(explorer.__file__).parent / "static" / "geometry.js").read_text("utf-8")
STD = [(1.0, 1.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)]
# JavaScript counts in float64, labkit in float32: areas up to 1e4 px from corners up to 100 px.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def js():
    """js("area", box): the answer of a function of geometry.js, by way of JSON."""
    engine = py_mini_racer.MiniRacer()
    engine.eval(TEXT)

    def run(name, *args):
        values = ", ".join(json.dumps(a) for a in args)
        return json.loads(engine.eval(f"JSON.stringify({name}({values}))"))

    return run


def boxes(smallest: int = 0):
    """Boxes on quarter pixels, in and around a picture of 25 px: often equal, touching or apart."""
    numbers = st.tuples(*[st.integers(-40, 100)] * 2, *[st.integers(4 * smallest, 100)] * 2)
    return numbers.map(lambda n: [n[0] / 4, n[1] / 4, (n[0] + n[2]) / 4, (n[1] + n[3]) / 4])


def tensor(box):
    return tf.constant([box], tf.float32)


@given(a=boxes())
def test_area(js, a):
    assert js("area", a) == pytest.approx(float(box_ops.area(tensor(a))[0]), rel=1e-6)


def test_negative_sides_have_no_area(js):
    assert js("area", [5, 5, 1, 1]) == 0
    assert js("area", [5, 1, 1, 5]) == 0


@given(a=boxes(), b=boxes())
def test_overlap(js, a, b):
    found = js("overlap", a, b)
    ta, tb = tensor(a), tensor(b)
    assert found["iou"] == pytest.approx(float(box_ops.iou(ta, tb)[0, 0]), rel=1e-5)
    np.testing.assert_allclose(found["giou"], box_ops.giou(ta, tb)[0, 0], **CLOSE)
    np.testing.assert_allclose(found["shared"], box_ops.intersection(ta, tb)[0, 0], **CLOSE)
    areas = float(box_ops.area(ta)[0]) + float(box_ops.area(tb)[0])
    assert found["union"] == pytest.approx(areas - found["shared"], rel=1e-5)


def test_overlap_of_boxes_without_area_is_zero(js):
    found = js("overlap", [3, 3, 3, 3], [3, 3, 3, 3])
    assert found == {"shared": 0, "union": 0, "hull": 0, "iou": 0, "giou": 0}


@pytest.mark.parametrize("std", STD)
@given(box=boxes(smallest=1), anchor=boxes(smallest=1))
def test_encode(js, std, box, anchor):
    want = box_ops.encode(tensor(box), tensor(anchor), std)[0]
    # float32 loses up to 4e-6 in a centre of 50 px; divided by a std of 0.1 and a side of 1 px
    np.testing.assert_allclose(js("encode", box, anchor, list(std)), want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("std", STD)
@given(anchor=boxes(smallest=1), deltas=st.lists(st.integers(-80, 80), min_size=4, max_size=4))
def test_decode(js, std, anchor, deltas):
    deltas = [d / 10 for d in deltas]  # up to ±8 with std 1: beyond the cap of the logarithm
    want = box_ops.decode(tensor(deltas), tensor(anchor), std)[0]
    # boxes up to 62.5 times 25 px, of which float32 (exp of 4 first) loses about 1e-6
    np.testing.assert_allclose(js("decode", deltas, anchor, list(std)), want, rtol=1e-5, atol=2e-3)


def test_wild_deltas_stay_finite(js):
    got = js("decode", [0, 0, 1000, 1000], [0, 0, 4, 4])
    assert got[2] - got[0] == pytest.approx(4 * 62.5) and np.isfinite(got).all()


@given(
    size=st.floats(4, 600),
    ratios=st.lists(st.floats(0.1, 10), min_size=1, max_size=5),
    rounding=st.booleans(),
)
def test_cell_anchors(js, size, ratios, rounding):
    want = anchor_ops.cell_anchors(size, ratios, rounding)
    got = np.array(js("cellAnchors", size, ratios, rounding))
    # Half-way between two pixels float32 and float64 may round to different ones.
    off = np.abs(got - want) > 1e-5 * (1 + np.abs(want))
    exact = np.array(js("cellAnchors", size, ratios, False))
    halfway = np.abs(np.abs(exact - np.floor(exact)) - 0.5) < 1e-3
    assert not np.any(off & ~(halfway if rounding else np.zeros_like(off)))


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_anchors_at_a_cell(js, offset):
    cell = anchor_ops.cell_anchors(12, (0.5, 1.0, 2.0))
    grid = anchor_ops.grid_anchors(cell, (5, 7), (8, 16), offset).numpy().reshape(5, 7, 3, 4)
    for row, column in [(0, 0), (4, 6), (2, 3)]:
        got = js("anchorsAt", cell.tolist(), [row, column], [8, 16], offset)
        np.testing.assert_allclose(got, grid[row, column], rtol=1e-6, atol=1e-5)


@given(sides=st.tuples(st.integers(0, 4000), st.integers(0, 4000)), canonical=st.integers(16, 1024))
def test_roi_level(js, sides, canonical):
    box = [3, 5, 3 + sides[0] / 4, 5 + sides[1] / 4]
    got = js("roiLevel", box, canonical, 4)
    octave = 4 + np.log2(max(np.sqrt(sides[0] * sides[1]) / 4, 1e-9) / canonical)
    if abs(octave - round(octave)) > 2e-6:  # on the border float32 may see it on the other side
        assert got == int(roi_level(tensor(box), 4, float(canonical), 4)[0])


@pytest.mark.parametrize("side, level", [(0, 0), (111, 0), (112, 1), (224, 2), (448, 3), (9999, 3)])
def test_roi_level_at_its_borders(js, side, level):
    assert js("roiLevel", [0, 0, side, side]) == level
    assert int(roi_level(tensor([0, 0, side, side]), 4)[0]) == level


# --- how RoI operators look at a map: weights and cells applied to one give what labkit reads

MAP = np.random.default_rng(11).normal(size=(9, 9)).astype("f4")


def rois():
    """RoIs (y1, x1, y2, x2) in eighths of a cell, in a map of 9 cells, a cell off its far edge."""
    side = st.tuples(st.integers(0, 64), st.integers(0, 64)).map(sorted)
    return st.tuples(side, side).map(lambda yx: [yx[a][i] / 8 for i in (0, 1) for a in (0, 1)])


def weights(js, samples, low, high):
    return np.array([js("cellWeights", s, len(MAP), low, high) for s in samples])


@settings(max_examples=30)  # a RoIAlign each
@given(box=rois(), output=st.integers(1, 4), ratio=st.integers(0, 3), aligned=st.booleans())
def test_roi_align_s_samples(js, box, output, ratio, aligned):
    rows, columns = (
        weights(js, js("alignSamples", box[a], box[a + 2], output, ratio, aligned), -1, len(MAP))
        for a in (0, 1)
    )
    want = roi_ops.roi_align(
        tf.constant(MAP[None, ..., None]), tensor(box), [0], output, 1.0, ratio, aligned
    )
    if ratio or min(box[2] - box[0], box[3] - box[1]) > 0:  # adaptive: a side of 0 asks for none
        np.testing.assert_allclose(rows @ MAP @ columns.T, want[0, ..., 0], atol=1e-4)


@settings(max_examples=30)
@given(box=rois(), output=st.integers(1, 4), stride=st.sampled_from([1, 4]))
def test_crop_and_resize_s_samples(js, box, output, stride):
    axes = [js("cropSamples", box[a], box[a + 2], output, len(MAP), stride) for a in (0, 1)]
    rows, columns = (weights(js, samples, 0, len(MAP) - 1) for samples in axes)
    pixels = len(MAP) * stride
    want = roi_ops.roi_crop_and_resize(
        tf.constant(MAP[None, ..., None]), stride * tensor(box), [0], output, (pixels, pixels)
    )
    # On the very border float32 may see a sample on the other side, where everything is 0.
    off = np.abs(np.concatenate(axes)) < 1e-4
    if not off.any():
        np.testing.assert_allclose(rows @ MAP @ columns.T, want[0, ..., 0], atol=1e-4)


@settings(max_examples=30)
@given(box=rois(), output=st.integers(1, 7))
def test_roi_pool_s_cells(js, box, output):
    rows, columns = (js("poolCells", box[a], box[a + 2], output) for a in (0, 1))
    want = roi_ops.roi_pool(tf.constant(MAP[None, ..., None]), tensor(box), [0], output, 1.0)
    got = [[MAP[a:b, c:d].max(initial=-np.inf) for c, d in columns] for a, b in rows]
    got = np.where(np.isinf(got), 0.0, got)
    np.testing.assert_array_equal(got, want[0, ..., 0])
