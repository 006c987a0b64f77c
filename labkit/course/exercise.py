"""An exercise: what is asked, on which cases it is tried, and the mistakes that people make."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Case:
    """One call of the learner's function. kind: what is special about it, as in "boxes apart"."""

    kind: str
    args: tuple


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give, as a function, and the hint that puts them right.

    The learner made this mistake if their function answers as `wrong` does wherever the two could
    be told from the truth. The hint says where to look, not what to write.
    """

    hint: str
    wrong: Callable


@dataclass(frozen=True)
class Exercise:
    """What `check(name, fn)` compares a learner's function with.

    reference: labkit's answer. cases: draws the hidden cases from a seeded generator. kinds: what
    to say if all cases of that kind fail for a reason not among the mistakes. hints: from a nudge
    to nearly the answer, for `hint(name)`. tolerance: largest |difference| relative to 1 + |value|,
    room for another order of float32 operations. returns: the answer in words, for the wrong type.
    """

    name: str
    notebook: str
    title: str
    reference: Callable
    cases: Callable[[np.random.Generator], Iterator[Case]]
    returns: str
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]
    kinds: dict[str, str] = field(default_factory=dict)
    tolerance: float = 1e-4

    def all_cases(self) -> list[Case]:
        """The hidden cases, the same at every check."""
        return list(self.cases(np.random.default_rng(0)))
