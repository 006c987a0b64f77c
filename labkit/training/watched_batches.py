"""Batches that remember what a run's diagnosis needs: when they were ready, what they held."""

import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

from labkit.data.anchor_fit import fit_of
from labkit.data.pipeline import Batches
from labkit.io.data_files import write_json

SEEN = "seen.json"  # in a run's folder
BOXES = 2000  # whose fit to the anchors is measured; more would say the same


class WatchedBatches(Batches):
    """`Batches`, with the time at which each was ready and a count of what was in them."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._made: dict[int, float] = {}
        self._images, self._classes = 0, Counter()
        self._boxes: list[np.ndarray] = []
        self._watching = threading.Lock()  # batches are made in two threads

    def batch(self, step: int) -> dict[str, np.ndarray]:
        found = super().batch(step)
        objects = found["classes"] > 0
        with self._watching:
            self._images += len(objects)
            self._classes.update(found["classes"][objects].tolist())
            if sum(map(len, self._boxes)) < BOXES:
                self._boxes.append(found["boxes"][objects])
            self._made[step] = time.monotonic()
        return found

    def made_at(self, step: int) -> float:
        """The time (of `time.monotonic`) at which batch `step` was ready. Can be asked once."""
        return self._made.pop(step)

    def save_seen(self, run_dir: Path, class_names) -> None:
        """Write seen.json: images, objects of each class, and how the anchors fit the objects."""
        with self._watching:
            boxes = np.concatenate([np.zeros((0, 4), np.float32), *self._boxes])[:BOXES]
            counts = {name: self._classes[i] for i, name in enumerate(class_names, 1)}
            images = self._images
        fit = fit_of(boxes, np.tile(self.plan.canvas, (len(boxes), 1)), self.config)
        sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
        seen = {
            "images": images,
            "objects": counts,
            "boxes": len(boxes),
            "uncovered": fit.uncovered if len(boxes) else None,
            "sizes": np.quantile(sizes, [0.1, 0.5, 0.9]).round(1).tolist() if len(boxes) else [],
        }
        write_json(run_dir / SEEN, seen, indent=2)
