"""Loss curves, the learning rate and the validation AP as figures."""

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.viz import loss_curves, show
from labkit.viz.training_curves import smoothed

LOSSES = ("objectness", "rpn_box", "class", "box", "mask")


def history(steps=200):
    rng = np.random.default_rng(0)
    lists = {name: rng.random(steps).tolist() for name in LOSSES}
    lists["total"] = np.sum([lists[name] for name in LOSSES], axis=0).tolist()
    return {"step": list(range(1, steps + 1)), "lr": [0.01] * steps, **lists}


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.axison]


def test_five_losses_their_total_the_rate_and_the_validation():
    validation = {"step": [100, 200], "bbox_AP": [0.2, 0.4], "segm_AP": [-1, 0.3]}
    figure = loss_curves(history(), validation=validation)
    assert len(titles(figure)) == 8
    assert titles(figure)[-2:] == ["learning rate", "validation AP"]
    ap = figure.axes[7]
    np.testing.assert_array_equal(ap.lines[1].get_ydata(), [np.nan, 0.3])
    assert show(figure, alt="losses").png
    rows = [{"step": 100, "bbox_AP": 0.2}, {"step": 200, "bbox_AP": 0.4}]
    line = loss_curves(history(), validation=rows).axes[7].lines[0]
    assert line.get_ydata().tolist() == [0.2, 0.4]
    assert len(titles(loss_curves(history(), validation=[]))) == 7


def test_raw_values_are_faint_below_the_smooth_line():
    raw, smooth = loss_curves(history(), smoothing=21).axes[0].lines
    assert raw.get_linewidth() < smooth.get_linewidth()
    assert np.ptp(smooth.get_ydata()) < np.ptp(raw.get_ydata())
    assert len(loss_curves(history(), smoothing=1).axes[0].lines) == 1


@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_short_trainings(steps):
    assert show(loss_curves(history(steps)), alt="losses").png


def test_a_loss_that_broke_is_pointed_out_and_hides_nothing():
    broken = history()
    broken["mask"][50:53] = [float("nan"), float("inf"), 1e9]
    figure = loss_curves(broken)
    panel = figure.axes[5]
    assert [text.get_text() for text in panel.texts] == ["2 not finite"]
    assert panel.get_ylim()[1] < 10
    show(loss_curves({name: [float("nan")] * 5 for name in LOSSES}), alt="all broken")


def test_bad_histories_are_named():
    with pytest.raises(LabkitError, match="history has none of total, objectness"):
        loss_curves({"loss": [1, 2]})
    with pytest.raises(LabkitError, match="'mask' has 2 values for 200 steps"):
        loss_curves({**history(), "mask": [1, 2]})


def test_smoothing():
    np.testing.assert_allclose(smoothed(np.ones(30), 7), 1)
    spike = np.ones(101)
    spike[50] = 1000
    np.testing.assert_allclose(smoothed(spike, 11), 1)
    line = np.arange(100.0)
    np.testing.assert_allclose(smoothed(line, 9)[20:80], line[20:80], atol=0.51)
    assert len(smoothed(np.random.rand(20_000), 1000)) == 20_000
