"""Several data sets as one, with their classes united by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.data.classes import ClassView
from labkit.data.dataset import Dataset
from labkit.data.sample import Cutouts, Labels, Sample
from labkit.errors import LabkitError


class Merged(Dataset):
    """Several data sets, one after the other, with their classes united by name."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.parents = tuple(datasets)
        if not self.parents:
            raise LabkitError("merge: give at least one data set.")
        self._conflicts: list[str] = []
        numbers = self._unite_classes()
        self.class_names, self.category_ids = tuple(numbers), tuple(numbers.values())
        place = {name: i for i, name in enumerate(self.class_names, 1)}
        self._views = [
            ClassView(
                parent,
                self.class_names,
                self.category_ids,
                [place[name] for name in parent.class_names],
            )
            for parent in self.parents
        ]
        self._where = [(v, i) for v, view in enumerate(self._views) for i in range(len(view))]
        self._ids = self._unite_ids()

    def _unite_classes(self) -> dict[str, int]:
        """Name -> category id. A class keeps its id unless an earlier class has the same one."""
        numbers: dict[str, int] = {}
        free = max((i for parent in self.parents for i in parent.category_ids), default=0) + 1
        for parent in self.parents:
            for name, number in zip(parent.class_names, parent.category_ids, strict=True):
                if name in numbers:
                    continue
                if number in numbers.values():
                    other = next(n for n, taken in numbers.items() if taken == number)
                    self._conflicts.append(
                        f"merge: the category id {number} means {other!r} in one data set and "
                        f"{name!r} in another; {name!r} has the id {free} now."
                    )
                    number, free = free, free + 1
                numbers[name] = number
        return numbers

    def _unite_ids(self) -> list[int]:
        own = [self._views[v].image_info(i)["id"] for v, i in self._where]
        free = max(own, default=0) + 1
        ids, taken = [], set()
        for number in own:
            if number in taken:
                number, free = free, free + 1
            taken.add(number)
            ids.append(number)
        changed = sum(a != b for a, b in zip(own, ids, strict=True))
        if changed:
            self._conflicts.append(
                f"merge: {changed} images have an id that an earlier one has; their ids are "
                f"{max(own) + 1} to {free - 1} now."
            )
        return ids

    @property
    def problems(self) -> list[str]:
        return [*(p for parent in self.parents for p in parent.problems), *self._conflicts]

    @property
    def repairs(self) -> list[str]:
        return [repair for parent in self.parents for repair in parent.repairs]

    def __len__(self) -> int:
        return len(self._where)

    def _part(self, index: int) -> tuple[Dataset, int]:
        view, inner = self._where[self._check_index(index)]
        return self._views[view], inner

    def image_info(self, index: int) -> dict[str, Any]:
        view, inner = self._part(index)
        info = view.image_info(inner)
        if info["id"] != self._ids[index]:
            info.pop("original_id", None)
        return {**info, "id": self._ids[index]}

    def picture_file(self, index: int) -> Path | None:
        view, inner = self._part(index)
        return view.picture_file(inner)

    def check_picture(self, index: int) -> str:
        view, inner = self._part(index)
        return view.check_picture(inner)

    def read(self, index: int) -> Sample:
        view, inner = self._part(index)
        return dataclasses.replace(view.read(inner), image_id=self._ids[index])

    def cutouts(self, index: int) -> Cutouts:
        view, inner = self._part(index)
        return view.cutouts(inner)._replace(image_id=self._ids[index])

    def instance_limit(self, index: int) -> int:
        view, inner = self._part(index)
        return view.instance_limit(inner)

    def labels(self, index: int) -> Labels:
        view, inner = self._part(index)
        return view.labels(inner)

    def coco_annotations(self, index: int) -> list[dict[str, Any]]:
        view, inner = self._part(index)
        # Without ids: two files may use the same ones. to_coco numbers annotations that have none.
        return [
            {k: v for k, v in annotation.items() if k != "id"} | {"image_id": self._ids[index]}
            for annotation in view.coco_annotations(inner)
        ]


def merge(datasets: Iterable[Dataset]) -> Dataset:
    """Several data sets as one, in their order.

    Classes of the same name become one. Category ids and image ids stay as they are, unless an
    earlier data set uses them already: then they are replaced, and `problems` says which.

    Raises:
        LabkitError: no data set is given.
    """
    return Merged(datasets)
