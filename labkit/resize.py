"""How an image is brought to the size the network sees: the same code in training and detection."""

import math

import numpy as np
from PIL import Image

from labkit.config import Config


def resized_shape(height: int, width: int, config: Config) -> tuple[int, int]:
    """(height, width) after the config's rule; "none" leaves the image as it is.

    "shortest_edge": the shorter side becomes image_min_side, unless the longer one would then pass
    image_max_side. The factor is a float32 and sizes are rounded down, as in torchvision: there,
    too, 800 sometimes becomes 799.
    """
    if config.resize == "none":
        return height, width
    short, long = np.float32(min(height, width)), np.float32(max(height, width))
    scale = float(min(config.image_min_side / short, config.image_max_side / long))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def resize_image(
    image: np.ndarray, height: int, width: int, filter: str = "antialias"
) -> np.ndarray:
    """An image [H, W, 3] at [height, width, 3], interpolated bilinearly.

    "antialias" averages where it shrinks, so that no pixel goes unseen: uint8 to uint8 (Pillow).
    "bilinear" looks at four pixels whatever the factor, as torchvision does: uint8 or float to
    float32.
    """
    if filter == "antialias":
        if image.shape[:2] == (height, width):
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    above, below, weight = _neighbours(image.shape[0], height)
    rows = _blend(image[above], image[below], weight[:, None, None])
    left, right, weight = _neighbours(image.shape[1], width)
    return _blend(rows[:, left], rows[:, right], weight[:, None])


def _neighbours(length: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `target` cells: the pixels before and after its centre, and the second's part."""
    position = (np.arange(target) + 0.5) * (length / target) - 0.5
    position = np.clip(position, 0, length - 1)  # beyond the outermost centres: their value
    first = position.astype(int)
    weight = (position - first).astype(np.float32)
    return first, np.minimum(first + 1, length - 1), weight


def _blend(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return a * (1 - weight) + b * weight


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask [H, W] at [height, width], of the same dtype: each pixel takes the one it falls into.

    Source: torch's "nearest", which looks at the near corner of a pixel and not at its centre.
    """
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    return mask[rows[:, None], columns]
