"""Everything a YOLACT computes for one image, in order: for notebooks and explorers to draw.

As `labkit.models.trace` is for Mask R-CNN. Lengths are pixels of the image as the network sees it
(resized and padded) unless said otherwise.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from labkit.models.detections import Detections
from labkit.models.inference import FOUND, detections_of
from labkit.models.resize import Placement
from labkit.models.single_batch import single_batch


@dataclass(frozen=True, eq=False)
class YolactLesson:
    """What training would teach on this image: targets, samples and losses.

    Attributes:
        gt_boxes: float32 [G, 4], the objects.
        gt_classes: int32 [G].
        matches: int32 [A], the object of each anchor: see `labkit.ops.matching.match_distinct`.
        negatives: bool [A], the hard negatives.
        deltas: float32 [A, 4], the targets of the positives.
        mask_anchors: int32 [K], the positives whose masks are assembled.
        mask_logits: float32 [K, h, w].
        mask_targets: bool [K, h, w].
        within: bool [K, h, w], the cells in each object's box, which alone count.
        semantic_logits: float32 [h', w', N].
        losses: the four losses, by name.
    """

    gt_boxes: np.ndarray
    gt_classes: np.ndarray
    matches: np.ndarray
    negatives: np.ndarray
    deltas: np.ndarray
    mask_anchors: np.ndarray
    mask_logits: np.ndarray
    mask_targets: np.ndarray
    within: np.ndarray
    semantic_logits: np.ndarray
    losses: dict[str, float]


@dataclass(frozen=True, eq=False)
class YolactTrace:
    """One image on its way through the network. See the module for units.

    Attributes:
        image: uint8 [H, W, 3], the original.
        seen: float32 [H', W', 3] in 0..255, what the network sees.
        placement: where in `seen` the image lies.
        features: the levels of the pyramid, float32 [h, w, C] each.
        anchors: of each level, float32 [A, 4].
        deltas: float32 [A, 4], of the anchors of all levels.
        class_probabilities: float32 [A, 1 + N].
        all_coefficients: float32 [A, k].
        decoded: float32 [A, 4], the anchors moved by their deltas.
        prototypes: float32 [h, w, k], over the whole of `seen`.
        kept: int32 [D], the anchors that became detections.
        coefficients: float32 [D, k], theirs.
        boxes: float32 [D, 4], of the detections.
        scores: float32 [D].
        classes: int32 [D].
        masks: float32 [D, h, w], probabilities over the whole of `seen`, 0 outside each box.
        detections: the same in pixels of the original.
        lesson: what training would teach; None without targets.
    """

    image: np.ndarray
    seen: np.ndarray
    placement: Placement
    features: list[np.ndarray]
    anchors: list[np.ndarray]
    deltas: np.ndarray
    class_probabilities: np.ndarray
    all_coefficients: np.ndarray
    decoded: np.ndarray
    prototypes: np.ndarray
    kept: np.ndarray
    coefficients: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    detections: Detections
    lesson: YolactLesson | None


OF_ANCHORS = ("deltas", "class_probabilities", "all_coefficients", "decoded", "prototypes")
OF_DETECTIONS = ("kept", "coefficients", "boxes", "scores", "classes", "masks")


def trace_image(model, image, targets=None, step: int = 0) -> YolactTrace:
    """Everything computed for one image: see `YOLACT.trace`."""
    picture, placement, batch = single_batch(model.config, image, targets)
    found = model.detect_in_batch(batch["images"], batch["sizes"])
    count = int(found["count"][0])
    result = {name: found[name][0].numpy() for name in FOUND}
    return YolactTrace(
        image=picture,
        seen=batch["images"][0].numpy(),
        placement=placement,
        features=[m[0].numpy() for m in found["maps"]],
        anchors=[a.numpy() for a in found["anchors"]],
        **{name: found[name][0].numpy() for name in OF_ANCHORS},
        **{name: found[name][0, :count].numpy() for name in OF_DETECTIONS},
        detections=detections_of(model, result, picture, placement),
        lesson=None if targets is None else _lesson(model, batch, step),
    )


def _lesson(model, batch: dict[str, tf.Tensor], step: int) -> YolactLesson:
    t = model.trace_losses(batch, step, training=False)
    return YolactLesson(
        gt_boxes=batch["boxes"][0].numpy(),
        gt_classes=batch["classes"][0].numpy(),
        matches=t["targets"]["matches"][0].numpy(),
        negatives=t["negative"][0].numpy(),
        deltas=t["targets"]["deltas"][0].numpy(),
        **{
            name: t[name][0].numpy()
            for name in ("mask_anchors", "mask_logits", "mask_targets", "within")
        },
        semantic_logits=t["semantic"][0].numpy(),
        losses={name: float(value) for name, value in t["losses"].items()},
    )
