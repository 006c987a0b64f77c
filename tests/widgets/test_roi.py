"""explore_roi: its numbers are labkit's, from code and in the browser."""

import numpy as np
import pytest
import tensorflow as tf
import traitlets

from labkit.errors import LabkitError
from labkit.ops import roi as roi_ops
from labkit.ops.roi_exact import precise_roi_pool
from labkit.widgets import explore_roi
from labkit.widgets.explorer import opened, script
from labkit.widgets.roi import LARGEST, OPERATORS

RAMP = np.arange(25, dtype=np.float32).reshape(5, 5)


@pytest.fixture
def w():
    return explore_roi(RAMP, box=[1, 1, 3, 3])


def test_the_five_by_five_example(w):
    assert w.values["align"][0] == pytest.approx([4.5, 5, 5.5, 6])
    w.aligned = False
    assert w.values["align"][[0, -1], [0, -1]] == pytest.approx([7.5, 16.5])


def test_values_are_labkit_s():
    rng = np.random.default_rng(0)
    features, box = rng.normal(size=(8, 8, 3)).astype("f4"), [3.25, 5.5, 20.75, 27]
    w = explore_roi(features, box=box, stride=4, channel=1, output=3, sampling_ratio=0)
    x, boxes = tf.constant(features[None, ..., 1:2]), tf.constant([box], tf.float32)
    expected = {
        "align": roi_ops.roi_align(x, boxes, [0], 3, 0.25, 0, True),
        "pool": roi_ops.roi_pool(x, boxes, [0], 3, 0.25),
        "crop_and_resize": roi_ops.roi_crop_and_resize(x, boxes, [0], 3, (32, 32)),
        "exact": precise_roi_pool(x, [box], [0], 3, 0.25),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(w.values[name], np.asarray(value)[0, ..., 0], err_msg=name)
    exact, extent = w.values["exact"], np.ptp(features[..., 1])
    for name in OPERATORS:
        error = np.abs(w.values[name] - exact).mean() / extent
        assert w.values["errors"][name] == pytest.approx(error, rel=1e-5)


def test_what_the_browser_is_sent_follows_every_control():
    w = explore_roi(RAMP**2, box=[1, 1, 3, 3])  # on the ramp itself one sample is as good as four
    sent = [w.results]
    changes = {"box": [1, 1, 4, 3.5], "output": 2, "sampling_ratio": 1, "aligned": False}
    for name, value in changes.items():
        setattr(w, name, value)
        assert w.results != sent[-1], name
        sent.append(w.results)
    assert np.shape(w.results["values"]["pool"]) == (2, 2)
    assert np.shape(w.results["colors"]["exact"]) == (2, 2, 3)
    np.testing.assert_allclose(w.results["values"]["align"], w.values["align"], atol=1e-4)


def test_another_channel_is_another_picture():
    w = explore_roi(np.stack([RAMP, RAMP.T**2], axis=-1))
    assert w.channel == 1  # the one that varies most
    before = w.map_url
    w.channel = 0
    assert w.map_url != before and opened(w.map_url).shape == (5, 5, 3)
    with pytest.raises(traitlets.TraitError, match="channel must be below 2"):
        w.channel = 2


def test_roi_pool_s_cells_are_whole(w):
    w.box = [1.4, 1.6, 2.6, 3.5]
    assert w.values["quantised"] == [1, 2, 3, 4]


def test_a_picture_alone_is_enough():
    image = np.random.default_rng(0).integers(0, 256, (128, 96, 3), np.uint8)
    w = explore_roi(image=image)
    assert w.shape == [32, 24, 1] and w.stride == 4 and w.picture_url
    assert w.features[0, 0, 0] == pytest.approx(image[:4, :4].mean() / 255, abs=1e-6)
    assert explore_roi().values["errors"]["align"] < 0.1


def test_a_flat_map_has_no_range_to_divide_by():
    w = explore_roi(np.ones((4, 4)))
    assert all(w.values["errors"][name] < 1e-6 for name in OPERATORS)


@pytest.mark.parametrize(
    "features, words",
    [
        (np.zeros((2, 5, 5, 3)), "features\\[0\\]"),
        (np.zeros(5), "one map"),
        (np.zeros((0, 5)), "one map"),
        ("map", "must be numbers"),
        (np.full((3, 3), np.nan), "NaN"),
        (np.zeros((LARGEST + 1, 3)), "too fine"),
    ],
)
def test_bad_maps_get_a_sentence(features, words):
    with pytest.raises(LabkitError, match=words):
        explore_roi(features)


def test_a_picture_of_another_shape_gets_a_sentence():
    with pytest.raises(LabkitError, match="trace.seen"):
        explore_roi(RAMP, image=np.zeros((50, 80, 3), np.uint8))


@pytest.mark.parametrize(
    "name, value",
    [
        ("operator", "nearest"),
        ("output", 0),
        ("output", 8),
        ("sampling_ratio", 3),
        ("box", [3, 3, 1, 1]),
        ("bin", [0]),
    ],
)
def test_bad_settings_are_refused(w, name, value):
    before = getattr(w, name)
    with pytest.raises(traitlets.TraitError):
        setattr(w, name, value)
    assert getattr(w, name) == before


def test_an_empty_box_and_one_outside(w):
    w.box = [2, 2, 2, 2]
    assert np.isfinite(w.values["align"]).all() and np.isfinite(w.values["exact"]).all()
    w.box = [20, 20, 30, 30]
    assert (w.values["align"] == 0).all() and (w.values["pool"] == 0).all()


def test_it_shows_itself(w):
    figure, alt = w.draw()
    assert [ax.get_title().split("\n")[0] for ax in figure.axes[1:]] == list(w.names.values())
    assert f"RoIPool {100 * w.values['errors']['pool']:.1f} %" in alt
    assert w.picture().png.startswith(b"\x89PNG")


def test_the_script_parses(parses):
    parses(script("geometry.js", "roi.js"))
