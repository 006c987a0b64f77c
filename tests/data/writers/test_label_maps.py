"""What `save_label_maps` writes, `LabelMapDataset` reads; what it cannot hold is said."""

import warnings

import numpy as np
import pytest
from PIL import Image

from labkit.data import LabelMapDataset, load_dataset, save_label_maps, shapes
from labkit.data.dataset import Dataset
from labkit.data.sample import make_sample
from labkit.errors import LabkitError


class Cells(Dataset):
    class_names, category_ids, problems = ("cell",), (1,), []

    def __init__(self, masks, crowd=None):
        self.masks, self.crowd = np.array(masks, bool), crowd

    def __len__(self):
        return 1

    def image_info(self, index):
        height, width = self.masks.shape[1:]
        return {"id": 3, "file_name": "x", "height": height, "width": width}

    def read(self, index):
        image = np.zeros((*self.masks.shape[1:], 3), np.uint8)
        return make_sample(
            image, self.masks, [1] * len(self.masks), crowd=self.crowd, image_id=3, name="x"
        )


def test_round_trip_without_overlap(tmp_path):
    masks = np.zeros((300, 20, 30), bool)  # more than 8 bits hold
    for i, mask in enumerate(masks):
        mask[i // 15, 2 * (i % 15) : 2 * (i % 15) + 2] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = save_label_maps(Cells(masks), tmp_path)
    assert Image.open(folder / "000003.png").mode.startswith("I;16")
    ds = LabelMapDataset(folder, class_name="cell", strict=True)
    assert (ds[0].masks == masks).all() and ds.check() == []


def test_what_is_written_is_recognised(tmp_path):
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 2:9, 2:9], masks[1, 8:15, 9:20] = True, True
    save_label_maps(Cells(masks), tmp_path)
    assert (load_dataset(tmp_path)[0].masks == masks).all()


def test_what_is_hidden_is_counted(tmp_path):
    masks = np.zeros((2, 9, 9), bool)
    masks[0, :5, :5], masks[1, 3:, 3:] = True, True
    with pytest.warns(UserWarning, match="hidden by later instances: 4"):
        folder = save_label_maps(Cells(masks), tmp_path)
    first, second = LabelMapDataset(folder)[0].masks
    assert (second == masks[1]).all() and (first == masks[0] & ~masks[1]).all()


def test_classes_and_crowds_are_lost_with_a_word(tmp_path):
    with pytest.warns(UserWarning, match="classes made one: 4"):
        save_label_maps(shapes(1, 64), tmp_path)
    with pytest.warns(UserWarning, match="crowds made instances: 1"):
        save_label_maps(Cells(np.ones((1, 4, 4)), [True]), tmp_path)


def test_too_many_instances(tmp_path):
    with pytest.raises(LabkitError, match="16 bits"):
        save_label_maps(Cells(np.ones((65_536, 2, 2))), tmp_path)
