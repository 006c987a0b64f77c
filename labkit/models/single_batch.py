"""One image, with its objects where they are known, as a batch of one: what a trace starts from."""

import numpy as np
import tensorflow as tf

from labkit.errors import LabkitError
from labkit.io.images import read_image
from labkit.models.detector_config import DetectorConfig
from labkit.models.inference import batch_of
from labkit.models.resize import Placement
from labkit.ops.mini_masks import mini_mask


def single_batch(config: DetectorConfig, image, targets=None):
    """An image and its objects as a detector sees them.

    Args:
        config: the detector's.
        image: a path, a PIL image or an array.
        targets: a `Sample` of the same image, or None.

    Returns:
        (The picture as an array, its `Placement` in the batch, the batch as in `Detector.learn`,
        without objects where there are no targets.)
    """
    picture = read_image(image)
    images, sizes = batch_of([picture], config)
    placement = Placement.of(picture.shape, sizes[0], images.shape[1:3], config)
    batch = {"images": tf.constant(images), "sizes": tf.constant(sizes)}
    if targets is not None:
        batch |= _objects(config, targets, placement, images.shape[1:3])
    return picture, placement, batch


def _objects(c: DetectorConfig, targets, placement: Placement, canvas) -> dict[str, tf.Tensor]:
    """The objects of a Sample as a batch of one, in pixels of the image as the network sees it."""
    if targets.masks.shape[1:] != placement.shape:
        raise LabkitError(
            f"trace: the targets' masks are {targets.masks.shape[1:]}, the image is "
            f"{placement.shape}: give the Sample that belongs to the image."
        )
    real = ~targets.crowd  # training ignores crowds
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
    """A mask [H, W] of the image, resized and placed as the image is: bool [canvas]."""
    (top, left), (rows, columns) = placement.origin, placement.size
    whole = np.zeros(canvas, bool)
    whole[top : top + rows, left : left + columns] = mini_mask(
        mask, [0, 0, *mask.shape], (rows, columns)
    )
    return whole
