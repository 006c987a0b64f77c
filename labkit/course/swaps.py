"""Which functions of labkit are replaced by others, and how to put them back for a while."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Swap:
    """A function of labkit, and the one that stands in for it."""

    original: Callable
    replacement: Callable


_swaps: dict[str, Swap] = {}


def names() -> tuple[str, ...]:
    """The names of the swaps that are in force."""
    return tuple(_swaps)


def put(name: str, swap: Swap) -> None:
    """Put a swap into force; an earlier one of that name is undone first."""
    undo(name)
    _swaps[name] = swap
    _replace(swap.original, swap.replacement)


def undo(name: str) -> None:
    """Put labkit's own function back, if there is a swap of that name."""
    swap = _swaps.pop(name, None)
    if swap:
        _replace(swap.replacement, swap.original)


@contextlib.contextmanager
def labkits_own() -> Iterator[None]:
    """Within this context no swap is in force: `check` compares with labkit's own functions."""
    for swap in _swaps.values():
        _replace(swap.replacement, swap.original)
    try:
        yield
    finally:
        for swap in _swaps.values():
            _replace(swap.original, swap.replacement)


def _replace(old: Callable, new: Callable) -> None:
    """Replace a function in every module of labkit that has it, under whatever name."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] != "labkit":
            continue
        for attribute, value in list(vars(module).items()):
            if value is old:
                setattr(module, attribute, new)
