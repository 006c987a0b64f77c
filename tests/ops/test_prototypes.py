"""Masks from prototypes: sums by hand, crops, and targets. tests/parity compares with YOLACT's."""

import numpy as np
import pytest
import tensorflow as tf

from labkit.ops import prototypes
from labkit.ops.mini_masks import mini_mask
from labkit.ops.pasting import paste_grid, paste_grids


def test_a_mask_is_the_sum_of_prototypes_times_coefficients():
    rng = np.random.default_rng(0)
    drawn, own = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 6, 5))
    got = prototypes.assemble(np.float32(drawn), np.float32(own))
    np.testing.assert_allclose(got, np.einsum("bhwk,bnk->bnhw", drawn, own), rtol=1e-5, atol=1e-6)
    assert prototypes.assemble(np.float32(drawn), np.zeros((2, 0, 5), np.float32)).shape[1] == 0


def test_cells_are_inside_a_box_with_a_margin():
    box = prototypes.on_grid(np.float32([[8, 8, 16, 24]]), (32, 32), (8, 8))
    np.testing.assert_array_equal(box, [[2, 2, 4, 6]])
    inside = prototypes.inside(box, (8, 8), margin=0.0)[0].numpy()
    assert inside.sum() == 2 * 4 and inside[2:4, 2:6].all()
    inside = prototypes.inside(box, (8, 8))[0].numpy()
    assert inside.sum() == 4 * 6 and inside[1:5, 1:7].all()


@pytest.mark.parametrize("box", [(10, 20, 90, 100), (0, 0, 128, 128), (40.5, 3.25, 61, 120)])
def test_mini_masks_and_whole_masks_give_nearly_the_same_targets(box):
    y, x = np.mgrid[:128, :128] + 0.5
    y1, x1, y2, x2 = box
    disc = ((y - (y1 + y2) / 2) / (y2 - y1)) ** 2 + ((x - (x1 + x2) / 2) / (x2 - x1)) ** 2 < 0.25
    mini = mini_mask(disc, box, (56, 56))[None, None]
    boxes = np.float32(box)[None, None]
    got = prototypes.targets_of_mini_masks(np.uint8(mini), boxes, (128, 128), (32, 32))
    want = prototypes.targets_of_masks(np.uint8(disc)[None, None], (32, 32))
    assert np.mean(got != want) < 0.01  # cells that the outline crosses


def test_targets_of_padding_and_of_empty_boxes_are_empty():
    minis = np.ones((1, 2, 8, 8), np.uint8)
    boxes = np.float32([[[0, 0, 0, 0], [5, 5, 5, 9]]])
    assert not np.any(prototypes.targets_of_mini_masks(minis, boxes, (16, 16), (8, 8)))


def test_a_batch_of_550_px_with_fifty_objects_each_needs_less_than_100_mb():
    """Eight images: the targets on the grid, and what makes them."""
    minis = tf.zeros([8, 50, 112, 112], tf.uint8)
    got = prototypes.targets_of_mini_masks(minis, tf.zeros([8, 50, 4]), (550, 550), (138, 138))
    assert got.shape == (8, 50, 138, 138) and got.dtype == tf.bool
    held = tf.size(minis) + tf.size(got)  # a byte each
    passing = 4 * (tf.size(got) + 8 * 50 * 138 * 112)  # float32, while it is sampled
    assert int(held + passing) < 100e6


def test_the_union_of_a_class_s_masks():
    targets = np.zeros((1, 4, 3, 3), bool)
    targets[0, 0, 0], targets[0, 1, :, 0], targets[0, 2, 2, 2], targets[0, 3] = True, True, True, 1
    got = prototypes.union_by_class(targets, np.int32([[1, 1, 2, 0]]), 2)[0].numpy()
    np.testing.assert_array_equal(got[..., 0], [[1, 1, 1], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(got[..., 1], [[0, 0, 0], [0, 0, 0], [0, 0, 1]])


# --- onto the image --------------------------------------------------------------------------


def test_a_grid_is_resampled_as_tensorflow_resizes_it():
    grid = np.random.default_rng(1).random((7, 9), np.float32)
    got, top, left = paste_grid(grid, (0, 0, 40, 51), (0, 0, 40, 51), 40, 51)
    assert (top, left) == (0, 0)
    want = tf.image.resize(grid[..., None], (40, 51))[..., 0]
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_only_what_is_near_the_box_is_computed_and_the_rest_of_the_frame_is_cut():
    grid = np.ones((8, 8), np.float32)
    frame = (0, 0, 64, 80)  # the image was padded from 50 x 60
    window, top, left = paste_grid(grid, frame, (20, 25, 30, 60), 50, 60)
    assert top <= 20 - 8 and top + len(window) == 50 and left + window.shape[1] == 60
    (mask,) = paste_grids(grid[None], frame, np.float32([[20, 25, 30, 60]]), 50, 60, 0.5)
    assert mask.shape == (50, 60) and mask[25, 40]
    (mask,) = paste_grids(0 * grid[None], frame, np.float32([[20, 25, 30, 60]]), 50, 60, 0.0)
    assert not mask.any()
