"""A variable of the model, and the tensor that stands for it in somebody else's file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """How the values of a variable are laid out there: two functions of an array."""

    inward: Callable[[np.ndarray], np.ndarray]  # theirs to ours
    outward: Callable[[np.ndarray], np.ndarray]  # ours to theirs


PLAIN = Layout(lambda a: a, lambda a: a)


@dataclass(frozen=True)
class Pair:
    """A variable and the name of its tensor.

    per_class: it has rows for each class, so that a model of other classes has no use for it.
    """

    name: str
    variable: object
    layout: Layout = PLAIN
    per_class: bool = False

    def outside(self, values: np.ndarray | None = None) -> np.ndarray:
        """The variable's value, or others of its shape (its gradient, say), as the file has it.

        C order. Rows that the model does not have (a background's) are zero.
        """
        values = self.variable.numpy() if values is None else np.asarray(values)
        return np.ascontiguousarray(self.layout.outward(values))
