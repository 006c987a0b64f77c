"""AP over training minutes."""

import numpy as np
import pytest

from labkit.errors import LabkitError
from labkit.viz import learning_curves, show


def run(name, minutes, ap, seed=0):
    return {"name": name, "seed": seed, "minutes": minutes, "ap": ap}


def test_a_thick_line_is_the_mean_of_the_seeds():
    runs = [
        run("tiny", [1, 2, 3], [0.0, 0.1, 0.2]),
        run("tiny", [1, 2, 3], [0.1, 0.3, 0.4], seed=1),
        run("lite0_fpn from ImageNet", [1, 2], [0.2, 0.5]),
    ]
    figure = learning_curves(runs)
    thin, also_thin, mean, *_ = figure.axes[0].lines
    np.testing.assert_allclose(thin.get_ydata(), [0.0, 0.1, 0.2])
    np.testing.assert_allclose(also_thin.get_ydata(), [0.1, 0.3, 0.4])
    np.testing.assert_allclose(mean.get_ydata(), [0.05, 0.2, 0.3])
    assert mean.get_linewidth() > thin.get_linewidth()
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words == [
        "tiny: 0.30 after 3.0 min",
        "lite0_fpn from ImageNet: 0.50 after 2.0 min",
    ]
    assert show(figure, alt="learning curves").png


def test_the_mean_goes_as_far_as_all_runs_do():
    runs = [run("a", [1, 2, 4], [0.1, 0.2, 0.4]), run("a", [2, 3], [0.4, 0.5], seed=1)]
    mean = learning_curves(runs).axes[0].lines[2]
    np.testing.assert_allclose(mean.get_xdata(), [2, 3])
    np.testing.assert_allclose(mean.get_ydata(), [0.3, 0.4])


@pytest.mark.parametrize(
    "runs, words",
    [([], "no runs"), ([run("a", [1, 2], [0.1])], "2 minutes and 1"), ([run("a", [], [])], "0")],
)
def test_what_cannot_be_drawn_is_refused(runs, words):
    with pytest.raises(LabkitError, match=words):
        learning_curves(runs)
