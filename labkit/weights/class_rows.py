"""The rows of classes: what weights of some classes are worth to a model of others.

The last layers of a detector have outputs for each class: a logit, a box, a mask. The weights of
such an output are called a row here, as they are one in torch's kernels. A class that weights and
model have by the same name keeps its row; the others start anew. The background keeps its row
beside them. Where no class does, it starts anew, too: in the weights, its row has learnt that
everything but their classes is background, the model's objects among it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from labkit.errors import listed
from labkit.models.class_names import places_by_name, unused_slots
from labkit.weights.pair import Pair

if TYPE_CHECKING:  # TensorFlow takes seconds to import; `labkit info --pretrained` does without
    from labkit.models.detector import ClassOutputs


class ClassRows:
    """Takes over the rows of classes, variable by variable.

    Args:
        model: the detector that is to have them; it says which layers have outputs for classes.
        known: the classes of the weights in their order; None where they are not named. As many as
            the model has are then taken for the model's own.
    """

    def __init__(self, model, known: Sequence[str] | None):
        self.names, self.known = model.class_names, known
        self._counts = []  # of the classes of the weights, by each variable that was taken over
        self._outputs = {
            id(variable): outputs
            for part, layers in model.class_outputs().items()
            for name, outputs in layers.items()
            for variable in model.parts()[part].get_layer(name).weights
        }

    def __contains__(self, variable) -> bool:
        """Whether a variable has rows of classes."""
        return id(variable) in self._outputs

    def fit(self, pair: Pair, value: np.ndarray | None) -> bool:
        """Whether a tensor differs from the variable's own in its classes at most; so does none."""
        return value is None or self._count(pair, value) is not None

    def taken_over(self, pair: Pair, value: np.ndarray | None) -> np.ndarray | None:
        """The variable's values with the rows that a tensor has for the model's classes.

        Args:
            pair: the variable and its layout.
            value: the tensor, for which `fit` is true.

        Returns:
            None if the tensor has no row for a class of the model.
        """
        if value is None:
            return None
        count = self._count(pair, value)
        self._counts.append(count)
        places = source_places(self.names, self.known, count)
        outputs = self._outputs[id(pair.variable)]
        return with_rows(pair.variable.numpy(), pair.layout.inward(value), outputs, places)

    def _count(self, pair: Pair, value: np.ndarray) -> int | None:
        """How many classes a tensor has rows for; None if it is of a layer of another shape."""
        if value.ndim != pair.outside().ndim:
            return None
        try:
            values = pair.layout.inward(value)
        except ValueError:  # it cannot be reshaped into boxes
            return None
        outputs, own = self._outputs[id(pair.variable)], pair.variable.shape
        of_a_class = own[-1] // (len(self.names) + outputs.background)
        count, rest = divmod(values.shape[-1], of_a_class)
        count -= outputs.background
        fits = values.shape[:-1] == tuple(own[:-1]) and rest == 0 and count > 0
        return count if fits else None

    def told(self) -> str:
        """What became of the classes, in a sentence; "" where weights and model have the same."""
        # A layer that all classes share in the weights, but not in the model, counts one.
        return told(self.names, self.known, max(self._counts)) if self._counts else ""


def source_places(
    names: Sequence[str], known: Sequence[str] | None, count: int
) -> list[int | None]:
    """The place of each class of a model among the classes of the weights; None if it has none.

    Args:
        names: the model's classes.
        known: the classes of the weights; None where they are not named.
        count: how many classes the weights have rows for.
    """
    if known is None:
        return [place if count == len(names) else None for place in range(len(names))]
    if count != len(known):  # these names are not of these rows
        return [None] * len(names)
    return places_by_name(names, known)


def with_rows(
    own: np.ndarray, values: np.ndarray, outputs: ClassOutputs, places: Sequence[int | None]
) -> np.ndarray | None:
    """The model's values of a variable, with the rows that the weights have for its classes.

    Args:
        own: a kernel or a bias whose last axis are the outputs: B * (1 + N) * V of them, or
            B * N * V where the background has none. V are the values of a class, B whatever else
            there are outputs for (anchors, say).
        values: the same of the weights, of another number of classes.
        outputs: how they belong to the classes.
        places: from `source_places`.

    Returns:
        An array of the shape of `own`; None if the weights have no row for a class of the model.
    """
    if all(place is None for place in places):
        return None
    first = int(outputs.background)
    rows = [(0, 0)] * first
    rows += [(first + i, first + place) for i, place in enumerate(places) if place is not None]
    to, origin = map(list, zip(*rows, strict=True))
    result = own.reshape(*own.shape[:-1], -1, first + len(places), outputs.values).copy()
    given = values.reshape(*values.shape[:-1], result.shape[-3], -1, outputs.values)
    result[..., to, :] = given[..., origin, :]
    return result.reshape(own.shape)


def told(names: Sequence[str], known: Sequence[str] | None, count: int) -> str:
    """What became of the classes, in a sentence; "" where weights and model have the same.

    Args:
        names: as in `source_places`, like the next two.
        known: the classes of the weights.
        count: how many they are.
    """
    if known is None and count == len(names):
        return f"the weights do not name their {count}: they are taken for the model's, in order"
    if known is None:
        return f"the weights have {count} without names, the model {len(names)}: all start anew"
    if tuple(names) == tuple(known):
        return ""
    places = source_places(names, known, count)
    kept = [name for name, place in zip(names, places, strict=True) if place is not None]
    anew = [name for name in names if name not in kept]
    unused = {place - 1 for place in unused_slots(known)}
    total, others = len(known) - len(unused), len({*range(len(known))} - {*places} - unused)
    starts = f"{_quoted(anew)} {'starts' if len(anew) == 1 else 'start'} anew"
    if not kept:
        return f"{starts}, not being among the {total} of the weights"
    parts = [f"{_quoted(kept)} {'keeps its row' if len(kept) == 1 else 'keep their rows'}"]
    parts += [starts] * bool(anew)
    parts += [f"{others} of the weights' {total} are left out"] * bool(others)
    return "; ".join(parts)


def _quoted(names: Sequence[str]) -> str:
    """'a', 'b' and 'c'; of many names the first few, and how many more."""
    quoted = [f"'{name}'" for name in names]
    if 1 < len(quoted) <= 6:
        return ", ".join(quoted[:-1]) + f" and {quoted[-1]}"
    return listed(quoted, 6)
