"""Boxes for the cases of exercises."""

import numpy as np


def random_boxes(rng: np.random.Generator, count: int, side: float = 100.0) -> np.ndarray:
    """Boxes with sides of at least one pixel in an image of side x side: float32 [count, 4]."""
    near = rng.uniform(0, side * 0.6, (count, 2))
    return np.concatenate([near, near + rng.uniform(1, side * 0.4, (count, 2))], 1).astype("f4")
