"""How well an anchor grid fits the boxes of a data set, and which anchors would fit them better.

An object whose best anchor overlaps it with an IoU below 0.5 has that single anchor as a positive
example (the RPN gives every object its best one), and is found late or never. Your own data often
has such objects: much smaller than COCO's, or much longer than wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.models.detector_config import DetectorConfig
from labkit.models.resize import padded_shape, resized_shape
from labkit.ops.anchors import cell_anchors

POOR_IOU = 0.5  # below this, an object is poorly covered
SAMPLE = 4000  # boxes that the search looks at; more would hardly change the result
WORTH_IT = 0.02  # share of the boxes; a smaller gain is not worth changing the anchors
LEAST_STEP = 1.25  # least ratio of neighbouring anchor sizes; closer ones would be redundant


@dataclass(frozen=True)
class AnchorFit:
    """Anchors, and how well they cover the boxes.

    Attributes:
        sizes: of P2..P6, in pixels after resizing.
        ratios: height over width.
        uncovered: the share of boxes whose best anchor has an IoU below 0.5; NaN without boxes.
        mean_iou: the mean IoU of a box with its best anchor; NaN without boxes.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    uncovered: float
    mean_iou: float


def feature_shapes(height, width, config: DetectorConfig) -> list[tuple]:
    """(rows, columns) of P2..P6 for an image, padded as detection does it.

    Args:
        height: of the image in pixels; a number or an array.
        width: likewise, of the same shape.
        config: its strides and padding.
    """
    height, width = padded_shape(height, width, config)
    return [(-(-height // s), -(-width // s)) for s in config.strides]


def anchor_ious(boxes: np.ndarray, image_shapes: np.ndarray, config: DetectorConfig) -> np.ndarray:
    """The best IoU of each box with the anchors of each size and ratio.

    Anchors of one size and ratio differ only in their position, and the overlap along an axis falls
    with the distance of the centres. So the best one is in the nearest row and the nearest column,
    and the whole grid need not be built.

    Args:
        boxes: float32 [N, 4] in pixels of the resized images.
        image_shapes: int [N, 2], (height, width) of the resized image that each box is in.
        config: its anchors.

    Returns:
        float32 [N, levels, ratios].
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    shapes = np.asarray(image_shapes).reshape(-1, 2)
    ious = np.zeros((len(boxes), len(config.anchor_sizes), len(config.anchor_ratios)), np.float32)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    grids = feature_shapes(shapes[:, 0], shapes[:, 1], config)
    padded = np.stack(np.broadcast_arrays(*padded_shape(*shapes.T, config)), axis=-1)
    for level, (grid, size) in enumerate(zip(grids, config.anchor_sizes, strict=True)):
        cells = np.stack(grid, axis=1)
        stride = padded / np.maximum(cells, 1)
        if config.anchor_strides == "whole":
            stride = np.floor(stride)
        elif config.anchor_strides == "level":
            stride = np.full_like(stride, config.strides[level])
        stride = stride.astype(np.float32)
        nearest = np.round(centres / stride - config.anchor_offset).clip(0, cells - 1)
        nearest = (nearest + config.anchor_offset) * stride
        anchors = cell_anchors(
            size, config.anchor_ratios, config.anchor_rounding, config.square_anchors
        )
        for ratio, anchor in enumerate(anchors):
            low = np.maximum(boxes[:, :2], nearest + anchor[:2])
            high = np.minimum(boxes[:, 2:], nearest + anchor[2:])
            shared = np.maximum(high - low, 0).prod(axis=1)
            union = sides.prod(axis=1) + (anchor[2:] - anchor[:2]).prod() - shared
            ious[:, level, ratio] = shared / np.maximum(union, 1e-9)
    return ious


def resized(boxes: np.ndarray, shapes: np.ndarray, config: DetectorConfig):
    """Boxes [N, 4] and the shapes int [N, 2] of their images, after the config's resizing."""
    shapes = np.asarray(shapes, int).reshape(-1, 2)
    kinds, kind = np.unique(shapes, axis=0, return_inverse=True)
    new = np.array([resized_shape(*map(int, k), config) for k in kinds], int).reshape(-1, 2)
    new = new[kind.ravel()]
    return boxes * np.tile(new / np.maximum(shapes, 1), 2).astype(np.float32), new


def fit_of(boxes: np.ndarray, shapes: np.ndarray, config: DetectorConfig) -> AnchorFit:
    """How a config's anchors fit boxes [N, 4] in resized images of shapes int [N, 2]."""
    sizes, ratios = tuple(map(float, config.anchor_sizes)), tuple(map(float, config.anchor_ratios))
    if not len(boxes):
        return AnchorFit(sizes, ratios, float("nan"), float("nan"))
    best = anchor_ious(boxes, shapes, config).max(axis=(1, 2))
    return AnchorFit(sizes, ratios, float((best < POOR_IOU).mean()), float(best.mean()))


def suggest_anchors(boxes: np.ndarray, shapes: np.ndarray, config: DetectorConfig) -> AnchorFit:
    """Anchor sizes and ratios for these boxes, and how they fit; see `fit_of`.

    Hill climbing on the real grid. It starts from the quantiles of size and ratio, and once more
    from the config's own anchors. One size or ratio at a time is made larger or smaller, first by
    much and then by little, as long as fewer boxes are poorly covered (or equally many, and the
    mean IoU grows). Nothing is random, so the same boxes give the same anchors. The config's own
    are returned if none are clearly better.

    k-means with the IoU of centred boxes, as in YOLO9000 (Redmon and Farhadi 2017), ignores the
    stride: it would put anchors of 4 px on cells of 8 px, where they miss most objects.
    """
    present = fit_of(boxes, shapes, config)
    if not len(boxes):
        return present
    step = -(-len(boxes) // SAMPLE)
    some, where = boxes[::step], shapes[::step]
    sides = np.maximum(some[:, 2:] - some[:, :2], 1e-3).astype(np.float64)
    sizes = np.sqrt(sides.prod(axis=1))
    start = _written(
        _quantiles(sizes, len(config.anchor_sizes)),
        _quantiles(sides[:, 0] / sides[:, 1], len(config.anchor_ratios)),
    )
    own = (present.sizes, present.ratios)

    def fit(sizes, ratios) -> AnchorFit:
        return fit_of(some, where, config.replace(anchor_sizes=sizes, anchor_ratios=ratios))

    best = min((_climbed(fit, *s) for s in (start, own)), key=_badness)
    best = fit_of(boxes, shapes, config.replace(anchor_sizes=best.sizes, anchor_ratios=best.ratios))
    return best if best.uncovered < present.uncovered - WORTH_IT else present


def _badness(fit: AnchorFit) -> tuple[float, float]:
    return fit.uncovered, -fit.mean_iou


def _climbed(fit, sizes: tuple, ratios: tuple) -> AnchorFit:
    """The best fit reached from these anchors by changing one number at a time."""
    best = fit(sizes, ratios)
    for factor in (1.4, 1.2, 1.07):
        improved = True
        while improved:
            improved = False
            for place in range(len(best.sizes) + len(best.ratios)):
                for change in (factor, 1 / factor):
                    tried = fit(*_changed(best, place, change))
                    if _badness(tried) < _badness(best):
                        best, improved = tried, True
    return best


def _changed(fit: AnchorFit, place: int, factor: float) -> tuple[tuple, tuple]:
    """Sizes and ratios with number `place` of the two lists together multiplied by `factor`."""
    values = [*fit.sizes, *fit.ratios]
    values[place] *= factor
    return _written(values[: len(fit.sizes)], values[len(fit.sizes) :])


def _written(sizes, ratios) -> tuple[tuple, tuple]:
    """Ascending sizes, a step apart, in whole pixels from 8 on; ratios rounded to two decimals."""
    spread = []
    for size in sorted(sizes):
        size = max(float(size), spread[-1] * LEAST_STEP if spread else 1.0)
        spread.append(float(round(size)) if size >= 8 else round(size, 1))
    return tuple(spread), tuple(sorted(max(round(float(r), 2), 0.01) for r in ratios))


def _quantiles(values: np.ndarray, count: int) -> np.ndarray:
    return np.quantile(values, (np.arange(count) + 0.5) / count)
