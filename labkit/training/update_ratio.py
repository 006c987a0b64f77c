"""How far the weights move: the learning rate as the network feels it."""

import numpy as np

from labkit.training.stages import weight_paths

EVERY = 20  # steps between two looks at the weights


class UpdateRatio:
    """|change of the weights| / |weights| in one update: the learning rate in the net's own terms.

    About 1e-3 is usual, whatever optimizer and rate it comes from (Karpathy, CS231n, "Babysitting
    the learning process"). Looked at once in EVERY updates, on the first kernel that trains in each
    part of the model; their median is reported.
    """

    def __init__(self, model, accumulate: int = 1):
        self.accumulate, self.kernels, self._before = accumulate, {}, None
        for path, _, variable in weight_paths(model):
            if variable.trainable and variable.name == "kernel":
                self.kernels.setdefault(path.partition("/")[0], variable)

    def before(self, step: int) -> None:
        """To be called before step number `step` of a stage, counted from 0."""
        period = EVERY * self.accumulate
        due = step % period == self.accumulate - 1  # the weights change at the end of a sum
        self._before = [v.numpy() for v in self.kernels.values()] if due else None

    def after(self) -> float:
        """The ratio of this step; NaN where it was not looked at."""
        if not self._before:
            return float("nan")
        changes = zip(self._before, self.kernels.values(), strict=True)
        norm = np.linalg.norm
        return float(np.median([norm(v.numpy() - old) / (norm(old) + 1e-12) for old, v in changes]))
