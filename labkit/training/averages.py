"""The running average of the weights, which is often better than the weights themselves.

A step overshoots and the next one comes back; their average (Polyak & Juditsky 1992) stays in
between. Keras' optimizers keep it (`use_ema`). Here it is put into the model for validation and for
the best checkpoint; at the end of every stage Keras' `fit` leaves it there.
"""

import contextlib
from collections.abc import Iterator

from labkit.training.schedules import inner


def keeps_average(model) -> bool:
    """Whether the optimizer of a compiled model has averaged weights, from its first step on."""
    optimizer = inner(model.optimizer)
    return bool(optimizer.use_ema and model.optimizer.built) and int(optimizer.iterations) > 0


@contextlib.contextmanager
def averaged(model) -> Iterator[None]:
    """Within the block, the model has the averaged weights, or its own if no average is kept."""
    if not keeps_average(model):
        yield
        return
    variables = model.trainable_variables
    own = [variable.numpy() for variable in variables]
    model.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)
