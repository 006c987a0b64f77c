"""A design task: many answers are right, and what an answer achieves is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Judgement:
    """What an answer achieves: whether that is enough, a sentence with numbers, perhaps a hint."""

    passed: bool
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Design:
    """A task whose outcome is judged by `check(name, answer)`, not the way to it.

    Attributes:
        name: for `check`.
        notebook: that the task belongs to.
        title: for the list of progress.
        judge: measures an answer, a value or a function. Raises ValueError, with a sentence, for an
            answer of another form.
        hints: from a first push to nearly the solution, for `hint(name)`.
    """

    name: str
    notebook: str
    title: str
    judge: Callable[[Any], Judgement]
    hints: tuple[str, ...]
