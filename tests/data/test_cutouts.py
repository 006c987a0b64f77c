"""Masks cut to their boxes: the same objects as the sample's, without its memory."""

import tracemalloc

import numpy as np
import pytest

import labkit
from labkit.data import CocoDataset, merge
from labkit.data.batch_order import BatchPlan
from labkit.data.pipeline import Batches
from labkit.models.config import Config


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    made = labkit.shapes(4, 96, seed=1)
    made.save_coco(folder / "a.json", folder / "images")
    return CocoDataset(folder / "a.json", folder / "images")


VIEWS = {
    "coco": lambda ds: ds,
    "subset": lambda ds: ds[1:3],
    "one class": lambda ds: ds.keep_classes(ds.class_names[:1]),
    "grouped": lambda ds: ds.group_classes({"all": list(ds.class_names)}),
    "merged": lambda ds: merge([ds, ds[:2]]),
    "drawn": lambda ds: labkit.shapes(3, 96, seed=2),
}


@pytest.mark.parametrize("view", VIEWS)
def test_cutouts_are_the_samples(coco, view):
    ds = VIEWS[view](coco)
    for index, sample in enumerate(ds):
        cut = ds.cutouts(index)
        np.testing.assert_array_equal(cut.image, sample.image)
        np.testing.assert_array_equal(cut.boxes, sample.boxes)
        np.testing.assert_array_equal(cut.class_ids, sample.class_ids)
        np.testing.assert_array_equal(cut.crowd, sample.crowd)
        assert cut.image_id == sample.image_id and cut.class_ids.dtype == np.int32
        assert len(cut.patches) == len(sample)
        for patch, mask, (y1, x1, y2, x2) in zip(cut.patches, sample.masks, cut.boxes, strict=True):
            np.testing.assert_array_equal(patch, mask[y1:y2, x1:x2])
            assert patch.base is None


def test_reading_a_crowded_picture_takes_little_memory(tmp_path):
    """200 instances in 1024 x 1024: below 64 MB at every moment, where whole masks take 200 MB."""
    made = labkit.shapes(
        1, 1024, seed=5, min_objects=200, max_objects=200, min_size=12, max_size=60
    )
    made.save_coco(tmp_path / "a.json", tmp_path / "images")
    ds = CocoDataset(tmp_path / "a.json", tmp_path / "images")
    assert len(ds.labels(0).class_ids) > 150
    config = Config.preset("tiny", resize="none", max_instances=200)
    tracemalloc.start()
    try:
        Batches(ds, config, BatchPlan(1, (1024, 1024))).batch(0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64e6
