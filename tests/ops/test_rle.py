"""COCO's run lengths: decoded as pycocotools wrote them. Errors: test_coco_masks.py."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.ops.coco_masks import encode_rle, encode_window
from labkit.ops.rle import checked_runs, decode_texts

MASKS = st.lists(
    hnp.arrays(bool, st.tuples(st.integers(1, 90), st.integers(1, 90))), min_size=1, max_size=5
)


def mask_of(runs, shape):
    """The mask that run lengths describe."""
    return np.repeat(np.arange(len(runs)) % 2, runs).reshape(shape[::-1]).T


@given(MASKS)
def test_several_texts_are_decoded_as_pycocotools_wrote_them(masks):
    runs, firsts = decode_texts([encode_rle(mask)["counts"] for mask in masks])
    for mask, own in zip(masks, np.split(runs, firsts[1:]), strict=True):
        np.testing.assert_array_equal(mask_of(own, mask.shape), mask)


WINDOWS = hnp.arrays(bool, st.tuples(st.integers(0, 12), st.integers(0, 12)))
MARGINS = st.lists(st.sampled_from([0, 0, 1, 5]), min_size=4, max_size=4)


@given(WINDOWS, MARGINS)
def test_a_window_gives_what_pycocotools_writes_of_the_whole_mask(window, margins):
    top, bottom, left, right = margins
    mask = np.pad(window, ((top, bottom), (left, right)))
    wanted = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
    height, width = mask.shape
    got = encode_window(window, top, left, height, width)
    assert got == {"size": [height, width], "counts": wanted} == encode_rle(mask)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_many_runs_and_long_ones(share):
    mask = np.random.default_rng(0).random((300, 200)) < share
    runs = checked_runs(encode_rle(mask), 300, 200)
    np.testing.assert_array_equal(mask_of(runs, mask.shape), mask)


def test_a_very_long_run():
    assert decode_texts([encode_rle(np.zeros((3000, 4000)))["counts"]])[0].tolist() == [12_000_000]


def test_one_wrong_text_among_good_ones_is_refused():
    good = encode_rle(np.eye(9))["counts"]
    for wrong in ("", "é", "/", "\ud800", good + "P"):
        for place in range(3):
            texts = [good] * 3
            texts[place] = wrong
            with pytest.raises(LabkitError, match="segmentation has counts that"):
                decode_texts(texts)
