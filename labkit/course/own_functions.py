"""use("iou_matrix", my_iou_matrix): a learner's function takes the place of labkit's."""

from collections.abc import Callable

from labkit.course import swaps
from labkit.course.adapters import PLACES
from labkit.course.checking import check
from labkit.errors import LabkitError


def use(name: str, function: Callable | None, *, unchecked: bool = False) -> None:
    """Let labkit compute one step of the detector with a learner's function.

    The function is checked first. A model compiles its steps once, so this counts for models that
    are built after the call.

    Args:
        name: of the exercise, one of `labkit.course.adapters.PLACES`.
        function: the learner's, as for `check`; None gives the step back to labkit.
        unchecked: take a function that computes something else, for an experiment.

    Raises:
        LabkitError: no step has this name, or the function does not pass `check`.
    """
    if name not in PLACES:
        steps = ", ".join(PLACES)
        raise LabkitError(f"use: no step of the detector is called {name!r}; there are: {steps}.")
    if function is None:
        swaps.undo(name)
        return
    if not unchecked and not (verdict := check(name, function)).passed:
        hint = f" Hint: {verdict.hint}" if verdict.hint else ""
        raise LabkitError(f"use: {name!r} does not pass its check yet: {verdict.message}{hint}")
    place = PLACES[name]
    swaps.put(name, swaps.Swap(place.original, place.adapter(function)))


def used() -> tuple[str, ...]:
    """The names of the steps that learners' functions compute now."""
    return swaps.names()
