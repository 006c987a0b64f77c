"""Keras' weights in HDF5: every array by its path, without a model to load them into.

Two layouts are met, and both are nothing but named arrays in folders. Keras 3 (.weights.h5, and
inside .keras) counts: `layers/conv2d/vars/0`. Keras 1 and 2, and with them Matterport's Mask R-CNN,
give names, `conv1/conv1/kernel:0`, and keep their order in attributes: `layer_names` of the file
(or of its group `model_weights`), `weight_names` of each layer's group.

HDF5 itself can point out of its file: a link to another file, or an array whose numbers lie in
another one. A file of weights has neither, and following them would read what its author likes.

Text of variable length is never read: HDF5 keeps it in a heap, and its library walks a damaged heap
forever, where not even Ctrl-C ends it. Keras 1 and 2 wrote names of fixed length with the h5py of
their time, Matterport's file among them; those that a later h5py wrote are not used.
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
    """All arrays of an HDF5 file, by full path, without the "/" in front.

    Where the attributes of Keras 1 and 2 are there, as text of fixed length, the arrays they name
    come first and in their order, which is the model's; the rest, as HDF5 has it, by the alphabet.

    Args:
        source: the file, or an open one.
        label: what to call it in an error.
        size: of the file, in bytes: what it unpacks to is compared with it.

    Raises:
        LabkitError: it is damaged, holds no array or one that is no array of numbers, points to
            another file, or lacks an array that its attributes name.
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
    # What is wrong is said after the visit: an exception within it would not come out of HDF5.
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
    """Two opaque bytes and an attribute `dtype`: how Keras 3 stores what HDF5 has no type for."""
    return dataset.dtype.str == "|V2" and "dtype" in dataset.attrs


def _values(dataset: h5py.Dataset) -> np.ndarray:
    if _is_bfloat16(dataset):
        return elements(dataset[()].tobytes(), "bfloat16").reshape(dataset.shape)
    return np.asarray(dataset[()])


def _ordered_names(file: h5py.File, datasets, label: str):
    """The paths that Keras' attributes name, in their order; nothing where there are none."""
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
    """A list of names; one too long for HDF5 is cut into attribute0, attribute1, …"""
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
