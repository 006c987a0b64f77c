"""What a mini-mask loses, as curves over the size of the object."""

import numpy as np
from matplotlib.figure import Figure

from labkit.viz.colors import FAINT, instance_color
from labkit.viz.style import LINES


def mini_mask_curves(error) -> Figure:
    """Mean IoU over object size, a line for each grid; the shading goes down to the worst 5 %.

    Ranges without masks are left out of the lines, and at both ends also of the axis.

    Args:
        error: what `labkit.data.mini_mask_error.mini_mask_error` returned.
    """
    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    ax = figure.subplots()
    seen = [row.low for row in error if row.count]
    error = [row for row in error if seen and min(seen) <= row.low <= max(seen)]
    lows = list(dict.fromkeys(row.low for row in error))
    for number, side in enumerate(dict.fromkeys(row.side for row in error)):
        rows = [row for row in error if row.side == side and row.count]
        places = [lows.index(row.low) for row in rows]
        color, style = instance_color(number), LINES[number % len(LINES)]
        ax.plot(
            places,
            [row.mean_iou for row in rows],
            color=color,
            linestyle=style,
            marker="o",
            linewidth=2.2,
            markersize=5,
            label=f"{side} x {side} cells",
        )
        ax.fill_between(
            places,
            [row.worst_iou for row in rows],
            [row.mean_iou for row in rows],
            color=color,
            alpha=0.13,
            linewidth=0,
        )
    highs = dict.fromkeys(row.high for row in error)
    ax.set_xticks(
        range(len(lows)),
        [
            f"{a:g}-{b:g}" if np.isfinite(b) else f"{a:g} +"
            for a, b in zip(lows, highs, strict=True)
        ],
    )
    ax.set(xlabel="longer side of the box (px)", ylabel="IoU with the full mask")
    ax.margins(x=0.1)
    ax.set_ylim(top=1.0 + 0.03 * (1.0 - ax.get_ylim()[0]))
    ax.grid(color=FAINT, linewidth=0.6, alpha=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title("mean, and shaded down to the 5th percentile", fontsize=9, loc="left")
    if ax.lines:
        figure.legend(fontsize=9, frameon=False, loc="outside lower center", ncols=4)
    return figure
