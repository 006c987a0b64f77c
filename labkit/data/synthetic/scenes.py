"""A scene: figures laid over one another on a background, and the settings of synthetic data sets.

`labkit.data.synthetic.painting` draws; this module decides what may be where.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from labkit.data.dataset import Dataset
from labkit.data.sample import Sample, make_sample
from labkit.data.synthetic.painting import FULL, Coverage, Dice, Rotation
from labkit.errors import LabkitError

#: A picture whose figures do not fit is drawn again with smaller ones, up to this many times.
DRAWINGS = 6
#: A shape has at least this many visible pixels, or it is not in the picture at all.
MIN_VISIBLE_PIXELS = 40


class Scene:
    """An unfinished picture: which figures were placed, and what of them is still visible.

    Figures are placed from back to front. Each hides what lies under it, and is refused if too
    little of it, or of another one, would remain visible. So everything in the picture is labelled,
    and everything labelled can be recognised.
    """

    def __init__(self, image: np.ndarray, min_visible: float, overlap: bool) -> None:
        self.image = image
        self.owner = np.zeros(image.shape[:2], np.int32)  # 0: background, i + 1: figure i
        self.areas: list[int] = []  # of the whole figures, including hidden parts
        self.visible: list[int] = []
        self.class_ids: list[int] = []
        self._min_visible_256 = int(min_visible * 256)
        self._overlap = overlap

    def __len__(self) -> int:
        return len(self.areas)

    def try_place(self, figure: Coverage, class_id: int) -> bool:
        """Reserve the figure's pixels if all figures stay recognisable; paints nothing yet."""
        whole = int(np.count_nonzero(figure.values >= FULL // 2))
        place, part = self._clip(figure)
        inside = figure.values[part] >= FULL // 2
        seen = int(np.count_nonzero(inside))
        if not self._enough(seen, whole):
            return False
        owner = self.owner[place]
        hidden = np.bincount(owner[inside], minlength=len(self) + 1).tolist()[1:]
        if not self._overlap and any(hidden):
            return False
        left = [before - lost for before, lost in zip(self.visible, hidden, strict=True)]
        if not all(
            self._enough(now, area)
            for now, area, lost in zip(left, self.areas, hidden, strict=True)
            if lost
        ):
            return False
        self.visible = [*left, seen]
        self.areas.append(whole)
        self.class_ids.append(class_id)
        owner[inside] = len(self)
        return True

    def paint(self, figure: Coverage, colours: np.ndarray, light: Rotation | None = None) -> None:
        """Paint the figure over the picture.

        Args:
            figure: where, and how much of each pixel it covers.
            colours: int32, `[h, w, 3]` or one colour.
            light: the direction the light comes from, (y, x) in -1..1. With light, the edge towards
                it is brighter, the opposite one darker, and a shadow falls on what lies below.
        """
        place, part = self._clip(figure)
        if light is not None:
            colours = colours + _rim(figure.values, light)[:, :, None]
            self._shadow(figure, light)
        target = self.image[place]
        colours = colours[part] if colours.ndim == 3 else colours
        target += (colours - target) * figure.values[part][:, :, None] >> 8

    def masks(self) -> np.ndarray:
        """The visible pixels of every figure, in the order of placing: bool `[N, H, W]`."""
        return self.owner == np.arange(1, len(self) + 1, dtype=np.int32)[:, None, None]

    def finished(self, dice: Dice, noise: int) -> np.ndarray:
        """The picture as uint8, with noise of up to ± `noise` levels in every value."""
        if noise:
            self.image += (dice.bytes(*self.image.shape) * (2 * noise + 1) >> 8) - noise
        np.maximum(self.image, 0, out=self.image)
        return np.minimum(self.image, 255, out=self.image).astype(np.uint8)

    def _enough(self, seen: int, whole: int) -> bool:
        return seen >= MIN_VISIBLE_PIXELS and seen * 256 >= whole * self._min_visible_256

    def _clip(self, figure: Coverage, dy: int = 0, dx: int = 0) -> tuple[tuple, tuple]:
        """Where a figure (moved by dy, dx) overlaps the picture: slices of picture and figure."""
        (height, width), (rows, columns) = self.owner.shape, figure.values.shape
        top, left = figure.top + dy, figure.left + dx
        y0, y1 = max(top, 0), max(min(top + rows, height), max(top, 0))
        x0, x1 = max(left, 0), max(min(left + columns, width), max(left, 0))
        place = (slice(y0, y1), slice(x0, x1))
        return place, (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))

    def _shadow(self, figure: Coverage, light: Rotation) -> None:
        reach = 1 + max(figure.values.shape) // 24
        place, part = self._clip(figure, -light[0] * reach, -light[1] * reach)
        target = self.image[place]
        target -= target * (figure.values[part] * 90 >> 8)[:, :, None] >> 8


def _rim(coverage: np.ndarray, light: Rotation) -> np.ndarray:
    """Brightness to add: positive where coverage grows away from the light, as on a raised edge."""
    dy, dx = light
    height, width = coverage.shape
    away = coverage[1 - dy : height - 1 - dy, 1 - dx : width - 1 - dx]
    towards = coverage[1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx]
    rim = np.zeros_like(coverage)
    rim[1:-1, 1:-1] = (away - towards) * 42 >> 8
    return rim


# ---- settings that all synthetic data sets share -------------------------------------------------


def check_count(count: int) -> int:
    return _whole(count, "count", 0, 10_000_000)


def check_seed(seed: int) -> int:
    return _whole(seed, "seed", 0, 2**32 - 1)


def check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """One side or (height, width), 32 to 2048 pixels each."""
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2:
        raise LabkitError(f"size is {size!r}; give one whole number or (height, width).")
    return tuple(_whole(side, "size", 32, 2048) for side in sides)


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not low <= value <= high
    ):
        raise LabkitError(f"{name} is {value!r}; give a whole number from {low} to {high}.")
    return int(value)


