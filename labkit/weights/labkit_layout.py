"""The names that Keras 3 gives the variables of a model of ours in a .weights.h5 file.

Keras derives such a path from attributes, lists of layers and counters: the third convolution of
the backbone is `backbone/layers/conv2d_2/vars/0`, whatever its own name is. Instead of repeating
these rules here we let Keras apply them. A layer saves its variables in `save_own_variables`, a
method that Keras invites layers to override. For a moment each layer saves marks in their place,
and the file that Keras writes then shows which variable went where.
"""

from __future__ import annotations

import contextlib
import functools
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from labkit.errors import LabkitError
from labkit.weights.pair import Format, Pair

if TYPE_CHECKING:  # Keras takes seconds to import; `labkit info --pretrained` does without
    import keras


def recognises(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether the names are paths that Keras 3 makes."""
    return any(re.search(r"(^|/)vars/\d+$", name) for name in tensors)


def pairs(model: keras.Model) -> Iterator[Pair]:
    """Every weight of the model with its path in the file, in the model's order."""
    paths = {id(variable): path for path, variable in variables_by_path(model).items()}
    for variable in model.weights:
        if id(variable) not in paths:
            raise LabkitError(
                f"Keras saves {variable.path} in a way of its layer's own, which labkit cannot "
                "map: read the file with model.load_weights(file)."
            )
        yield Pair(paths[id(variable)], variable)


def variables_by_path(model: keras.Model) -> dict[str, object]:
    """The variables of the model's layers by the paths that `model.save_weights` gives them."""
    variables: list = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "marks.weights.h5"
        with _saving_marks(dict.fromkeys(_layers(model)), variables):
            model.save_weights(path)
        with h5py.File(path, "r") as file:
            shapes: dict[str, tuple] = {}
            file.visititems(lambda name, item: shapes.update({name: getattr(item, "shape", ())}))
    # Anything else in the file, such as the state of a metric, has values and is not a mark.
    return {name: variables[s[1]] for name, s in shapes.items() if len(s) == 2 and s[0] == 0}


def _layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """A layer, and the layers within it if it is a model."""
    yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _layers(inner)


@contextlib.contextmanager
def _saving_marks(layers: Iterable[keras.layers.Layer], variables: list) -> Iterator[None]:
    """Within the block the layers save marks, and append the variables that they stand for."""
    for layer in layers:
        layer.save_own_variables = functools.partial(_mark, layer.save_own_variables, variables)
    try:
        yield
    finally:
        for layer in layers:
            del layer.save_own_variables  # the class's method shows again


def _mark(save_own_variables, variables: list, store) -> None:
    """Save an array [0, n] of no values for the variable that is number n of the list."""
    own: dict[str, object] = {}
    save_own_variables(own)
    for key, variable in own.items():
        store[key] = np.empty((0, len(variables)))
        variables.append(variable)


FORMAT = Format(
    name="labkit's own (.weights.h5)",
    recognises=recognises,
    pairs=pairs,
    skipped={
        r"^(optimizer/|vars/|loss_trackers/)": "an optimizer's or a metric's state, not the model's"
    },
)
