"""Everything the model computes for one image, in order: what notebooks and explorers draw.

A trace runs the functions that detection and training run, and keeps what they hand on. Lengths
are pixels of the image as the network sees it (resized and padded) unless said otherwise.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.io.images import read_image
from labkit.models.config import Config
from labkit.models.detections import Detections
from labkit.models.inference import batch_of, detections_of, what_was_found
from labkit.models.placement import Placement
from labkit.models.pooling import roi_levels
from labkit.ops import losses
from labkit.ops.masks import mini_mask


@dataclass(frozen=True, eq=False)
class Candidates:
    """What became of the RPN's best anchors on their way to proposals: arrays of K rows.

    anchors, decoded, clipped: float32 [K, 4], before the deltas, after them, and cut to the image.
    scores: float32 [K]; level: int32 [K], 0 for P2; large_enough: bool [K], what NMS was given.
    kept: bool [K], what NMS and the limit left.
    """

    anchors: np.ndarray
    decoded: np.ndarray
    clipped: np.ndarray
    scores: np.ndarray
    level: np.ndarray
    large_enough: np.ndarray
    kept: np.ndarray


@dataclass(frozen=True, eq=False)
class Lesson:
    """What training would teach on this image, with these objects.

    gt_boxes [G, 4], gt_classes [G]. Of the anchors (all levels, one after the other): matches
    int32 [A] (see `labkit.match`), positive and negative bool [A], those sampled, deltas [A, 4].
    Of the sampled RoIs: rois [K, 4], classes int32 [K] (0 background), matched int32 [K] (the
    object), positive and sampled bool [K]; class_logits [K, 1 + N]; box_deltas and box_targets
    [K, 4]; of the first M, the positives': mask_logits and mask_targets [M, 28, 28].
    losses: the five, by name. roi_losses: of "class", "box", "mask", the loss of each RoI alone,
    float32 [K], as it would be if it were the only one that counts.
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


@dataclass(frozen=True, eq=False)
class Trace:
    """One image on its way through the network. See the module for units.

    image: uint8 [H, W, 3], the original. seen: float32 [H', W', 3] in 0..255, what the network
    sees; placement: where in it the image lies. features: P2..P6, [h, w, C] each, with `strides`
    pixels a cell. anchors [A, 4], objectness [A] (logits), deltas [A, 4]: lists, a level each.
    candidates: the way to the proposals. rois [P, 4]: the proposals; roi_scores [P]; levels int32
    [P], the pyramid level that each is pooled from, 0 for P2; pooled [P, 7, 7, C].
    class_probabilities [P, 1 + N]; refined [P, N, 4] (or [P, 1, 4]): each RoI's box for each class.
    boxes [D, 4], scores [D], classes int32 [D], masks [D, 28, 28] (probabilities): what is found;
    detections: the same in the original's pixels. lesson: see `Lesson`; None without targets.
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
        """Rows and columns of `seen` that are image, from `origin` on."""
        return self.placement.size

    @property
    def origin(self) -> tuple[int, int]:
        return self.placement.origin

    @property
    def scale(self) -> tuple[float, float]:
        """(y, x): pixels seen per pixel of the original."""
        return self.placement.scale

    def in_image(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [..., 4] in pixels of the original image."""
        return self.placement.in_picture(boxes)


def trace_image(model, image, targets=None, step: int = 0) -> Trace:
    """What `MaskRCNN.trace` does; see there."""
    picture = read_image(image)
    batch, sizes = batch_of([picture], model.config)
    placement = Placement.of(picture.shape, sizes[0], batch.shape[1:3], model.config)
    images, sizes = tf.constant(batch), tf.constant(sizes)
    found = model.detect_in_batch(images, sizes)
    result = {name: value[0].numpy() for name, value in what_was_found(found).items()}
    proposals, number = found["proposals"], result["count"]
    rois = proposals["boxes"][:, : result["rpn_count"]]
    lesson = None
    if targets is not None:
        objects = _objects(model.config, targets, placement, batch.shape[1:3])
        lesson = _lesson(model, {"images": images, "sizes": sizes} | objects, step)
    return Trace(
        image=picture,
        seen=batch[0],
        placement=placement,
        strides=model.config.strides,
        features=_first(found["maps"]),
        anchors=[a.numpy() for a in found["anchors"]],
        objectness=_first(found["objectness"]),
        deltas=_first(found["deltas"]),
        candidates=_candidates(proposals),
        rois=rois[0].numpy(),
        roi_scores=result["rpn_scores"][: result["rpn_count"]],
        levels=roi_levels(found["maps"][:4], rois, model.config)[0].numpy(),
        pooled=model.pool(found["maps"], rois, model.config.box_pool)[0].numpy(),
        class_probabilities=found["class_probabilities"][0, : result["rpn_count"]].numpy(),
        refined=found["refined"][0, : result["rpn_count"]].numpy(),
        **{n: result[n][:number] for n in ("boxes", "scores", "classes", "masks")},
        detections=detections_of(model, result, picture, placement),
        lesson=lesson,
    )


def _first(tensors) -> list[np.ndarray]:
    return [t[0].numpy() for t in tensors]


def _candidates(proposals: dict[str, tf.Tensor]) -> Candidates:
    scores = proposals["candidate_scores"][0].numpy()
    clipped = proposals["candidates"][0].numpy()
    count = int(proposals["count"][0])
    level = proposals["candidate_level"].numpy()
    # NMS copies what it keeps: a candidate was kept if it is among them, once for each copy.
    names = ("level", "boxes", "scores")
    copies = Counter(_rows(*(proposals[name][0, :count].numpy() for name in names)))
    kept = [copies[row] > 0 and not copies.subtract([row]) for row in _rows(level, clipped, scores)]
    return Candidates(
        anchors=proposals["candidate_anchors"][0].numpy(),
        decoded=proposals["decoded"][0].numpy(),
        clipped=clipped,
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


def _objects(c: Config, targets, placement: Placement, canvas) -> dict[str, tf.Tensor]:
    """A Sample's objects as a batch of one, in pixels of the image as the network sees it."""
    if targets.masks.shape[1:] != placement.shape:
        raise LabkitError(
            f"trace: the targets' masks are {targets.masks.shape[1:]}, the image is "
            f"{placement.shape}: give the Sample that belongs to the image."
        )
    real = ~targets.crowd  # no training looks at crowds
    boxes = placement.in_batch(targets.boxes[real])
    side = (c.mini_mask,) * 2 if c.mini_mask else tuple(canvas)
    masks = [
        mini_mask(m, b, side) if c.mini_mask else _on_canvas(m, placement, side)
        for m, b in zip(targets.masks[real], targets.boxes[real], strict=True)
    ]
    masks = np.asarray(masks, np.uint8).reshape(-1, *side)
    return {
        "boxes": tf.constant(boxes[None]),
        "masks": tf.constant(masks[None]),
        "classes": tf.constant(np.int32(targets.class_ids[real])[None]),
    }


def _on_canvas(mask: np.ndarray, placement: Placement, canvas) -> np.ndarray:
    """A mask [H, W] of the image where the network sees it, bool [canvas]."""
    (top, left), (rows, columns) = placement.origin, placement.size
    whole = np.zeros(canvas, bool)
    whole[top : top + rows, left : left + columns] = mini_mask(
        mask, [0, 0, *mask.shape], (rows, columns)
    )
    return whole


def _roi_losses(t: dict, config) -> dict[str, np.ndarray]:
    """The three losses of the heads, of one RoI at a time: each is counted alone."""
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
