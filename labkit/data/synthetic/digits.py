"""Handwritten digits scattered over busy pictures: ten classes that need no download.

The digits are the 1,797 originals that come with scikit-learn, 8 x 8 cells of 0..16 by thirteen
writers (E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998). They
are enlarged smoothly, cut out at a threshold of ink, turned a little, coloured, and laid on the
backgrounds of `shapes`. "train", "val" and "test" use different originals, from different parts of
the collection and so mostly from different writers: a good AP on "val" means that the model learnt
digits and did not memorise the originals.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from labkit.data.synthetic import painting, scenes
from labkit.data.synthetic.painting import FULL, ONE, UNIT, Colour, Coverage, Dice
from labkit.data.synthetic.scenes import Scene
from labkit.errors import LabkitError

CLASS_NAMES = tuple("0123456789")

#: Which part of the 1,797 originals each split uses, in percent.
SPLITS = {"train": (0, 70), "val": (70, 85), "test": (85, 100)}

_CELLS = 8  # an original's rows and columns
_FINE = 16  # points per cell of the enlarged original
_INK = 6 * 16  # from this value on it is ink; originals are 0..16, enlarged ones 0..256


def digits(
    count: int = 600,
    size: int | tuple[int, int] = 128,
    seed: int = 0,
    split: str = "train",
    *,
    min_objects: int = 1,
    max_objects: int = 6,
    min_size: float | None = None,
    max_size: float | None = None,
    clutter: bool = True,
    overlap: bool = True,
    min_visible: float = 0.8,
    noise: int = 4,
) -> Digits:
    """A data set of handwritten digits, drawn when it is read.

    Args:
        count: number of pictures. Picture i is the same whatever the count.
        size: side in pixels, or (height, width).
        seed: another seed gives other pictures.
        split: "train", "val" or "test": which originals are used; no two splits share one.
        min_objects: fewest digits in a picture.
        max_objects: most digits in a picture.
        min_size: smallest side of an original's 8 x 8 square (a digit fills its height), in pixels,
            or below 1 as a share of the picture's shorter side. By default 18 %, at least 20 pixels
            (2.5 for a cell).
        max_size: largest side, likewise; by default 38 %.
        clutter: as in `labkit.data.shapes`.
        overlap: as in `labkit.data.shapes`.
        min_visible: as in `labkit.data.shapes`.
        noise: as in `labkit.data.shapes`.

    Raises:
        LabkitError: a setting is out of range, digits could not fit, scikit-learn is missing.
    """
    return Digits(
        count,
        size,
        seed,
        split,
        min_objects=min_objects,
        max_objects=max_objects,
        min_size=min_size,
        max_size=max_size,
        clutter=clutter,
        overlap=overlap,
        min_visible=min_visible,
        noise=noise,
    )


class Digits(scenes.Drawn):
    """The data set that `digits` makes."""

    class_names = CLASS_NAMES
    category_ids = tuple(range(1, 11))

    kind = "digits"

    def __init__(
        self,
        count: int,
        size: int | tuple[int, int],
        seed: int,
        split: str,
        *,
        min_objects: int,
        max_objects: int,
        min_size: float | None,
        max_size: float | None,
        clutter: bool,
        overlap: bool,
        min_visible: float,
        noise: int,
    ) -> None:
        super().__init__(
            count,
            size,
            seed,
            min_objects=min_objects,
            max_objects=max_objects,
            min_visible=min_visible,
            noise=noise,
        )
        self.split = scenes.check_split(split, SPLITS)
        short = min(self.height, self.width)
        smallest, largest = max(20, short * 18 // 100), max(24, short * 38 // 100)
        self.min_size = scenes.check_pixels(min_size, short, smallest, "min_size", 16)
        self.max_size = scenes.check_pixels(
            max_size, short, max(largest, self.min_size), "max_size", 16
        )
        if self.min_size > self.max_size:
            raise LabkitError(
                f"min_size ({self.min_size} px) is larger than max_size ({self.max_size} px); "
                "exchange them."
            )
        scenes.check_room(self.min_objects, self.min_size, self.height, self.width, "digits")
        self.clutter, self.overlap = bool(clutter), bool(overlap)
        self.folder = f"digits/{self.split}"
        self.originals = originals(split)

    def _key(self, index: int) -> tuple[int, ...]:
        # The split is part of it: otherwise "train" and "val" would share their backgrounds.
        return self.seed, index, 1 + list(SPLITS).index(self.split)

    def _compose(self, dice: Dice, max_size: int) -> Scene:
        """One attempt at a picture: the background, and as many digits as fit."""
        ground, colours = painting.background(dice, self.height, self.width, True)
        if self.clutter:
            painting.clutter(dice, ground, colours, dice.integer(2, 7))
        scene = Scene(ground, self.min_visible, self.overlap)
        for number in range(dice.integer(self.min_objects, self.max_objects)):
            tries = 80 if number < self.min_objects else 8
            self._add_digit(dice, scene, colours, max_size, tries)
        return scene

    def _add_digit(
        self, dice: Dice, scene: Scene, colours: list[Colour], max_size: int, tries: int
    ) -> None:
        labels, drawings = self.originals
        number = dice.integer(0, len(labels) - 1)
        enlarged = enlarge(drawings[number].tobytes())
        for attempt in range(tries):
            largest = max(self.min_size, max_size - (max_size - self.min_size) * attempt // 8)
            side = dice.integer(self.min_size, largest)
            margin = UNIT * side * 3 // 8
            centre = (
                dice.integer(margin, self.height * UNIT - margin),
                dice.integer(margin, self.width * UNIT - margin),
            )
            figure = ink_coverage(enlarged, centre, side, dice.integer(-12, 12))
            if scene.try_place(figure, int(labels[number]) + 1):
                scene.paint(figure, self._ink(dice, figure, side, colours))
                return

    def _ink(self, dice: Dice, figure: Coverage, side: int, colours: list[Colour]) -> np.ndarray:
        """A gradient of two colours, both different from the surroundings."""
        first = painting.colour_apart(dice, colours, 60)
        second = painting.colour_apart(dice, colours, 60)
        colours.append(first)
        height, width = figure.values.shape
        along = painting.turned(height, width, (height // 2, width // 2), dice.rotation())
        blend = dice.integer(0, 160)  # how much of the second colour there is at the end
        return painting.mix(first, second, np.clip(128 + along * 8 // side, 0, 256) * blend >> 8)


# ---- originals -----------------------------------------------------------------------------------


@cache
def originals(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The originals of a split: labels int `[n]`, drawings uint8 `[n, 8, 8]` of 0..16."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise LabkitError(
            "The digits come with scikit-learn, which is not installed; pip install scikit-learn."
        ) from None
    loaded = load_digits()
    first, last = (len(loaded.target) * percent // 100 for percent in SPLITS[split])
    drawings = loaded.images[first:last].astype(np.uint8)
    return loaded.target[first:last].copy(), drawings


@lru_cache(maxsize=4096)
def enlarge(drawing: bytes) -> np.ndarray:
    """An original at 16 points per cell with two empty cells around: int32 `[192, 192]`, 0..256.

    The Catmull-Rom cubic keeps the cells' values and is smooth between them; its weights are whole
    numbers over 2 · 32³.
    """
    cells = np.frombuffer(drawing, np.uint8).reshape(_CELLS, _CELLS).astype(np.int32) * 16
    points = _cubic(_cubic(np.pad(cells, 2)).T).T
    fine = np.clip(points, 0, 256).astype(np.int32)
    fine.setflags(write=False)  # the cached array is shared
    return fine


def _cubic(rows: np.ndarray) -> np.ndarray:
    """Interpolate along the first axis at 16 points per cell, each at its centre."""
    n = _FINE
    t = np.arange(n) * 2 + 1 - n  # twice the distance from the cell's centre, in points
    shift, t = np.where(t < 0, -1, 0), np.where(t < 0, t + 2 * n, t)
    n2 = 2 * n
    weights = (
        -t * (n2 - t) ** 2,
        2 * n2**3 - 5 * n2 * t**2 + 3 * t**3,
        n2**2 * t + 4 * n2 * t**2 - 3 * t**3,
        -(t**2) * (n2 - t),
    )
    length = len(rows)
    below = (np.arange(length)[:, None] + shift).ravel()
    total = np.zeros((length * n, rows.shape[1]), np.int64)
    for step, weight in zip((-1, 0, 1, 2), weights, strict=True):
        source = rows[np.clip(below + step, 0, length - 1)]
        total += source * np.tile(weight, length)[:, None]
    return total // (2 * n2**3)


def ink_coverage(enlarged: np.ndarray, centre: tuple[int, int], side: int, tilt: int) -> Coverage:
    """An enlarged original as a figure: centre in 1/64 pixel, side in pixels.

    `tilt` (-16..16) is the tangent of half the angle it is turned by, in 1/64: up to 28 degrees.
    """
    norm = ONE + tilt * tilt
    cosine, sine = ONE * (ONE - tilt * tilt) // norm, ONE * 128 * tilt // norm
    reach = side * UNIT * 7 // 8  # a little beyond half the diagonal
    top, left = (centre[0] - reach) // UNIT - 2, (centre[1] - reach) // UNIT - 2
    length = 2 * reach // UNIT + 5
    y = (top + np.arange(length, dtype=np.int64)) * UNIT + UNIT // 2 - centre[0]
    x = (left + np.arange(length, dtype=np.int64)) * UNIT + UNIT // 2 - centre[1]
    # From pixels to points of the enlarged original, in 1/64: side pixels are 8 · 16 points.
    u = ((y * cosine)[:, None] - x * sine >> 12) * (_CELLS * _FINE) // side
    v = ((y * sine)[:, None] + x * cosine >> 12) * (_CELLS * _FINE) // side
    value = _at(enlarged, u, v)
    # The edge of the ink is about a cell wide in the original; this makes it about a pixel wide.
    values = np.clip((value - _INK) * side // _CELLS // 2 + FULL // 2, 0, FULL).astype(np.int32)
    values[:2] = values[-2:] = values[:, :2] = values[:, -2:] = 0
    return Coverage(values, top, left)


def _at(points: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bilinear values at (u, v), in 1/64 point from the middle; zero outside."""
    half = len(points) * UNIT // 2
    u, v = u + half - UNIT // 2, v + half - UNIT // 2
    inside = (u >= 0) & (v >= 0) & (u < (len(points) - 1) * UNIT) & (v < (len(points) - 1) * UNIT)
    u, v = np.where(inside, u, 0), np.where(inside, v, 0)
    row, column, a, b = u >> 6, v >> 6, u & 63, v & 63
    upper = points[row, column] * (UNIT - b) + points[row, column + 1] * b
    lower = points[row + 1, column] * (UNIT - b) + points[row + 1, column + 1] * b
    return np.where(inside, (upper * (UNIT - a) + lower * a) >> 12, 0)
