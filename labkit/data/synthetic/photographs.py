"""The material of `collage`: photographs that come inside scikit-image and scikit-learn.

Objects are cut out along polygons drawn by hand; what surrounds them elsewhere is background. All
of it may be used freely: scikit-image's pictures are in the public domain or under CC0 (for the
coins, "no known copyright restrictions"); scikit-learn's china.jpg and flower.jpg are CC BY 2.0 by
the Flickr users danielbuechele and vultilion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from labkit.errors import LabkitError

MARGIN = 4  # pixels around a cut-out, so that turning it never reaches the end of the array
_FINE = 4  # the polygon is drawn so many times larger, and averaged: a soft edge

# Outlines: corners (x, y) in pixels of the photograph, clockwise from the top.
CAT = (
    (40, 0, 398, 0, 392, 10, 384, 22, 378, 38, 369, 54, 358, 68, 352, 76, 357, 98, 361, 120)
    + (361, 142, 354, 167, 344, 190, 330, 213, 318, 234, 313, 254, 307, 268, 294, 275, 275, 277)
    + (
        256,
        275,
        238,
        277,
        214,
        276,
        186,
        271,
        161,
        261,
        139,
        247,
        116,
        231,
        96,
        212,
        79,
        198,
        63,
        179,
    )
    + (53, 159, 43, 139, 37, 118, 34, 98, 34, 60, 38, 34)
)
CUP = (
    (285, 19, 320, 23, 350, 34, 375, 51, 394, 71, 401, 68, 412, 68, 422, 73, 423, 80, 415, 106)
    + (430, 120, 449, 143, 466, 171, 476, 205, 479, 228, 475, 255, 464, 285, 444, 317, 414, 344)
    + (380, 365, 340, 379, 300, 386, 265, 387, 230, 382, 195, 371, 161, 351, 131, 324, 106, 295)
    + (89, 265, 80, 240, 78, 215, 80, 192, 88, 165, 101, 134, 121, 108, 146, 89, 173, 76, 178, 84)
    + (186, 66, 201, 48, 221, 33, 250, 22)
)
FLOWER = (
    (315, 86, 340, 93, 365, 98, 383, 104, 390, 114, 404, 117, 411, 132, 427, 146, 432, 170)
    + (
        439,
        187,
        444,
        218,
        443,
        240,
        436,
        258,
        429,
        274,
        419,
        290,
        414,
        305,
        400,
        324,
        383,
        332,
        365,
        346,
    )
    + (335, 356, 300, 357, 270, 351, 245, 349, 226, 334, 206, 321, 198, 305, 186, 285, 176, 262)
    + (171, 240, 170, 210, 173, 198, 178, 183, 179, 172, 188, 170, 189, 150, 194, 138, 209, 128)
    + (218, 116, 235, 109, 250, 100, 270, 98, 290, 92)
)
ASTRONAUT = (
    (240, 16, 265, 21, 284, 38, 296, 60, 300, 85, 296, 108, 285, 125, 276, 134, 268, 136, 262, 155)
    + (257, 174, 271, 184, 286, 202, 297, 219, 304, 236, 321, 246, 336, 266, 346, 290, 353, 318)
    + (361, 349, 375, 347, 400, 344, 425, 348, 450, 361, 472, 383, 486, 410, 494, 440, 496, 455)
    + (504, 465, 511, 490, 511, 511, 31, 511, 28, 470, 23, 430, 21, 395, 26, 365, 27, 335, 35, 315)
    + (41, 285, 51, 261, 71, 241, 91, 223, 110, 207, 115, 188, 123, 168, 136, 156, 156, 150)
    + (183, 150, 181, 133, 174, 127, 168, 118, 158, 98, 155, 76, 159, 58, 171, 45, 188, 36)
    + (200, 25, 218, 18)
)
ROCKET = (
    323,
    128,
    327,
    131,
    331,
    138,
    333,
    148,
    333,
    174,
    331,
    181,
    330,
    250,
    330,
    404,
    313,
    404,
) + (314, 350, 314, 270, 315, 185, 312, 177, 312, 148, 314, 138, 319, 131)
# The 24 coins of one photograph, as the boxes (x1, y1, x2, y2) of ellipses.
_COINS_TRAIN = (
    *((23, 35, 67, 74), (81, 39, 120, 74), (132, 28, 179, 73), (192, 30, 239, 73)),
    *((255, 34, 297, 72), (306, 16, 364, 72), (25, 104, 67, 145), (84, 107, 122, 145)),
    *((134, 110, 173, 145), (186, 105, 226, 144), (246, 96, 296, 144), (318, 106, 356, 144)),
    *((26, 178, 62, 217), (81, 175, 124, 217), (135, 179, 174, 217), (189, 170, 237, 217)),
)
_COINS_VAL = (
    *((251, 172, 296, 217), (315, 156, 379, 218), (19, 233, 74, 288), (93, 244, 135, 287)),
    *((144, 237, 201, 287), (220, 240, 269, 288), (276, 239, 326, 288), (336, 247, 380, 289)),
)

#: The parts of photographs behind the objects, (photograph, (x1, y1, x2, y2)), for each split.
GROUNDS = {
    "train": (
        ("brick", (0, 0, 512, 512)),
        ("grass", (0, 0, 512, 512)),
        ("china", (0, 0, 640, 427)),
        ("flower", (0, 0, 165, 427)),  # its leaves, out of focus
        ("coffee", (482, 0, 600, 400)),  # the table
    ),
    "val": (
        ("gravel", (0, 0, 512, 512)),
        ("moon", (0, 0, 512, 512)),
        ("hubble_deep_field", (0, 0, 1000, 872)),
        ("rocket", (0, 0, 300, 427)),  # dusk, towers and lamps beside the rocket
        ("retina", (200, 200, 1200, 1200)),
    ),
}
_FROM_SKLEARN = ("china", "flower")


@dataclass(frozen=True)
class Cutout:
    """An object cut out of its photograph.

    Attributes:
        pixels: uint8 `[h, w, 4]`, RGB and how much of each pixel is object (0..255).
        grey: whether the photograph has no colours.
    """

    pixels: np.ndarray
    grey: bool


@cache
def photograph(name: str) -> np.ndarray:
    """A photograph as uint8 `[H, W, 3]`; without colours, three equal channels.

    Raises:
        LabkitError: scikit-image is not installed.
    """
    if name in _FROM_SKLEARN:
        from sklearn.datasets import load_sample_image

        return load_sample_image(f"{name}.jpg")
    try:
        from skimage import data
    except ImportError:
        raise LabkitError(
            "The photographs of collage come with scikit-image, which is not installed; "
            "pip install 'labkit[lab]'."
        ) from None
    pixels = getattr(data, name)()
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def ground(name: str, box: tuple[int, int, int, int]) -> Image.Image:
    """A part of a photograph, (x1, y1, x2, y2)."""
    return Image.fromarray(photograph(name)).crop(box)


@cache
def cutouts(split: str) -> dict[str, tuple[Cutout, ...]]:
    """The objects of a split, by the name of their class.

    There is one of each, in both splits, but of the coins: 16 to train on, 8 others to validate.
    """
    coins = _COINS_TRAIN if split == "train" else _COINS_VAL
    return {
        "cat": (_along("chelsea", CAT),),
        "coin": tuple(_along("coins", _ellipse(box)) for box in coins),
        "cup": (_along("coffee", CUP),),
        "flower": (_along("flower", FLOWER),),
        "astronaut": (_along("astronaut", ASTRONAUT),),
        "rocket": (_along("rocket", ROCKET),),
    }


def _along(name: str, outline: tuple[float, ...]) -> Cutout:
    """What lies within an outline, given as x, y of one corner after the other."""
    photo, corners = photograph(name), np.reshape(outline, (-1, 2))
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    window = np.s_[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
    pixels = photo[window]
    drawn = Image.new("L", (pixels.shape[1] * _FINE, pixels.shape[0] * _FINE))
    shifted = (corners - (int(left), int(top))) * _FINE
    ImageDraw.Draw(drawn).polygon([tuple(c) for c in shifted], fill=255)
    alpha = np.asarray(drawn.reduce(_FINE))
    around = ((MARGIN, MARGIN), (MARGIN, MARGIN))
    return Cutout(
        np.dstack([np.pad(pixels, (*around, (0, 0)), mode="edge"), np.pad(alpha, around)]),
        grey=bool((photo.max(axis=2) == photo.min(axis=2)).all()),
    )


def _ellipse(box: tuple[int, int, int, int], corners: int = 40) -> tuple[float, ...]:
    """The outline of an ellipse in a box, one pixel inside it: the dark rim stays outside."""
    x1, y1, x2, y2 = box
    angle = np.arange(corners) * 2 * np.pi / corners
    x = (x1 + x2) / 2 + ((x2 - x1) / 2 - 1) * np.cos(angle)
    y = (y1 + y2) / 2 + ((y2 - y1) / 2 - 1) * np.sin(angle)
    return tuple(np.stack([x, y], axis=1).ravel().tolist())
