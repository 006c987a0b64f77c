"""How an image is brought to the size the network sees: the same code in training and detection."""

import math

import numpy as np
from PIL import Image

from labkit.config import Config


def resized_shape(height: int, width: int, config: Config) -> tuple[int, int]:
    """(height, width) after the config's rule; "none" leaves the image as it is.

    "shortest_edge": the shorter side becomes image_min_side, unless the longer one would then pass
    image_max_side. Sizes are rounded down, as in torchvision.
    """
    if config.resize == "none":
        return height, width
    scale = min(config.image_min_side / min(height, width),
                config.image_max_side / max(height, width))  # fmt: skip
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3] to uint8 [height, width, 3], bilinear, averaging where it shrinks."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
