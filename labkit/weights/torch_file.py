"""torch's .pth and .pt files, read without torch and without running any code in them.

There are two forms. Since torch 1.6 a file is a zip archive:

    NAME/data.pkl      a pickle of the saved object; a tensor in it is a storage's key, an offset,
                       a size and strides
    NAME/data/KEY      the raw numbers of one storage, not compressed
    NAME/byteorder     "little" or "big" (little where it is missing)

Before, it was a stream: a magic number, a protocol number, facts about the machine, the object's
pickle, the list of storage keys (each a pickle), then for each storage an int64 count and its
numbers. `torch.serialization` describes both. The pickles are read by `inert_pickle`, which says
why that is safe. Here every number in them is checked against the file before memory is allocated
for it.
"""

from __future__ import annotations

import io
import mmap
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labkit.errors import LabkitError, opening
from labkit.weights.inert_pickle import Malformed, Name, mapping, read_pickle, shown
from labkit.weights.raw import elements, item_size, refuse_bombs

MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

#: Where training scripts keep the model in a checkpoint, the most common first: torchvision's and
#: Detectron2's use "model", Lightning's and many others "state_dict".
WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state", "module", "net")

_STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.storage.UntypedStorage": "uint8",
}

# Types newer than torch's storage classes are given as a dtype beside an untyped storage.
_DTYPES = {f"torch.{kind}": kind for kind in ("uint16", "uint32", "uint64")}


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage as the pickle describes it: `count` numbers of a type, under a key."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage: its offset, size and strides, counted in elements."""

    storage: Storage
    kind: str
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the tensors of a file written by `torch.save`.

    A state_dict is returned whole. From a checkpoint (a dict of several things) the one entry that
    is a state_dict is returned, and if there are several, the first of `WRAPPERS`. The other
    entries, such as the optimizer's state, are not read.

    Args:
        path: of the file.

    Returns:
        Arrays by name in the file's order, with the types and sizes that were saved, but bfloat16
        as float32. They are read-only, and tensors that shared a storage still share it: copy what
        you want to change.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it is not torch's, is damaged, holds no set of tensors or several, or asks for
            anything but tensors, containers and plain values.
    """
    path = Path(path)
    try:
        with opening(path, "file of weights"):
            size = path.stat().st_size
            with path.open("rb") as file:
                if file.read(4) == b"PK\x03\x04":
                    return _read_zip(file, str(path), size)
                if not size:
                    raise Malformed("it is empty")
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
                    return _read_stream(stream, str(path), size)
    except Malformed as error:
        raise LabkitError(
            f"{path} is damaged, incomplete or not written by torch.save ({error}); get it again."
        ) from error


# --- the two forms ----------------------------------------------------------------------


def _read_zip(file, label: str, size: int) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, size)
            (root,) = (n.removesuffix("data.pkl") for n in members if _is_root_pickle(n))
            saved = read_pickle(
                io.BytesIO(_content(archive, members[f"{root}data.pkl"])),
                label,
                _FUNCTIONS,
                _storage_of,
            )
            order = b"little"
            if f"{root}byteorder" in members:
                order = _content(archive, members[f"{root}byteorder"])
            read = _reader_of_members(archive, members, root)
            return _arrays(_state_dict(saved, label), read, label, size, _byte_order(order))
    except (LabkitError, Malformed):
        raise
    except Exception as error:  # zipfile raises nearly anything on a damaged archive
        raise Malformed(f"{type(error).__name__}: {shown(str(error))}") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name, none of them twice and none overlapping another."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        if member.filename in members:
            raise Malformed(f"{shown(member.filename)} is in it twice")
        members[member.filename] = member
    if sum(member.compress_size for member in members.values()) > size:
        raise Malformed("its members are together larger than it")
    if sum(_is_root_pickle(name) for name in members) != 1:
        raise Malformed("a zip archive without a data.pkl of its own")
    return members


def _is_root_pickle(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/data.pkl")


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # A compressed member could unpack to a thousand times its size.
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise Malformed(f"{shown(member.filename)} is compressed, which torch never does")
    return archive.read(member)


def _byte_order(text: bytes) -> str:
    try:
        return {b"little": "<", b"big": ">"}[text.strip()]
    except KeyError:
        raise Malformed("an unknown order of bytes") from None


def _reader_of_members(archive, members, root: str) -> Callable[[Storage], bytes]:
    def read(storage: Storage) -> bytes:
        # The key is looked up among the archive's members and is never used as a path on disk.
        member = members.get(f"{root}data/{storage.key}")
        expected = storage.count * item_size(storage.kind)
        if member is None or member.file_size != expected:
            found = "missing" if member is None else f"of {member.file_size:,} bytes"
            raise Malformed(f"storage {shown(storage.key)} is {found}, not of {expected:,} bytes")
        return _content(archive, member)

    return read


def _read_stream(stream: mmap.mmap, label: str, size: int) -> dict[str, np.ndarray]:
    if read_pickle(stream, label, {}) != MAGIC or read_pickle(stream, label, {}) != _PROTOCOL:
        raise Malformed("it does not begin with torch's number")
    read_pickle(stream, label, {})  # of the machine that saved it; storages are little-endian
    storages: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        storage = _storage_of(identity)
        if storages.setdefault(storage.key, storage) != storage:
            raise Malformed(f"storage {shown(storage.key)} is described twice")
        return storage

    saved = read_pickle(stream, label, _FUNCTIONS, persistent)
    keys = read_pickle(stream, label, {})
    places = _places(stream, size, keys, storages)

    def read(storage: Storage) -> bytes:
        if storage.key not in places:
            raise Malformed(f"storage {shown(storage.key)} is missing")
        start, stop = places[storage.key]
        return stream[start:stop]

    return _arrays(_state_dict(saved, label), read, label, size, "<")


def _places(stream, size: int, keys: Any, storages: dict[str, Storage]) -> dict:
    """Where each storage's numbers begin and end; the stream's position is before the first."""
    if not isinstance(keys, list):
        raise Malformed("no list of storages")
    places: dict[str, tuple[int, int]] = {}
    position = stream.tell()
    for key in keys:
        if not isinstance(key, str) or key not in storages or key in places:
            raise Malformed("a list of storages that its tensors do not have")
        storage = storages[key]
        head = stream[position : position + 8]
        if len(head) < 8 or struct.unpack("<q", head)[0] != storage.count:
            raise Malformed(f"storage {shown(key)} has another length than its tensors say")
        end = position + 8 + storage.count * item_size(storage.kind)
        if end > size:
            raise Malformed(f"it ends {end - size:,} bytes too early, within a storage")
        places[key] = (position + 8, end)
        position = end
    return places


# --- what the pickle may ask for --------------------------------------------------------


def _storage_of(identity: Any) -> Storage:
    """The storage of ('storage', class, key, device, count), with or without a None at the end."""
    match identity:
        case ("storage", Name(dotted), str(key), str(), count, *view) if dotted in _STORAGES:
            if any(part is not None for part in view):
                raise Malformed("a view of a storage, as torch before 0.4 wrote them")
            return Storage(key, _STORAGES[dotted], _whole(count))
    raise Malformed("a reference to something that is no storage")


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 2**62:
        raise Malformed("a size, stride or offset that is none")
    return number


def _rebuild_tensor(arguments: tuple) -> Tensor:
    """The tensor of (storage, offset, size, strides, requires_grad, hooks, metadata)."""
    match arguments:
        case (Storage() as storage, offset, tuple(size), tuple(strides), *rest):
            if rest[2:] and rest[2]:
                raise Malformed("a tensor that is conjugated or negated when it is read")
            return _tensor(storage, storage.kind, offset, size, strides)
    raise Malformed("a tensor without a storage, size and strides")


def _rebuild_tensor_of_dtype(arguments: tuple) -> Tensor:
    """The tensor of (untyped storage, offset, size, strides, requires_grad, hooks, dtype)."""
    match arguments:
        case (Storage() as storage, offset, tuple(size), tuple(strides), _, _, Name(dtype)) if (
            dtype in _DTYPES and storage.kind == "uint8"
        ):
            return _tensor(storage, _DTYPES[dtype], offset, size, strides)
    raise Malformed("a tensor without a storage, size, strides and type")


def _tensor(storage: Storage, kind: str, offset: Any, size: tuple, strides: tuple) -> Tensor:
    size, strides = tuple(map(_whole, size)), tuple(map(_whole, strides))
    if len(size) != len(strides) or len(size) > 32:
        raise Malformed(f"a tensor of {len(size)} sizes and {len(strides)} strides")
    available, rest = divmod(storage.count * item_size(storage.kind), item_size(kind))
    last = sum((side - 1) * stride for side, stride in zip(size, strides, strict=True))
    # An empty tensor has no elements, so it may begin right after the last one.
    end = _whole(offset) + (last + 1 if all(size) else 0)
    if end > available or rest:
        raise Malformed("a tensor that leaves its storage")
    return Tensor(storage, kind, offset, size, strides)


def _parameter(arguments: tuple) -> Tensor:
    """The tensor that a Parameter (tensor, requires_grad, hooks) wraps."""
    if not arguments or not isinstance(arguments[0], Tensor):
        raise Malformed("a parameter without a tensor")
    return arguments[0]


def _size(arguments: tuple) -> tuple:
    match arguments:
        case (tuple(sides) | list(sides),):
            return tuple(sides)
    raise Malformed("a torch.Size of nothing")


# All that a pickle may name; anything else is refused. torchvision's training scripts put a
# Namespace and a Counter into a checkpoint beside the model.
_FUNCTIONS: dict[str, Callable | None] = {
    "collections.OrderedDict": mapping,
    "collections.Counter": mapping,
    "argparse.Namespace": mapping,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_of_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    **dict.fromkeys(_STORAGES),
    **dict.fromkeys(_DTYPES),
}


# --- from what was saved to arrays ------------------------------------------------------


def _state_dict(saved: Any, label: str) -> dict[str, Tensor]:
    """The state_dict that was saved, or the one in the checkpoint that was."""
    if _is_state_dict(saved):
        return saved
    entries = saved if isinstance(saved, dict) else {}
    found = [name for name, entry in entries.items() if _is_state_dict(entry)]
    preferred = [name for name in WRAPPERS if name in found]
    if preferred or len(found) == 1:
        return entries[(preferred or found)[0]]
    if found:
        names = ", ".join(map(shown, found))
        raise LabkitError(
            f"{label} holds several sets of tensors ({names}) and none is called 'model' or "
            "'state_dict'; save the one you mean alone, torch.save(checkpoint[NAME], file)."
        )
    raise LabkitError(
        f"{label} holds no state_dict, a dict of tensors by name{_odd_entry(entries)}; save one "
        "with torch.save(model.state_dict(), file)."
    )


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def _odd_entry(entries: dict) -> str:
    """If it is nearly a state_dict, names the entry that is not a tensor."""
    places = [("", entries)] + [(f"{n}.", entries[n]) for n in WRAPPERS if n in entries]
    for prefix, place in places:
        if isinstance(place, dict) and any(isinstance(v, Tensor) for v in place.values()):
            odd = [(n, v) for n, v in place.items() if not isinstance(v, Tensor)]
            return f": {prefix}{shown(odd[0][0])} is a {type(odd[0][1]).__name__}" if odd else ""
    return ""


def _arrays(
    tensors: dict[str, Tensor], read: Callable[[Storage], bytes], label: str, size: int, order: str
) -> dict[str, np.ndarray]:
    refuse_bombs(label, size, ((t.size, item_size(t.kind)) for t in tensors.values()))
    read_before: dict[tuple[Storage, str], np.ndarray] = {}
    arrays = {}
    for name, tensor in tensors.items():
        key = (tensor.storage, tensor.kind)
        if key not in read_before:
            read_before[key] = elements(read(tensor.storage), tensor.kind, order)
        arrays[name] = _view(read_before[key], tensor)
    return arrays


def _view(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The array that `tensor` describes; `_tensor` has checked that it lies within the storage."""
    if not all(tensor.size):
        return np.empty(tensor.size, numbers.dtype)
    # The stride of a side of 1 is never used and may be anything.
    steps = zip(tensor.size, tensor.strides, strict=True)
    strides = tuple(numbers.itemsize * stride if side > 1 else 0 for side, stride in steps)
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.size, strides, writeable=False
    )