def check_split(split: str, splits: Iterable[str]) -> str:
    """The name of a split, if it is one of these."""
    if split not in splits:
        raise LabkitError(f"split is {split!r}; give one of {', '.join(splits)}.")
    return split


def check_objects(min_objects: int, max_objects: int) -> tuple[int, int]:
    low, high = (
        _whole(min_objects, "min_objects", 0, 200),
        _whole(max_objects, "max_objects", 0, 200),
    )
    if low > high:
        raise LabkitError(
            f"min_objects ({low}) is larger than max_objects ({high}); exchange them."
        )
    return low, high


def check_min_visible(min_visible: float) -> float:
    if not 0.35 <= min_visible <= 1:
        raise LabkitError(
            f"min_visible is {min_visible!r}; give a share from 0.35 to 1 (below about a third, "
            "a figure cannot be recognised)."
        )
    return float(min_visible)


def check_noise(noise: int) -> int:
    return _whole(noise, "noise", 0, 64)


def check_pixels(
    value: float | None, short: int, default: int, name: str, smallest: int = 8
) -> int:
    """A length in pixels, from one in pixels or, below 1, a share of the picture's shorter side."""
    if value is None:
        return default
    pixels = value * short if 0 < value < 1 else value
    if not smallest <= pixels <= short * 0.75:
        raise LabkitError(
            f"{name} is {value!r}, which is {pixels:g} px; give {smallest} px to three quarters of "
            f"the shorter side ({short * 3 // 4} px), or a share of that side below 1."
        )
    return int(pixels)


def check_room(count: int, size: int, height: int, width: int, what: str) -> None:
    """Refuse pictures that `count` figures of `size` pixels would not fit into."""
    # Figures at random places begin to find no free place when they fill about half of the area.
    if count > 1 and count * (size * 3 // 2) ** 2 * 2 > height * width:
        raise LabkitError(
            f"{count} {what} of {size} px or more do not fit into {height} x {width} pixels; lower "
            "min_objects or min_size."
        )


def shrink(min_size: int, max_size: int, drawing: int) -> int:
    """The largest size allowed in the n-th drawing of a picture; in the last, the smallest."""
    return max_size - (max_size - min_size) * drawing // (DRAWINGS - 1)


class Drawn(Dataset):
    """A data set that draws its pictures, all of the same size.

    A subclass defines `_key` and `_compose` and sets those attributes that `__init__` does not.

    Attributes:
        count: number of pictures.
        height, width: of every picture, in pixels.
        max_objects: most objects in a picture.
        folder: the first part of the pictures' names.
        kind: what the objects are called in a message.
    """

    count: int
    height: int
    width: int
    max_objects: int
    folder: str
    kind: str
    min_size: int
    max_size: int

    def __init__(
        self,
        count: int,
        size: int | tuple[int, int],
        seed: int,
        *,
        min_objects: int,
        max_objects: int,
        min_visible: float,
        noise: int,
    ) -> None:
        """Check and keep the settings that all drawn data sets have."""
        self.count = check_count(count)
        self.height, self.width = check_size(size)
        self.seed = check_seed(seed)
        self.min_objects, self.max_objects = check_objects(min_objects, max_objects)
        self.min_visible = check_min_visible(min_visible)
        self.noise = check_noise(noise)
        self.problems = []

    def __len__(self) -> int:
        return self.count

    def image_info(self, index: int) -> dict[str, Any]:
        index = self._check_index(index)
        # Image ids start at 1: some tools treat 0 as "none".
        return {
            "id": index + 1,
            "file_name": f"{self.folder}/{index}",
            "height": self.height,
            "width": self.width,
        }

    def read(self, index: int) -> Sample:
        for drawing in range(DRAWINGS):
            # The first drawing's key has no number: pictures of earlier versions stay the same.
            key = self._key(index)
            dice = Dice(*key, drawing) if drawing else Dice(*key)
            scene = self._compose(dice, shrink(self.min_size, self.max_size, drawing))
            if len(scene) >= self.min_objects:
                break
        else:
            raise LabkitError(
                f"Picture {index} has room for {len(scene)} {self.kind}, not {self.min_objects}; "
                "lower min_objects, min_size or min_visible, or allow overlap."
            )
        info, masks = self.image_info(index), scene.masks()
        return make_sample(
            scene.finished(dice, self.noise),
            masks,
            scene.class_ids,
            image_id=info["id"],
            name=info["file_name"],
        )

    def _key(self, index: int) -> tuple[int, ...]:
        """What the random numbers of a picture follow from."""
        raise NotImplementedError

    def _compose(self, dice: Dice, max_size: int) -> Scene:
        """One attempt at a picture with objects of at most `max_size` pixels."""
        raise NotImplementedError

    def instance_limit(self, index: int) -> int:
        return self.max_objects

    @property
    def max_instances(self) -> int:
        return self.max_objects
