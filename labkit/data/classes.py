"""A data set with other classes: grouped, kept, dropped, or pruned to those with enough examples.

Every function returns a new `Dataset`, a view that reads from its parent and copies nothing. They
can be combined in any order, and `save_coco` writes the result.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from labkit.data.dataset import Dataset, View
from labkit.data.sample import Cutouts, Labels, Sample
from labkit.errors import LabkitError

# ---- classes -------------------------------------------------------------------------------------


class ClassView(View):
    """A data set seen with other classes, and with all its pictures.

    Args:
        parent: the data set.
        class_names: of the view.
        category_ids: of the view.
        class_of: for each class of the parent, its class id in the view, or 0 to leave it out.
    """

    def __init__(
        self,
        parent: Dataset,
        class_names: Sequence[str],
        category_ids: Sequence[int],
        class_of: Sequence[int],
    ) -> None:
        super().__init__(parent)
        self.class_names, self.category_ids = tuple(class_names), tuple(category_ids)
        self._class_of = np.array([0, *class_of], np.int32)
        self._category_of = {
            old: self.category_ids[new - 1]
            for old, new in zip(parent.category_ids, class_of, strict=True)
            if new
        }

    def __len__(self) -> int:
        return len(self.parent)

    def read(self, index: int) -> Sample:
        sample = self.parent.read(index)
        class_ids = self._class_of[sample.class_ids]
        keep = class_ids > 0
        return dataclasses.replace(
            sample,
            boxes=sample.boxes[keep],
            class_ids=class_ids[keep],
            masks=sample.masks[keep],
            crowd=sample.crowd[keep],
        )

    def cutouts(self, index: int) -> Cutouts:
        cut = self.parent.cutouts(index)
        class_ids = self._class_of[cut.class_ids]
        keep = class_ids > 0
        patches = [patch for patch, kept in zip(cut.patches, keep, strict=True) if kept]
        return cut._replace(
            boxes=cut.boxes[keep], patches=patches, class_ids=class_ids[keep], crowd=cut.crowd[keep]
        )

    def instance_limit(self, index: int) -> int:
        if self._class_of[1:].all():  # nothing is left out: the parent's cheap answer is right
            return self.parent.instance_limit(index)
        return len(self.labels(index).class_ids)

    def labels(self, index: int) -> Labels:
        labels = self.parent.labels(index)
        class_ids = self._class_of[labels.class_ids]
        keep = class_ids > 0
        return Labels(class_ids[keep], labels.crowd[keep], labels.boxes[keep])

    def coco_annotations(self, index: int) -> list[dict[str, Any]]:
        return [
            {**annotation, "category_id": self._category_of[annotation["category_id"]]}
            for annotation in self.parent.coco_annotations(index)
            if annotation["category_id"] in self._category_of
        ]


def group_classes(
    dataset: Dataset, groups: Mapping[str, Iterable[str]], *, keep_others: bool = True
) -> Dataset:
    """Several classes as one: `{"bread": ["bread-white", "bread-wholemeal"], …}`.

    Args:
        dataset: any data set.
        groups: the name of each new class, and the names of the classes in it.
        keep_others: whether classes in no group stay as they are, or are left out.

    Returns:
        A data set whose classes are those in no group, in their order and with their category ids,
        followed by the groups with new, higher ids: no id changes its meaning.

    Raises:
        LabkitError: a class is unknown or in two groups, a group is empty, or a group's name is
            that of a class outside it.
    """
    if not groups:
        raise LabkitError("group_classes: give at least one group.")
    group_of: dict[str, str] = {}
    for group, members in groups.items():
        if isinstance(members, str) or not (members := list(members)):
            raise LabkitError(
                f"group_classes: the group {group!r} must be a list of at least one class name."
            )
        for name in _known(dataset, members, "group_classes"):
            if group_of.setdefault(name, group) != group:
                raise LabkitError(
                    f"group_classes: the class {name!r} is in the groups {group_of[name]!r} and "
                    f"{group!r}; leave it in one."
                )
    others = [name for name in dataset.class_names if name not in group_of and keep_others]
    for group in groups:
        if group in others:
            raise LabkitError(
                f"group_classes: the group {group!r} has the name of a class that is not in it; "
                "add the class to the group, or give the group another name."
            )
    kept = [i for i, name in enumerate(dataset.class_names) if name in others]
    place = {i: number for number, i in enumerate(kept, 1)}
    place_of_group = {group: number for number, group in enumerate(groups, len(kept) + 1)}
    first_free = max(dataset.category_ids, default=0) + 1
    return ClassView(
        dataset,
        [dataset.class_names[i] for i in kept] + list(groups),
        [dataset.category_ids[i] for i in kept] + [first_free + i for i in range(len(groups))],
        [
            place.get(i) or place_of_group.get(group_of.get(name), 0)
            for i, name in enumerate(dataset.class_names)
        ],
    )


def keep_classes(dataset: Dataset, names: Iterable[str]) -> Dataset:
    """Only these classes, in the data set's order, with their category ids; all pictures stay.

    Raises:
        LabkitError: the data set has no class of such a name, or none is named.
    """
    names = set(_known(dataset, names, "keep_classes"))
    return _keep(dataset, [name in names for name in dataset.class_names], "keep_classes")


def drop_classes(dataset: Dataset, names: Iterable[str]) -> Dataset:
    """All classes except these; all pictures stay.

    Raises:
        LabkitError: the data set has no class of such a name, or no class is left.
    """
    names = set(_known(dataset, names, "drop_classes"))
    return _keep(dataset, [name not in names for name in dataset.class_names], "drop_classes")


def _keep(dataset: Dataset, keep: Sequence[bool], caller: str) -> Dataset:
    kept = np.flatnonzero(keep)
    if not len(kept):
        raise LabkitError(f"{caller}: no class would be left; keep at least one.")
    return ClassView(
        dataset,
        [dataset.class_names[i] for i in kept],
        [dataset.category_ids[i] for i in kept],
        np.where(keep, np.cumsum(keep), 0),
    )


def _known(dataset: Dataset, names: Iterable[str], caller: str) -> list[str]:
    """The names as a list; a LabkitError with similar names for one that is no class."""
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in dataset.class_names:
            near = difflib.get_close_matches(str(name), dataset.class_names, n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(map(repr, near))}?"
                if near
                else ("the classes are in the data set's .class_names.")
            )
            raise LabkitError(f"{caller}: there is no class {name!r}; {hint}")
    return names


# ---- pruning -------------------------------------------------------------------------------------


class PruningRow(NamedTuple):
    """What remains if only the classes are kept that occur `threshold` times or more."""

    threshold: int
    classes: int
    images: int
    instances: int


def class_counts(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """For every class, the number of images and of instances: two int64 [N], without crowds."""
    images = np.zeros(len(dataset.class_names), np.int64)
    instances = np.zeros_like(images)
    for index in range(len(dataset)):
        count = class_histogram(dataset.labels(index), len(images))
        images += count > 0
        instances += count
    return images, instances


def class_histogram(labels: Labels, classes: int) -> np.ndarray:
    """The number of instances of each class in one picture, without crowds: int64 [classes]."""
    return np.bincount(labels.class_ids[~labels.crowd], minlength=classes + 1)[1:]


def prune(
    dataset: Dataset,
    min_images: int | None = None,
    min_instances: int | None = None,
    *,
    keep_empty: bool = False,
) -> Dataset:
    """Only the classes with enough examples, and the pictures that show one of them.

    The objects of a class that is left out stay in the pictures, unlabelled: a model learns that
    they are background. `pruning_table` shows what a threshold costs.

    Args:
        dataset: any data set.
        min_images: keep classes that occur in at least this many pictures.
        min_instances: keep classes with at least this many instances (crowds do not count).
        keep_empty: keep pictures that show none of these classes.

    Raises:
        LabkitError: no threshold is given, or no class reaches it.
    """
    if min_images is None and min_instances is None:
        raise LabkitError("prune: give min_images, min_instances or both.")
    images, instances = class_counts(dataset)
    keep = (images >= (min_images or 0)) & (instances >= (min_instances or 0))
    pruned = _keep(dataset, keep, "prune")
    return pruned if keep_empty else drop_empty(pruned)


def pruning_table(
    dataset: Dataset, by: str = "images", thresholds: Iterable[int] | None = None
) -> list[PruningRow]:
    """For each threshold, how many classes, images and instances `prune` keeps.

    Args:
        dataset: any data set.
        by: what the threshold counts, "images" or "instances" of a class.
        thresholds: by default every number at which the table changes, from 1 on.
    """
    if by not in ("images", "instances"):
        raise LabkitError(f"pruning_table: by is {by!r}; it must be 'images' or 'instances'.")
    images, instances = class_counts(dataset)
    counts = images if by == "images" else instances
    # A picture stays as long as its most frequent class does: one number per picture is enough.
    best = [
        counts[seen > 0].max(initial=0)
        for seen in (class_histogram(dataset.labels(i), len(counts)) for i in range(len(dataset)))
    ]
    best = np.array(best, np.int64)
    if thresholds is None:
        thresholds = np.unique(counts[counts > 0])
    return [
        PruningRow(
            int(t),
            int((counts >= t).sum()),
            int((best >= max(t, 1)).sum()),
            int(instances[counts >= t].sum()),
        )
        for t in thresholds
    ]


def drop_empty(dataset: Dataset) -> Dataset:
    """Only the pictures with at least one instance that is not a crowd.

    Pictures without objects are often worth keeping: they teach what is not an object.
    """
    return dataset.subset(
        index for index in range(len(dataset)) if not dataset.labels(index).crowd.all()
    )
