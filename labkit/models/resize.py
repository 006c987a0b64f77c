"""How an image is brought to the size that the network sees, and coordinates there and back.

The same code runs in training and in detection.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from labkit.models.detector_config import DetectorConfig

# --- sizes and places -------------------------------------------------------------------


def resized_shape(height: int, width: int, config: DetectorConfig) -> tuple[int, int]:
    """(height, width) of an image after the config's rule.

    "shortest_edge": the shorter side becomes image_min_side, unless the longer side would then
    exceed image_max_side. The factor is a float32 and sizes are rounded down, as in torchvision,
    where 800 also becomes 799 sometimes; with resize_rounding "nearest" they are rounded to the
    nearest pixel, as in Detectron2.
    "square": an image is enlarged until its shorter side is image_min_side, and never shrunk,
    except that a longer side above image_max_side becomes image_max_side. Detection puts the result
    in the middle of a black square of image_max_side. Source: Matterport.
    "stretch": every image becomes a square of image_max_side, whatever its sides. Source: YOLACT.
    "none": the image stays as it is.
    """
    if config.resize == "stretch":
        return config.image_max_side, config.image_max_side
    if config.resize == "none":
        return height, width
    if config.resize == "square":
        scale = max(1.0, config.image_min_side / min(height, width))
        if round(max(height, width) * scale) > config.image_max_side:
            scale = config.image_max_side / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))
    if config.resize_rounding == "nearest":  # Detectron2, in double precision
        short, long = sorted((height, width))
        scale = min(config.image_min_side / short, config.image_max_side / long)
        return max(1, math.floor(height * scale + 0.5)), max(1, math.floor(width * scale + 0.5))
    short, long = np.float32(min(height, width)), np.float32(max(height, width))
    scale = float(min(config.image_min_side / short, config.image_max_side / long))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def padded_shape(height, width, config: DetectorConfig) -> tuple:
    """(height, width) of what the network sees of a resized image: padded, but by some rules not.

    Args:
        height: of the resized image (the largest, of several); a number or an array.
        width: likewise.
        config: the detector's.
    """
    if config.resize == "square":
        return height * 0 + config.image_max_side, width * 0 + config.image_max_side
    if config.resize == "stretch":
        return height, width
    return tuple(-(-side // config.pad_multiple) * config.pad_multiple for side in (height, width))


def origins(canvas, sizes, config: DetectorConfig):
    """Where each image lies in its padded image: (top, left) in whole pixels.

    Args:
        canvas: (H, W) of the padded images.
        sizes: array or tensor [..., 2], the sizes of the images themselves.
        config: the detector's.

    Returns:
        [..., 2], of the kind of sizes.
    """
    return (canvas - sizes) // 2 if config.resize == "square" else sizes * 0


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in the batch that the network sees, and coordinates there and back.

    Attributes:
        shape: (rows, columns) of the picture, in its own pixels.
        size: (rows, columns) after resizing, in pixels of the batch.
        origin: (top, left), in pixels of the batch.
        inclusive: boxes end at their last pixel (see `labkit.models.inclusive`), so that the last
            pixels of picture and batch correspond instead of their edges.
        canvas: (rows, columns) of the batch.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    origin: tuple[int, int]
    inclusive: bool = False
    canvas: tuple[int, int] = field(default=(0, 0), compare=False)

    @classmethod
    def of(cls, shape, size, canvas, config: DetectorConfig) -> "Placement":
        """The placement that the config's rule gives.

        Args:
            shape: of the picture, (rows, columns, ...).
            size: (rows, columns) that it was resized to.
            canvas: (H, W) of the batch.
            config: the detector's.
        """
        top, left = origins(np.int32(canvas), np.int32(size), config).tolist()
        rows, columns = np.int32(size).tolist()
        canvas = tuple(int(side) for side in canvas)
        return cls(tuple(shape[:2]), (rows, columns), (top, left), config.inclusive_boxes, canvas)

    @property
    def scale(self) -> tuple[float, float]:
        """(y, x): pixels of the batch per pixel of the picture."""
        return self.size[0] / self.shape[0], self.size[1] / self.shape[1]

    @property
    def box(self) -> list[float]:
        """The picture's own box in the batch, (y1, x1, y2, x2)."""
        (top, left), (rows, columns) = self.origin, self.size
        return [float(top), float(left), float(top + rows), float(left + columns)]

    @property
    def frame(self) -> np.ndarray:
        """The whole batch image in pixels of the picture, float32 (y1, x1, y2, x2)."""
        return self.in_picture(np.float32([0, 0, *self.canvas]))

    def in_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [..., 4] of the batch in pixels of the picture, float32 [..., 4]."""
        origin, last, shape, size = self._terms()
        return (boxes - last - origin) * np.tile(shape / size, 2) + last

    def in_batch(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [..., 4] of the picture in pixels of the batch, float32 [..., 4]."""
        origin, last, shape, size = self._terms()
        return (boxes - last) * np.tile(size / np.maximum(shape, 1), 2) + origin + last

    def _terms(self) -> tuple[np.ndarray, ...]:
        """Origin, last pixel (taken off an inclusive box, put back afterwards), shape and size."""
        one = np.float32(self.inclusive)
        last = one * np.float32([0, 0, 1, 1])
        shape, size = np.float32(self.shape) - one, np.maximum(np.float32(self.size) - one, one)
        return np.tile(np.float32(self.origin), 2), last, shape, size


# --- pixels -----------------------------------------------------------------------------


def resize_image(
    image: np.ndarray, height: int, width: int, filter: str = "antialias"
) -> np.ndarray:
    """An image [H, W, 3] at [height, width, 3], interpolated bilinearly.

    "antialias" averages when it shrinks, so that every pixel counts: uint8 to uint8 (Pillow).
    "bilinear" reads four pixels whatever the factor, as torchvision does: uint8 or float to
    float32.
    "black_border" reads four pixels too, but sees black beyond the border, which darkens the
    outermost pixels of an enlarged image, and rounds down: uint8 to uint8. Source: skimage's resize
    with order=1 and mode="constant", as Matterport calls it.
    """
    if filter == "antialias":
        if image.shape[:2] == (height, width):
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    if filter == "black_border":
        framed = np.pad(image, [(1, 1), (1, 1), (0, 0)])
        blended = _bilinear(framed, image.shape, height, width, frame=1)
        # skimage never leaves the range of the image's own values. 1e-3: a whole number stays the
        # same number despite rounding errors.
        return np.floor(np.clip(blended, image.min(), image.max()) + 1e-3).astype(np.uint8)
    return _bilinear(image, image.shape, height, width)


def _bilinear(image: np.ndarray, shape, height: int, width: int, frame: int = 0) -> np.ndarray:
    """An image at [height, width]; shape is its own, without the frame of `frame` pixels."""
    above, below, weight = _neighbours(shape[0], height, frame)
    rows = _blend(image[above], image[below], weight[:, None, None])
    left, right, weight = _neighbours(shape[1], width, frame)
    return _blend(rows[:, left], rows[:, right], weight[:, None])


def _neighbours(length: int, target: int, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `target` cells: the pixels before and after its centre, and the latter's weight.

    frame: the number of pixels before the first and after the last of `length`.
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
    """A mask [H, W] at [height, width], of the same dtype, by nearest neighbour.

    Source: torch's "nearest", which looks up the near corner of a pixel and not its centre.
    """
    rows = np.arange(height) * mask.shape[0] // height
    columns = np.arange(width) * mask.shape[1] // width
    return mask[rows[:, None], columns]
