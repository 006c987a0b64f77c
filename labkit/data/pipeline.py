"""Batches for training: reproducible, and what they leave out is counted.

Which image is where in which batch depends only on the seed and the batch's number, not on what was
read before: batch 1000 of a resumed run is batch 1000 of an uninterrupted one, and the shares of
several workers together are the batch of a single one.
"""

import os
import threading
from collections import Counter, defaultdict

import numpy as np
import tensorflow as tf

from labkit.data.augment import Example, choose_view, crowds_in, render
from labkit.data.batch_order import BatchOrder, BatchPlan
from labkit.data.cache import ExampleCache
from labkit.data.copy_paste import choose_cutouts, paste
from labkit.data.dataset import Dataset
from labkit.data.feeder import Feeder
from labkit.errors import LabkitError
from labkit.models.detector_config import DetectorConfig
from labkit.models.resize import resized_shape

CACHE_BYTES = 2 << 30  # of decoded examples kept in memory; the others are read again


class Batches:
    """The batches of a data set. `tf_dataset(steps, start)` is what `model.fit` takes.

    Each batch is a dict of arrays, where B is the worker's share of plan.batch_size and G is
    config.max_instances:

        images     uint8 [B, H, W, 3]
        sizes      float32 [B, 2], height and width of the part that is not padding
        boxes      float32 [B, G, 4]
        classes    int32 [B, G], 0 is padding
        masks      uint8 [B, G, m, m] of 0 and 1, or [B, G, H, W] without mini-masks
        crowds     float32 [B, K, 4], boxes, 0 is padding; where config.max_crowds is K above 0
        image_ids  int64 [B]

    Instances that cannot be used are counted in `left_out` by reason: "over the limit of G
    instances", "vanished in the crop", "covered by a paste", "crowd".

    Args:
        dataset: where the samples come from.
        config: its resizing, mini-masks and limit of instances.
        plan: size, order and augmentation of the batches.
        cache: a folder on disk for decoded examples, if they do not fit into memory.

    Raises:
        LabkitError: the data set is empty, or the cache's folder cannot be made.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: DetectorConfig,
        plan: BatchPlan,
        cache: str | os.PathLike | None = None,
    ):
        if len(dataset) == 0:
            raise LabkitError("The data set has no images: nothing to train on.")
        if any(side % config.canvas_multiple for side in plan.canvas):
            raise LabkitError(
                f"A canvas has sides that are multiples of {config.canvas_multiple}, got "
                f"{plan.canvas}."
            )
        self.dataset, self.config, self.plan = dataset, config, plan
        self.order = BatchOrder(dataset, plan)
        self._cache = None if cache is None else ExampleCache(cache, dataset)
        self._examples: dict[int, Example] = {}
        self._bytes = 0
        self._left_out: dict[int, Counter[str]] = defaultdict(Counter)  # by epoch
        self._counting = threading.Lock()

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Batch number `step`, or this worker's share of it."""
        members, canvas = self.order.members(step)
        items = [self._item(epoch, index, canvas) for epoch, index in members]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    # ---- images --------------------------------------------------------------------------------

    def example(self, index: int) -> Example:
        """The example of an image, kept in memory if there is room."""
        found = self._examples.get(index)
        if found is None:
            found = self._read(index)
            size = found.image.nbytes + sum(p.nbytes for p in found.patches)
            if self._bytes + size <= CACHE_BYTES:
                self._examples[index] = found
                self._bytes += size
        return found

    def _read(self, index: int) -> Example:
        if self._cache is None:
            return Example.of_cutouts(self.dataset.cutouts(index))
        return self._cache.get(index, lambda: Example.of_cutouts(self.dataset.cutouts(index)))

    def _item(self, epoch: int, index: int, canvas: tuple[int, int]) -> dict[str, np.ndarray]:
        """One image of a batch, augmented as this epoch demands."""
        augment = self.plan.augment
        rng = np.random.default_rng((self.plan.seed, 1, epoch, index))
        example = self.example(index)
        shape = example.image.shape[:2]
        view = choose_view(shape, resized_shape(*shape, self.config), canvas, augment, rng)
        covered = 0
        if augment.copy_paste and rng.random() < augment.copy_paste:
            example, covered = self._pasted(example, rng)
        image, boxes, classes, masks, vanished = render(
            example, view, self.config.mini_mask, self.config.resize_filter
        )
        over = max(0, len(boxes) - self.config.max_instances)
        if over:  # a random choice, so that over the epochs every instance is used
            chosen = np.sort(rng.permutation(len(boxes))[: self.config.max_instances])
            boxes, classes, masks = boxes[chosen], classes[chosen], masks[chosen]
        self._count(
            epoch,
            {
                "vanished in the crop": vanished,
                "crowd": len(example.crowds),
                "covered by a paste": covered,
                f"over the limit of {self.config.max_instances} instances": over,
            },
        )
        item = self._padded(image, boxes, classes, masks, example.image_id, canvas)
        if self.config.max_crowds:
            crowds = crowds_in(example, view)[: self.config.max_crowds]
            item["crowds"][: len(crowds)] = crowds
        return item

    def _pasted(self, example: Example, rng: np.random.Generator) -> tuple[Example, int]:
        """The example with objects of another one pasted in, and how many of its own they hide."""
        source = self.example(int(rng.integers(len(self.dataset))))
        factor = [
            (seen / length) / (own_seen / own_length)
            for length, seen, own_length, own_seen in zip(
                source.image.shape[:2],
                resized_shape(*source.image.shape[:2], self.config),
                example.image.shape[:2],
                resized_shape(*example.image.shape[:2], self.config),
                strict=True,
            )
        ]
        shape = example.image.shape[:2]
        return paste(example, choose_cutouts(shape, source, factor, self.plan.augment, rng))

    @property
    def left_out(self) -> Counter[str]:
        """Number of instances left out of the batches, by reason, in all epochs so far."""
        with self._counting:  # batches are made in two threads
            return sum(self._left_out.values(), Counter())

    def left_out_in(self, epoch: int) -> Counter[str]:
        """The same for one epoch, counted from 0."""
        with self._counting:
            return Counter(self._left_out.get(epoch, ()))

    def _count(self, epoch: int, reasons: dict[str, int]) -> None:
        with self._counting:
            self._left_out[epoch].update({r: n for r, n in reasons.items() if n})

    def _padded(self, image, boxes, classes, masks, image_id, canvas) -> dict[str, np.ndarray]:
        height, width = image.shape[:2]
        item = {
            name: np.zeros(spec.shape[1:], spec.dtype.as_numpy_dtype)
            for name, spec in self._signature(canvas).items()
        }
        item["images"][:height, :width] = image
        item["sizes"][:] = height, width
        count = len(boxes)
        item["boxes"][:count], item["classes"][:count] = boxes, classes
        item["masks"][:count, : masks.shape[1], : masks.shape[2]] = masks
        item["image_ids"][...] = image_id
        return item

    # ---- for training ---------------------------------------------------------------------------

    def feeder(self, steps: int, start: int = 0) -> Feeder:
        """Makes batches start .. start + steps - 1 in the background while the model trains."""
        return Feeder(self.batch, start, start + steps)

    def tf_dataset(
        self, steps: int, start: int = 0, feeder: Feeder | None = None
    ) -> tf.data.Dataset:
        """Batches start .. start + steps - 1, as Keras' `fit` wants them.

        Args:
            steps: how many.
            start: number of the first one.
            feeder: makes them, if they are to be waited for elsewhere, too; by default its own.
        """
        feeder = feeder or self.feeder(steps, start)
        canvases = self.order.canvases
        # With two canvases, the size of a batch is not known in advance.
        signature = self._signature(canvases[0] if len(canvases) == 1 else (None, None))

        def taken(step) -> list[np.ndarray]:
            batch = feeder.take(int(step))
            return [batch[name] for name in signature]

        def load(step):
            values = tf.numpy_function(taken, [step], [s.dtype for s in signature.values()])
            for value, spec in zip(values, signature.values(), strict=True):
                value.set_shape(spec.shape)
            return dict(zip(signature, values, strict=True))

        # No parallel calls and no prefetching here: that is the feeder's work, which says why.
        options = tf.data.Options()
        # There is nothing to tune, and waiting for its thread at the end takes up to a minute.
        options.autotune.enabled = False
        return tf.data.Dataset.range(start, start + steps).map(load).with_options(options)

    def _signature(self, canvas: tuple) -> dict[str, tf.TensorSpec]:
        c, b = self.config, self.plan.share
        g, mask = c.max_instances, (c.mini_mask, c.mini_mask)
        crowds = {"crowds": tf.TensorSpec([b, c.max_crowds, 4], tf.float32)}
        return {
            "images": tf.TensorSpec([b, *canvas, 3], tf.uint8),
            "sizes": tf.TensorSpec([b, 2], tf.float32),
            "boxes": tf.TensorSpec([b, g, 4], tf.float32),
            "classes": tf.TensorSpec([b, g], tf.int32),
            "masks": tf.TensorSpec([b, g, *(mask if c.mini_mask else canvas)], tf.uint8),
            "image_ids": tf.TensorSpec([b], tf.int64),
            **(crowds if c.max_crowds else {}),
        }
