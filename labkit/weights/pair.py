"""A variable of the model, the tensor that stands for it in a file, and the format of a file."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Layout:
    """How a file lays out the values of a variable.

    Attributes:
        inward: turns the file's array into the variable's.
        outward: turns the variable's array into the file's.
    """

    inward: Callable[[np.ndarray], np.ndarray]
    outward: Callable[[np.ndarray], np.ndarray]


PLAIN = Layout(lambda a: a, lambda a: a)


@dataclass(frozen=True)
class Pair:
    """A variable and the name of its tensor in a file."""

    name: str
    variable: object
    layout: Layout = PLAIN

    def outside(self, values: np.ndarray | None = None) -> np.ndarray:
        """The variable's value as the file has it, in C order.

        Args:
            values: other values of the variable's shape to convert instead (its gradient, say).

        Returns:
            The converted array; rows that the model does not have (a background's) are zero.
        """
        values = self.variable.numpy() if values is None else np.asarray(values)
        return np.ascontiguousarray(self.layout.outward(values))


@dataclass(frozen=True)
class Format:
    """How one program names and lays out the weights of one kind of network.

    Attributes:
        name: what to call it in a message.
        recognises: whether tensors, by the names that their file gives them, are in this format.
        pairs: of a model, the pairs of everything that such a file fills. Raises LabkitError for a
            model that the other program has no counterpart of.
        prepared: turns (tensors, config, source) into the tensors by the names of `pairs`: old
            names renewed, layers folded into others.
        config: the `DetectorConfig` of the network that the tensors belong to; None if they do not
            tell.
        outputs: how many classes the tensors know, background included; 0 if they do not tell.
        unread: of (loaded pairs with their tensors, all tensors), what the model has no place for
            and an export puts back.
        export: of a model, the tensors that the other program would read; None if labkit writes no
            such files.
        presets: names of presets whose networks such files fit.
        skipped: what such a file may hold beside the weights: a regular expression for its name,
            and why it is left out.
    """

    name: str
    recognises: Callable[[Mapping[str, np.ndarray]], bool]
    pairs: Callable[[object], Iterable[Pair]]
    prepared: Callable = lambda tensors, config, source: tensors
    config: Callable = lambda tensors: None
    outputs: Callable[[Mapping[str, np.ndarray]], int] = lambda tensors: 0
    unread: Callable = lambda loaded, tensors: {}
    export: Callable[[object], dict[str, np.ndarray]] | None = None
    presets: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
