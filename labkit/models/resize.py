"""How an image is brought to the size the network sees: the same code in training and detection."""

import math

import numpy as np
from PIL import Image

from labkit.models.config import Config


def resized_shape(height: int, width: int, config: Config) -> tuple[int, int]:
    """(height, width) after the config's rule; "none" leaves the image as it is.

    "shortest_edge": the shorter side becomes image_min_side, unless the longer one would then pass
    image_max_side. The factor is a float32 and sizes are rounded down, as in torchvision: there,
    too, 800 sometimes becomes 799.
    "square": an image is enlarged until its shorter side is image_min_side, but never made smaller,
    unless its longer side would pass image_max_side, which it then becomes. Detection puts it in
    the middle of a black square of image_max_side (Matterport).
    """
    if config.resize == "none":
        return height, width
    if config.resize == "square":
        scale = max(1.0, config.image_min_side / min(height, width))
        if round(max(height, width) * scale) > config.image_max_side:
            scale = config.image_max_side / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))
    short, long = np.float32(min(height, width)), np.float32(max(height, width))
    scale = float(min(config.image_min_side / short, config.image_max_side / long))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def origins(canvas, sizes, config: Config):
    """Where on its canvas each image lies: (top, left) in whole pixels, an array like sizes.

    canvas: (H, W) of the padded images. sizes: [..., 2], the images' own.
    """
    return (canvas - sizes) // 2 if config.resize == "square" else sizes * 0


def resize_image(
    image: np.ndarray, height: int, width: int, filter: str = "antialias"
) -> np.ndarray:
    """An image [H, W, 3] at [height, width, 3], interpolated bilinearly.

    "antialias" averages where it shrinks, so that no pixel goes unseen: uint8 to uint8 (Pillow).
    "bilinear" looks at four pixels whatever the factor, as torchvision does: uint8 or float to
    float32.
    "black_border" does too, sees black beyond the border, which darkens the outermost pixels of an
    enlarged image, and cuts off what follows the point: uint8 to uint8. Source: skimage's resize
    with order=1 and mode="constant", as Matterport calls it.
    """
    if filter == "antialias":
        if image.shape[:2] == (height, width):
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    if filter == "black_border":
        framed = np.pad(image, [(1, 1), (1, 1), (0, 0)])
        blended = _bilinear(framed, image.shape, height, width, frame=1)
        # skimage never leaves the range of the image's own values. What is a whole number but for
        # rounding stays one.
        return np.floor(np.clip(blended, image.min(), image.max()) + 1e-3).astype(np.uint8)
    return _bilinear(image, image.shape, height, width)


def _bilinear(image: np.ndarray, shape, height: int, width: int, frame: int = 0) -> np.ndarray:
    """shape: of the image without its frame, whose pixels [height, width] are spread over."""
    above, below, weight = _neighbours(shape[0], height, frame)
    rows = _blend(image[above], image[below], weight[:, None, None])
    left, right, weight = _neighbours(shape[1], width, frame)
    return _blend(rows[:, left], rows[:, right], weight[:, None])


def _neighbours(length: int, target: int, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `target` cells: the pixels before and after its centre, and the second's part.

    frame: how many pixels stand before the first and after the last of `length`.
    """
    position = (np.arange(target) + 0.5) * (length / target) - 0.5 + frame
    end = length - 1 + 2 * frame
    position = np.clip(position, 0, end)  # beyond the outermost centres: their value
    first = position.astype(int)
    weight = (position - first).astype(np.float32)
    return first, np.minimum(first + 1, end), weight


def _blend(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return a * (1 - weight) + b * weight


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask [H, W] at [height, width], of the same dtype: each pixel takes the one it falls into.

    Source: torch's "nearest", which looks at the near corner of a pixel and not at its centre.
    """
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    return mask[rows[:, None], columns]
