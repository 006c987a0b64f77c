"""One comparison of computed values with reference values: count, deviation, tolerance."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Check:
    """Values that must agree within |difference| <= atol + rtol * |reference|.

    Arrays are added one after another with `add`.

    Attributes:
        name: of the quantity.
        atol: absolute tolerance.
        rtol: relative tolerance.
        values: how many values were compared.
        deviation: the largest |difference|; infinite if shapes differ or a value is NaN.
        ok: whether all are within the tolerance.
    """

    name: str
    atol: float = 0.0
    rtol: float = 0.0
    values: int = 0
    deviation: float = 0.0
    ok: bool = True

    def add(self, got, want) -> "Check":
        """Compares an array with its reference; returns the check itself."""
        got, want = np.asarray(got), np.asarray(want)
        self.values += want.size
        if got.shape != want.shape:
            self.deviation, self.ok = math.inf, False
            return self
        difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
        difference = np.where(np.isnan(difference), np.inf, difference)
        self.deviation = max(self.deviation, float(difference.max(initial=0.0)))
        allowed = self.atol + self.rtol * np.abs(want.astype(np.float64))
        self.ok &= bool(np.all(difference <= allowed))
        return self

    @property
    def tolerance(self) -> str:
        """The tolerance as text: "0", "1e-04", "1e-04 + 1e-04 |v|"."""
        parts = [f"{self.atol:.0e}"] if self.atol or not self.rtol else []
        parts += [f"{self.rtol:.0e} |v|"] if self.rtol else []
        return "0" if not (self.atol or self.rtol) else " + ".join(parts)

    def to_dict(self) -> dict:
        return {
            "group": self.name,
            "values": self.values,
            "deviation": self.deviation,
            "atol": self.atol,
            "rtol": self.rtol,
            "ok": self.ok,
        }


def in_reference_order(
    found: dict[str, np.ndarray], boxes: np.ndarray, classes: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Reorders detections or proposals like the reference's boxes, each to the nearest box.

    Two scores closer than rounding may swap their ranks, so boxes cannot be compared by rank.

    Args:
        found: arrays by name (boxes, classes, ...), all with one row per detection.
        boxes: float32 [N, 4], the reference's.
        classes: [N], the reference's; with them only rows of the same class are considered.

    Returns:
        The arrays of `found` with N rows each, and `count`, which is N if every row was chosen
        exactly once, and less otherwise.
    """
    distance = np.abs(boxes[:, None] - found["boxes"][None]).max(-1, initial=0.0)
    if classes is not None:
        distance = np.where(classes[:, None] == found["classes"][None], distance, np.inf)
    nearest = distance.argmin(1) if distance.size else np.zeros(len(boxes), int)
    ordered = {name: value[nearest] for name, value in found.items()}
    return ordered | {"count": len(np.unique(nearest)) - abs(len(found["boxes"]) - len(boxes))}
