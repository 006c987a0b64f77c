"""Where the labels of a crowded picture go: beside their boxes, and not over one another."""

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

MANY = 30  # with more labels, those that find no free place are left out
PADDING = 1.6  # points between a label's text and its edge


def place_labels(
    ax: Axes,
    boxes: np.ndarray,
    texts: Sequence[str],
    colors: Sequence,
    inks: Sequence[str],
    font_size: float,
) -> None:
    """Write a label beside each box; earlier ones choose their place first.

    A label is above its box, or below it, or inside it. If all these places are taken, it goes
    where it hides least; with more than 30 labels it is left out. Empty labels take no place.

    Args:
        ax: where to draw.
        boxes: [N, 4], (y1, x1, y2, x2).
        texts: N labels.
        colors: of their backgrounds.
        inks: of their letters.
        font_size: in points.
    """
    scale = _pixels_per_point(ax)
    height = (1.25 * font_size + 2 * PADDING) * scale
    bounds = ax.get_xlim()[1], ax.get_ylim()[0]
    taken = np.zeros((0, 4))
    count = sum(map(bool, texts))
    for box, text, color, ink in zip(boxes.tolist(), texts, colors, inks, strict=True):
        if not text:
            continue
        width = (0.6 * font_size * len(text.replace("\\", "")) + 2 * PADDING) * scale
        places = _places(box, height, width, bounds)
        hidden = [_overlap(place, taken) for place in places]
        best = int(np.argmin(hidden))
        if hidden[best] > 0 and count > MANY:
            continue
        taken = np.vstack((taken, places[best]))
        y, x = places[best][:2]
        ax.text(
            x + PADDING * scale,
            y + height / 2,
            text,
            fontsize=font_size,
            color=ink,
            va="center_baseline",
            bbox={"facecolor": color, "edgecolor": "white", "linewidth": 0.6, "pad": PADDING},
            zorder=5,
        )


def plain_text(text: str, most: int = 24, keep: str = "start") -> str:
    """A name from a file, changed so that matplotlib draws it as it is written, on one line.

    A `$` would start a formula (and raise if it is not valid), and a legend leaves out names that
    begin with `_`.

    Args:
        text: the name.
        most: longest result in characters; see `shortened`.
        keep: see `shortened`.
    """
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", " ".join(str(text).split()))
    text = shortened(text, most, keep).replace("$", r"\$")
    return " " + text if text.startswith("_") else text


def shortened(text: str, most: int = 24, keep: str = "start") -> str:
    """A text cut to `most` characters at its end, or with keep="end" (for paths) at its start."""
    if len(text) <= most:
        return text
    return "…" + text[1 - most :] if keep == "end" else text[: most - 1] + "…"


def _pixels_per_point(ax: Axes) -> float:
    """How many pixels of the picture are as long as one typographic point."""
    figure = ax.figure
    inches = ax.get_position().size * figure.get_size_inches()
    width, height = abs(np.diff(ax.get_xlim())[0]), abs(np.diff(ax.get_ylim())[0])
    # the picture keeps its proportions, so the tighter side decides
    return max(width / inches[0], height / inches[1]) / 72


def _places(box, height: float, width: float, bounds) -> np.ndarray:
    """Six places for a label, [6, 4] boxes (y1, x1, y2, x2), best first, inside the picture."""
    y1, x1, y2, x2 = box
    corners = [
        (y1 - height, x1),  # above, left
        (y2, x1),  # below, left
        (y1, x1),  # inside, top
        (y2 - height, x2 - width),  # inside, bottom right
        (y1 - height, x2 - width),  # above, right
        (y2, x2 - width),  # below, right
    ]
    places = []
    for y, x in corners:
        y = min(max(y, 0), max(bounds[1] - height, 0))
        x = min(max(x, 0), max(bounds[0] - width, 0))
        places.append((y, x, y + height, x + width))
    return np.array(places)


def _overlap(place: np.ndarray, taken: np.ndarray) -> float:
    """The area that `place` shares with the labels already there."""
    near = np.minimum(place[2:], taken[:, 2:]) - np.maximum(place[:2], taken[:, :2])
    return float(near.clip(0).prod(axis=1).sum())
