"""Composed photographs: objects cut out of photographs, pasted on others. No download.

A few photographs come inside scikit-image and scikit-learn. Six kinds of object are cut out of
them, made larger or smaller, mirrored, turned and coloured a little, and laid over one another on a
background of grass, bricks, gravel or the moon. So the pixels are those of a camera, which is what
a network pretrained on photographs expects, and the masks are exact.

It is easier than real photographs, for there is one cat and one cup: training and validation show
the same, on other backgrounds, in other sizes and company. Only the coins are others. A good AP
here says that the network finds *this* cat again, and nothing about another one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from labkit.data.synthetic import painting, photographs, scenes
from labkit.data.synthetic.painting import FULL, UNIT, Coverage, Dice
from labkit.data.synthetic.photographs import GROUNDS, Cutout
from labkit.data.synthetic.scenes import Scene

CLASS_NAMES = ("cat", "coin", "cup", "flower", "astronaut", "rocket")

# How often each class is drawn, and how long its longer side is, in percent of a drawn size. As in
# most collections, one class is common and one is rare.
_DRAWN = ("coin",) * 6 + ("cat", "cup", "flower") * 4 + ("astronaut",) * 3 + ("rocket",) * 2
_LENGTH = {"cat": 100, "coin": 33, "cup": 100, "flower": 85, "astronaut": 120, "rocket": 140}
_TURN = 15  # degrees at most, to either side


def collage(
    count: int = 400,
    size: int | tuple[int, int] = 384,
    seed: int = 0,
    split: str = "train",
    *,
    min_objects: int = 1,
    max_objects: int = 6,
    min_visible: float = 0.6,
    noise: int = 4,
) -> Collage:
    """A data set of composed photographs, made when it is read.

    Args:
        count: number of pictures. Picture i is the same whatever the count.
        size: side in pixels, or (height, width).
        seed: another seed gives other pictures.
        split: "train" or "val": the two share no background and no coin.
        min_objects: fewest objects in a picture.
        max_objects: most objects in a picture.
        min_visible: as in `labkit.data.shapes`.
        noise: as in `labkit.data.shapes`.

    Raises:
        LabkitError: a setting is out of range, or scikit-image is missing.
    """
    return Collage(
        count,
        size,
        seed,
        split,
        min_objects=min_objects,
        max_objects=max_objects,
        min_visible=min_visible,
        noise=noise,
    )


class Collage(scenes.Drawn):
    """The data set that `collage` makes."""

    class_names = CLASS_NAMES
    category_ids = tuple(range(1, len(CLASS_NAMES) + 1))

    kind = "objects"

    def __init__(
        self,
        count: int,
        size: int | tuple[int, int],
        seed: int,
        split: str,
        *,
        min_objects: int,
        max_objects: int,
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
        self.split = scenes.check_split(split, GROUNDS)
        short = min(self.height, self.width)
        self.min_size, self.max_size = short * 28 // 100, short * 58 // 100
        self.folder = f"collage/{self.split}"

    def _key(self, index: int) -> tuple[int, ...]:
        # The split is part of it: otherwise "train" and "val" would be composed alike.
        return self.seed, index, 1 + list(GROUNDS).index(self.split)

    def _compose(self, dice: Dice, max_size: int) -> Scene:
        """One attempt at a picture: a background with scraps on it, and what finds a place."""
        ground = _ground(dice, self.split, self.height, self.width)
        # Pasted edges must not mean "object": scraps of other backgrounds have them, too.
        for _ in range(dice.integer(0, 4)):
            _paste_scrap(dice, ground, self.split)
        scene = Scene(ground, self.min_visible, overlap=True)
        for number in range(dice.integer(self.min_objects, self.max_objects)):
            self._add_object(dice, scene, max_size, 80 if number < self.min_objects else 8)
        return scene

    def _add_object(self, dice: Dice, scene: Scene, max_size: int, tries: int) -> None:
        name = dice.choice(_DRAWN)
        cutout = dice.choice(photographs.cutouts(self.split)[name])
        for attempt in range(tries):
            largest = max(self.min_size, max_size - (max_size - self.min_size) * attempt // 8)
            length = dice.integer(self.min_size, largest) * _LENGTH[name] // 100
            figure, colours = _turned(dice, cutout, length)
            figure.top = dice.integer(0, self.height) - figure.values.shape[0] // 2
            figure.left = dice.integer(0, self.width) - figure.values.shape[1] // 2
            if scene.try_place(figure, CLASS_NAMES.index(name) + 1):
                scene.paint(figure, _recoloured(dice, colours, cutout.grey))
                return


def _turned(dice: Dice, cutout: Cutout, length: int) -> tuple[Coverage, np.ndarray]:
    """A cut-out with a longer side of `length` pixels, perhaps mirrored, turned a little.

    Returns:
        Its coverage, at the picture's corner, and its colours, int32 `[h, w, 3]`.
    """
    picture = Image.fromarray(cutout.pixels)
    if dice.chance(50):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = length / (max(picture.size) - 2 * photographs.MARGIN)
    sides = [max(1, round(side * scale)) for side in picture.size]
    # Colour and coverage are resized apart: Pillow would darken the colours where nothing covers.
    colour, covered = picture.convert("RGB"), picture.getchannel("A")
    degrees = dice.integer(-_TURN, _TURN)
    colour, covered = (
        part.resize(sides, Image.Resampling.LANCZOS).rotate(
            degrees, Image.Resampling.BICUBIC, expand=True
        )
        for part in (colour, covered)
    )
    values = np.asarray(covered, np.int32) * (FULL + 1) >> 8
    return Coverage(values, 0, 0), np.asarray(colour, np.int32)


def _recoloured(dice: Dice, colours: np.ndarray, grey: bool) -> np.ndarray:
    """Colours as in other light; what was photographed without colours gets a tint of metal."""
    brightness = dice.integer(75, 120)
    tint = [dice.integer(*((70, 110) if grey else (90, 110))) for _ in range(3)]
    if grey:  # silver to bronze: red leads, blue is behind
        tint.sort(reverse=True)
    factors = np.array([brightness * t for t in tint], np.int32)
    return np.clip(colours * factors // 10_000, 0, 255)


def _ground(dice: Dice, split: str, height: int, width: int) -> np.ndarray:
    """A background from a random part of a photograph: int32 `[height, width, 3]`."""
    picture = photographs.ground(*dice.choice(GROUNDS[split]))
    share = dice.integer(50, 100)  # percent of the largest window of this shape
    scale = min(picture.width / width, picture.height / height) * share / 100
    w, h = round(width * scale), round(height * scale)
    x, y = dice.integer(0, picture.width - w), dice.integer(0, picture.height - h)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC, (x, y, x + w, y + h))
    if dice.chance(50):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.filter(ImageFilter.GaussianBlur(dice.integer(0, 4) / 2))
    factors = np.array([dice.integer(60, 120) for _ in range(3)], np.int32)
    return np.minimum(np.asarray(picture, np.int32) * factors // 100, 255)


def _paste_scrap(dice: Dice, image: np.ndarray, split: str) -> None:
    """Paste a triangle to a hexagon of another background."""
    height, width = image.shape[:2]
    side = min(height, width) * dice.integer(10, 40) // 100
    centre = dice.integer(0, height) * UNIT, dice.integer(0, width) * UNIT
    corners, (cosine, sine) = dice.integer(3, 6), dice.rotation()
    points = []
    for number in range(corners):
        angle = 2 * np.pi * number / corners + np.arctan2(sine, cosine)
        reach = side * UNIT * dice.integer(60, 100) // 200
        points.append(
            (centre[0] + int(reach * np.sin(angle)), centre[1] + int(reach * np.cos(angle)))
        )
    figure = painting.polygon_coverage(points)
    scene = Scene(image, 1.0, overlap=True)  # only to paint: a scrap is no object
    scene.paint(figure, _ground(dice, split, *figure.values.shape))
