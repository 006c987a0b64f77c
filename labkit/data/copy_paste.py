"""Copy-paste: objects of another picture pasted over this one; masks below lose what is covered.

The strongest single augmentation for instance segmentation with few objects: every pair of pictures
gives a new one. It happens before the view is chosen, in pixels of the picture below, so image,
boxes and masks always agree.

Source: Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation". As there, pasted edges are not blended.
"""

from dataclasses import dataclass, replace

import numpy as np

from labkit.data.augment import Augment, Example, tight
from labkit.models.resize import resize_image
from labkit.ops.mini_masks import mini_mask

CHANCE = 0.5  # probability that an object of the other picture is pasted


@dataclass(frozen=True, eq=False)
class Cutout:
    """An object cut out of its picture, and where it goes in another.

    Attributes:
        pixels: uint8 [h, w, 3].
        patch: bool [h, w], the mask.
        top, left: of its corner in the other picture, in whole pixels; may be negative.
        class_id: its class.
    """

    pixels: np.ndarray
    patch: np.ndarray
    top: int
    left: int
    class_id: int


def choose_cutouts(
    target_shape: tuple[int, int],
    source: Example,
    factor: tuple[float, float],
    augment: Augment,
    rng: np.random.Generator,
) -> list[Cutout]:
    """A random half of the objects of `source`, placed in another picture.

    The objects keep their positions relative to one another. Together they lie anywhere inside the
    target along a side where they fit, and over the whole side where they do not.

    Args:
        target_shape: (H, W) of the picture that they are pasted into.
        source: the picture that they are from.
        factor: size of a source pixel in target pixels, along y and x, so that the network sees the
            objects in the size that they have in their own picture.
        augment: its `scale` and `mirror` apply to the objects, too.
        rng: where the random numbers come from.
    """
    chosen = np.flatnonzero(rng.random(len(source.boxes)) < CHANCE)
    mirror = bool(augment.mirror and rng.random() < 0.5)
    factor = np.asarray(factor) * np.exp(rng.uniform(*np.log(augment.scale)))
    boxes = source.boxes[chosen].astype(float)
    if not len(boxes):
        return []
    if mirror:
        width = source.image.shape[1]
        boxes[:, 1], boxes[:, 3] = width - boxes[:, 3], width - boxes[:, 1].copy()
    boxes *= np.tile(factor, 2)
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    room = np.array(target_shape) - (high - low)
    corner = rng.uniform(np.minimum(room, 0), np.maximum(room, 0))
    boxes = np.round(boxes + np.tile(corner - low, 2)).astype(int)
    cutouts = (_cut(source, i, box, mirror) for i, box in zip(chosen, boxes, strict=True))
    return [c for c in cutouts if c.patch.any()]


def _cut(source: Example, index: int, box: np.ndarray, mirror: bool) -> Cutout:
    """Object `index`, resized to its box in the target."""
    y1, x1, y2, x2 = source.boxes[index]
    pixels, patch = source.image[y1:y2, x1:x2], source.patches[index]
    if mirror:
        pixels, patch = np.ascontiguousarray(pixels[:, ::-1]), patch[:, ::-1]
    top, left, bottom, right = (int(v) for v in box)
    height, width = max(bottom - top, 1), max(right - left, 1)
    pixels = resize_image(pixels, height, width)
    patch = mini_mask(patch, [0, 0, *patch.shape], (height, width))
    return Cutout(pixels, patch, top, left, int(source.class_ids[index]))


def paste(target: Example, cutouts: list[Cutout]) -> tuple[Example, int]:
    """Paste cutouts over a picture, later ones over earlier ones.

    Masks below lose the covered pixels, and their boxes shrink to what is left. Objects that are
    covered completely are dropped.

    Returns:
        The new example (the target is not changed), and how many of the target's objects were
        dropped.
    """
    image = target.image.copy()
    layers = [
        (p, b, c) for p, b, c in zip(target.patches, target.boxes, target.class_ids, strict=True)
    ]
    below = len(layers)
    for cutout in cutouts:
        patch, box, pixels = _clipped(cutout, image.shape[:2])
        if patch is None:
            continue
        y1, x1, y2, x2 = box
        image[y1:y2, x1:x2][patch] = pixels[patch]
        layers = [(_without(p, b, patch, box), b, c) for p, b, c in layers]
        layers.append((patch, box, cutout.class_id))
    shown = [(*tight(p, *b[:2]), c) for p, b, c in layers]
    lost = sum(patch is None for patch, _, _ in shown[:below])
    shown = [layer for layer in shown if layer[0] is not None]
    return replace(
        target,
        image=image,
        boxes=np.array([b for _, b, _ in shown], int).reshape(-1, 4),
        class_ids=np.array([c for _, _, c in shown], np.int32),
        patches=[p for p, _, _ in shown],
        whole={},
    ), lost


def _clipped(cutout: Cutout, shape: tuple[int, int]):
    """Patch, box and pixels of the part of a cutout inside a picture; Nones if there is none."""
    height, width = cutout.patch.shape
    rows = slice(max(-cutout.top, 0), min(height, shape[0] - cutout.top))
    columns = slice(max(-cutout.left, 0), min(width, shape[1] - cutout.left))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None, None, None
    patch, pixels = cutout.patch[rows, columns], cutout.pixels[rows, columns]
    part, box = tight(patch, cutout.top + rows.start, cutout.left + columns.start)
    if part is None:
        return None, None, None
    y, x = box[0] - cutout.top - rows.start, box[1] - cutout.left - columns.start
    return part, box, pixels[y : y + part.shape[0], x : x + part.shape[1]]


def _without(patch: np.ndarray, box: np.ndarray, cover: np.ndarray, over: np.ndarray) -> np.ndarray:
    """A patch [h, w] at `box` without the pixels that the patch `cover`, at `over`, hides."""
    y1, x1 = np.maximum(box[:2], over[:2])
    y2, x2 = np.minimum(box[2:], over[2:])
    if y1 >= y2 or x1 >= x2:
        return patch
    left = patch.copy()
    left[y1 - box[0] : y2 - box[0], x1 - box[1] : x2 - box[1]] &= ~cover[
        y1 - over[0] : y2 - over[0], x1 - over[1] : x2 - over[1]
    ]
    return left
