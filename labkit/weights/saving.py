"""Write tensors to a file that other programs read: .safetensors, or torch's .pth.

torch's file is a zip archive with a pickle in it. Writing one does not need torch: the pickle says
"an ordered dict of tensors" and is put together here by hand.
"""

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import safetensors.numpy

from labkit.errors import LabkitError
from labkit.io.whole_file import whole_file

_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}


def write_tensors(path: str | os.PathLike, tensors: dict[str, np.ndarray]) -> None:
    """Write arrays by name, whole or not at all.

    Args:
        path: its ending decides on the format: .safetensors, .pth or .pt.
        tensors: arrays of float32 or int64.

    Raises:
        LabkitError: the path has another ending.
    """
    path = Path(path)
    writers = {".safetensors": _write_safetensors, ".pth": _write_torch, ".pt": _write_torch}
    if path.suffix not in writers:
        raise LabkitError(f"{path}: give the file one of the endings {', '.join(writers)}.")
    # in C order; ascontiguousarray would give a scalar a dimension
    ordered = {n: np.array(t, order="C") for n, t in tensors.items()}
    with whole_file(path) as draft:
        writers[path.suffix](draft, ordered)


def _write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    safetensors.numpy.save_file(tensors, path)


def _write_torch(path: Path, tensors: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(path, "w") as archive:  # stored, not compressed: torch maps it to memory
        archive.writestr("archive/data.pkl", _pickle(tensors))
        archive.writestr("archive/byteorder", "little")
        for key, tensor in enumerate(tensors.values()):
            little = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
            archive.writestr(f"archive/data/{key}", little.tobytes())
        archive.writestr("archive/version", "3\n")


# --- the pickle, protocol 2 -------------------------------------------------------------

_MARK, _TUPLE, _REDUCE, _FALSE, _PERSISTENT = b"(", b"t", b"R", b"\x89", b"Q"


def _pickle(tensors: dict[str, np.ndarray]) -> bytes:
    """An OrderedDict of name: _rebuild_tensor_v2(storage, 0, size, strides, False, {})."""
    parts = [b"\x80\x02", _ordered_dict(), _MARK]
    for key, (name, tensor) in enumerate(tensors.items()):
        strides = [stride // tensor.itemsize for stride in tensor.strides]
        parts += [
            _text(name),
            _global("torch._utils", "_rebuild_tensor_v2"),
            _MARK,
            _storage(str(key), tensor),
            _number(0),
            _numbers(tensor.shape),
            _numbers(strides),
            _FALSE,
            _ordered_dict(),
            _TUPLE,
            _REDUCE,
        ]
    return b"".join([*parts, b"u", b"."])


def _storage(key: str, tensor: np.ndarray) -> bytes:
    kind = _global("torch", _STORAGES[tensor.dtype.name])
    parts = [_MARK, _text("storage"), kind, _text(key), _text("cpu"), _number(tensor.size), _TUPLE]
    return b"".join(parts) + _PERSISTENT


def _ordered_dict() -> bytes:
    return _global("collections", "OrderedDict") + b")" + _REDUCE


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _numbers(values) -> bytes:
    return _MARK + b"".join(map(_number, values)) + _TUPLE
