"""Keras' weights in HDF5: every array by its path, without a model to load them into.

There are two layouts, and both are named arrays in folders. Keras 3 (.weights.h5, and inside
.keras) counts layers: `layers/conv2d/vars/0`. Keras 1 and 2, and with them Matterport's Mask R-CNN,
use the layers' names, `conv1/conv1/kernel:0`, and keep their order in attributes: `layer_names` of
the file (or of its group `model_weights`), `weight_names` of each layer's group.

HDF5 can point out of its file: with a link to another file, or with an array whose values are in
another file. A file of weights needs neither, and following them would let its author choose what
is read from this computer. Both are refused.

Text of variable length is never read: HDF5 keeps it in a heap, and its library loops forever in a
damaged heap, where not even Ctrl-C stops it. Keras 1 and 2 wrote names of fixed length with the
h5py of their time, also in Matterport's file; names that a later h5py wrote are ignored.
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from labkit.errors import LabkitError
from labkit.weights.inert_pickle import shown
from labkit.weights.raw import elements, refuse_bombs


def read_hdf5(source: Path | BinaryIO, label: str, size: int) -> dict[str, np.ndarray]:
    """Read all arrays of an HDF5 file.

    Args:
        source: the file's path, or an open file.
        label: what to call it in an error.
        size: of the file, in bytes; what it unpacks to is compared with it.

    Returns:
        The arrays by full path, without the leading "/". Arrays that the attributes of Keras 1 and
        2 name (as text of fixed length) come first, in the model's order; the others follow in
        alphabetical order.

    Raises:
        LabkitError: the file is damaged, holds no arrays or one without numbers, points to another
            file, or lacks an array that its attributes name.
    """
    try:
        with h5py.File(source, "r") as file:
            datasets = _datasets(file, label)
            refuse_bombs(label, size, ((d.shape, d.dtype.itemsize) for d in datasets.values()))
            names = dict.fromkeys([*_ordered_names(file, datasets, label), *datasets])
            return {name: _values(datasets[name]) for name in names}
    except LabkitError:
        raise
    except Exception as error:  # HDF5's library on a damaged file makes h5py raise nearly anything
        reason = shown(" ".join(str(error).split()))
        raise LabkitError(
            f"{label} is damaged or incomplete: HDF5 cannot read it ({reason}); get it again."
        ) from error


def _datasets(file: h5py.File, label: str) -> dict[str, h5py.Dataset]:
    # Collected first, checked afterwards: an exception within the visit would be lost in HDF5.
    links: list[tuple[str, object]] = []
    file.visititems_links(lambda name, link: links.append((name, link)))
    found: dict[str, h5py.Dataset] = {}
    for name, link in links:
        if isinstance(link, h5py.ExternalLink):
            raise LabkitError(f"{label} points to another file at {shown(name)}: do not trust it.")
        if isinstance(link, h5py.HardLink) and isinstance(file[name], h5py.Dataset):
            _refuse_odd(file[name], name, label)
            found[name] = file[name]
    if not found:
        raise LabkitError(f"{label} holds no arrays; save a model's weights into it again.")
    return found


def _refuse_odd(dataset: h5py.Dataset, name: str, label: str) -> None:
    if dataset.external or dataset.is_virtual:
        raise LabkitError(
            f"{label} takes the numbers of {shown(name)} from another file: do not trust it."
        )
    if dataset.shape is None or not (dataset.dtype.kind in "biufc" or _is_bfloat16(dataset)):
        raise LabkitError(
            f"{label}: {shown(name)} is no array of numbers; save the model's weights alone, "
            "model.save_weights(file)."
        )


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    """Whether it is two opaque bytes with an attribute `dtype`, as Keras 3 stores bfloat16."""
    return dataset.dtype.str == "|V2" and "dtype" in dataset.attrs


def _values(dataset: h5py.Dataset) -> np.ndarray:
    if _is_bfloat16(dataset):
        return elements(dataset[()].tobytes(), "bfloat16").reshape(dataset.shape)
    return np.asarray(dataset[()])


def _ordered_names(file: h5py.File, datasets, label: str):
    """The paths that the attributes of Keras 1 and 2 name, in their order, if there are any."""
    for group in (file, file.get("model_weights")):
        if not isinstance(group, h5py.Group):
            continue
        for layer in _names(group, "layer_names"):
            weights = _names(group[layer], "weight_names") if layer in group else ()
            for weight in weights:
                name = f"{group.name}/{layer}/{weight}".lstrip("/")
                if name not in datasets:
                    raise LabkitError(
                        f"{label} lacks {shown(name)}, which it says it holds: get it again."
                    )
                yield name


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names. One too long for HDF5 is split into attribute0, attribute1, and so on."""
    numbered = (f"{attribute}{i}" for i in itertools.count())
    pieces = (
        [attribute]
        if _has_names(group, attribute)
        else itertools.takewhile(functools.partial(_has_names, group), numbered)
    )
    values = [value for piece in pieces for value in np.atleast_1d(group.attrs[piece])]
    return [value.decode("utf-8", "replace") for value in values]


def _has_names(group: h5py.Group, attribute: str) -> bool:
    return attribute in group.attrs and group.attrs.get_id(attribute).dtype.kind == "S"
