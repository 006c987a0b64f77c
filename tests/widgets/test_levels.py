"""explore_levels: its level is labkit's, in Python and in the browser."""

import numpy as np
import pytest
import tensorflow as tf
import traitlets

from labkit.ops.roi_pyramid import roi_level
from labkit.widgets import explore_levels
from labkit.widgets.explorer import script


@pytest.mark.parametrize(
    "side, level, cells",
    [
        (8, 2, 2),
        (100, 2, 25),
        (112, 3, 14),
        (224, 4, 14),
        (440, 4, 27.5),
        (448, 5, 14),
        (576, 5, 18),
    ],
)
def test_a_roi_covers_14_to_28_cells_of_its_level(side, level, cells):
    w = explore_levels(roi=[10, 10, 10 + side, 10 + side])
    assert w.values["level"] == level and w.values["stride"] == 2**level
    assert w.values["cells"] == (pytest.approx(cells), pytest.approx(cells))


def test_values_are_labkit_s():
    rng = np.random.default_rng(0)
    near = rng.uniform(0, 100, (40, 2))
    rois = np.concatenate([near, near + np.exp(rng.uniform(1, 6, (40, 2)))], 1)
    w = explore_levels(rois=rois, canonical_size=100, canonical_level=3)
    want = roi_level(tf.constant(rois, tf.float32), 4, 100.0, 3).numpy()
    assert w.values["counts"] == np.bincount(want, minlength=4).tolist()


def test_it_is_driven_from_code():
    w = explore_levels(roi=[0, 0, 100, 100])
    assert w.values["level"] == 2 and w.values["counts"] == [0, 0, 0, 0]
    w.canonical_size = 50.0
    assert w.values["level"] == 5
    w.canonical_level = 2
    assert w.values["level"] == 3
    w.roi = np.float32([3, 3, 3, 3])  # empty, and no error
    assert w.values["level"] == 2 and w.values["cells"] == (0, 0)
    w.rois = [[0, 0, 20, 20]] * 3
    assert w.values["counts"] == [3, 0, 0, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"roi": [4, 4, 0, 0]},
        {"rois": [[1, 2, 3]]},
        {"canonical_size": 0},
        {"canonical_level": 6},
    ],
)
def test_bad_input_is_refused(change):
    with pytest.raises(traitlets.TraitError):
        explore_levels(**change)


def test_the_picture_shows_the_cells():
    w = explore_levels(np.zeros((200, 300, 3), np.uint8), roi=[8, 8, 40, 72])
    figure, alt = w.draw()
    assert "P2" in alt and "8.0 x 16.0 cells" in alt
    rows, columns = figure.axes[0].collections
    assert len(rows.get_segments()) == 9 and len(columns.get_segments()) == 17
    assert len(figure.axes[0].images) == 1
    assert w.picture().png.startswith(b"\x89PNG")


def test_the_javascript_parses(parses):
    parses(script("geometry.js", "levels.js"))
