"""The ids in somebody's file, and the whole numbers that labkit uses in their place.

Programs write ids as numbers, as texts ("7", a file's name, a hash), as whole floats (7.0, from
pandas), and as integers beyond 64 bits. TensorFlow and pycocotools need integers of 64 bits. So
every id gets such a number, its own where it has one, and results are written with the id as it
came.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,100})(\.0*)?\s*")
_MOST = 2**63  # ids from -2**63 up to this fit into 64 bits


class Ids:
    """The ids of a file's images, or of its categories.

    >>> ids = Ids(["7", "photo", 2**70])
    >>> ids.find("7"), ids.find(7), ids.find(7.0), ids.find("8")
    (7, 7, 7, None)
    >>> ids.original(ids.find("photo"))
    'photo'

    Args:
        values: all ids of the file, in any order; those that cannot be an id are ignored.

    Attributes:
        originals: number -> the id as it came, for ids that are not their own number.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        values = [v if type(v) is int else _plain(v) for v in values if is_id(v)]
        self._number_of = {v: v for v in values if _fits(v)}
        others = dict.fromkeys(value for value in values if value not in self._number_of)
        self._alike: dict[int, list[int]] = {}  # whole number -> numbers of ids that mean it
        self._number_others(list(others))
        self.originals = {
            number: value
            for value, number in self._number_of.items()
            if type(value) is not int or value != number
        }

    def _number_others(self, others: list[Any]) -> None:
        taken, later = set(self._number_of.values()), []
        for value in others:
            number = whole_number(value)
            if number is None or number in taken or not _fits(number):
                later.append(value)
                continue
            taken.add(number)
            self._number_of[value] = number
        free = (number for number in count(1) if number not in taken)
        # Sorted, so that two files with the same ids number them alike.
        self._number_of |= dict(zip(sorted(later, key=str), free, strict=False))
        for value in others:
            if (number := whole_number(value)) is not None:
                self._alike.setdefault(number, []).append(self._number_of[value])

    def find(self, value: Any) -> int | None:
        """The number of an id; None if there is none, or several could be meant.

        The id as it was written comes first. After that "7", 7 and 7.0 mean the same.
        """
        if type(value) is not int and not is_id(value):
            return None
        found = self._number_of.get(value)
        if found is not None:
            return found
        number = whole_number(value)
        if number is None:
            return None
        meant = {self._number_of.get(number), *self._alike.get(number, [])} - {None}
        return meant.pop() if len(meant) == 1 else None

    def __len__(self) -> int:
        return len(self._number_of)

    def __iter__(self) -> Iterator[Any]:
        """The ids as they came."""
        return iter(self._number_of)

    def original(self, number: int) -> Any:
        """The id as it came."""
        return self.originals.get(number, number)


def is_id(value: Any) -> bool:
    """Whether a value can be an id: a whole number, also as a float, or a text."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return True
    return isinstance(value, numbers.Real) and math.isfinite(value) and value == int(value)


def whole_number(value: Any) -> int | None:
    """The whole number that a number or a text means: 7 for 7, 7.0, "7" and "7.0"."""
    if isinstance(value, str):
        found = _WHOLE.fullmatch(value)
        return int(found[1]) if found else None
    return int(value) if is_id(value) else None


def _plain(value: Any) -> Any:
    """NumPy's integers as Python's, which JSON can hold."""
    return int(value) if isinstance(value, numbers.Integral) else value


def _fits(value: Any) -> bool:
    return type(value) is int and -_MOST <= value < _MOST
