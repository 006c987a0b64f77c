"""Files of reference values, converted from torchvision's conventions to labkit's when read."""

from pathlib import Path

import numpy as np

from labkit.errors import LabkitError


class Golden:
    """One .npz file of reference values; `golden[name]` is an array."""

    def __init__(self, path: Path):
        self.path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays = dict(file)
        except Exception as error:  # not a zip, a broken one, or arrays of Python objects
            raise LabkitError(
                f"{path} cannot be read as an .npz file of plain arrays ({error})."
            ) from None

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            raise LabkitError(f"{self.path} lacks the array '{name}'.")
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __iter__(self):
        return iter(self.arrays)

    def boxes(self, name: str) -> np.ndarray:
        """Boxes (x1, y1, x2, y2), or deltas (dx, dy, dw, dh), with y first."""
        return np.ascontiguousarray(self[name][..., [1, 0, 3, 2]])

    def rois(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows (image, x1, y1, x2, y2) as boxes with y first, and the image index of each."""
        rows = self[name]
        return np.ascontiguousarray(rows[:, [2, 1, 4, 3]]), rows[:, 0].astype(np.int32)

    def maps(self, name: str) -> np.ndarray:
        """Maps [B, C, H, W] as [B, H, W, C]."""
        return np.ascontiguousarray(self[name].transpose(0, 2, 3, 1))

    def bits(self, name: str, shape) -> np.ndarray:
        """Bits that were packed eight to a byte, as a bool array of the given shape."""
        count = int(np.prod(shape))
        return np.unpackbits(self[name], count=count).reshape(shape).astype(bool)
