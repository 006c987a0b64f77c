"""Picture files with the same content: one photo that was exported, copied or uploaded twice.

In training and validation at once, such a pair makes the validation flatter the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

# Files of the same size are first compared by their beginnings. Photos differ there already, so
# of a large data set only a few kilobytes a file are read.
_BEGINNING = 4096


def same_files(paths: Iterable[Path]) -> list[list[Path]]:
    """The groups of two or more files with the same bytes, in the order of `paths`.

    Files that cannot be read are equal to none. The same path given twice counts once.
    """
    groups = [list(dict.fromkeys(paths))]
    for key in (_size, _beginning, _digest):
        groups = [group for alike in groups for group in _groups_by(key, alike)]
    return groups


def _groups_by(key: Callable[[Path], Hashable], paths: list[Path]) -> list[list[Path]]:
    groups: dict[Hashable, list[Path]] = {}
    for path in paths:
        try:
            groups.setdefault(key(path), []).append(path)
        except OSError:
            continue
    return [group for group in groups.values() if len(group) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _beginning(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_BEGINNING)


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
