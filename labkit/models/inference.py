"""From images of any kind and size to `Detections` in their own coordinates, for any detector.

A detector here is anything with `config` (a `DetectorConfig`), `class_names` and
`detect_in_batch(images, sizes, score_threshold, nms_iou, detections)`, whose result holds at least
`FOUND`, in pixels of the batch.
"""

import os

import numpy as np
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.io.images import image_size, read_image
from labkit.models.class_names import unused_slots
from labkit.models.detections import Detections
from labkit.models.resize import Placement, origins, padded_shape, resize_image, resized_shape
from labkit.ops.nms import round_down

# boxes [B, D, 4], scores [B, D], classes int32 [B, D] and masks [B, D, m, m] (probabilities inside
# the box; or [B, D, h, w] in the whole image, where config.mask_paste is "whole"), of which the
# first count, int32 [B], are real
FOUND = ("boxes", "scores", "classes", "masks", "count")


def detect_images(
    detector, images, score_threshold, nms_iou, max_detections, batch_size: int
) -> Detections | list[Detections]:
    """Find the objects in an image, or in each of a list of images: see `Detector.detect`."""
    for name, value in (("max_detections", max_detections), ("batch_size", batch_size)):
        if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
            raise LabkitError(f"detect: {name} must be a whole number of at least 1, got {value}.")
    for name, value in (("score_threshold", score_threshold), ("nms_iou", nms_iou)):
        if value is not None and not 0 <= value <= 1:  # NaN is not, either
            raise LabkitError(f"detect: {name} must lie between 0 and 1, got {value}.")
    several = isinstance(images, list | tuple)
    # Of a file only the header is read before its turn comes: a thousand photos fill no memory.
    sources = [i if _is_file(i) else read_image(i) for i in (images if several else [images])]
    found: list[Detections | None] = [None] * len(sources)
    for members in _batches_of_one_size(sources, batch_size):
        batch = [sources[i] for i in members]
        results = _detect(detector, batch, score_threshold, nms_iou, max_detections)
        for i, detections in zip(members, results, strict=True):
            found[i] = detections
    return found if several else found[0]


def _is_file(image) -> bool:
    return isinstance(image, str | os.PathLike)


def _batches_of_one_size(sources: list, batch_size: int) -> list[list[int]]:
    """Indices grouped by size: padding a small image to a large one would change its result."""
    groups: dict[tuple, list[int]] = {}
    for i, source in enumerate(sources):
        shape = image_size(source) if _is_file(source) else source.shape[:2]
        groups.setdefault(shape, []).append(i)
    return [g[i : i + batch_size] for g in groups.values() for i in range(0, len(g), batch_size)]


def _detect(detector, sources, score_threshold, nms_iou, max_detections) -> list[Detections]:
    c = detector.config
    pictures = [read_image(source) if _is_file(source) else source for source in sources]
    batch, sizes = batch_of(pictures, c)
    result = _compiled(detector)(
        tf.constant(batch),
        tf.constant(sizes),
        tf.constant(c.score_threshold if score_threshold is None else score_threshold, tf.float32),
        tf.constant(round_down(c.nms_iou if nms_iou is None else nms_iou)),
        tf.constant(max_detections or c.detections, tf.int32),
    )
    result = {name: value.numpy() for name, value in result.items()}
    placement = Placement.of(pictures[0].shape, sizes[0], batch.shape[1:3], c)
    return [
        detections_of(detector, {n: v[i] for n, v in result.items()}, source, placement)
        for i, source in enumerate(sources)
    ]


def _compiled(detector):
    """`detect_in_batch` as one graph for all image sizes, made once and kept with the detector.

    Only `FOUND` leaves the graph, so that nothing else is copied to the host.
    """
    if getattr(detector, "_detect_graph", None) is None:

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
            result = detector.detect_in_batch(images, sizes, score_threshold, nms_iou, detections)
            return {name: result[name] for name in FOUND}

        detector._detect_graph = graph
    return detector._detect_graph


def detections_of(detector, result: dict, picture, placement: Placement) -> Detections:
    """What was found in one picture of a batch, in pixels of the picture.

    Args:
        detector: whose config and class names apply.
        result: arrays in pixels of the batch, without its first axis: `FOUND` and, if the
            detector has proposals to show, rpn_boxes [R, 4] and rpn_scores [R].
        picture: uint8 [h, w, 3], or the path of its file.
        placement: where it lies in the batch.
    """
    n, c = result["count"], detector.config
    boxes = placement.in_picture(result["boxes"][:n])
    classes = result["classes"][:n]
    keep = ~np.isin(classes, unused_slots(detector.class_names))
    if c.whole_pixel_boxes:
        boxes = np.round(boxes)
        keep &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    proposals = {}
    if "rpn_boxes" in result:
        proposals["rpn_boxes"] = placement.in_picture(result["rpn_boxes"])
        proposals["rpn_scores"] = result["rpn_scores"]
    return Detections(
        boxes=boxes[keep],
        scores=result["scores"][:n][keep],
        class_ids=classes[keep],
        mask_probs=result["masks"][:n][keep],
        paste=c.mask_paste,
        frame=placement.frame if c.mask_paste == "whole" else None,
        class_names=detector.class_names,
        category_ids=getattr(detector, "category_ids", None),
        image_size=placement.shape,
        image=picture,
        **proposals,
    )


def batch_of(pictures: list[np.ndarray], config) -> tuple[np.ndarray, np.ndarray]:
    """What the network is given: the pictures resized by the config's rule and padded.

    Padding is added at the bottom and on the right, up to the largest picture and a multiple of
    pad_multiple; where the rule is "square", on all sides, up to a square of image_max_side; where
    it is "stretch", none is.

    Args:
        pictures: [h, w, 3] in 0..255, of any sizes.
        config: the detector's.

    Returns:
        float32 [B, H, W, 3], and the size of each resized picture, float32 [B, 2].
    """
    shapes = [resized_shape(*p.shape[:2], config) for p in pictures]
    canvas = padded_shape(*map(max, zip(*shapes, strict=True)), config)
    batch = np.zeros((len(pictures), *canvas, 3), np.float32)
    for place, picture, shape in zip(batch, pictures, shapes, strict=True):
        top, left = (int(n) for n in origins(canvas, np.array(shape), config))
        seen = resize_image(picture, *shape, config.resize_filter)
        place[top : top + shape[0], left : left + shape[1]] = seen
    return batch, np.float32(shapes)
