"""Drawing pictures from random numbers: the tools of the synthetic data sets.

Every pixel is the same on every machine. Random numbers come from `numpy.random.RandomState`, whose
streams never change; geometry and colours are whole-number arithmetic. The only exception is the
square root of float64 numbers, which IEEE 754 defines exactly; sine and cosine are not used.

Units: positions are whole numbers of 1/64 pixel, coverage goes from 0 to 256 (a pixel completely
inside), rotations are pairs (cosine, sine) in 1/4096. Unfinished images are int32 `[H, W, 3]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

UNIT = 64  # positions: 1/64 pixel
FULL = 256  # coverage of a pixel that lies completely inside
ONE = 4096  # rotations: 4096 is 1.0
_ROWS = 4  # every pixel row is cut into this many scan lines

Rotation = tuple[int, int]
Colour = tuple[int, int, int]


# ---- random choices ------------------------------------------------------------------------------


class Dice:
    """Random whole numbers for one picture, drawn in blocks (single draws are slow)."""

    def __init__(self, *key: int) -> None:
        self._random = np.random.RandomState(list(key))
        self._block: list[int] = []

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        if not self._block:
            self._block = self._random.randint(0, 1 << 24, size=256, dtype=np.int32).tolist()
        return low + (self._block.pop() * (high - low + 1) >> 24)

    def chance(self, percent: int) -> bool:
        return self.integer(1, 100) <= percent

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def bytes(self, *shape: int) -> np.ndarray:
        """An int32 array of independent values 0..255."""
        return self._random.randint(0, 256, size=shape, dtype=np.uint8).astype(np.int32)

    def rotation(self) -> Rotation:
        """A random direction.

        With t = tan(angle / 2), the cosine is (1 - t²) / (1 + t²) and the sine 2t / (1 + t²): both
        are rational if t is, so whole numbers are enough. t from -1 to 1 gives half of the circle,
        the sign the other half.
        """
        p, q = self.integer(-64, 64), 64
        sign = 1 if self.chance(50) else -1
        norm = q * q + p * p
        return sign * (ONE * (q * q - p * p) // norm), sign * (ONE * 2 * p * q // norm)


# ---- colours -------------------------------------------------------------------------------------


def colour(dice: Dice, saturation: tuple[int, int], value: tuple[int, int]) -> Colour:
    """A random colour; saturation and value are from these ranges (0..255)."""
    hue, s, v = dice.integer(0, 6 * 256 - 1), dice.integer(*saturation), dice.integer(*value)
    sector, f = hue >> 8, hue & 255
    low, down = v * (255 - s) // 255, v * (255 * 255 - s * f) // (255 * 255)
    up = v * (255 * 255 - s * (255 - f)) // (255 * 255)
    return (
        (v, up, low),
        (down, v, low),
        (low, v, up),
        (low, down, v),
        (up, low, v),
        (v, low, down),
    )[sector]


def contrast(a: Colour, b: Colour) -> int:
    """How different two colours look, 0..255, weighted as the eye sees red, green and blue."""
    return (3 * abs(a[0] - b[0]) + 5 * abs(a[1] - b[1]) + 2 * abs(a[2] - b[2])) // 10


def colour_apart(
    dice: Dice,
    others: Sequence[Colour],
    at_least: int,
    saturation: tuple[int, int] = (40, 235),
    value: tuple[int, int] = (50, 250),
) -> Colour:
    """A colour that differs from all the others; if none does, the best of twelve."""
    best, best_contrast = (0, 0, 0), -1
    for _ in range(12):
        candidate = colour(dice, saturation, value)
        apart = min((contrast(candidate, other) for other in others), default=255)
        if apart > best_contrast:
            best, best_contrast = candidate, apart
        if apart >= at_least:
            break
    return best


def mix(a: Colour, b: Colour, t: np.ndarray) -> np.ndarray:
    """Colours between a (t = 0) and b (t = 256): int32 `[..., 3]` for t of any shape."""
    a_, b_ = np.array(a, np.int32), np.array(b, np.int32)
    return a_ + (t[..., None] * (b_ - a_) >> 8)


# ---- coverage ------------------------------------------------------------------------------------


@dataclass
class Coverage:
    """How much of every pixel a figure covers, in a window that may reach beyond the picture.

    Attributes:
        values: int32 `[h, w]`, 0..256, zero in the outermost two rows and columns.
        top, left: the pixel at `values[0, 0]`; may be negative.
    """

    values: np.ndarray
    top: int
    left: int


def _window(low: int, high: int) -> tuple[int, int]:
    """The pixels from `low` to `high` (1/64 pixel), with two more at both ends."""
    return low // UNIT - 2, -(-high // UNIT) + 2


def _left_of(crossings: np.ndarray, left: int, width: int) -> np.ndarray:
    """How much of each pixel of a scan line lies left of where an edge crosses it (0..64)."""
    amount = crossings[:, None] - (left + np.arange(width, dtype=np.int32)) * UNIT
    np.maximum(amount, 0, out=amount)
    return np.minimum(amount, UNIT, out=amount)


def polygon_coverage(points: Sequence[tuple[int, int]]) -> Coverage:
    """Fill a simple polygon given by its corners (y, x) in 1/64 pixel, in either orientation.

    On the scan lines that it crosses, every edge adds everything to its left; edges going up and
    edges going down have opposite signs, so only the inside remains.
    """
    ys, xs = zip(*points, strict=True)
    (top, bottom), (left, right) = _window(min(ys), max(ys)), _window(min(xs), max(xs))
    height, width = bottom - top, right - left
    lines = np.zeros((height * _ROWS, width), np.int32)
    step = UNIT // _ROWS
    origin = top * UNIT + step // 2  # the first scan line, at the centre of its quarter row
    turn = 0
    for (y0, x0), (y1, x1) in zip(points, [*points[1:], points[0]], strict=True):
        turn += x0 * y1 - x1 * y0
        if y0 == y1:
            continue
        low, high = (y0, y1) if y0 < y1 else (y1, y0)
        first, last = -(-(low - origin) // step), -(-(high - origin) // step)
        scan = origin + step * np.arange(first, last, dtype=np.int64)
        crossings = (x0 + (scan - y0) * (x1 - x0) // (y1 - y0)).astype(np.int32)
        amount = _left_of(crossings, left, width)
        if y0 < y1:
            lines[first:last] += amount
        else:
            lines[first:last] -= amount
    values = lines.reshape(height, _ROWS, width).sum(axis=1, dtype=np.int32)
    return Coverage(values if turn > 0 else -values, top, left)


def ellipse_coverage(
    centre: tuple[int, int], half_axes: tuple[int, int], rotation: Rotation
) -> Coverage:
    """Fill an ellipse: centre (y, x) and half axes in 1/64 pixel, turned by `rotation`.

    On the scan line at height d above the centre the ellipse spans
    x = (-B d ± a b √(A - d²)) / A  with  A = b² cos² + a² sin²,  B = (b² - a²) sin cos.
    """
    (cy, cx), (a, b) = centre, half_axes
    cosine, sine = rotation[0] / ONE, rotation[1] / ONE
    A = b * b * cosine * cosine + a * a * sine * sine
    B = (b * b - a * a) * sine * cosine
    reach = max(a, b)
    (top, bottom), (left, right) = _window(cy - reach, cy + reach), _window(cx - reach, cx + reach)
    height, width = bottom - top, right - left
    step = UNIT // _ROWS
    d = (top * UNIT + step // 2 + step * np.arange(height * _ROWS) - cy).astype(np.float64)
    inside = d * d < A
    half = a * b * np.sqrt(np.where(inside, A - d * d, 0)) / A
    middle = cx - B * d / A
    ends = [np.floor(np.where(inside, middle + s * half, cx)).astype(np.int32) for s in (1, -1)]
    lines = _left_of(ends[0], left, width) - _left_of(ends[1], left, width)
    return Coverage(lines.reshape(height, _ROWS, width).sum(axis=1, dtype=np.int32), top, left)


# ---- fields: a number 0..256 for every pixel, to mix two colours ---------------------------------


def smooth_noise(dice: Dice, height: int, width: int, cell: int) -> np.ndarray:
    """Noise that varies over about `cell` pixels: random knots, interpolated (int32, 0..255)."""
    knots = dice.bytes(height // cell + 2, width // cell + 2)
    return _between(_between(knots, height, cell).T, width, cell).T


def _between(knots: np.ndarray, length: int, cell: int) -> np.ndarray:
    """Interpolate along the first axis; t²(3 - 2t) instead of t hides the knots' grid."""
    position = np.arange(length)
    index, t = position // cell, (position % cell) * 256 // cell
    weight = (t * t * (768 - 2 * t) >> 16).astype(np.int32)[:, None]
    below, above = knots[index], knots[index + 1]
    return below + ((above - below) * weight >> 8)


