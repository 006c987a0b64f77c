"""Weights that need no file: the same for a name and a shape, in any program that has NumPy.

A layer of random weights easily hides a mistake. Here nothing is 0 or 1 where another value would
make a difference, variances go down to 1e-4, where the epsilon of a norm counts, and the last norm
of a residual branch is small, so that a hundred sums in a row stay in range.
"""

import zlib

import numpy as np

IMAGE = (64, 96, 3)


def image() -> np.ndarray:
    """An RGB image [64, 96, 3] of noise, uint8."""
    return np.random.default_rng(5).integers(0, 256, IMAGE, np.uint8)


def tensor(name: str, shape: tuple[int, ...], ends_a_branch: bool = False) -> np.ndarray:
    """The values of a tensor of torch's: a kernel, or a vector of a batch norm.

    Args:
        name: of the tensor, as in a state_dict: what it is follows from its end.
        shape: of the tensor; [out, in, height, width] of a kernel.
        ends_a_branch: whether it belongs to the last norm of a residual branch.
    """
    layer, _, part = name.rpartition(".")
    z = _random(name).standard_normal(shape, np.float32)
    if part == "weight" and len(shape) == 4:
        return z * np.float32(np.sqrt(2 / np.prod(shape[1:])))  # He et al. 2015
    gamma, beta, mean, variance = norm(layer, shape[0], ends_a_branch)
    return {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}[part]


def into_keras(model, last_of_branch: str = "no layer"):
    """A model of `keras.applications` with such weights, by the names of its layers.

    Args:
        model: to change; it is also returned.
        last_of_branch: how the names of norms end that end a residual branch.
    """
    for layer in model.layers:
        shapes = [v.shape for v in layer.weights]
        if len(shapes) == 4:  # gamma, beta, mean, variance
            ends = layer.name.endswith(last_of_branch)
            layer.set_weights(norm(layer.name, shapes[0][0], ends))
        elif shapes:
            height, width, inputs, outputs = shapes[0]
            inputs = 1 if outputs == 1 else inputs  # a depthwise kernel is [height, width, in, 1]
            rng = _random(layer.name)
            kernel = rng.normal(0, np.sqrt(2 / (height * width * inputs)), shapes[0])
            layer.set_weights([kernel, *(rng.normal(0, 0.2, s) for s in shapes[1:])])
    return model


def norm(layer: str, channels: int, ends_a_branch: bool = False) -> list[np.ndarray]:
    """A batch norm's gamma, beta, mean and variance; gamma makes up for the variance."""
    rng = _random(layer)
    variance = 10 ** rng.uniform(-4, 0.5, channels)
    gamma = rng.uniform(0.5, 1.5, channels) * np.sqrt(variance) * (0.3 if ends_a_branch else 1.0)
    beta, mean = rng.normal(0, 0.2, (2, channels))
    return [v.astype(np.float32) for v in (gamma, beta, mean, variance)]


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))
