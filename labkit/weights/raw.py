"""Raw bytes of a file as numpy arrays: the types of elements, and how much a file may unpack to."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from labkit.errors import LabkitError

#: numpy's type for each name of a type; bfloat16, which numpy lacks, is read as uint16 first.
NUMPY_TYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "u1",
    "complex64": "c8",
    "complex128": "c16",
}

# Weights do not compress well: a file that unpacks to more than this does not hold weights.
_MAX_RATIO, _ALWAYS_FINE = 16, 2**24


def item_size(kind: str) -> int:
    """Bytes of one element as stored."""
    return np.dtype(NUMPY_TYPES[kind]).itemsize


def elements(data: bytes, kind: str, byte_order: str = "<") -> np.ndarray:
    """The elements of `data` as a one-dimensional, read-only array in the machine's byte order.

    A bfloat16 is the upper half of a float32 and becomes that float32, without loss. A bool is true
    if its byte is not zero.

    Args:
        data: the raw bytes.
        kind: a key of `NUMPY_TYPES`.
        byte_order: "<" (little-endian) or ">" (big-endian).
    """
    array = np.frombuffer(data, np.dtype(NUMPY_TYPES[kind]).newbyteorder(byte_order))
    if kind == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif kind == "bool":
        array = array != 0
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def refuse_bombs(label: str, file_size: int, shapes: Iterable[tuple[tuple[int, ...], int]]) -> None:
    """Refuse a file whose arrays would be far larger than the file itself.

    A tensor can repeat a few stored numbers along a dimension, many tensors can share one storage,
    and a compressed block of zeros is tiny: each of them could fill the memory when it is copied.

    Args:
        label: what to call the file in the error.
        file_size: in bytes.
        shapes: of each array, its shape and the bytes of one element.

    Raises:
        LabkitError: together they are too large.
    """
    limit = max(_ALWAYS_FINE, _MAX_RATIO * file_size)
    total = 0
    for shape, size in shapes:
        # a side of 0 counts as 1, because numpy cannot make [0, 2**62] either
        total += math.prod(max(side, 1) for side in shape) * size
        if total > limit:
            raise LabkitError(
                f"{label} has {file_size:,} bytes, but its tensors would unpack to more than "
                f"{limit:,}: it is damaged, or made to fill the memory; get the file again."
            )
