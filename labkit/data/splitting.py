"""Training, validation and test parts of a data set, with no picture or group in common."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from labkit.data.classes import class_histogram
from labkit.data.dataset import Dataset
from labkit.data.picture_checks import duplicate_pictures
from labkit.errors import LabkitError


def split(
    dataset: Dataset,
    fractions: Sequence[float] = (0.8, 0.2),
    seed: int = 0,
    *,
    group: Callable[[dict[str, Any]], Hashable] | Sequence[Hashable] | None = None,
) -> tuple[Dataset, ...]:
    """Parts with no picture in common, each with its share of every class as far as possible.

    Args:
        dataset: any data set.
        fractions: of the pictures, one for each part; they add up to 1.
        seed: the same seed gives the same parts.
        group: pictures of one group (the same patient, video, street) stay in one part, so that no
            model is evaluated on what it has seen. A key for each picture, or a function that gets
            `image_info` and returns the key: `group=lambda info: info["file_name"].split("_")[0]`.
            Pictures that are the same file, or have the same content, are always of one group; a
            warning counts them.

    Returns:
        A subset for each fraction, pictures in the data set's order. Without groups the sizes are
        the fractions, rounded; with groups a part exceeds that by less than a group.

    Raises:
        LabkitError: the fractions do not add up to 1, there is not one key for each picture, or a
            part would be empty.

    Source: Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data": the
    rarest class is distributed first, always to the part that needs most of it.
    """
    fractions = np.asarray(fractions, float)
    if fractions.ndim != 1 or (fractions <= 0).any() or abs(fractions.sum() - 1) > 1e-6:
        raise LabkitError(f"split: fractions must be above 0 and add up to 1, got {fractions}.")
    groups = _groups(dataset, group)
    rng = np.random.default_rng(seed)
    groups = [groups[i] for i in rng.permutation(len(groups))]
    groups.sort(key=len, reverse=True)  # large ones while there is room; equal ones stay shuffled
    classes = len(dataset.class_names)
    counts = np.array(
        [sum(class_histogram(dataset.labels(i), classes) for i in members) for members in groups]
    )
    part_of = _share_out([len(members) for members in groups], counts, fractions)
    parts = []
    for number in range(len(fractions)):
        members = [i for g, part in zip(groups, part_of, strict=True) if part == number for i in g]
        if not members:
            raise LabkitError(
                f"split: part {number + 1} ({fractions[number]:g} of {len(dataset)} images in "
                f"{len(groups)} groups) would be empty; give it a larger fraction, or finer groups."
            )
        parts.append(dataset.subset(sorted(members)))
    return tuple(parts)


def _groups(dataset: Dataset, group) -> list[list[int]]:
    """The indices of the pictures in each group; without `group`, each picture with its copies."""
    if group is None:
        group = range(len(dataset))
    elif callable(group):
        group = [group(dataset.image_info(index)) for index in range(len(dataset))]
    if len(group) != len(dataset):
        raise LabkitError(
            f"split: group has {len(group)} keys for {len(dataset)} images; give one for each."
        )
    members: dict[Hashable, list[int]] = {}
    for index, key in enumerate(group):
        members.setdefault(key, []).append(index)
    return _with_copies(list(members.values()), duplicate_pictures(dataset))


def _with_copies(groups: list[list[int]], copies: list[list[int]]) -> list[list[int]]:
    """The groups, united where they hold copies of one picture."""
    if copies:
        count = sum(len(same) - 1 for same in copies)
        warnings.warn(
            f"split: {count} pictures are copies of others; copies stay in one part.", stacklevel=4
        )
    group_of = {index: group for group in groups for index in group}
    for same in copies:
        united = group_of[same[0]]
        for index in same[1:]:
            if group_of[index] is not united:
                united += group_of[index]
                group_of.update(dict.fromkeys(group_of[index], united))
    return list({id(group): group for group in group_of.values()}.values())


def _share_out(sizes: Sequence[int], counts: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """The part of every group: int [G], from the groups' sizes [G] and class counts [G, N]."""
    lacking = _rounded(fractions, sum(sizes))  # pictures
    lacking_classes = np.outer(fractions, counts.sum(axis=0)) if len(counts) else np.zeros((0, 0))
    part_of = np.full(len(sizes), -1)

    def place(g: int, wanted: np.ndarray) -> None:
        # Of the parts with room, the one that needs most of the class, then most pictures.
        open_parts = np.flatnonzero(lacking > 0)
        part = max(open_parts, key=lambda p: (wanted[p], lacking[p]))
        part_of[g] = part
        lacking[part] -= sizes[g]
        lacking_classes[part] -= counts[g]

    present = counts > 0
    while True:
        left = present[part_of < 0].sum(axis=0)
        if not left.any():
            break
        rarest = int(np.argmin(np.where(left, left, len(sizes) + 1)))
        for g in np.flatnonzero(present[:, rarest] & (part_of < 0)):
            place(g, lacking_classes[:, rarest])
    for g in np.flatnonzero(part_of < 0):  # pictures without objects
        place(g, lacking)
    return part_of


def _rounded(fractions: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that add up to `total`, as near to the fractions of it as possible."""
    exact = fractions * total
    whole = np.floor(exact + 1e-9).astype(int)
    short = total - whole.sum()
    whole[np.argsort(whole - exact, kind="stable")[:short]] += 1
    return whole
