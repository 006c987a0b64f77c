"""A task of a notebook; and an exercise: its reference solution, hidden cases, common mistakes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Case:
    """One call of the learner's function.

    Attributes:
        kind: what is special about it, such as "boxes apart".
        args: of the call.
    """

    kind: str
    args: tuple


@dataclass(frozen=True)
class Mistake:
    """A common wrong solution, and a hint for it.

    The learner made this mistake if their function gives the same answers as `wrong` in all cases.

    Attributes:
        hint: where to look, not what to write.
        wrong: the wrong solution, a function.
    """

    hint: str
    wrong: Callable


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every exercise and every design task has.

    Attributes:
        name: for `check`.
        notebook: that the task belongs to.
        title: for the list of progress.
        hints: from a first push to nearly the solution, for `hint(name)`.
    """

    name: str
    notebook: str
    title: str
    hints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Exercise(Task):
    """What `check(name, fn)` compares a learner's function with.

    Attributes:
        reference: labkit's solution.
        cases: draws the hidden cases from a seeded generator.
        returns: the answer in words, for one of the wrong type.
        mistakes: common ones.
        kinds: kind of case -> the hint if cases of it fail and no known mistake explains it.
        tolerance: the largest |difference| relative to 1 + |value|, room for a different order of
            float32 operations.
    """

    reference: Callable
    cases: Callable[[np.random.Generator], Iterator[Case]]
    returns: str
    mistakes: tuple[Mistake, ...]
    kinds: dict[str, str] = field(default_factory=dict)
    tolerance: float = 1e-4

    def all_cases(self) -> list[Case]:
        """The hidden cases, the same at every check."""
        return list(self.cases(np.random.default_rng(0)))
