"""Everything that Mask R-CNN computes for one image, in order: for notebooks and explorers to draw.

A trace calls the same functions as detection and training, and keeps what they return. It knows the
keys of `MaskRCNN.detect_in_batch` and `MaskRCNN.trace_losses`, so it serves Mask R-CNN alone.
Lengths are pixels of the image as the network sees it (resized and padded) unless said otherwise.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from labkit.models.detections import Detections
from labkit.models.heads import roi_levels
from labkit.models.inference import FOUND, detections_of
from labkit.models.resize import Placement
from labkit.models.single_batch import single_batch
from labkit.ops import losses


@dataclass(frozen=True, eq=False, repr=False)
class Candidates:
    """The RPN's K best anchors on their way to proposals, one row each.

    Attributes:
        anchors: float32 [K, 4].
        decoded: float32 [K, 4], the anchors moved by their deltas.
        clipped: float32 [K, 4], cut to the image.
        scores: float32 [K], -1 for boxes that are too small.
        level: int32 [K], 0 for P2.
        large_enough: bool [K], the boxes that NMS looks at.
        kept: bool [K], the boxes that became proposals.
    """

    anchors: np.ndarray
    decoded: np.ndarray
    clipped: np.ndarray
    scores: np.ndarray
    level: np.ndarray
    large_enough: np.ndarray
    kept: np.ndarray

    def __repr__(self) -> str:
        return f"Candidates({len(self.kept)} anchors, {self.kept.sum()} kept)"


@dataclass(frozen=True, eq=False, repr=False)
class Lesson:
    """What training would teach on this image: targets, samples and losses.

    Attributes:
        gt_boxes: float32 [G, 4], the objects.
        gt_classes: int32 [G].
        anchor_matches: int32 [A], of the anchors of all levels, one after another: see
            `labkit.match`.
        anchor_positive: bool [A], the positive anchors in the sample.
        anchor_negative: bool [A], the negative ones.
        anchor_deltas: float32 [A, 4], the RPN's targets.
        rois: float32 [K, 4], the sampled RoIs, the positive ones first.
        roi_classes: int32 [K], 0 for background.
        roi_matched: int32 [K], the object of each.
        roi_positive: bool [K].
        roi_sampled: bool [K], False for padding.
        class_logits: float32 [K, 1 + N].
        box_deltas: float32 [K, 4], predicted for the RoI's class.
        box_targets: float32 [K, 4].
        mask_logits: float32 [M, 28, 28], of the first M RoIs, which include all positive ones.
        mask_targets: float32 [M, 28, 28].
        losses: the five losses, by name.
        roi_losses: of "class", "box" and "mask", float32 [K]: the loss if only this RoI counted.
    """

    gt_boxes: np.ndarray
    gt_classes: np.ndarray
    anchor_matches: np.ndarray
    anchor_positive: np.ndarray
    anchor_negative: np.ndarray
    anchor_deltas: np.ndarray
    rois: np.ndarray
    roi_classes: np.ndarray
    roi_matched: np.ndarray
    roi_positive: np.ndarray
    roi_sampled: np.ndarray
    class_logits: np.ndarray
    box_deltas: np.ndarray
    box_targets: np.ndarray
    mask_logits: np.ndarray
    mask_targets: np.ndarray
    losses: dict[str, float]
    roi_losses: dict[str, np.ndarray]

    def __repr__(self) -> str:
        losses = ", ".join(f"{name} {value:.3f}" for name, value in self.losses.items())
        return f"Lesson({len(self.gt_boxes)} objects, {len(self.rois)} RoIs; losses: {losses})"


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One image on its way through the network. See the module for units.

    Attributes:
        image: uint8 [H, W, 3], the original.
        seen: float32 [H', W', 3] in 0..255, what the network sees.
        placement: where in `seen` the image lies.
        strides: pixels per cell of each level.
        features: P2..P6, float32 [h, w, C] each.
        anchors: of each level, float32 [A, 4].
        objectness: of each level, logits, float32 [A].
        deltas: of each level, float32 [A, 4].
        candidates: the best anchors on their way to proposals.
        rois: float32 [P, 4], the proposals.
        roi_scores: float32 [P].
        levels: int32 [P], the pyramid level that each RoI is pooled from, 0 for P2.
        pooled: float32 [P, 7, 7, C].
        class_probabilities: float32 [P, 1 + N].
        refined: float32 [P, N, 4] or [P, 1, 4], the box of each RoI for each class or for all.
        boxes: float32 [D, 4], of the detections.
        scores: float32 [D].
        classes: int32 [D].
        masks: float32 [D, 28, 28], probabilities.
        detections: the same in pixels of the original, with the proposals as `rpn_boxes`.
        lesson: what training would teach; None without targets.
    """

    image: np.ndarray
    seen: np.ndarray
    placement: Placement
    strides: tuple[int, ...]
    features: list[np.ndarray]
    anchors: list[np.ndarray]
    objectness: list[np.ndarray]
    deltas: list[np.ndarray]
    candidates: Candidates
    rois: np.ndarray
    roi_scores: np.ndarray
    levels: np.ndarray
    pooled: np.ndarray
    class_probabilities: np.ndarray
    refined: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    detections: Detections
    lesson: Lesson | None

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the image in `seen`."""
        return self.placement.size

    @property
    def origin(self) -> tuple[int, int]:
        """(top, left) of the image in `seen`."""
        return self.placement.origin

    @property
    def scale(self) -> tuple[float, float]:
        """(y, x): pixels seen per pixel of the original."""
        return self.placement.scale

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        lesson = "" if self.lesson is None else f", lesson of {len(self.lesson.gt_boxes)} objects"
        return (
            f"Trace({height} × {width} pixels, {len(self.rois)} proposals, "
            f"{len(self.boxes)} detections{lesson})"
        )

    def in_image(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [..., 4] in pixels of the original image."""
        return self.placement.in_picture(boxes)


