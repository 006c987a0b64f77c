"""Saying, once for a data set, that entries of it were left out."""

import sys
import warnings
from collections.abc import Sequence


def warn_of_problems(label: str, problems: Sequence[str]) -> None:
    """Warn of the first problem and of how many there are; the line named is the caller's own.

    label: what the data set is called, its file mostly.
    """
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems, the first"
    first = problems[0].removeprefix(f"{label}: ")
    warnings.warn(
        f"{label}: {count}: {first} All are in the data set's .problems.", stacklevel=_outside()
    )


def _outside() -> int:
    """How many calls above `warnings.warn` labkit was called from."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("labkit."):
        level, frame = level + 1, frame.f_back
    return level
