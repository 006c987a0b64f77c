"""labkit's own files of weights: Keras' HDF5 (`.weights.h5`), without the state of the optimizer.

For Adam that state is twice the size of the weights, and only a checkpoint needs it, which has it
in a file of its own.
"""

import io
from pathlib import Path

import keras


def weights_as_bytes(model: keras.Model) -> bytes:
    """The content of a `.weights.h5` file, made in memory.

    HDF5's library, writing to a disk that is full, ends the whole process; a plain file written by
    Python raises an error.
    """
    memory = _Memory()
    keras.saving.save_weights(model, memory, objects_to_skip=_optimizer_of(model))
    return memory.getvalue()


def load_own_weights(model: keras.Model, path: Path) -> None:
    """Read what `weights_as_bytes` made; files of an older labkit hold an optimizer, too."""
    keras.saving.load_weights(model, path, objects_to_skip=_optimizer_of(model))


def _optimizer_of(model: keras.Model) -> list:
    optimizer = getattr(model, "optimizer", None)
    return [] if optimizer is None else [optimizer]


class _Memory(io.BytesIO):
    """A file in memory with a name that Keras' check of the ending accepts."""

    def __str__(self) -> str:
        return "memory.weights.h5"