def trace_image(model, image, targets=None, step: int = 0) -> Trace:
    """Everything computed for one image: see `MaskRCNN.trace`."""
    picture, placement, batch = single_batch(model.config, image, targets)
    found = model.detect_in_batch(batch["images"], batch["sizes"])
    count, proposals = int(found["count"][0]), found["proposals"]
    proposed = int(proposals["count"][0])
    rois, roi_scores = proposals["boxes"][:, :proposed], proposals["scores"][0, :proposed].numpy()
    result = {name: found[name][0].numpy() for name in FOUND}
    result |= {"rpn_boxes": rois[0].numpy(), "rpn_scores": roi_scores}
    return Trace(
        image=picture,
        seen=batch["images"][0].numpy(),
        placement=placement,
        strides=model.config.strides,
        features=_first(found["maps"]),
        anchors=[a.numpy() for a in found["anchors"]],
        objectness=_first(found["objectness"]),
        deltas=_first(found["deltas"]),
        candidates=_candidates(proposals),
        rois=rois[0].numpy(),
        roi_scores=roi_scores,
        levels=roi_levels(found["maps"][:4], rois, model.config)[0].numpy(),
        pooled=model.pool(found["maps"], rois, model.config.box_pool)[0].numpy(),
        class_probabilities=found["class_probabilities"][0, :proposed].numpy(),
        refined=found["refined"][0, :proposed].numpy(),
        **{name: result[name][:count] for name in ("boxes", "scores", "classes", "masks")},
        detections=detections_of(model, result, picture, placement),
        lesson=None if targets is None else _lesson(model, batch, step),
    )


def _first(tensors) -> list[np.ndarray]:
    return [t[0].numpy() for t in tensors]


def _candidates(proposals: dict) -> Candidates:
    """What `rpn.propose` returned for a batch of one."""
    before = proposals["candidates"]
    boxes, scores = before["boxes"][0].numpy(), before["scores"][0].numpy()
    level = before["level"].numpy()
    # NMS copies the boxes it keeps, so look each candidate up among the copies, each copy once.
    count = int(proposals["count"][0])
    names = ("level", "boxes", "scores")
    copies = Counter(_rows(*(proposals[name][0, :count].numpy() for name in names)))
    kept = [copies[row] > 0 and not copies.subtract([row]) for row in _rows(level, boxes, scores)]
    return Candidates(
        anchors=before["anchors"][0].numpy(),
        decoded=before["decoded"][0].numpy(),
        clipped=boxes,
        scores=scores,
        level=level,
        large_enough=scores >= 0,
        kept=np.array(kept, bool),
    )


def _rows(level, boxes, scores) -> list[tuple]:
    return [
        (a, *b, c) for a, b, c in zip(level.tolist(), boxes.tolist(), scores.tolist(), strict=True)
    ]


def _lesson(model, batch: dict[str, tf.Tensor], step: int) -> Lesson:
    t = model.trace_losses(batch, step, training=False)
    anchors, rois = t["rpn_targets"], t["rois"]
    return Lesson(
        gt_boxes=batch["boxes"][0].numpy(),
        gt_classes=batch["classes"][0].numpy(),
        anchor_matches=anchors["matches"][0].numpy(),
        anchor_positive=anchors["positive"][0].numpy(),
        anchor_negative=anchors["negative"][0].numpy(),
        anchor_deltas=anchors["deltas"][0].numpy(),
        rois=rois["rois"][0].numpy(),
        roi_classes=rois["classes"][0].numpy(),
        roi_matched=rois["matches"][0].numpy(),
        roi_positive=rois["positive"][0].numpy(),
        roi_sampled=rois["sampled"][0].numpy(),
        class_logits=t["class_logits"][0].numpy(),
        box_deltas=t["box_deltas"][0].numpy(),
        box_targets=rois["deltas"][0].numpy(),
        mask_logits=t["mask_logits"][0].numpy(),
        mask_targets=t["mask_targets"][0].numpy(),
        losses={name: float(value) for name, value in t["losses"].items()},
        roi_losses=_roi_losses(t, model.config),
    )


def _roi_losses(t: dict, config) -> dict[str, np.ndarray]:
    """The three losses of the heads if only one RoI counted, for each RoI in turn."""
    rois, most = t["rois"], t["mask_logits"].shape[1]
    each = tf.eye(rois["rois"].shape[1], dtype=tf.bool)

    def of_one(only):
        one = only[None]
        return (
            losses.class_loss(
                t["class_logits"],
                rois["classes"],
                rois["sampled"] & one,
                config.class_weights,
                config.class_focal,
            ),
            losses.box_loss(
                t["box_deltas"], rois["deltas"], rois["positive"] & one, 1, config.smooth_l1_beta
            ),
            losses.mask_loss(
                t["mask_logits"], t["mask_targets"], rois["positive"][:, :most] & one[:, :most]
            ),
        )

    values = tf.map_fn(of_one, each, fn_output_signature=(tf.float32,) * 3)
    return {name: v.numpy() for name, v in zip(("class", "box", "mask"), values, strict=True)}
