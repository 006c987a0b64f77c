"""The exercises of notebook 01b on anchors: one cell, a whole level, the objects they miss."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.iou import matrix_of
from labkit.course.exercises.random_boxes import random_boxes
from labkit.ops import anchors as anchor_ops
from labkit.ops import boxes as box_ops

NOTEBOOK = "01b_anchors_and_deltas"


def _cell_anchors(size, ratios):
    return anchor_ops.cell_anchors(size, ratios)


def _cell_anchors_cases(rng):
    yield Case("a square", (32.0, (1.0,)))
    yield Case("three ratios", (32.0, (0.5, 1.0, 2.0)))
    yield Case("three ratios", (float(rng.uniform(8, 500)), tuple(rng.uniform(0.2, 5, 3))))
    yield Case("very long ratios", (12.0, (0.1, 10.0)))
    yield Case("whole-number ratios", (10, (1, 2, 4)))
    yield Case("no ratios", (16.0, ()))


def _of_sides(heights, widths):
    heights, widths = np.asarray(heights, float), np.asarray(widths, float)
    return np.stack([-heights, -widths, heights, widths], axis=-1).reshape(-1, 4) / 2


def _ratio_without_root(size, ratios):
    ratios = np.asarray(ratios, float)
    return _of_sides(size * ratios, size / np.where(ratios, ratios, 1))


def _ratio_on_height_alone(size, ratios):
    return _of_sides(size * np.asarray(ratios, float), size * np.ones(len(ratios)))


def _width_over_height(size, ratios):
    roots = np.sqrt(np.asarray(ratios, float))
    return _of_sides(size / roots, size * roots)


def _from_the_corner(size, ratios):
    return _cell_anchors(size, ratios) - np.tile(_cell_anchors(size, ratios)[:, :2], 2)


def _half_twice(size, ratios):
    return _cell_anchors(size, ratios) * 2


CELL_ANCHORS = Exercise(
    name="cell_anchors",
    notebook=NOTEBOOK,
    title="The anchors of one cell",
    reference=_cell_anchors,
    cases=_cell_anchors_cases,
    returns="an array [ratios, 4]",
    kinds={
        "no ratios": "no ratios make no anchors: an array of shape (0, 4).",
        "whole-number ratios": "ratios may be whole numbers; the sides are not.",
    },
    mistakes=(
        Mistake(
            "height over width is now the ratio squared. Both sides change by the same factor, "
            "one up and one down; which factor makes their quotient the ratio?",
            _ratio_without_root,
        ),
        Mistake(
            "only the height changes, so the area is no longer size². If the height grows, "
            "what must the width do?",
            _ratio_on_height_alone,
        ),
        Mistake(
            "your tall anchors are flat and your flat ones tall: the ratio is height over "
            "width here.",
            _width_over_height,
        ),
        Mistake(
            "the right sizes, but the origin is their corner and not their centre.",
            _from_the_corner,
        ),
        Mistake("twice as large as asked: from the centre to an edge is half a side.", _half_twice),
    ),
    hints=(
        "Two equations, two unknowns: h · w = size² and h / w = ratio. Multiply them: h² = ?",
        "h = size · √ratio and w = size / √ratio.",
        "The edges lie half a side from the centre (0, 0): −h/2, −w/2, h/2, w/2, stacked along "
        "the last axis.",
    ),
)


def _grid_anchors(cell, shape, stride, offset):
    return anchor_ops.grid_anchors(np.float32(cell), shape, (stride, stride), offset).numpy()


def _grid_anchors_cases(rng):
    cell = anchor_ops.cell_anchors(12, (0.5, 1.0, 2.0))
    yield Case("a single cell", (cell, (1, 1), 8, 0.5))
    yield Case("one anchor a cell", (cell[1:2], (4, 4), 8, 0.5))
    yield Case("a square grid", (cell, (3, 3), 16, 0.5))
    yield Case("more columns than rows", (cell, (2, 5), 8, 0.5))
    yield Case("anchors at the cells' corners", (cell, (3, 4), 4, 0.0))
    yield Case("no anchors a cell", (cell[:0], (2, 3), 8, 0.5))
    yield Case("no cells", (cell, (0, 3), 8, 0.5))
    odd = anchor_ops.cell_anchors(float(rng.uniform(5, 50)), tuple(rng.uniform(0.3, 3, 2)))
    yield Case("more columns than rows", (odd, (3, 6), 32, 0.5))


def _grid(cell, shape, stride, offset, axes=(0, 1, 2), swap=False):
    cell = np.asarray(cell, float)
    y, x = ((np.arange(n) + offset) * stride for n in shape)
    y, x = np.meshgrid(y, x, indexing="ij")
    centres = np.stack([x, y, x, y] if swap else [y, x, y, x], axis=-1)
    return (centres[:, :, None] + cell).transpose(*axes, 3).reshape(-1, 4)


def _anchor_by_anchor(cell, shape, stride, offset):
    return _grid(cell, shape, stride, offset, axes=(2, 0, 1))


def _column_by_column(cell, shape, stride, offset):
    return _grid(cell, shape, stride, offset, axes=(1, 0, 2))


def _x_for_y(cell, shape, stride, offset):
    return _grid(cell, shape, stride, offset, swap=True)


def _always_the_corner(cell, shape, stride, offset):
    return _grid(cell, shape, stride, 0.0)


def _offset_in_pixels(cell, shape, stride, offset):
    return _grid(cell, shape, stride, 0.0) + offset


GRID_ANCHORS = Exercise(
    name="grid_anchors",
    notebook=NOTEBOOK,
    title="The anchors of a whole level",
    reference=_grid_anchors,
    cases=_grid_anchors_cases,
    returns="an array [rows · columns · A, 4]",
    kinds={
        "no cells": "no cells make no anchors: an array of shape (0, 4).",
        "no anchors a cell": "no anchors a cell make none at all: an array of shape (0, 4).",
        "anchors at the cells' corners": "with offset 0 the first anchor is centred at (0, 0).",
    },
    mistakes=(
        Mistake(
            "all the anchors, in another order: the network's answers come cell by cell, with "
            "all the shapes of a cell one after the other.",
            _anchor_by_anchor,
        ),
        Mistake(
            "you walk down the columns; pictures and feature maps are read row by row.",
            _column_by_column,
        ),
        Mistake(
            "rows and columns are swapped when you move the anchors: boxes begin with y.", _x_for_y
        ),
        Mistake(
            "right with offset 0; where in its cell does an anchor stand otherwise?",
            _always_the_corner,
        ),
        Mistake("the offset is a part of a cell, not of a pixel.", _offset_in_pixels),
    ),
    hints=(
        "Row 0 is centred at y = offset · stride, row 1 one stride further. `np.meshgrid` with "
        'indexing="ij" makes the two tables of y and x.',
        "Stack (y, x, y, x) to [rows, columns, 1, 4] and add `cell`, which is [A, 4]: "
        "broadcasting gives [rows, columns, A, 4].",
        "Reshape to [-1, 4]: the last axes run fastest, so the anchors of a cell stay together. "
        "With no cells at all -1 cannot be told: give the number.",
    ),
)


def _best_anchor(boxes, anchors, threshold):
    if not len(boxes) or not len(anchors):
        return np.zeros(len(boxes), np.float32), np.ones(len(boxes), bool)
    best = box_ops.iou(np.float32(boxes), np.float32(anchors)).numpy().max(axis=1)
    return best, best < threshold


def _best_anchor_cases(rng):
    cell = anchor_ops.cell_anchors(20, (0.5, 1.0, 2.0))
    anchors = anchor_ops.grid_anchors(cell, (6, 6), (16, 16), 0.5).numpy()
    yield Case("many boxes", (random_boxes(rng, 8), anchors, 0.5))
    yield Case("many boxes", (random_boxes(rng, 5), anchors[::7], 0.3))
    # 8 of 16 pixels shared, the box inside the anchor: an IoU of exactly one half
    on_the_line = np.float32([[0, 0, 2, 4]]), np.float32([[0, 0, 4, 4]])
    yield Case("an IoU equal to the threshold", (*on_the_line, 0.5))
    yield Case("a single anchor", (random_boxes(rng, 4), anchors[14:15], 0.2))
    none = np.zeros((0, 4), np.float32)
    yield Case("no objects", (none, anchors, 0.5))
    yield Case("no anchors", (random_boxes(rng, 3), none, 0.5))


def _best_of(boxes, anchors, reduce):
    if not len(boxes) or not len(anchors):
        return np.zeros(len(boxes))
    return reduce(matrix_of(boxes, anchors))


def _best_object_of_each_anchor(boxes, anchors, threshold):
    if not len(boxes) or not len(anchors):
        return np.zeros(len(anchors)), np.ones(len(anchors), bool)
    best = matrix_of(boxes, anchors).max(axis=0)
    return best, best < threshold


def _mean_over_anchors(boxes, anchors, threshold):
    best = _best_of(boxes, anchors, lambda m: m.mean(axis=1))
    return best, best < threshold


def _which_and_not_how_well(boxes, anchors, threshold):
    best = _best_of(boxes, anchors, lambda m: m.max(axis=1))
    which = _best_of(boxes, anchors, lambda m: m.argmax(axis=1))
    return which, best < threshold


def _covered_instead(boxes, anchors, threshold):
    best = _best_of(boxes, anchors, lambda m: m.max(axis=1))
    return best, best >= threshold


def _on_the_line_is_out(boxes, anchors, threshold):
    best = _best_of(boxes, anchors, lambda m: m.max(axis=1))
    return best, best <= threshold


BEST_ANCHOR = Exercise(
    name="best_anchor",
    notebook=NOTEBOOK,
    title="Which objects does no anchor fit?",
    reference=_best_anchor,
    cases=_best_anchor_cases,
    returns="two arrays [N]",
    kinds={
        "no objects": "no objects have no best anchors: two arrays of length 0.",
        "no anchors": "with no anchors at all there is nothing to take the largest of: the best "
        "IoU is 0, and every object is left out.",
    },
    mistakes=(
        Mistake(
            "you ask each anchor for its best object; ask each object for its best anchor.",
            _best_object_of_each_anchor,
        ),
        Mistake(
            "most anchors are nowhere near an object, so a mean is always tiny. It takes one "
            "good anchor to teach.",
            _mean_over_anchors,
        ),
        Mistake(
            "you say which anchor is the best, and are asked how well it fits.",
            _which_and_not_how_well,
        ),
        Mistake(
            "the second answer is true for objects that do have an anchor: turn it round.",
            _covered_instead,
        ),
        Mistake(
            "an object whose best IoU equals the threshold is still fitted: below means below.",
            _on_the_line_is_out,
        ),
    ),
    hints=(
        "You have written the hard part: the IoU of every object with every anchor.",
        "One row an object: the largest number of each row. Then compare with the threshold.",
        "The largest of no numbers is an error: with no anchors answer zeros, and true for each.",
    ),
)

EXERCISES = (CELL_ANCHORS, GRID_ANCHORS, BEST_ANCHOR)
