"""Files as torch.save writes them, written without torch: what several tests of readers need."""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest

STORAGES = {
    "f8": "DoubleStorage",
    "f4": "FloatStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "i4": "IntStorage",
    "i2": "ShortStorage",
    "i1": "CharStorage",
    "u1": "ByteStorage",
    "b1": "BoolStorage",
    "c8": "ComplexFloatStorage",
    "c16": "ComplexDoubleStorage",
}


@dataclass
class View:
    """A tensor as torch describes it, valid or not: what is given here goes into the file."""

    storage: np.ndarray
    offset: object
    size: object
    strides: object


class Raw:
    """An object whose pickle is the given call, as in an attacker's file."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def _global(module: str, name: str):
    """A class that pickles as the global module.name, which need not be installed."""
    made = type(name, (), {"__module__": module, "__qualname__": name})
    parent = sys.modules.setdefault(module, types.ModuleType(module))
    setattr(parent, name, made)
    return made


class TorchPickler(pickle.Pickler):
    """Pickles arrays and `View`s as tensors, and collects their storages."""

    def __init__(self, file, protocol: int, legacy: bool):
        super().__init__(file, protocol)
        self.legacy = legacy
        self.storages: dict[int, tuple[str, np.ndarray]] = {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = self.storages.setdefault(id(value.array), (str(len(self.storages)), value.array))[0]
        identity = ("storage", _global("torch", value.kind), key, "cpu", value.array.size)
        return identity + (None,) if self.legacy else identity

    def reducer_override(self, value):
        if isinstance(value, np.ndarray):
            strides = tuple(s // value.itemsize for s in np.empty(value.shape, value.dtype).strides)
            base = value if value.ndim == 1 else value.ravel()
            value = View(base, 0, value.shape, strides)
        if not isinstance(value, View):
            return NotImplemented
        rebuild = _global("torch._utils", "_rebuild_tensor_v2")
        hooks = collections.OrderedDict()
        storage = Storage(value.storage, STORAGES[value.storage.dtype.str[1:]])
        return rebuild, (storage, value.offset, value.size, value.strides, False, hooks)


@dataclass
class Storage:
    array: np.ndarray
    kind: str


def _pickled(value, protocol: int, legacy: bool) -> tuple[bytes, list]:
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    buffer = io.BytesIO()
    try:
        for name in before:
            sys.modules[name] = types.ModuleType(name)
        pickler = TorchPickler(buffer, protocol, legacy)
        pickler.dump(value)
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
    return buffer.getvalue(), list(pickler.storages.values())


def torch_zip(value, protocol: int = 2, pickled: bytes | None = None, byte_order: str = "little"):
    """The bytes of a zip archive as torch.save writes it. pickled: other bytes for data.pkl."""
    data, storages = _pickled(value, protocol, legacy=False)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data if pickled is None else pickled)
        archive.writestr("archive/byteorder", byte_order)
        for key, array in storages:
            order = "<" if byte_order == "little" else ">"
            stored = array.astype(array.dtype.newbyteorder(order)).tobytes()
            archive.writestr(f"archive/data/{key}", stored)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def torch_legacy(value, protocol: int = 2, pickled: bytes | None = None):
    """The bytes of the stream that torch.save wrote before 1.6."""
    data, storages = _pickled(value, protocol, legacy=True)
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
    parts = [pickle.dumps(part, protocol) for part in head]
    parts.append(data if pickled is None else pickled)
    parts.append(pickle.dumps([key for key, _ in storages], protocol))
    for _, array in storages:
        parts += [struct.pack("<q", array.size), array.tobytes()]
    return b"".join(parts)


@pytest.fixture(scope="session")
def torch_writers():
    """{"zip": function, "legacy": function}, each from an object to the bytes of a file."""
    return {"zip": torch_zip, "legacy": torch_legacy}


@pytest.fixture(scope="session")
def torch_view():
    """`View`: a tensor by storage, offset, size and strides."""
    return View


@pytest.fixture(scope="session")
def raw_pickle():
    """`Raw`: an object that is pickled as the call given."""
    return Raw
