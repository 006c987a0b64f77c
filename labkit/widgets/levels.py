"""explore_levels: drag a region of interest and see which pyramid level it is pooled from."""

import numpy as np
import tensorflow as tf
import traitlets

from labkit.ops.roi_pyramid import roi_level
from labkit.viz.colors import CROWD, INK, PREDICTION
from labkit.widgets.explorer import Box, Boxes, Explorer, background, script
from labkit.widgets.sketch import rectangle, sketch

STRIDES = (4, 8, 16, 32)  # of P2..P5
FIRST = 2


class LevelExplorer(Explorer):
    """A RoI to resize, and its level. See `explore_levels`."""

    in_browser = True
    _esm = script("geometry.js", "levels.js")
    roi = Box([0, 0, 1, 1]).tag(sync=True)
    rois = Boxes([]).tag(sync=True)
    canonical_size = traitlets.Float(224, min=16, max=1024).tag(sync=True)
    canonical_level = traitlets.Int(4, min=FIRST, max=FIRST + 3).tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)

    def level_of(self, boxes) -> np.ndarray:
        """The levels of boxes [N, 4] by `labkit.roi_level`, int32 [N]: 2 for P2."""
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        found = roi_level(
            tf.constant(boxes), len(STRIDES), self.canonical_size, self.canonical_level
        )
        return found.numpy() + FIRST

    @property
    def values(self) -> dict:
        """What labkit computes for the RoI.

        Returns:
            `size`, the root of the RoI's area; `level`, 2 for P2; `stride`; `cells` inside the RoI
            (rows, columns); `counts`, how many of `rois` are on P2, P3, P4 and P5.
        """
        level = int(self.level_of(self.roi)[0])
        stride = STRIDES[level - FIRST]
        height, width = (self.roi[i + 2] - self.roi[i] for i in (0, 1))
        return {
            "size": float(np.sqrt(height * width)),
            "level": level,
            "stride": stride,
            "cells": (height / stride, width / stride),
            "counts": np.bincount(self.level_of(self.rois) - FIRST, minlength=4).tolist(),
        }

    def draw(self):
        found, stride = self.values, self.values["stride"]
        rows, columns = found["cells"]
        sentence = (
            f"size {found['size']:.0f} px: pooled from P{found['level']}, "
            f"{rows:.1f} x {columns:.1f} cells of {stride} px"
        )
        figure, ax = sketch(self.size, self.picture_url, sentence)
        for roi in self.rois:
            ax.add_patch(rectangle(roi, edgecolor=CROWD))
        y1, x1, y2, x2 = self.roi
        ax.hlines(_between(y1, y2, stride), x1, x2, color=INK, linewidth=0.6)
        ax.vlines(_between(x1, x2, stride), y1, y2, color=INK, linewidth=0.6)
        ax.add_patch(rectangle(self.roi, edgecolor=PREDICTION, linewidth=2.5))
        return figure, f"A region of interest with the cells of its pyramid level; {sentence}."


def _between(start: float, stop: float, stride: int) -> np.ndarray:
    """The multiples of stride from start to stop."""
    return np.arange(np.ceil(start / stride), np.floor(stop / stride) + 1) * stride


def explore_levels(
    image=None, roi=None, rois=(), canonical_size: float = 224.0, canonical_level: int = 4
) -> LevelExplorer:
    """A RoI to drag and resize: which of P2..P5 it is pooled from, and how many cells it covers.

    The explorer can be changed from code (`w.roi = ...`) and read (`w.values`).

    Args:
        image: the background, of any kind that `model.detect` takes; by default 600 x 800 empty
            pixels.
        roi: the RoI (y1, x1, y2, x2) in pixels; by default the middle of the image.
        rois: [N, 4], others to count, such as the `rois` of a trace of that image (`trace.seen`).
        canonical_size: a RoI of this size belongs to canonical_level (the field
            `roi_canonical_size` of a model's config).
        canonical_level: see canonical_size (the field `roi_canonical_level`).
    """
    (height, width), picture_url = background(image, (600, 800))
    if roi is None:
        roi = [height // 4, width // 4, height - height // 4, width - width // 4]
    return LevelExplorer(
        roi=roi,
        rois=rois,
        canonical_size=canonical_size,
        canonical_level=canonical_level,
        size=[height, width],
        picture_url=picture_url,
        caption="Drag a corner of the RoI, or press Tab until it is marked, then the arrow keys "
        "(with Shift: ten pixels). How many cells does it cover just before it changes the level, "
        "and just after? Then change the canonical size.",
    )
