"""Decoded examples on disk, for data sets that are slow to read and too large for memory.

    cache/
      3f9a0c…/            one folder per data set, named by a hash of all that decides its samples
        00000012.npz      one file per example: image, boxes, classes, masks as bits

Files are written completely or not at all (`whole_file`): a run that is killed leaves at most one
`.part`, and two runs may share a folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labkit.data.augment import Example
from labkit.data.dataset import Dataset
from labkit.errors import LabkitError
from labkit.io.whole_file import whole_file

FORMAT = "examples 1"  # part of the fingerprint: change it with the layout of the files
# Attributes that a data set changes while it is read; they do not decide what a sample is.
_NOTES = {"problems", "_reported", "_known_labels", "_left_out_late"}
_NOTES |= {"repairs", "_finder", "_ids", "_categories", "_missing"}  # how it was read

_PLACES = {"label", "folder", "root", "truth", "segments"}  # where the files are


class ExampleCache:
    """The examples of one data set in a folder that the user names.

    A data set is identified by everything it holds (classes, file names, sizes, annotations,
    seeds), so another annotation file, or the same one with other classes, gets files of its own.
    If you edit the pixels of a picture and keep its name, this is not noticed: delete the folder.

    Args:
        folder: the cache; made if it does not exist.
        dataset: whose examples.

    Raises:
        LabkitError: the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike, dataset: Dataset) -> None:
        self.folder = Path(folder) / fingerprint(dataset)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabkitError(
                f"{self.folder} cannot be made ({error.strerror}); name another folder for the "
                "cache."
            ) from None

    def get(self, index: int, make: Callable[[], Example]) -> Example:
        """The example of a picture, read from disk; or made by `make()` and written.

        A damaged file is replaced. If the disk is full, training goes on without writing.
        """
        path = self.folder / f"{index:08d}.npz"
        example = _read(path)
        if example is None:
            example = make()
            _write(path, example)
        return example


def fingerprint(dataset: Dataset, *, places: bool = True) -> str:
    """32 hexadecimal digits, different for data sets that differ in anything but pixels.

    Args:
        dataset: whose.
        places: whether it matters where the files are; without, data that were moved to another
            folder are the same.
    """
    digest = hashlib.sha256(FORMAT.encode())
    _feed(digest, dataset, places)
    return digest.hexdigest()[:32]


def _feed(digest, dataset: Dataset, places: bool) -> None:
    digest.update(type(dataset).__name__.encode())
    plain = _plain if places else _plain_anywhere
    for name, value in sorted(vars(dataset).items()):
        if name in _NOTES or (name in _PLACES and not places):
            continue
        digest.update(name.encode())
        # One entry at a time: the annotations of COCO as one text would take a gigabyte.
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, Dataset):
                _feed(digest, item, places)
            else:
                digest.update(json.dumps(item, default=plain, skipkeys=True).encode())


def _plain(value: Any) -> Any:
    """A value that JSON cannot write, as one that it can; different values stay different."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def _plain_anywhere(value: Any) -> Any:
    """The same without folders, and without what is not data (and prints as an address)."""
    plain = _plain(value)
    if isinstance(value, os.PathLike):
        return Path(value).name
    return type(value).__name__ if type(plain) is str and not isinstance(value, str) else plain


def _write(path: Path, example: Example) -> None:
    bits = np.concatenate([np.zeros(0, bool), *(patch.ravel() for patch in example.patches)])
    # If the disk is full or the folder is gone, go on without writing.
    with contextlib.suppress(OSError), whole_file(path) as draft:
        np.savez(
            draft,
            image=example.image,
            boxes=example.boxes,
            class_ids=example.class_ids,
            bits=np.packbits(bits),
            crowds=example.crowds,
            image_id=example.image_id,
        )


def _read(path: Path) -> Example | None:
    """The example in a file; None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            image, boxes, class_ids = stored["image"], stored["boxes"], stored["class_ids"]
            image_id, crowds, bits = int(stored["image_id"]), stored["crowds"], stored["bits"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    sides = boxes[:, 2:] - boxes[:, :2]
    ends = np.cumsum(sides.prod(axis=1))
    filled = np.unpackbits(bits, count=int(ends[-1]) if len(ends) else 0).astype(bool)
    patches = [
        part.reshape(side) for part, side in zip(np.split(filled, ends[:-1]), sides, strict=False)
    ]
    return Example(image, boxes, class_ids, patches, image_id, crowds)
