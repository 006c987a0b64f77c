"""A pickle of NumPy arrays, read without running any code: the files of Detectron2's model zoo.

Such a file is one pickle of a dict: "model" with arrays by name, and who made it. An array in it is
three steps: `numpy.core.multiarray._reconstruct` makes an empty one, `numpy.dtype` a type, and
BUILD gives the array its shape, type, order and bytes. `inert_pickle` reads the steps as data and
says why that is safe; here every number is checked against the bytes before an array is made.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labkit.errors import LabkitError, opening
from labkit.weights.inert_pickle import Malformed, Name, Stateful, mapping, read_pickle, shown
from labkit.weights.raw import NUMPY_TYPES, refuse_bombs

_NUMERIC = {*NUMPY_TYPES.values(), "b1"}
_MOST_AXES = 32


@dataclass
class Dtype(Stateful):
    """A dtype as the pickle describes it: a code such as "f4", and the order of bytes."""

    code: str
    order: str = "<"

    def set_state(self, state: Any) -> None:
        match state:
            case (int(), str(order), None, None, None, *_) if order in ("<", ">", "|", "="):
                self.order = order
            case _:
                raise Malformed("a dtype with fields, which no array of numbers has")

    @property
    def numpy(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.order if self.order != "|" else "=")


@dataclass
class Array(Stateful):
    """An array as the pickle describes it: its shape and type, and the bytes of its numbers."""

    shape: tuple[int, ...] | None = None
    dtype: Dtype | None = None
    fortran: bool = False
    data: bytes = field(default=b"", repr=False)

    def set_state(self, state: Any) -> None:
        match state:
            case (int(), tuple(shape), Dtype() as dtype, bool(fortran), bytes() | str() as data):
                data = data if isinstance(data, bytes) else data.encode("latin-1")  # Python 2's
            case _:
                raise Malformed("an array without a shape, type and bytes")
        if len(shape) > _MOST_AXES or not all(type(n) is int and 0 <= n < 2**62 for n in shape):
            raise Malformed(f"an array of the impossible shape {shown(str(shape))}")
        needed = math.prod(shape) * dtype.numpy.itemsize
        if needed != len(data):
            raise Malformed(f"an array of {needed:,} bytes of which there are {len(data):,}")
        self.shape, self.dtype, self.fortran, self.data = shape, dtype, fortran, data

    @property
    def numpy(self) -> np.ndarray:
        """The array, read-only and in the machine's byte order."""
        numbers = np.frombuffer(self.data, self.dtype.numpy)
        numbers = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
        numbers.flags.writeable = False
        return numbers.reshape(self.shape, order="F" if self.fortran else "C")


def read_numpy_pickle(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the arrays of one of Detectron2's .pkl files.

    Args:
        path: of the file: a pickle of arrays by name, or of a dict whose "model" they are.

    Returns:
        Arrays by name in the file's order; they are read-only.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it is damaged, of another kind, or asks for anything but arrays of numbers,
            containers and plain values.
    """
    path = Path(path)
    try:
        with opening(path, "file of weights"):
            size = path.stat().st_size
            with path.open("rb") as file:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
                    saved = read_pickle(stream, str(path), _FUNCTIONS)
    except Malformed as error:
        raise LabkitError(
            f"{path} is damaged, incomplete or no pickle of weights ({error}); get it again, or "
            "save the model's tensors with torch.save(model.state_dict(), file)."
        ) from error
    arrays = _arrays(saved, str(path))
    sizes = ((a.shape, a.dtype.numpy.itemsize) for a in arrays.values())
    refuse_bombs(str(path), size, sizes)
    return {name: array.numpy for name, array in arrays.items()}


def _arrays(saved: Any, label: str) -> dict[str, Array]:
    """The arrays by name in what was saved."""
    found = saved.get("model", saved) if isinstance(saved, dict) else None
    if isinstance(saved, dict) and "blobs" in saved and "model" not in saved:
        raise LabkitError(
            f"{label} is of the first Detectron or of Caffe2 (it holds 'blobs'), which labkit does "
            "not read: load it into Detectron2 and save the model there."
        )
    if not isinstance(found, dict) or not found:
        raise LabkitError(f"{label} holds no weights, a dict of arrays by name.")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Array) or value.shape is None:
            raise LabkitError(
                f"{label}: {shown(name)} is no array of numbers; save the model's tensors alone, "
                "torch.save(model.state_dict(), file)."
            )
    return found


# --- what the pickle may ask for --------------------------------------------------------


def _array(arguments: tuple) -> Array:
    match arguments:
        case (Name("numpy.ndarray"), (0,), bytes() | str()):
            return Array()
    raise Malformed("an array of an unknown class")


def _dtype(arguments: tuple) -> Dtype:
    match arguments:
        case (str(code), *_) if code in _NUMERIC:
            return Dtype(code)
        case (str(code), *_) if code.startswith("O"):
            raise Malformed("an array of Python objects, which could be anything")
    raise Malformed("an array of something that is no number")


def _number(arguments: tuple) -> int | float | bool:
    match arguments:
        case (Dtype() as dtype, bytes() | str() as data):
            array = Array()
            array.set_state((1, (), dtype, False, data))
            return array.numpy.item()
    raise Malformed("a number without a type and bytes")


def _encoded(arguments: tuple) -> bytes:
    """Bytes, which Python 3 writes as a text where a pickle is to be read by Python 2."""
    match arguments:
        case (str(text), "latin1" | "latin-1"):
            return text.encode("latin-1")
    raise Malformed("a text in an unknown encoding")


def _no_bytes(arguments: tuple) -> bytes:
    if arguments:
        raise Malformed("bytes made in an unknown way")
    return b""


# All that a pickle may name; anything else is refused.
_FUNCTIONS: dict[str, Callable | None] = {
    "collections.OrderedDict": mapping,
    "_codecs.encode": _encoded,
    "__builtin__.bytes": _no_bytes,
    "builtins.bytes": _no_bytes,
    "numpy.ndarray": None,
    "numpy.dtype": _dtype,
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 2 renamed it
    _FUNCTIONS[f"{_core}.multiarray._reconstruct"] = _array
    _FUNCTIONS[f"{_core}.multiarray.scalar"] = _number
