"""Digits: whole splits apart, the same every time, masks of ink."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.data import digits
from labkit.data.synthetic.digits import SPLITS, enlarge, ink_coverage, originals
from labkit.errors import LabkitError


def fingerprints(ds):
    return [
        (zlib.crc32(s.image.tobytes()), zlib.crc32(np.packbits(s.masks).tobytes()), len(s))
        for s in ds
    ]


def test_pictures_are_the_same_on_every_machine():
    assert fingerprints(digits(3)) == PINNED
    assert fingerprints(digits(2, split="val")) == PINNED_VAL


PINNED = [(3474657343, 2850633647, 4), (2544612979, 3078903875, 5), (1733189525, 4127624329, 2)]
PINNED_VAL = [(4019655246, 3185764842, 1), (3243410040, 3074101360, 2)]


def test_splits_share_no_original_and_hold_every_digit():
    assert sum(len(originals(split)[0]) for split in SPLITS) == 1797
    seen = {}
    for split in SPLITS:
        labels, drawings = originals(split)
        assert np.bincount(labels).min() >= 20
        for drawing in drawings:
            assert seen.setdefault(drawing.tobytes(), split) == split
    train, val = (digits(10, split=split) for split in ("train", "val"))
    assert not set(fingerprints(train)) & set(fingerprints(val))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(48, 150),
    st.integers(48, 150),
    st.integers(1, 12),
    st.booleans(),
)
def test_every_digit_is_visible_and_no_two_share_a_pixel(seed, height, width, most, overlap):
    sample = digits(1, (height, width), seed, max_objects=most, overlap=overlap)[0]
    assert 1 <= len(sample) <= most
    assert sample.masks.sum(axis=0).max() <= 1
    assert (sample.masks.sum(axis=(1, 2)) >= 40).all()
    assert ((sample.class_ids >= 1) & (sample.class_ids <= 10)).all()


def test_names_and_facts():
    ds = digits(5, split="val")
    assert ds.class_names == tuple("0123456789") and ds.max_instances == 6
    assert ds[3].name == ds.image_info(3)["file_name"] == "digits/val/3"
    assert ds[3].image_id == 4
    heights, _ = digits(40).instance_sizes()
    assert 10 < np.median(heights) < 60


def test_enlarging_keeps_the_drawing():
    _, drawings = originals("train")
    for drawing in drawings[:50]:
        fine = enlarge(drawing.tobytes())
        assert fine.shape == (192, 192) and fine.min() >= 0 and fine.max() <= 256
        cells = fine[32:-32, 32:-32].reshape(8, 16, 8, 16).mean(axis=(1, 3)) / 16
        assert np.corrcoef(cells.ravel(), drawing.ravel())[0, 1] > 0.97


def test_a_mask_is_the_ink_of_its_original():
    """Sampled back on 8 x 8 cells, the figure covers the dark cells and leaves the empty ones."""
    labels, drawings = originals("train")
    for drawing in drawings[:50]:
        figure = ink_coverage(enlarge(drawing.tobytes()), (64 * 50, 64 * 50), 40, 0)
        y, x = 30 - figure.top, 30 - figure.left
        cells = figure.values[y : y + 40, x : x + 40].reshape(8, 5, 8, 5).mean(axis=(1, 3)) / 256
        assert cells[drawing == 16].min(initial=1) > 0.7
        assert cells[drawing == 0].mean() < 0.1


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"split": "validation"}, "train, val, test"),
        ({"min_size": 10}, "16 px"),
        ({"min_size": 45, "max_size": 20}, "exchange"),
        ({"count": -1}, "count"),
        ({"min_objects": 3, "max_objects": 2}, "exchange"),
        ({"size": 64, "min_objects": 12, "max_objects": 12}, "do not fit"),
    ],
)
def test_impossible_settings_are_refused_with_one_sentence(wrong, words):
    with pytest.raises(LabkitError) as error:
        digits(**wrong)
    assert words in str(error.value) and str(error.value).endswith(".")


def test_crowded_settings_that_are_allowed_do_draw():
    ds = digits(10, 96, min_objects=2, max_objects=2, overlap=False)
    assert {len(sample) for sample in ds} == {2}
