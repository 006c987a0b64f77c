"""What a person should know about the picture files of a data set, beyond whether they open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import listed
from labkit.io.data_files import quote
from labkit.io.duplicates import same_files
from labkit.io.picture_remarks import remarks_on

if TYPE_CHECKING:
    from labkit.data.dataset import Dataset


def readings(dataset: Dataset) -> list[str]:
    """Sentences on picture files that have two readings: depths, pages, channels and turns."""
    paths = filter(None, (dataset.picture_file(index) for index in range(len(dataset))))
    return remarks_on(dict.fromkeys(paths))


def duplicate_pictures(dataset: Dataset) -> list[list[int]]:
    """The indices of pictures that are the same file, or files with the same content.

    Returns:
        A list of two or more ascending indices for each such picture.
    """
    indices: dict[Path, list[int]] = {}
    for index in range(len(dataset)):
        if (path := dataset.picture_file(index)) is not None:
            indices.setdefault(path, []).append(index)
    groups = [_indices(group, indices) for group in same_files(indices)]
    in_groups = {index for group in groups for index in group}
    twice = [one for one in indices.values() if len(one) > 1 and one[0] not in in_groups]
    return sorted([*groups, *twice])


def shared_pictures(one: Dataset, other: Dataset) -> list[str]:
    """The names of the pictures of `other` with the same content as one of `one`."""
    own = {path for index in range(len(one)) if (path := one.picture_file(index))}
    names = {other.picture_file(i): other.image_info(i)["file_name"] for i in range(len(other))}
    names.pop(None, None)
    groups = [*same_files([*own, *names]), *([path] for path in own & names.keys())]
    return sorted({names[p] for g in groups if own & set(g) for p in g if p in names})


def _indices(paths: Iterable[Path], indices: dict[Path, list[int]]) -> list[int]:
    return sorted(index for path in paths for index in indices[path])


def copies(dataset: Dataset) -> list[str]:
    """A sentence that names the first pictures with the same content, or an empty list."""
    groups = duplicate_pictures(dataset)
    if not groups:
        return []
    names = [quote(dataset.image_info(index)["file_name"]) for index in groups[0]]
    more = f" (and {len(groups) - 1} more such groups)" if len(groups) > 1 else ""
    return [
        f"{listed(names)} are the same picture{more}; keep one of them with all its objects. "
        "`split` keeps them in one part, since a model would be measured on what it was trained on."
    ]
