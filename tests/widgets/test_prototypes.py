"""explore_prototypes: the mask in the browser is the one that labkit assembles."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import traitlets

from labkit.errors import LabkitError
from labkit.widgets import explore_prototypes, explorer
from labkit.widgets.explorer import script

STATIC = Path(explorer.__file__).parent / "static"


@pytest.fixture
def trace():
    """Two detections in an image of 24 x 32 px, and three prototypes of 12 x 16 cells."""
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        prototypes=rng.normal(size=(12, 16, 3)).astype("f4"),
        coefficients=np.float32([[1.0, -2.0, 0.5], [0.0, 1.5, -0.5]]),
        boxes=np.float32([[4, 6, 20, 22], [0, 0, 24, 32]]),
        seen=rng.uniform(0, 255, (24, 32, 3)).astype("f4"),
        detections=SimpleNamespace(names=("cat", "<b>dog</b>")),
    )


def naive_mask(trace, coefficients, box=None):
    mask = 1 / (1 + np.exp(-np.einsum("hwk,k->hw", trace.prototypes, coefficients)))
    if box is not None:
        y, x = np.mgrid[:12, :16]
        y1, x1, y2, x2 = box / 2
        mask *= (y >= y1 - 1) & (y < y2 + 1) & (x >= x1 - 1) & (x < x2 + 1)
    return mask


def test_it_starts_with_the_network_s_coefficients(trace):
    w = explore_prototypes(trace)
    assert w.coefficients == [1.0, -2.0, 0.5] and w.values["iou"] == 1
    want = naive_mask(trace, trace.coefficients[0], trace.boxes[0])
    np.testing.assert_allclose(w.mask_of(w.coefficients), want, atol=1e-6)
    w.detection = 1
    assert w.coefficients == [0.0, 1.5, -0.5] and set(w.shown) == {0, 1, 2}


def test_it_is_driven_from_code(trace):
    w = explore_prototypes(trace)
    w.coefficients = [0.0, 0.0, 0.0]  # a logit of 0 is a probability of 0.5: no cell is above
    assert w.values == {"cells": 0, "iou": 0.0}
    w.crop, w.coefficients = False, [1.0, 0.0, 0.0]
    assert w.values["cells"] == int((trace.prototypes[..., 0] > 0).sum())
    assert "cat" in w.draw()[1] and w.picture().png.startswith(b"\x89PNG")


@pytest.mark.parametrize("crop", [True, False])
def test_the_browser_assembles_the_same_mask(trace, crop):
    engine = pytest.importorskip("py_mini_racer").MiniRacer()
    engine.eval((STATIC / "prototypes.js").read_text("utf-8").partition("function canvasOf")[0])
    w = explore_prototypes(trace)
    w.crop = crop
    for coefficients in ([1.0, -2.0, 0.5], [0.3, 0.0, 2.0]):
        maps = json.dumps(np.moveaxis(trace.prototypes, -1, 0).ravel().tolist())
        box = json.dumps(w.boxes[0]) if crop else "null"
        call = f"assembleMask(Float32Array.from({maps}), {w.grid}, {coefficients}, {box})"
        mine = np.reshape(json.loads(engine.eval(f"JSON.stringify(Array.from({call}))")), (12, 16))
        np.testing.assert_allclose(mine, w.mask_of(coefficients), atol=1e-5)


def test_bad_input_is_refused(trace):
    w = explore_prototypes(trace)
    with pytest.raises(traitlets.TraitError, match="detection 2 of 2"):
        w.detection = 2
    with pytest.raises(traitlets.TraitError, match="1 coefficients for 3 prototypes"):
        w.coefficients = [1.0]
    with pytest.raises(LabkitError, match="trace of a YOLACT"):
        explore_prototypes(object())
    trace.boxes = trace.boxes[:0]
    with pytest.raises(LabkitError, match="nothing was detected"):
        explore_prototypes(trace)


def test_the_javascript_parses(parses):
    parses(script("prototypes.js"))
