"""Brush masks of Label Studio, bit by bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_studio_brush import encode_brush

from labkit.data.readers.brush import decode_brush
from labkit.io.data_files import Unusable

# What Label Studio's own converter writes for masks of one row.
GOLDEN = [
    ([0, 0, 0, 36, 57, 27, 254, 35, 255, 0], [1] * 9),
    ([0, 0, 0, 68, 57, 27, 254, 67, 255, 0], [1] * 17),
    (
        [0, 0, 0, 24, 57, 27, 252, 96, 17, 255, 198, 1, 31, 252, 96, 17, 255, 128],
        [0, 1, 0, 1, 0, 1],
    ),
]


@pytest.mark.parametrize("stream, mask", GOLDEN)
def test_golden_streams(stream, mask):
    assert decode_brush(stream, 1, len(mask)).astype(int).tolist() == [mask]
    encoded = encode_brush(np.array([mask], bool))  # what the tests encode is of the same kind
    assert encoded == stream[: len(encoded)] and not any(stream[len(encoded) :])


@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)),
    st.tuples(*[st.integers(1, 16)] * 4),
    st.booleans(),
)
def test_round_trip(mask, sizes, literal):
    stream = encode_brush(mask, sizes=sorted(sizes), literal=literal)
    assert (decode_brush(stream, *mask.shape) == mask).all()


def test_the_rim_of_a_stroke_counts_from_half():
    mask = np.array([[0, 100, 128, 255]], np.uint8)
    assert decode_brush(encode_brush(mask), 1, 4).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize(
    "stream, words",
    [
        ([0, 0, 76, 128, 59, 162, 12, 3], "19584 values, not 4 for each of 1 x 9"),
        ([255, 255, 255, 255, 57, 27, 254, 35, 255, 0], "4294967295 values"),
        ([0, 0, 0, 36, 57, 27], "ends too early"),
        ([0, 0, 0, 36, 57, 27, 254, 67, 255, 0], "do not add up"),
        ([], "ends too early"),
        ([0, 0, 0, 300], "not bytes"),
        (["a"], "not bytes"),
        ([0.5], "not bytes"),
    ],
)
def test_streams_that_are_malformed(stream, words):
    with pytest.raises(Unusable, match=words):
        decode_brush(stream, 1, 9)


@given(st.lists(st.integers(0, 255), max_size=40))
def test_rubbish_never_raises_anything_else(stream):
    try:
        assert decode_brush([0, 0, 0, 36, *stream], 1, 9).shape == (1, 9)
    except Unusable:
        pass
