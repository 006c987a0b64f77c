"""Where a picture lies in the batch that the network sees, and coordinates there and back."""

from dataclasses import dataclass

import numpy as np

from labkit.models.config import Config
from labkit.models.resize import origins


@dataclass(frozen=True)
class Placement:
    """A picture of `shape` (rows, columns), resized to `size`, put down from `origin` on.

    All in pixels: shape in the picture's own, size and origin (top, left) in the batch's.
    inclusive: the config's boxes end at their last pixel (see `labkit.models.inclusive`), and so
    first and last pixels of the two meet instead of their edges.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    origin: tuple[int, int]
    inclusive: bool = False

    @classmethod
    def of(cls, shape, size, canvas, config: Config) -> "Placement":
        """shape: the picture's; size: what it was resized to; canvas: (H, W) of the batch."""
        top, left = origins(np.int32(canvas), np.int32(size), config).tolist()
        rows, columns = np.int32(size).tolist()
        return cls(tuple(shape[:2]), (rows, columns), (top, left), config.inclusive_boxes)

    @property
    def scale(self) -> tuple[float, float]:
        """(y, x): pixels of the batch per pixel of the picture."""
        return self.size[0] / self.shape[0], self.size[1] / self.shape[1]

    @property
    def box(self) -> list[float]:
        """The picture's own box in the batch, (y1, x1, y2, x2)."""
        (top, left), (rows, columns) = self.origin, self.size
        return [float(top), float(left), float(top + rows), float(left + columns)]

    def in_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [..., 4] of the batch in pixels of the picture, float32 [..., 4]."""
        origin, last, shape, size = self._terms()
        return (boxes - last - origin) * np.tile(shape / size, 2) + last

    def in_batch(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [..., 4] of the picture in pixels of the batch, float32 [..., 4]."""
        origin, last, shape, size = self._terms()
        return (boxes - last) * np.tile(size / np.maximum(shape, 1), 2) + origin + last

    def _terms(self) -> tuple[np.ndarray, ...]:
        """What both ways need: an inclusive box loses its last row and column, and gets it back."""
        one = np.float32(self.inclusive)
        last = one * np.float32([0, 0, 1, 1])
        shape, size = np.float32(self.shape) - one, np.maximum(np.float32(self.size) - one, one)
        return np.tile(np.float32(self.origin), 2), last, shape, size
