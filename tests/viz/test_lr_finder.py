"""rate_figure: the curve and the three rates that a range test names."""

import numpy as np

from labkit.training.lr_finder import RateTest, running_mean
from labkit.viz import rate_figure


def test_the_curve_and_its_marks():
    rates = np.geomspace(1e-5, 1, 60)
    losses = 3 - np.exp(-((np.log10(rates) + 2) ** 2))
    losses[-1] = 4000.0  # the last step of a test that ran away
    test = RateTest(rates, losses, running_mean(losses), diverged=True)
    ax = rate_figure(test, title="shapes").axes[0]
    raw, mean, *marks = ax.get_lines()
    np.testing.assert_array_equal(raw.get_ydata(), losses)
    np.testing.assert_array_equal(mean.get_ydata(), test.smoothed)
    assert [m.get_xdata()[0] for m in marks] == [test.suggestion, test.steepest, test.edge]
    assert ax.get_xscale() == "log" and ax.get_ylim()[1] < 10
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert named[1] == f"suggested {test.suggestion:.1e}" and ax.get_title("left") == "shapes"
