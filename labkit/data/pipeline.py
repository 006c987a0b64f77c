"""Batches for training: a `tf.data` pipeline, the same every time, that loses nothing in silence.

What image stands where in which batch depends on the seed and the position alone, never on what
was read before: batch 1000 of a resumed run is batch 1000 of the run that was not interrupted.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from labkit.config import Config
from labkit.data.augment import NONE, Augment, Example, choose_view, render
from labkit.data.dataset import Dataset
from labkit.errors import LabkitError
from labkit.resize import resized_shape

CACHE_BYTES = 2 << 30  # decoded examples kept in memory; beyond it they are read again


@dataclass(frozen=True)
class BatchPlan:
    """How a data set becomes batches: `canvas` (H, W) is the static size of the images in them."""

    batch_size: int
    canvas: tuple[int, int]
    augment: Augment = NONE
    shuffle: bool = True
    seed: int = 0

    def __post_init__(self):
        if self.batch_size < 1:
            raise LabkitError(f"batch_size must be at least 1, got {self.batch_size}.")
        if min(self.canvas) < 32 or any(side % 32 for side in self.canvas):
            raise LabkitError(f"A canvas has sides that are multiples of 32, got {self.canvas}.")


class Batches:
    """The batches of a data set. `tf_dataset(steps, start)` is what `model.fit` takes.

    Each batch is a dict: images uint8 [B, H, W, 3], sizes float32 [B, 2] (the part that is image),
    boxes float32 [B, G, 4], classes int32 [B, G] (0 is padding), masks uint8 [B, G, m, m],
    image_ids int64 [B]; G is config.max_instances. What could not be used is counted in `left_out`
    by reason: "over the limit of G instances", "vanished in the crop", "crowd".
    """

    def __init__(self, dataset: Dataset, config: Config, plan: BatchPlan):
        if len(dataset) == 0:
            raise LabkitError("The data set has no images: nothing to train on.")
        self.dataset, self.config, self.plan = dataset, config, plan
        self.left_out: Counter[str] = Counter()
        self._examples: dict[int, Example] = {}
        self._bytes = 0
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, int))

    def example(self, index: int) -> Example:
        """The example of an image, from memory where it fits."""
        found = self._examples.get(index)
        if found is None:
            found = Example.of(self.dataset[index])
            size = found.image.nbytes + sum(p.nbytes for p in found.patches)
            if self._bytes + size <= CACHE_BYTES:
                self._examples[index] = found
                self._bytes += size
        return found

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Batch number `step`, as arrays."""
        size = self.plan.batch_size
        items = [self._item(step * size + i) for i in range(size)]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    def tf_dataset(self, steps: int, start: int = 0) -> tf.data.Dataset:
        """Batches start .. start + steps - 1, made in the background while the model trains."""
        signature = self._signature()

        def load(step):
            values = tf.numpy_function(self._load, [step], [s.dtype for s in signature.values()])
            for value, spec in zip(values, signature.values(), strict=True):
                value.set_shape(spec.shape)
            return dict(zip(signature, values, strict=True))

        # Two workers keep the order and leave the cores to the model; NumPy holds Python's lock
        # only in between its own loops.
        numbers = tf.data.Dataset.range(start, start + steps)
        return numbers.map(load, num_parallel_calls=2).prefetch(4)

    def _load(self, step) -> list[np.ndarray]:
        batch = self.batch(int(step))
        return [batch[name] for name in self._signature()]

    def _signature(self) -> dict[str, tf.TensorSpec]:
        plan, c = self.plan, self.config
        b, g, mask = plan.batch_size, c.max_instances, (c.mini_mask, c.mini_mask)
        return {
            "images": tf.TensorSpec([b, *plan.canvas, 3], tf.uint8),
            "sizes": tf.TensorSpec([b, 2], tf.float32),
            "boxes": tf.TensorSpec([b, g, 4], tf.float32),
            "classes": tf.TensorSpec([b, g], tf.int32),
            "masks": tf.TensorSpec([b, g, *(mask if c.mini_mask else plan.canvas)], tf.uint8),
            "image_ids": tf.TensorSpec([b], tf.int64),
        }

    def _item(self, position: int) -> dict[str, np.ndarray]:
        """The item at a position of the endless sequence of epochs."""
        epoch, place = divmod(position, len(self.dataset))
        index = self._epoch_order(epoch)[place]
        rng = np.random.default_rng((self.plan.seed, 1, epoch, index))
        example = self.example(int(index))
        shape = example.image.shape[:2]
        view = choose_view(shape, resized_shape(*shape, self.config), self.plan.canvas,
                           self.plan.augment, rng)  # fmt: skip
        image, boxes, classes, masks, vanished = render(example, view, self.config.mini_mask)
        if vanished:
            self.left_out["vanished in the crop"] += vanished
        if example.crowds:
            self.left_out["crowd"] += example.crowds
        return self._padded(image, boxes, classes, masks, example.image_id, rng)

    def _epoch_order(self, epoch: int) -> np.ndarray:
        """The order of images in an epoch; the last one asked for is kept."""
        if not self.plan.shuffle:
            return np.arange(len(self.dataset))
        known, order = self._order
        if known != epoch:
            order = np.random.default_rng((self.plan.seed, 0, epoch)).permutation(len(self.dataset))
            self._order = (epoch, order)
        return order

    def _padded(self, image, boxes, classes, masks, image_id, rng) -> dict[str, np.ndarray]:
        limit = self.config.max_instances
        count = len(boxes)
        if count > limit:  # a random choice, so that over the epochs every instance has its turn
            self.left_out[f"over the limit of {limit} instances"] += count - limit
            chosen = np.sort(rng.permutation(count)[:limit])
            boxes, classes, masks, count = boxes[chosen], classes[chosen], masks[chosen], limit
        height, width = image.shape[:2]
        item = {
            name: np.zeros(spec.shape[1:], spec.dtype.as_numpy_dtype)
            for name, spec in self._signature().items()
        }
        item["images"][:height, :width] = image
        item["sizes"][:] = height, width
        item["boxes"][:count], item["classes"][:count] = boxes, classes
        item["masks"][:count, : masks.shape[1], : masks.shape[2]] = masks
        item["image_ids"][...] = image_id
        return item
