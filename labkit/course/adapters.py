"""Adapters: a learner's NumPy function for one image as a TensorFlow function for a batch.

Each adapter returns a function with the signature of labkit's, so it can take its place. None of
these functions needs a gradient, because labkit stops it there, except `smooth_l1`: it is
elementwise, so central differences give its derivative.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from labkit.ops import anchors as anchor_ops
from labkit.ops import boxes as box_ops
from labkit.ops import losses, matching, nms, roi_pyramid


@dataclass(frozen=True)
class Place:
    """Where a learner's function goes.

    Attributes:
        original: labkit's function, in TensorFlow.
        adapter: makes a function with the signature of `original` from the learner's.
    """

    original: Callable
    adapter: Callable[[Callable], Callable]


def _cell_anchors(mine: Callable) -> Callable:
    def cell_anchors(size, ratios, rounding=False, square=False):
        if rounding or square:  # published weights need these; the exercise has neither
            return PLACES["cell_anchors"].original(size, ratios, rounding, square)
        return np.float32(mine(float(size), tuple(ratios)))

    return cell_anchors


def _grid_anchors(mine: Callable) -> Callable:
    def one_level(cell, rows, columns, stride_y, stride_x, offset):
        # The exercise has one stride; a level whose size was rounded up may have two.
        shape = int(rows), int(columns)
        vertical, horizontal = (
            np.float32(mine(cell, shape, float(stride), float(offset)))
            for stride in (stride_y, stride_x)
        )
        sides = vertical[:, 0], horizontal[:, 1], vertical[:, 2], horizontal[:, 3]
        return np.stack(sides, axis=1)

    def grid_anchors(cell, feature_shape, stride, offset=0.0):
        numbers = [tf.cast(n, tf.float32) for n in (*feature_shape, *stride, offset)]
        grid = tf.numpy_function(one_level, [tf.constant(cell, tf.float32), *numbers], tf.float32)
        return tf.ensure_shape(grid, [None, 4])

    return grid_anchors


def _iou_matrix(mine: Callable) -> Callable:
    def batch(a, b):
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (np.broadcast_to(x, lead + x.shape[-2:]) for x in (a, b))
        found = np.empty(lead + (a.shape[-2], b.shape[-2]), np.float32)
        for index in np.ndindex(lead):
            found[index] = mine(a[index], b[index])
        return found

    def iou(a, b):
        a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
        lead = tf.broadcast_static_shape(a.shape[:-2], b.shape[:-2])
        found = tf.numpy_function(batch, [a, b], tf.float32)
        return tf.ensure_shape(found, lead.concatenate([a.shape[-2], b.shape[-2]]))

    return iou


def _of_rows(mine: Callable) -> Callable:
    """For `encode` and `decode`: any number of dimensions before the last."""

    def rows(first, anchors, std):
        first, anchors = np.broadcast_arrays(first, anchors)
        found = mine(first.reshape(-1, 4), anchors.reshape(-1, 4), tuple(map(float, std)))
        return np.float32(found).reshape(first.shape)

    def function(first, anchors, std=(1.0, 1.0, 1.0, 1.0)):
        first, anchors = tf.convert_to_tensor(first), tf.convert_to_tensor(anchors)
        shape = tf.broadcast_static_shape(first.shape, anchors.shape)
        found = tf.numpy_function(rows, [first, anchors, tf.constant(std)], tf.float32)
        return tf.ensure_shape(found, shape)

    return function


def _match_anchors(mine: Callable) -> Callable:
    def batch(iou, valid, high, low):
        images = zip(iou, valid, strict=True)
        return np.stack([np.int32(mine(*image, float(high), float(low))) for image in images])

    def match(iou, valid, high, low, every_object):
        if not every_object or iou.shape.rank != 3:  # the rule of the heads: another one
            return PLACES["match_anchors"].original(iou, valid, high, low, every_object)
        found = tf.numpy_function(batch, [iou, valid, high, low], tf.int32)
        return tf.ensure_shape(found, iou.shape[:-1])

    return match


def _sample_anchors(mine: Callable) -> Callable:
    def batch(positive, negative, number, fraction, priority):
        images = zip(positive, negative, priority, strict=True)
        taken = [mine(p, n, int(number), float(fraction), order) for p, n, order in images]
        return tuple(np.array(flags, bool) for flags in zip(*taken, strict=True))

    def sample(positive, negative, number, positive_fraction, priority):
        inputs = [positive, negative, number, positive_fraction, priority]
        taken = tf.numpy_function(batch, inputs, (tf.bool, tf.bool))
        return tuple(tf.ensure_shape(flags, positive.shape) for flags in taken)

    return sample


def _nms(mine: Callable) -> Callable:
    def one_image(boxes, scores, threshold, most, least):
        """(score, group, box) of those that are kept, best first."""
        kept = []
        for group in range(scores.shape[1]):
            own = boxes[:, group % boxes.shape[1]]
            taking_part = np.flatnonzero(scores[:, group] > least)
            found = mine(own[taking_part], scores[taking_part, group], threshold)
            for row in taking_part[np.asarray(found, int)][:most]:
                kept.append((scores[row, group], group, own[row]))
        return sorted(kept, key=lambda entry: -entry[0])[:most]

    def batch(boxes, scores, threshold, most, least):
        images = [
            one_image(*image, float(threshold), int(most), least)
            for image in zip(boxes, scores, strict=True)
        ]
        kept_boxes = np.zeros((len(images), most, 4), np.float32)
        kept_scores = np.zeros((len(images), most), np.float32)
        kept_groups = np.zeros((len(images), most), np.int32)
        for i, kept in enumerate(images):
            for k, (score, group, box) in enumerate(kept):
                kept_boxes[i, k], kept_scores[i, k], kept_groups[i, k] = box, score, group
        return kept_boxes, kept_scores, kept_groups, np.int32([len(kept) for kept in images])

    def grouped_nms_padded(boxes, scores, threshold, most, score_threshold):
        inputs = [boxes, scores, threshold, most, score_threshold]
        found = tf.numpy_function(batch, inputs, (tf.float32, tf.float32, tf.int32, tf.int32))
        images, rows = boxes.shape[0], tf.get_static_value(most)
        shapes = ([images, rows, 4], [images, rows], [images, rows], [images])
        return tuple(tf.ensure_shape(t, shape) for t, shape in zip(found, shapes, strict=True))

    return grouped_nms_padded


def _level_of(mine: Callable) -> Callable:
    def rows(boxes):
        return np.int32(mine(boxes.reshape(-1, 4))).reshape(boxes.shape[:-1])

    def roi_level(boxes, levels, canonical_size=224.0, canonical_level=4, rounding="down"):
        if (levels, canonical_level, rounding) != (4, 4, "down"):  # the exercise has no others
            original = PLACES["level_of"].original
            return original(boxes, levels, canonical_size, canonical_level, rounding)
        scaled = boxes * (224.0 / canonical_size)
        return tf.ensure_shape(tf.numpy_function(rows, [scaled], tf.int32), boxes.shape[:-1])

    return roi_level


def _smooth_l1(mine: Callable) -> Callable:
    def both(difference, beta):
        """The function and its slope, by central differences in float64."""
        flat, step = np.float64(difference).reshape(-1), 1e-4
        before, value, after = (mine(flat + move, float(beta)) for move in (-step, 0.0, step))
        slope = (np.asarray(after) - np.asarray(before)) / (2 * step)
        return tuple(np.float32(x).reshape(difference.shape) for x in (value, slope))

    def smooth_l1(difference, beta):
        @tf.custom_gradient
        def function(x):
            found = tf.numpy_function(both, [x, beta], (tf.float32, tf.float32))
            value, slope = (tf.ensure_shape(t, x.shape) for t in found)
            return value, lambda upstream: upstream * slope

        return function(difference)

    return smooth_l1


PLACES = {
    "cell_anchors": Place(anchor_ops.cell_anchors, _cell_anchors),
    "grid_anchors": Place(anchor_ops.grid_anchors, _grid_anchors),
    "iou_matrix": Place(box_ops.iou, _iou_matrix),
    "encode": Place(box_ops.encode, _of_rows),
    "decode": Place(box_ops.decode, _of_rows),
    "match_anchors": Place(matching.match, _match_anchors),
    "sample_anchors": Place(matching.sample, _sample_anchors),
    "nms": Place(nms.grouped_nms_padded, _nms),
    "level_of": Place(roi_pyramid.roi_level, _level_of),
    "smooth_l1": Place(losses.smooth_l1, _smooth_l1),
}
