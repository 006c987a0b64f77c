"""The loss of a mini-mask: nothing where the grid is fine enough, and what is claimed beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data import shapes
from labkit.data.augment import Example
from labkit.data.dataset import Dataset
from labkit.data.mini_mask_error import mini_mask_error, round_trip_iou
from labkit.data.pipeline import Batches, BatchPlan
from labkit.data.sample import make_sample
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.ops.mini_masks import expand_mini_mask, mini_mask


class Discs(Dataset):
    """One picture with discs of the given diameters, side by side; the last is a crowd."""

    class_names, category_ids, problems = ("disc",), (1,), []

    def __init__(self, diameters, shape):
        self.diameters, self.shape = diameters, shape

    def __len__(self):
        return 1

    def image_info(self, index):
        return {"id": 1, "file_name": "discs", "height": self.shape[0], "width": self.shape[1]}

    def read(self, index):
        height, width = self.shape
        masks, x = np.zeros((len(self.diameters), height, width), bool), 0
        rows, columns = np.ogrid[:height, :width]
        for mask, d in zip(masks, self.diameters, strict=True):
            mask |= (rows + 0.5 - d / 2) ** 2 + (columns + 0.5 - x - d / 2) ** 2 <= d * d / 4
            x += d + 1
        image = np.zeros((height, width, 3), np.uint8)
        crowd = [i == len(masks) - 1 for i in range(len(masks))]
        return make_sample(image, masks, [1] * len(masks), image_id=1, name="d", crowd=crowd)


def test_rows_hold_counts_and_ious_by_size():
    found = mini_mask_error(Discs([20, 40, 100, 300, 10], (300, 480)), (28, 56))
    assert [r.count for r in found if r.side == 28] == [1, 1, 1, 0, 1, 0]
    by = {(r.side, r.low): r.mean_iou for r in found}
    assert by[28, 0] > 0.97 and by[56, 0] == 1  # 20 px in 56 cells: nothing is lost
    assert by[28, 256] < by[56, 256] < 1  # the finer grid loses less
    assert by[56, 256] > 0.97 and by[28, 256] > 0.94
    assert np.isnan(by[28, 128])
    assert all(not r.count or r.worst_iou <= r.mean_iou for r in found)


@given(st.integers(0, 1000), st.integers(4, 60), st.integers(4, 60), st.sampled_from([14, 28, 56]))
def test_the_patch_is_enough(seed, height, width, side):
    """Going there and back inside the box is going there and back in the whole image."""
    rng = np.random.default_rng(seed)
    patch = rng.random((height, width)) < 0.7
    patch[[0, -1]] = patch[:, [0, -1]] = True  # fills its box
    whole = np.zeros((height + 30, width + 30), bool)
    whole[11 : 11 + height, 7 : 7 + width] = patch
    box = [11, 7, 11 + height, 7 + width]
    back = expand_mini_mask(mini_mask(whole, box, (side, side)), box, *whole.shape)
    expected = (back & whole).sum() / (back | whole).sum()
    assert round_trip_iou(patch, side) == pytest.approx(expected)
    if max(height, width) * 2 <= side:
        assert round_trip_iou(patch, side) == 1  # what labkit.ops.mini_masks promises


def test_scale_moves_masks_to_the_sizes_the_network_sees():
    ds = Discs([100, 10], (100, 120))
    small = [r for r in mini_mask_error(ds, (28,), scale=0.3) if r.count]
    assert [(r.low, r.high) for r in small] == [(0, 32)]
    plain = [r for r in mini_mask_error(ds, (28,)) if r.count]
    assert small[0].mean_iou > plain[0].mean_iou and plain[0].low == 64


def test_the_default_side_loses_little_of_the_shapes():
    found = [r for r in mini_mask_error(shapes(20, 256, seed=2), (56,)) if r.count]
    assert min(r.mean_iou for r in found) > 0.97 and min(r.worst_iou for r in found) > 0.95


def test_as_a_table_and_without_masks():
    text = str(mini_mask_error(Discs([20, 10], (30, 40))))
    assert "28 x 28" in text and "112 x 112" in text and len(text.splitlines()) == 7
    empty = mini_mask_error(Discs([], (30, 40)))
    assert all(r.count == 0 for r in empty) and "nan" not in str(empty)
    with pytest.raises(LabkitError, match="sides"):
        mini_mask_error(Discs([9], (9, 9)), (0,))


def test_two_hundred_instances_stay_small():
    """A picture of 1024 x 1024 with 200 instances: less than 64 MB kept and given to the model."""
    ds = shapes(1, 1024, seed=5, min_objects=200, max_objects=200, min_size=12, max_size=60)
    example = Example.of(ds[0])
    assert len(example.patches) > 150
    config = Config.preset("tiny", resize="none", max_instances=200)
    batches = Batches(ds, config, BatchPlan(1, (1024, 1024)))
    batch = batches.batch(0)
    kept = batches.example(0)
    held = [kept.image, kept.boxes, kept.class_ids, *kept.patches, *kept.whole.values()]
    assert all(a.base is None or a.base.nbytes == a.nbytes for a in held)  # no view of a stack
    assert sum(a.nbytes for a in held) + sum(a.nbytes for a in batch.values()) < 64e6
