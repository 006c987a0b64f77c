"""Which image is where in which batch: this depends on the seed and the batch's number only."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from labkit.data.augment import NONE, Augment
from labkit.data.dataset import Dataset
from labkit.errors import LabkitError


@dataclass(frozen=True)
class BatchPlan:
    """How a data set becomes batches.

    Attributes:
        batch_size: images in a batch, of all workers together.
        canvas: (H, W), the fixed size of the images in a batch.
        augment: the random changes.
        shuffle: a new random order in every epoch; otherwise the data set's order.
        seed: decides order and augmentation.
        buckets: upright and wide pictures are in separate batches, with the canvas turned to fit:
            800 x 1344 has 60 % of the pixels of a square that holds both.
        shard: (number, count) of a worker, which makes batch_size / count images of every batch.
    """

    batch_size: int
    canvas: tuple[int, int]
    augment: Augment = NONE
    shuffle: bool = True
    seed: int = 0
    buckets: bool = False
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self):
        if self.batch_size < 1:
            raise LabkitError(f"batch_size must be at least 1, got {self.batch_size}.")
        if min(self.canvas) < 32:
            raise LabkitError(f"A canvas has sides of 32 pixels at least, got {self.canvas}.")
        number, count = self.shard
        if not 0 <= number < count or self.batch_size % count:
            raise LabkitError(
                f"shard {self.shard} must be (number, count) with the number below the count, and "
                f"the count must divide the batch of {self.batch_size} images."
            )

    @property
    def share(self) -> int:
        """How many images of every batch this worker makes."""
        return self.batch_size // self.shard[1]


class BatchOrder:
    """The images of every batch.

    Attributes:
        canvases: the sizes (H, W) that batches have, one or two.
    """

    def __init__(self, dataset: Dataset, plan: BatchPlan):
        self.count, self.plan = len(dataset), plan
        self._buckets = _by_canvas(dataset, plan)
        self.canvases = list(self._buckets)
        # Those of the last epoch: a permutation of a large data set takes a while.
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, int))
        self._batches: tuple[int, list] = (-1, [])

    def members(self, step: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
        """The (epoch, index) of the worker's images in batch `step`, and their canvas."""
        size, (number, _) = self.plan.batch_size, self.plan.shard
        if len(self.canvases) == 1:  # a batch may span two epochs
            places = [divmod(step * size + i, self.count) for i in range(size)]
            images = [(epoch, int(self._epoch_order(epoch)[p])) for epoch, p in places]
            canvas = self.canvases[0]
        else:
            epoch, place = divmod(step, self._steps_of_buckets())
            indices, canvas = self._epoch_batches(epoch)[place]
            images = [(epoch, index) for index in indices]
        return images[number * self.plan.share : (number + 1) * self.plan.share], canvas

    def epochs_done(self, steps: int) -> int:
        """How many epochs are complete after so many batches."""
        if len(self.canvases) == 1:
            return steps * self.plan.batch_size // self.count
        return steps // self._steps_of_buckets()

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if not self.plan.shuffle:
            return np.arange(self.count)
        known, order = self._order
        if known != epoch:
            order = np.random.default_rng((self.plan.seed, 0, epoch)).permutation(self.count)
            self._order = (epoch, order)
        return order

    def _steps_of_buckets(self) -> int:
        return sum(-(-len(members) // self.plan.batch_size) for members in self._buckets.values())

    def _epoch_batches(self, epoch: int) -> list[tuple[list[int], tuple[int, int]]]:
        """The batches of an epoch, (indices, canvas) each.

        A bucket's last batch is filled up from the bucket's beginning: some images are used twice
        in an epoch, and none is left out.
        """
        known, batches = self._batches
        if known == epoch:
            return batches
        size, order, batches = self.plan.batch_size, self._epoch_order(epoch), []
        for canvas, members in self._buckets.items():
            own = order[np.isin(order, members)]
            own = np.resize(own, -(-len(own) // size) * size).tolist()
            batches += [(own[i : i + size], canvas) for i in range(0, len(own), size)]
        if self.plan.shuffle:
            rng = np.random.default_rng((self.plan.seed, 2, epoch))
            batches = [batches[i] for i in rng.permutation(len(batches))]
        self._batches = (epoch, batches)
        return batches


def _by_canvas(dataset: Dataset, plan: BatchPlan) -> dict[tuple[int, int], list[int]]:
    """Canvas -> the indices of its pictures; without buckets one canvas, and an empty list."""
    height, width = canvas = tuple(plan.canvas)
    if not plan.buckets or height == width:
        return {canvas: []}
    buckets = defaultdict(list)
    for index in range(len(dataset)):
        info = dataset.image_info(index)
        same = (info["height"] > info["width"]) == (height > width)
        buckets[canvas if same else (width, height)].append(index)
    return dict(sorted(buckets.items()))
