"""Gradients of a network against the reference's: their norms, and samples of their values."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from labkit.parity.check import Check
from labkit.parity.golden import Golden


def compare_gradients(
    pairs, tape: tf.GradientTape, loss: tf.Tensor, g: Golden, mode: str, title: str, bound: float
) -> Iterator[Check]:
    """Compares what the reference's files hold of a mode: `{mode}_grad_*`.

    Args:
        pairs: the model's variables and their places outside, see `labkit.weights`.
        tape: recorded the loss.
        loss: the weighted sum of the losses.
        g: the file of the reference.
        mode: the first part of the names in it.
        title: the first part of the checks' names.
        bound: how much norms may differ, relatively, and values in units of their norm.
    """
    place = {name: i for i, name in enumerate(g[f"{mode}_grad_names"])}
    trained = [p for p in pairs if p.name in place]
    gradients = tape.gradient(loss, [p.variable.value for p in trained])
    norms = Check(f"{title}: gradient norms", atol=1e-7, rtol=bound)
    values = Check(f"{title}: gradients, in units of their norm", atol=bound)
    norms.add(len(trained), len(place))
    for pair, gradient in zip(trained, gradients, strict=True):
        i = place[pair.name]
        ours, norm = pair.outside(gradient), g[f"{mode}_grad_norm"][i]
        norms.add(np.linalg.norm(ours.astype(np.float64)), norm)
        norms.add(np.linalg.norm(ours.astype(np.float64)), g[f"{mode}_grad_norm_f64"][i])
        unit = max(float(norm), 1e-7)
        some = ours.ravel()[g[f"{mode}_grad_idx"][i]]
        values.add(some / unit, g[f"{mode}_grad_val"][i] / unit)
    yield norms
    yield values
