"""An optimizer that does not look for other replicas where there are none."""

import contextlib
from collections.abc import Iterator

ALL_REDUCE = "_all_reduce_sum_gradients"  # of Keras' optimizers on TensorFlow


@contextlib.contextmanager
def one_replica(optimizer) -> Iterator[None]:
    """Within the block the optimizer applies gradients as they are, without a sum over replicas.

    TensorFlow keeps the gradient of that sum for as long as Python runs, and with it the graph of
    the training step it is in: every training would cost memory that is never given back.
    """
    owners = [optimizer, getattr(optimizer, "inner_optimizer", None)]  # of a loss-scaling one
    owners = [vars(owner) for owner in owners if hasattr(owner, ALL_REDUCE)]
    for owner in owners:
        owner[ALL_REDUCE] = lambda pairs: pairs
    try:
        yield
    finally:
        for owner in owners:
            del owner[ALL_REDUCE]
