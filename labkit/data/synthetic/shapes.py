"""Synthetic pictures of shapes: a data set that needs no download and whose truth is easy to see.

Rectangles, ellipses, triangles and stars of any orientation and colour, plain or patterned, lie
over one another on a busy background. Only the outline tells the class: colour, pattern and size
say nothing about it. Masks hold what is visible; a shape that would be hidden beyond recognition,
or cut off by the border, is moved until it is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.data.synthetic import painting, scenes
from labkit.data.synthetic.painting import ONE, UNIT, Colour, Coverage, Dice, Rotation
from labkit.data.synthetic.scenes import Scene
from labkit.errors import LabkitError

CLASS_NAMES = ("rectangle", "ellipse", "triangle", "star")

#: The eight directions the light may come from, (y, x).
_LIGHTS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]

# The corners of a five-pointed star on the unit circle, (y, x) in 1/4096: sine and cosine of
# multiples of 36 degrees, written out. Even ones are tips; odd ones are drawn inwards.
_STAR = (
    (-4096, 0),
    (-3314, 2408),
    (-1266, 3896),
    (1266, 3896),
    (3314, 2408),
    (4096, 0),
    (3314, -2408),
    (1266, -3896),
    (-1266, -3896),
    (-3314, -2408),
)

# Factors of length and width in 1/64; their product is always about one.
_STRETCH = ((64, 64), (68, 60), (73, 56), (79, 52))


def shapes(
    count: int = 1000,
    size: int | tuple[int, int] = 128,
    seed: int = 0,
    *,
    classes: Sequence[str] = CLASS_NAMES,
    min_objects: int = 1,
    max_objects: int = 5,
    min_size: float | None = None,
    max_size: float | None = None,
    textures: bool = True,
    clutter: bool = True,
    overlap: bool = True,
    min_visible: float = 0.7,
    noise: int = 4,
) -> Shapes:
    """A data set of shapes, drawn when it is read and the same on every machine.

    Args:
        count: number of pictures. Picture i is the same whatever the count.
        size: side in pixels, or (height, width).
        seed: another seed gives entirely different pictures; use one for training and another one
            for validation.
        classes: which shapes there are, in the order of their class ids (the first has 1).
        min_objects: fewest shapes in a picture.
        max_objects: most shapes in a picture.
        min_size: smallest shape, as the side of a square of about the same area; in pixels, or
            below 1 as a share of the picture's shorter side. By default 12 %, at least 8 pixels.
        max_size: largest shape, likewise; by default 42 %. All sizes between are equally frequent.
        textures: patterns on shapes and background, light and shadow; otherwise flat colours.
        clutter: hairs, arcs and crumbs on the background.
        overlap: shapes may hide parts of one another.
        min_visible: the smallest share of a shape that must be visible (0.35 to 1), after what
            other shapes and the picture's border hide.
        noise: the camera's noise, up to ± this many grey levels.

    Raises:
        LabkitError: a setting is out of range, or the shapes could not fit.
    """
    return Shapes(
        count,
        size,
        seed,
        classes=classes,
        min_objects=min_objects,
        max_objects=max_objects,
        min_size=min_size,
        max_size=max_size,
        textures=textures,
        clutter=clutter,
        overlap=overlap,
        min_visible=min_visible,
        noise=noise,
    )


class Shapes(scenes.Drawn):
    """The data set that `shapes` makes."""

    kind = "shapes"

    def __init__(
        self,
        count: int,
        size: int | tuple[int, int],
        seed: int,
        *,
        classes: Sequence[str],
        min_objects: int,
        max_objects: int,
        min_size: float | None,
        max_size: float | None,
        textures: bool,
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
        self.class_names = _check_classes(classes)
        self.category_ids = tuple(range(1, len(self.class_names) + 1))
        short = min(self.height, self.width)
        self.min_size = scenes.check_pixels(min_size, short, max(8, short * 12 // 100), "min_size")
        self.max_size = scenes.check_pixels(
            max_size, short, max(short * 42 // 100, self.min_size), "max_size"
        )
        self.textures, self.clutter, self.overlap = bool(textures), bool(clutter), bool(overlap)
        self.folder = "shapes"
        self._check_fit()

    def _check_fit(self) -> None:
        if self.min_size > self.max_size:
            raise LabkitError(
                f"min_size ({self.min_size} px) is larger than max_size ({self.max_size} px); "
                "exchange them."
            )
        scenes.check_room(self.min_objects, self.min_size, self.height, self.width, "shapes")

    def _key(self, index: int) -> tuple[int, ...]:
        return self.seed, index

    def _compose(self, dice: Dice, max_size: int) -> Scene:
        """One attempt at a picture: the background, and as many shapes as find a place."""
        ground, colours = painting.background(dice, self.height, self.width, self.textures)
        if self.clutter:
            painting.clutter(dice, ground, colours, dice.integer(2, 7))
        scene = Scene(ground, self.min_visible, self.overlap)
        light = dice.choice(_LIGHTS) if self.textures else None
        for number in range(dice.integer(self.min_objects, self.max_objects)):
            # A shape that is required is tried often, and smaller every time; others are given up.
            tries = 80 if number < self.min_objects else 8
            self._add_shape(dice, scene, colours, light, max_size, tries)
        return scene

    def _add_shape(
        self,
        dice: Dice,
        scene: Scene,
        colours: list[Colour],
        light: tuple[int, int] | None,
        max_size: int,
        tries: int,
    ) -> None:
        class_id = dice.integer(1, len(self.class_names))
        for attempt in range(tries):
            largest = max(self.min_size, max_size - (max_size - self.min_size) * attempt // 8)
            size, rotation = _draw_size(dice, self.min_size, largest), dice.rotation()
            centre = self._draw_centre(dice, size)
            figure = outline(dice, self.class_names[class_id - 1], centre, size, rotation)
            if scene.try_place(figure, class_id):
                fill = self._fill(dice, figure, size, rotation, colours)
                scene.paint(figure, fill, light)
                return

    def _draw_centre(self, dice: Dice, size: int) -> tuple[int, int]:
        """A random centre with most of the shape inside the picture, in 1/64 pixel."""
        margin = UNIT * size * 3 // 8
        return (
            dice.integer(margin, self.height * UNIT - margin),
            dice.integer(margin, self.width * UNIT - margin),
        )

    def _fill(
        self, dice: Dice, figure: Coverage, size: int, rotation: Rotation, colours: list[Colour]
    ) -> np.ndarray:
        """A shape's colours: one, or two in a pattern, all different from the surroundings."""
        first = painting.colour_apart(dice, colours, 48)
        colours.append(first)  # the next shape keeps away from this one too
        if not self.textures:
            return np.array(first, np.int32)
        pattern = dice.choice(_PATTERNS if size >= 14 else _PLAIN_PATTERNS)
        second = painting.colour_apart(dice, [first, *colours[:2]], 40)
        # The two colours of a pattern differ less from one another than from the surroundings: the
        # outline is the strongest edge, as on most real objects.
        second = tuple(f + (s - f) * 3 // 8 for f, s in zip(first, second, strict=True))
        return pattern(dice, figure, size, rotation, first, second)


def _check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    unknown = [name for name in names if name not in CLASS_NAMES]
    if unknown or not names or len(set(names)) != len(names):
        raise LabkitError(
            f"classes is {names!r}; give one or more of {', '.join(CLASS_NAMES)}, each once."
        )
    return names


def _draw_size(dice: Dice, smallest: int, largest: int) -> int:
    """A side between the two, all equally likely."""
    return dice.integer(smallest, largest)


# ---- outlines ------------------------------------------------------------------------------------


def outline(
    dice: Dice, name: str, centre: tuple[int, int], size: int, rotation: Rotation
) -> Coverage:
    """A shape around a centre (1/64 pixel) of about the area of a square of `size` pixels."""
    side = size * UNIT
    long, short = dice.choice(_STRETCH)
    if name == "ellipse":
        # 9/16 is 1/√π: the circle with the area of the square.
        half_axes = (side * 9 // 16 * long // 64, side * 9 // 16 * short // 64)
        return painting.ellipse_coverage(centre, half_axes, rotation)
    if name == "rectangle":
        y, x = side * short // 128, side * long // 128
        corners = [(-y, -x), (-y, x), (y, x), (y, -x)]
    elif name == "triangle":
        # Base and height are about 1.5 sides (1.41 would give the square's area); the apex is
        # somewhere above the base.
        y, x = side * 48 * short // 64 // 64, side * 48 * long // 64 // 64
        apex = x * dice.integer(-24, 24) // 64
        corners = [(-y * 4 // 3, apex), (y * 2 // 3, x), (y * 2 // 3, -x)]
    else:
        radius = side * dice.integer(50, 54) // 64
        inner = radius * dice.integer(31, 36) // 64
        corners = [
            (y * (inner if i % 2 else radius) // ONE, x * (inner if i % 2 else radius) // ONE)
            for i, (y, x) in enumerate(_STAR)
        ]
    return painting.polygon_coverage([_turn(corner, centre, rotation) for corner in corners])


def _turn(point: tuple[int, int], centre: tuple[int, int], rotation: Rotation) -> tuple[int, int]:
    (y, x), (cosine, sine) = point, rotation
    return (
        centre[0] + ((x * sine + y * cosine) >> 12),
        centre[1] + ((x * cosine - y * sine) >> 12),
    )


# ---- patterns: int32 colours [h, w, 3] for the window of a figure --------------------------------


def _flat(
    dice: Dice, figure: Coverage, size: int, rotation: Rotation, a: Colour, b: Colour
) -> np.ndarray:
    return np.broadcast_to(np.array(a, np.int32), (*figure.values.shape, 3))


def _gradient(
    dice: Dice, figure: Coverage, size: int, rotation: Rotation, a: Colour, b: Colour
) -> np.ndarray:
    height, width = figure.values.shape
    along = painting.turned(height, width, (height // 2, width // 2), dice.rotation())
    return painting.mix(a, b, np.clip(128 + along * 10 // size, 0, 256))


def _stripes(
    dice: Dice, figure: Coverage, size: int, rotation: Rotation, a: Colour, b: Colour
) -> np.ndarray:
    height, width = figure.values.shape
    along = painting.turned(height, width, (height // 2, width // 2), rotation)
    period = 16 * max(4, size // dice.integer(2, 5))
    wave = painting.triangle_wave(along + dice.integer(0, period), period)
    # A steep slope instead of a step: the stripes' edges are as soft as the outline.
    return painting.mix(a, b, np.clip((wave - 128) * period // 64 + 128, 0, 256))


def _checks(
    dice: Dice, figure: Coverage, size: int, rotation: Rotation, a: Colour, b: Colour
) -> np.ndarray:
    height, width = figure.values.shape
    middle, across = (height // 2, width // 2), (-rotation[1], rotation[0])
    side = 16 * max(3, size // dice.integer(3, 6))
    u = painting.turned(height, width, middle, rotation) // side
    v = painting.turned(height, width, middle, across) // side
    return painting.mix(a, b, ((u + v) & 1) * np.int32(256))


def _speckle(
    dice: Dice, figure: Coverage, size: int, rotation: Rotation, a: Colour, b: Colour
) -> np.ndarray:
    noise = painting.smooth_noise(dice, *figure.values.shape, max(2, size // 10))
    return painting.mix(a, b, np.clip((noise - 110) * 3, 0, 256))


_PATTERNS = (_flat, _flat, _gradient, _gradient, _stripes, _checks, _speckle)
_PLAIN_PATTERNS = (_flat, _gradient)
