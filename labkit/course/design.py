"""A design task: many answers are right, and what an answer achieves is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labkit.course.exercise import Task


@dataclass(frozen=True)
class Judgement:
    """What an answer achieves: whether that is enough, a sentence with numbers, perhaps a hint."""

    passed: bool
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Design(Task):
    """A task whose outcome is judged by `check(name, answer)`, not the way to it.

    Attributes:
        judge: measures an answer, a value or a function. Raises ValueError, with a sentence, for an
            answer of another form.
    """

    judge: Callable[[Any], Judgement]