def turned(height: int, width: int, centre: tuple[int, int], rotation: Rotation) -> np.ndarray:
    """The pixels' coordinates along a turned axis through a centre (y, x), in 1/16 pixel."""
    cosine, sine = rotation
    y = (np.arange(height, dtype=np.int32) - centre[0]) * 16 + 8
    x = (np.arange(width, dtype=np.int32) - centre[1]) * 16 + 8
    return (x * cosine + (y * sine)[:, None]) >> 12


def triangle_wave(distance: np.ndarray, period: int) -> np.ndarray:
    """From 256 to 0 and back over a period, which is in the unit of `distance`."""
    return np.abs(distance % period * 512 // period - 256)


# ---- backgrounds ---------------------------------------------------------------------------------


def background(
    dice: Dice, height: int, width: int, textured: bool
) -> tuple[np.ndarray, list[Colour]]:
    """A background and its colours, which figures then avoid."""
    first = colour(dice, (0, 130), (35, 235))
    second = _companion(dice, first)
    scale = max(min(height, width), 32)
    if not textured:
        image = np.empty((height, width, 3), np.int32)
        image[:] = first
        return image, [first]
    kind = dice.choice((_blotches, _weave, _planks, _tiles, _ramp))
    image = mix(first, second, kind(dice, height, width, scale))
    # Uneven light: the brightness varies over the picture.
    light = smooth_noise(dice, height, width, scale // 2) - 128
    image += (light >> 3)[:, :, None]
    return image, [first, second]


def _companion(dice: Dice, base: Colour) -> Colour:
    """A similar colour: all channels change by the same amount, and a little separately."""
    shift = dice.integer(22, 60) * dice.choice((-1, 1))
    if not 20 <= sum(base) // 3 + shift <= 240:
        shift = -shift
    return tuple(max(0, min(255, c + shift + dice.integer(-14, 14))) for c in base)


def _blotches(dice: Dice, height: int, width: int, scale: int) -> np.ndarray:
    noise = smooth_noise(dice, height, width, scale // 8) + smooth_noise(
        dice, height, width, scale // 16
    )
    steps = dice.choice((32, 64, 128))  # a few flat levels, as camouflage has, or many
    return noise // 2 // steps * steps


def _weave(dice: Dice, height: int, width: int, scale: int) -> np.ndarray:
    rotation = dice.rotation()
    across = (-rotation[1], rotation[0])
    period = 16 * dice.integer(3, max(4, scale // 12))
    u = triangle_wave(turned(height, width, (0, 0), rotation), period)
    v = triangle_wave(turned(height, width, (0, 0), across), period)
    return (u * v >> 8) if dice.chance(50) else (u + v) // 2


def _planks(dice: Dice, height: int, width: int, scale: int) -> np.ndarray:
    distance = turned(height, width, (0, 0), dice.rotation())
    wobble = smooth_noise(dice, height, width, scale // 4) * dice.integer(0, scale // 8) // 16
    grain = triangle_wave(distance + wobble, 16 * dice.integer(4, max(5, scale // 6)))
    return grain if dice.chance(60) else (grain > 128) * np.int32(256)


def _tiles(dice: Dice, height: int, width: int, scale: int) -> np.ndarray:
    side = dice.integer(scale // 16, scale // 5)
    rows = np.arange(height, dtype=np.int32)[:, None] + dice.integer(0, side)
    columns = np.arange(width, dtype=np.int32) + dice.integer(0, side)
    shades = dice.bytes(height // side + 2, width // side + 2)
    tiles = shades[rows // side, columns // side]
    joints = (rows % side == 0) | (columns % side == 0)
    return np.where(joints, 256, tiles >> 1)


def _ramp(dice: Dice, height: int, width: int, scale: int) -> np.ndarray:
    ramp = triangle_wave(turned(height, width, (0, 0), dice.rotation()), 16 * 2 * scale)
    return (ramp * 3 + smooth_noise(dice, height, width, max(2, scale // 24))) >> 2


# ---- clutter: objects of no class ----------------------------------------------------------------


def clutter(dice: Dice, image: np.ndarray, colours: Sequence[Colour], amount: int) -> None:
    """Draw hairs, arcs and crumbs, so thin or tiny that they cannot be confused with a figure."""
    for _ in range(amount):
        paint = _companion(dice, dice.choice(colours))
        if dice.chance(35):
            paint = colour(dice, (20, 200), (30, 250))
        dice.choice((_hair, _arc, _crumbs))(dice, image, paint)


def _hair(dice: Dice, image: np.ndarray, paint: Colour) -> None:
    """A straight line through a random part of the picture."""
    window = _part(dice, image)
    height, width = window.shape[:2]
    centre = (dice.integer(0, height), dice.integer(0, width))
    distance = turned(height, width, centre, dice.rotation())
    _stroke(window, np.abs(distance), dice.integer(8, 18), paint)


def _arc(dice: Dice, image: np.ndarray, paint: Colour) -> None:
    """A piece of a circle that is too large for the picture."""
    window = _part(dice, image)
    height, width = window.shape[:2]
    radius = dice.integer(max(height, width) * 3 // 4, max(height, width) * 2)
    cosine, sine = dice.rotation()
    y = np.arange(height, dtype=np.int64) - height // 2 + radius * sine // ONE
    x = np.arange(width, dtype=np.int64) - width // 2 + radius * cosine // ONE
    # (d² - r²) / 2r is about d - r where d is near r, and needs no square root.
    distance = (x * x + (y * y)[:, None] - radius * radius) * 8 // radius
    _stroke(window, np.abs(distance).astype(np.int32), dice.integer(8, 18), paint)


def _crumbs(dice: Dice, image: np.ndarray, paint: Colour) -> None:
    """Specks of one to four pixels, scattered over a part of the picture."""
    window = _part(dice, image)
    height, width = window.shape[:2]
    for _ in range(dice.integer(3, 9)):
        y, x = dice.integer(0, height - 2), dice.integer(0, width - 2)
        window[y : y + dice.integer(1, 2), x : x + dice.integer(1, 2)] = paint


def _part(dice: Dice, image: np.ndarray) -> np.ndarray:
    """A view of a random part of the picture, a quarter to two thirds of each side."""
    height, width = image.shape[:2]
    rows, columns = (
        dice.integer(height // 4, height * 2 // 3),
        dice.integer(width // 4, width * 2 // 3),
    )
    top, left = dice.integer(0, height - rows), dice.integer(0, width - columns)
    return image[top : top + rows, left : left + columns]


def _stroke(window: np.ndarray, distance: np.ndarray, half_width: int, paint: Colour) -> None:
    """Paint where `distance` (1/16 pixel, >= 0) is below half the width, with soft edges."""
    alpha = np.minimum(np.maximum((half_width + 8 - distance) * 16, 0), 256)
    window += (np.array(paint, np.int32) - window) * alpha[:, :, None] >> 8
