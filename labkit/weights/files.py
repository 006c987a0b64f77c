"""A file of weights as arrays by name. Its kind is seen from its content, not from its suffix."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import safetensors

from labkit.errors import LabkitError, opening
from labkit.weights.hdf5_file import read_hdf5
from labkit.weights.inert_pickle import shown
from labkit.weights.numpy_pickle import read_numpy_pickle
from labkit.weights.raw import elements, refuse_bombs
from labkit.weights.torch_file import MAGIC, read_torch

_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_TORCH_STREAM = b"\x8a\x0a" + MAGIC.to_bytes(10, "little") + b"."  # as pickle writes that number
_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")  # of a pickle, after its first byte
_KERAS_WEIGHTS = "model.weights.h5"

_SAFETENSORS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the arrays of a file of weights. No code in the file is ever run.

    Args:
        path: .pth or .pt of torch (in both of its forms, see `read_torch`), .safetensors, HDF5 of
            Keras (.weights.h5, and the .h5 of Keras 1 and 2, see `read_hdf5`), .keras, or the .pkl
            of Detectron2's model zoo (see `read_numpy_pickle`).

    Returns:
        The arrays by the names that the file gives them; some may be read-only. bfloat16, which
        numpy lacks, becomes float32.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it is none of these, is damaged or incomplete, or cannot be trusted.
    """
    path = Path(path)
    with opening(path, "file of weights"):
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(1024)
    if head.startswith(_HDF5):
        return read_hdf5(path, str(path), size)
    if head.startswith(_ZIP):
        return _read_zip(path, size)
    if _TORCH_STREAM in head[:32]:
        return read_torch(path)
    if head[:1] == b"\x80" and head[1:2] in _PROTOCOLS:
        return read_numpy_pickle(path)
    if _is_safetensors(head):
        return _read_safetensors(path, head, size)
    raise LabkitError(_what_else(path, head, size))


def _read_zip(path: Path, size: int) -> dict[str, np.ndarray]:
    """Read a zip archive, which is either torch's or Keras'."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if _KERAS_WEIGHTS in names:
                member = archive.getinfo(_KERAS_WEIGHTS)
                label = f"{_KERAS_WEIGHTS} in {path}"
                refuse_bombs(label, size, [((member.file_size,), 1)])
                return read_hdf5(io.BytesIO(archive.read(member)), label, size)
    except LabkitError:
        raise
    except Exception as error:  # zipfile raises nearly anything on a damaged archive
        raise LabkitError(
            f"{path} is a damaged or incomplete zip archive of {size:,} bytes "
            f"({shown(str(error))}): a download that broke off looks like this; get it again."
        ) from error
    if any(name.endswith("/data.pkl") for name in names):
        return read_torch(path)
    raise LabkitError(
        f"{path} is a zip archive, but holds neither torch's data.pkl nor Keras' {_KERAS_WEIGHTS}; "
        "unpack it and give the file of weights in it."
    )


def _is_safetensors(head: bytes) -> bool:
    """Whether eight bytes of length come first, then a JSON object that begins with "{"."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 10**8


def _read_safetensors(path: Path, head: bytes, size: int) -> dict[str, np.ndarray]:
    header = 8 + int.from_bytes(head[:8], "little")
    if header > size:
        raise LabkitError(
            f"{path} is incomplete: it has {size:,} bytes, its header alone {header:,}; get it "
            "again."
        )
    try:
        # safetensors.numpy cannot read bfloat16
        stored = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise LabkitError(
            f"{path} ({size:,} bytes) is damaged or incomplete ({shown(str(error))}); get it again."
        ) from error
    tensors = {}
    for name, tensor in stored:
        if tensor["dtype"] not in _SAFETENSORS:
            raise LabkitError(
                f"{path}: {shown(name)} holds values of type {tensor['dtype']}, which labkit does "
                "not know; save it as F32."
            )
        numbers = elements(bytes(tensor["data"]), _SAFETENSORS[tensor["dtype"]])
        tensors[name] = numbers.reshape(tensor["shape"])
    if not tensors:
        raise LabkitError(f"{path} holds no tensors; save a model's weights into it again.")
    return tensors


def _what_else(path: Path, head: bytes, size: int) -> str:
    """A sentence that says what the file is instead, and what to do."""
    text = head.lstrip().lower()
    if not size:
        return f"{path} is empty: a download that failed leaves such a file; get it again."
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")):
        return (
            f"{path} looks like a web page, not a file of weights: the address led to a page about "
            "the file, or to an error; download the file itself."
        )
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        fields = dict(line.split(b" ", 1) for line in head.splitlines() if b" " in line)
        meant = fields.get(b"size", b"?").decode("ascii", "replace")
        return (
            f"{path} is a git-lfs pointer of {size:,} bytes, which stands for a file of "
            f"{shown(meant)} bytes; fetch that with git lfs pull."
        )
    if not head.strip(b"\0"):
        return f"{path} begins with zeros: a download that broke off looks like this; get it again."
    return (
        f"{path} ({size:,} bytes) is no file of weights that labkit knows: it reads torch's .pth "
        "and .pt, .safetensors, Keras' .weights.h5, .h5 and .keras, and Detectron2's .pkl; save "
        "the weights as one of these."
    )
