"""The running average of the weights, which is often better than the weights themselves.

A step overshoots, the next one comes back: the average of them (Polyak & Juditsky 1992) stands
still in between. Keras' optimizers keep it (`use_ema`); here it is put into the model where one
wants to see it: for validation, for the best checkpoint, and at the end of every stage, where
Keras' `fit` leaves it in the model.
"""

import contextlib
from collections.abc import Iterator

from labkit.training.schedules import inner


def keeps_average(model) -> bool:
    """Whether the optimizer of a compiled model averages the weights."""
    return bool(inner(model.optimizer).use_ema) and bool(model.optimizer.built)


@contextlib.contextmanager
def averaged(model) -> Iterator[None]:
    """Within the block the model has the averaged weights; without an average, its own."""
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
