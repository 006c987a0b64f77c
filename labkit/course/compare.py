"""Whether two answers are equal, and if not, the first difference in words."""

import numpy as np


def as_arrays(answer) -> list[np.ndarray] | None:
    """A number, array or tensor, or a tuple or list of them, as a list of arrays; else None."""
    if isinstance(answer, dict):
        return None
    several = isinstance(answer, tuple) or (
        isinstance(answer, list)
        and any(
            np.ndim(a) != np.ndim(answer[0]) or np.shape(a) != np.shape(answer[0]) for a in answer
        )
    )
    try:
        arrays = [np.asarray(a) for a in (answer if several else [answer])]
    except (TypeError, ValueError):
        return None
    return arrays if all(a.dtype.kind in "biuf" for a in arrays) else None


def difference(mine, truth, tolerance: float) -> str:
    """What is wrong with `mine`, as the end of a sentence; "" if it is right."""
    answers, truths = as_arrays(mine), as_arrays(truth)
    if mine is None:
        return "it returns nothing: is there a `return`?"
    if answers is None:
        return f"it returns a {type(mine).__name__}, not numbers"
    if len(answers) != len(truths):
        return f"it returns {len(answers)} thing(s) instead of {len(truths)}"
    for answer, true in zip(answers, truths, strict=True):
        if answer.shape != true.shape:
            return f"its shape is {answer.shape} instead of {true.shape}"
        if true.dtype.kind == "b" and answer.dtype.kind != "b":
            return f"it holds {answer.dtype} instead of true and false"
        if true.dtype.kind != "b" and answer.dtype.kind == "b":
            return "it holds true and false instead of numbers"
        problem = _worst(answer, true, tolerance)
        if problem:
            return problem
    return ""


def same(mine, truth, tolerance: float) -> bool:
    return difference(mine, truth, tolerance) == ""


def _worst(answer: np.ndarray, true: np.ndarray, tolerance: float) -> str:
    answer, true = answer.astype(np.float64), true.astype(np.float64)
    odd = ~np.isfinite(answer) & ~(answer == true) & ~(np.isnan(answer) & np.isnan(true))
    if odd.any():
        value = answer[odd].flat[0]
        return f"it holds {'NaN (0/0?)' if np.isnan(value) else 'an infinite number'}"
    both = np.isfinite(true)
    error = np.abs(answer[both] - true[both]) - tolerance * (1 + np.abs(true[both]))
    if (error > 0).any():
        return f"the largest difference is {np.abs(answer[both] - true[both]).max():.3g}"
    return ""
