"""The yardstick of RoI operators: the exact mean of the interpolated map over each bin.

`labkit.roi_align` estimates that mean from a few samples. Where a map is read between its cells by
bilinear interpolation it can also be had exactly: along one axis the surface is a row of straight
pieces, whose integral is a sum of parabolas. In numpy and without a gradient: it measures the
others, nothing is trained through it.
"""

import numpy as np

SHORTEST = 1e-4  # cells; the mean over less than this is the value there, and only rounding is lost


def precise_roi_pool(
    features: np.ndarray, boxes: np.ndarray, image_index: np.ndarray, output: int, scale: float
) -> np.ndarray:
    """The exact mean over each bin of each RoI: float64 [K, output, output, C].

    features: [B, H, W, C]. boxes: [K, 4] in image pixels. image_index: int [K], each RoI's image.
    scale: cells a pixel (1/stride). Cell i is centred at i + 0.5, as in `roi_align` with aligned;
    beyond the outermost centres the map continues as its border. Samples of `roi_align` that lie
    more than a cell outside the map count as 0, here they do not: inside the image both agree.
    Source: Precise RoI Pooling (Jiang et al. 2018, "Acquisition of Localization Confidence"), with
    half-pixel centres.
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
    """How much each of `length` cells counts in the mean over each bin: float64 [output, length].

    start, end: of the RoI along one axis, in cells, with the centre of cell i at i. Every row sums
    to 1.
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
