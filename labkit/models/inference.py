"""From images of any kind and size to `Detections` in their own coordinates."""

import numpy as np
import tensorflow as tf

from labkit.io.images import read_image
from labkit.models.detections import Detections, unused_slots
from labkit.models.placement import Placement
from labkit.models.resize import origins, resize_image, resized_shape
from labkit.ops.nms import round_down


def detect_images(model, images, score_threshold, nms_iou, max_detections, batch_size):
    """What `MaskRCNN.detect` does; see there."""
    several = isinstance(images, list | tuple)
    pictures = [read_image(i) for i in (images if several else [images])]
    found: list[Detections | None] = [None] * len(pictures)
    for members in _batches_of_one_size(pictures, batch_size):
        options = (score_threshold, nms_iou, max_detections)
        for i, detections in zip(
            members, _detect(model, [pictures[i] for i in members], *options), strict=True
        ):
            found[i] = detections
    return found if several else found[0]


def _batches_of_one_size(pictures: list[np.ndarray], batch_size: int) -> list[list[int]]:
    """Indices grouped by size: padding a small image to a large one would change its result."""
    groups: dict[tuple, list[int]] = {}
    for i, picture in enumerate(pictures):
        groups.setdefault(picture.shape, []).append(i)
    return [g[i : i + batch_size] for g in groups.values() for i in range(0, len(g), batch_size)]


def _detect(model, pictures, score_threshold, nms_iou, max_detections) -> list[Detections]:
    c = model.config
    height, width = pictures[0].shape[:2]
    batch, sizes = batch_of(pictures, c)
    result = _compiled(model)(
        tf.constant(batch),
        tf.constant(sizes),
        tf.constant(c.score_threshold if score_threshold is None else score_threshold, tf.float32),
        tf.constant(round_down(c.nms_iou if nms_iou is None else nms_iou)),
        tf.constant(max_detections or c.detections, tf.int32),
    )
    result = {name: value.numpy() for name, value in result.items()}
    placement = Placement.of((height, width), sizes[0], batch.shape[1:3], c)
    return [
        detections_of(model, {name: value[i] for name, value in result.items()}, picture, placement)
        for i, picture in enumerate(pictures)
    ]


def detections_of(model, result: dict, picture: np.ndarray, placement: Placement) -> Detections:
    """What was found in one picture of a batch, in its own pixels.

    result: "boxes", "scores", "classes", "masks", of which the first "count" are real, and
    "rpn_boxes", "rpn_scores", "rpn_count": arrays, in pixels of the batch.
    """
    n, p, c = result["count"], result["rpn_count"], model.config
    boxes = placement.in_picture(result["boxes"][:n])
    classes = result["classes"][:n]
    keep = ~np.isin(classes, unused_slots(model.class_names))
    if c.whole_pixel_boxes:
        boxes = np.round(boxes)
        keep &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections(
        boxes=boxes[keep],
        scores=result["scores"][:n][keep],
        class_ids=classes[keep],
        mask_probs=result["masks"][:n][keep],
        paste=c.mask_paste,
        class_names=model.class_names,
        image_size=placement.shape,
        image=picture,
        rpn_boxes=placement.in_picture(result["rpn_boxes"][:p]),
        rpn_scores=result["rpn_scores"][:p],
    )


def what_was_found(result: dict) -> dict[str, tf.Tensor]:
    """Of what `MaskRCNN.detect_in_batch` computes, what `detections_of` needs."""
    names, proposals = ("boxes", "scores", "classes", "masks", "count"), result["proposals"]
    return {name: result[name] for name in names} | {
        f"rpn_{name}": proposals[name] for name in ("boxes", "scores", "count")
    }


def batch_of(pictures: list[np.ndarray], config) -> tuple[np.ndarray, np.ndarray]:
    """What the network is given: float32 [B, H, W, 3] and each picture's own size there, [B, 2].

    pictures: [h, w, 3] in 0..255, of any sizes. Each is resized by the config's rule; then all are
    padded, at the bottom and on the right, to the largest and to a multiple of pad_multiple, or,
    where the rule is "square", on all sides to a square of image_max_side.
    """
    shapes = [resized_shape(*p.shape[:2], config) for p in pictures]
    canvas = [
        -(-max(sides) // config.pad_multiple) * config.pad_multiple
        for sides in zip(*shapes, strict=True)
    ]
    if config.resize == "square":
        canvas = [config.image_max_side] * 2
    batch = np.zeros((len(pictures), *canvas, 3), np.float32)
    for place, picture, shape in zip(batch, pictures, shapes, strict=True):
        top, left = (int(n) for n in origins(canvas, np.array(shape), config))
        seen = resize_image(picture, *shape, config.resize_filter)
        place[top : top + shape[0], left : left + shape[1]] = seen
    return batch, np.float32(shapes)


def _compiled(model):
    """One graph for all image sizes, made at the first call and kept with the model."""
    if getattr(model, "_detect_graph", None) is None:

        @tf.function(
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, None, None, 3], tf.float32),
                tf.TensorSpec([None, 2], tf.float32),
                tf.TensorSpec([], tf.float32),
                tf.TensorSpec([], tf.float32),
                tf.TensorSpec([], tf.int32),
            ],
        )
        def graph(images, sizes, score_threshold, nms_iou, detections):
            result = model.detect_in_batch(images, sizes, score_threshold, nms_iou, detections)
            return what_was_found(result)

        model._detect_graph = graph
    return model._detect_graph
