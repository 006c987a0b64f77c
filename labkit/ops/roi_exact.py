"""The reference for RoI operators: the exact mean of the interpolated map over each bin.

`labkit.roi_align` estimates that mean from a few samples. It can also be computed exactly: along
one axis, bilinear interpolation is piecewise linear, and its integral is a sum of parabolas. In
NumPy and without a gradient, because it only serves to measure the other operators.
"""

import numpy as np

SHORTEST = (
    1e-4  # cells; over a shorter bin, the difference of two integrals would be rounding error
)


def precise_roi_pool(
    features: np.ndarray, boxes: np.ndarray, image_index: np.ndarray, output: int, scale: float
) -> np.ndarray:
    """The exact mean over each bin of each RoI.

    Cell i is centred at i + 0.5, as in `roi_align` with `aligned`, and beyond the outermost centres
    the map continues as its border. (Only outside the image do the two differ: for `roi_align`, the
    map is 0 more than a cell outside.)
    Source: Precise RoI Pooling (Jiang et al. 2018, "Acquisition of Localization Confidence"), with
    half-pixel centres.

    Args:
        features: [B, H, W, C], a feature map for each image.
        boxes: [K, 4], the RoIs, in pixels of the image.
        image_index: int [K], the image that each RoI belongs to.
        output: number of bins along each side of a RoI.
        scale: cells per pixel (1/stride).

    Returns:
        float64 [K, output, output, C].
    """
    features = np.asarray(features, np.float64)
    cells = np.asarray(boxes, np.float64).reshape(-1, 4) * scale - 0.5
    pooled = np.zeros((len(cells), output, output, features.shape[-1]))
    for k, (y1, x1, y2, x2) in enumerate(cells):
        rows = bin_weights(y1, y2, output, features.shape[1])
        columns = bin_weights(x1, x2, output, features.shape[2])
        pooled[k] = np.einsum("ph,hwc,qw->pqc", rows, features[image_index[k]], columns)
    return pooled


def bin_weights(start: float, end: float, output: int, length: int) -> np.ndarray:
    """How much each cell counts in the mean over each bin, along one axis.

    Args:
        start: where the RoI begins, in cells, with the centre of cell i at i.
        end: where it ends.
        output: number of bins.
        length: number of cells.

    Returns:
        float64 [output, length]; every row sums to 1.
    """
    edges = np.linspace(start, max(end, start + SHORTEST * output), output + 1)
    low, high = edges[:-1, None], edges[1:, None]
    last = length - 1
    weights = _hats_up_to(np.clip(high, 0, last), length) - _hats_up_to(
        np.clip(low, 0, last), length
    )
    weights[:, :1] += np.minimum(high, 0) - np.minimum(low, 0)
    weights[:, -1:] += np.maximum(high, last) - np.maximum(low, last)
    return weights / (high - low)


def _hats_up_to(at: np.ndarray, length: int) -> np.ndarray:
    """Each cell's hat max(0, 1 - |t - i|), integrated over t up to `at` [P, 1]: [P, length]."""

    # A hat is ramp(t + 1) - 2 ramp(t) + ramp(t - 1), and the integral of a ramp is half its square.
    def ramp_area(t):
        return 0.5 * np.maximum(t, 0.0) ** 2

    t = at - np.arange(length)
    return ramp_area(t + 1) - 2 * ramp_area(t) + ramp_area(t - 1)
