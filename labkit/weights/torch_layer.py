"""torch's names and layouts for the variables of one layer: what every format of torch shares.

A kernel is [out, in, height, width] in torch and [height, width, in, out] in Keras; a depthwise one
[channels, 1, height, width] and [height, width, channels, 1]; a dense layer's [out, in] and
[in, out].
"""

from collections.abc import Iterator

import numpy as np

from labkit.errors import LabkitError
from labkit.weights.pair import PLAIN, Layout, Pair

COUNTER = "num_batches_tracked"  # how many batches a norm of torch's has seen; not used here
# What a file may hold beside the weights, and why it is left out: see `Format.skipped`.
COUNTERS = {f"{COUNTER}$": "counters that nothing reads"}
CLASSIFIER = "ImageNet's classifier, which a detector has no use for"

CONV = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))
DECONV = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))
DEPTHWISE = Layout(lambda a: a.transpose(2, 3, 0, 1), lambda a: a.transpose(2, 3, 0, 1))
DENSE = Layout(np.transpose, np.transpose)


def flattened(side: int) -> Layout:
    """The layout of a dense layer on a flattened map: torch flattens [C, H, W], Keras [H, W, C]."""

    def inward(a):
        return a.reshape(len(a), -1, side, side).transpose(2, 3, 1, 0).reshape(-1, len(a))

    def outward(a):
        units = a.shape[1]
        return a.reshape(side, side, -1, units).transpose(3, 2, 0, 1).reshape(units, -1)

    return Layout(inward, outward)


def _swap_boxes(a: np.ndarray) -> np.ndarray:
    """Rows of (x, y, w, h) as rows of (y, x, h, w), and back."""
    return a.reshape(-1, 4, *a.shape[1:])[:, [1, 0, 3, 2]].reshape(a.shape)


BOX_ROWS = Layout(_swap_boxes, _swap_boxes)


def then(first: Layout, second: Layout) -> Layout:
    """Two layouts combined; on the way back to torch `first` is applied last."""
    return Layout(
        lambda a: second.inward(first.inward(a)), lambda a: first.outward(second.outward(a))
    )


def check_backbone(model, backbone: str, network: str) -> None:
    """Raises LabkitError where weights of a network are given to a model of another backbone."""
    if model.config.backbone != backbone:
        raise LabkitError(
            f"these are weights of {network}, and the model's backbone is "
            f"'{model.config.backbone}': make it with backbone='{backbone}'."
        )


def pairs_of_layer(
    name: str, layer, kernel: Layout = CONV, rows: Layout | None = None
) -> Iterator[Pair]:
    """The variables of one layer with their names in a state_dict.

    Args:
        name: of the layer there.
        layer: a batch norm, or a layer with a kernel; others have no pairs.
        kernel: the layout of its kernel.
        rows: a layout of its outputs, common to kernel and bias.
    """
    if hasattr(layer, "moving_mean"):
        yield Pair(f"{name}.weight", layer.gamma, PLAIN)
        yield Pair(f"{name}.bias", layer.beta, PLAIN)
        yield Pair(f"{name}.running_mean", layer.moving_mean, PLAIN)
        yield Pair(f"{name}.running_var", layer.moving_variance, PLAIN)
    elif layer.weights:
        yield Pair(f"{name}.weight", layer.kernel, then(rows, kernel) if rows else kernel)
        if layer.bias is not None:
            yield Pair(f"{name}.bias", layer.bias, rows or PLAIN)
