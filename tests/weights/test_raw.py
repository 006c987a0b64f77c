"""Bytes as arrays: the types, the order of bytes, and how much may come out of a file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from labkit.errors import LabkitError
from labkit.weights.raw import NUMPY_TYPES, elements, item_size, refuse_bombs


@pytest.mark.parametrize("kind", sorted(set(NUMPY_TYPES) - {"bfloat16", "bool"}))
@pytest.mark.parametrize("order", "<>")
def test_numbers_are_numpys(kind, order):
    values = np.array([0, 1, 100]).astype(kind)
    found = elements(values.astype(values.dtype.newbyteorder(order)).tobytes(), kind, order)
    assert found.dtype == values.dtype and found.dtype.isnative and found.tolist() == [0, 1, 100]
    assert not found.flags.writeable
    assert item_size(kind) == values.itemsize


@given(hnp.arrays("<u2", 20))
def test_bfloat16_is_the_upper_half_of_a_float32(bits):
    found = elements(bits.tobytes(), "bfloat16")
    assert found.dtype == np.float32
    assert np.array_equal(found.view(np.uint32), bits.astype(np.uint32) << 16)
    assert np.array_equal(
        elements(bits.byteswap().tobytes(), "bfloat16", ">").view("u4") >> 16, bits
    )


def test_known_values_of_bfloat16():
    bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001, 0x8000], "<u2")
    assert elements(bits.tobytes(), "bfloat16").tolist() == [1.0, -2.0, np.inf, 2.0**-133, 0.0]


def test_the_bytes_of_a_bool_may_be_any():
    assert elements(b"\x00\x01\x02\xff", "bool").tolist() == [False, True, True, True]


def test_nothing_is_an_empty_array():
    assert elements(b"", "float32").shape == (0,)
    assert elements(b"", "bool").dtype == bool


def test_half_an_element_is_refused():
    with pytest.raises(ValueError):
        elements(b"abc", "float32")


def test_what_unpacks_to_a_little_more_is_fine():
    refuse_bombs("f", 10**8, [((10**8,), 4), ((10**8,), 4), ((), 8), ((0, 5), 4)])
    refuse_bombs("f", 10, [((2**22,), 4)])  # a small file may hold a few megabytes of zeros
    refuse_bombs("f", 0, [])


@pytest.mark.parametrize(
    "shapes",
    [[((10**9, 10**9), 4)], [((10**6,), 4)] * 10, [((0, 2**62), 1)], [((2**24,), 1), ((1,), 1)]],
    ids=str,
)
def test_what_unpacks_to_far_more_is_refused(shapes):
    with pytest.raises(LabkitError, match="f has 1,000 bytes"):
        refuse_bombs("f", 1000, shapes)
