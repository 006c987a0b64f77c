"""explore_prototypes: a YOLACT mask, assembled from prototypes by the coefficients you choose."""

import numpy as np
import tensorflow as tf
import traitlets

from labkit.errors import LabkitError
from labkit.ops import prototypes as prototype_ops
from labkit.viz.colors import PREDICTION
from labkit.widgets.explorer import Boxes, Explorer, data_url, opened, script
from labkit.widgets.sketch import rectangle, sketch

MOST_SHOWN = 8  # prototypes with a slider: those that matter most for the chosen detection


class PrototypeExplorer(Explorer):
    """Prototypes, coefficients, and the mask that they make. See `explore_prototypes`."""

    _esm = script("prototypes.js")
    prototypes = traitlets.Bytes().tag(sync=True)  # float32 [k, h, w]
    grid = traitlets.List(traitlets.Int(), minlen=3, maxlen=3).tag(sync=True)
    boxes = Boxes([], read_only=True).tag(sync=True)  # in cells of the prototypes
    names = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    predicted = traitlets.List(read_only=True).tag(sync=True)  # the network's coefficients, [D][k]
    detection = traitlets.Int(0, min=0).tag(sync=True)
    coefficients = traitlets.List(traitlets.Float()).tag(sync=True)
    crop = traitlets.Bool(True).tag(sync=True)
    shown = traitlets.List(traitlets.Int(), read_only=True).tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)

    def __init__(self, trace, **traits):
        maps = np.ascontiguousarray(np.moveaxis(trace.prototypes, -1, 0), np.float32)
        self._maps = maps
        super().__init__(prototypes=maps.tobytes(), grid=list(maps.shape), **traits)
        cells = prototype_ops.on_grid(
            tf.constant(trace.boxes), trace.seen.shape[:2], maps.shape[1:]
        )
        self.set_trait("boxes", cells)
        self.set_trait("names", list(trace.detections.names))
        self.set_trait("predicted", trace.coefficients.astype(float).tolist())
        self._restart()

    @traitlets.validate("detection")
    def _an_existing_one(self, proposal):
        if self.predicted and proposal["value"] >= len(self.predicted):
            raise traitlets.TraitError(
                f"explore_prototypes: detection {proposal['value']} of {len(self.predicted)}; "
                "they are numbered from 0."
            )
        return proposal["value"]

    @traitlets.validate("coefficients")
    def _one_for_each_prototype(self, proposal):
        if len(proposal["value"]) not in (0, len(self._maps)):
            raise traitlets.TraitError(
                f"explore_prototypes: {len(proposal['value'])} coefficients for "
                f"{len(self._maps)} prototypes."
            )
        return proposal["value"]

    @traitlets.observe("detection")
    def _restart(self, change=None):
        """The network's own coefficients, and sliders for those that change the mask most."""
        own = np.array(self.predicted[self.detection])
        weight = np.abs(own) * np.abs(self._maps).mean(axis=(1, 2))
        self.set_trait("shown", np.sort(np.argsort(-weight)[:MOST_SHOWN]).tolist())
        self.coefficients = own.tolist()

    def mask_of(self, coefficients) -> np.ndarray:
        """The probabilities [h, w] by labkit, cropped to the box of the detection if `crop`."""
        given = tf.constant(coefficients, tf.float32)[None, None]
        logits = prototype_ops.assemble(tf.constant(np.moveaxis(self._maps, 0, -1)[None]), given)
        mask = tf.sigmoid(logits)[0, 0].numpy()
        if self.crop:
            box = tf.constant(self.boxes[self.detection], tf.float32)
            mask = np.where(prototype_ops.inside(box, mask.shape), mask, 0)
        return mask

    @property
    def values(self) -> dict:
        """What labkit computes: `cells` above 0.5, and the `iou` with the network's own mask."""
        mine = self.mask_of(self.coefficients) > 0.5
        own = self.mask_of(self.predicted[self.detection]) > 0.5
        either = int((mine | own).sum())
        return {
            "cells": int(mine.sum()),
            "iou": int((mine & own).sum()) / either if either else 1.0,
        }

    def draw(self):
        found, mask = self.values, self.mask_of(self.coefficients)
        sentence = (
            f"{self.names[self.detection]}: {found['cells']} cells above 0.5, "
            f"IoU {found['iou']:.2f} with the network's mask"
        )
        picture = opened(self.picture_url)
        size = picture.shape[:2]
        figure, ax = sketch(size, self.picture_url, sentence)
        ax.imshow(
            np.ma.masked_less(mask, 0.5),
            extent=(0, size[1], size[0], 0),
            cmap="cividis",
            vmin=0,
            vmax=1,
            alpha=0.65,
            interpolation="nearest",
        )
        scale = np.array(size * 2) / np.array(self.grid[1:] * 2)
        box = np.array(self.boxes[self.detection]) * scale
        ax.add_patch(rectangle(box, edgecolor=PREDICTION, linewidth=2.5))
        return figure, f"A mask assembled from {self.grid[0]} prototypes; {sentence}."


def explore_prototypes(trace) -> PrototypeExplorer:
    """Sliders for the coefficients of a detection, and the mask that they assemble.

    The explorer can be changed from code (`w.detection = 1`, `w.coefficients = [...]`,
    `w.crop = False`) and read (`w.values`).

    Args:
        trace: of a YOLACT, `model.trace(image)`, with at least one detection.

    Raises:
        LabkitError: nothing was detected.
    """
    if not hasattr(trace, "prototypes"):
        raise LabkitError("explore_prototypes needs the trace of a YOLACT: model.trace(image).")
    if not len(trace.boxes):
        raise LabkitError("explore_prototypes: nothing was detected in this image; take another.")
    return PrototypeExplorer(
        trace,
        picture_url=data_url(np.uint8(np.clip(trace.seen, 0, 255))),
        caption="Each small map is a prototype of the whole image; the mask is the sigmoid of "
        "their weighted sum. Set coefficients to 0 one after another: which prototypes separate "
        "the object from its background, and which from its neighbours? Then switch the crop off.",
    )
