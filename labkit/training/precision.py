"""Mixed precision: convolutions and dense layers in 16 bits, everything else in 32.

float16 halves the memory of activations and, on a GPU with tensor cores, the time of a step;
bfloat16 has float32's range, and needs no loss scaling (Micikevicius et al. 2018; Kalamkar et al.
2019). Weights stay float32. So does all that follows a network's outputs, because the model casts
them: pixels beyond 2048 have no halves in float16, and a sum of 256 probabilities no third digit.
"""

import contextlib
from collections.abc import Iterator

from labkit.training.stages import layer_paths


@contextlib.contextmanager
def computing_in(model, precision: str) -> Iterator[None]:
    """Within the block the model's layers compute in `precision`, a name of Keras' dtype policies.

    Afterwards they compute as before. A compiled function keeps the precision it was traced in, so
    the model's own for detection is traced anew on both sides.
    """
    if precision == "float32":
        yield
        return
    layers = [layer for _, layer in layer_paths(model)]
    before = [layer.dtype_policy for layer in layers]
    model._detect_graph = None
    try:
        for layer in layers:
            layer.dtype_policy = precision
        yield
    finally:
        model._detect_graph = None
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
