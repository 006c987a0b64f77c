"""explore_roi: one RoI on a feature map, and what three operators pool from it."""

import numpy as np
import tensorflow as tf
import traitlets
from matplotlib import colormaps
from matplotlib.figure import Figure

from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.io.images import read_image
from labkit.ops import roi as roi_ops
from labkit.ops.roi_exact import precise_roi_pool
from labkit.viz.colors import INK, PREDICTION
from labkit.widgets.explorer import Box, Explorer, data_url, script
from labkit.widgets.sketch import haloed

OPERATORS = {"pool": "RoIPool", "crop_and_resize": "crop_and_resize", "align": "RoIAlign"}
EXACT = "exact mean"
RATIOS = (1, 2, 4, 0)  # samples per bin along each axis; 0 is adaptive
LARGEST = 64  # cells along a side: with more, the cells are too small on the screen
COLORS = colormaps["cividis"]


class RoiExplorer(Explorer):
    """A RoI on a feature map, and three operators that pool it. See `explore_roi`."""

    _esm = script("geometry.js", "roi.js")
    box = Box([0, 0, 1, 1]).tag(sync=True)
    operator = traitlets.Enum(tuple(OPERATORS), "align").tag(sync=True)
    output = traitlets.Int(4, min=1, max=7).tag(sync=True)
    sampling_ratio = traitlets.Enum(RATIOS, 2).tag(sync=True)
    aligned = traitlets.Bool(True).tag(sync=True)
    channel = traitlets.Int(0, min=0).tag(sync=True)
    bin = traitlets.List(traitlets.Int(min=0), [0, 0], minlen=2, maxlen=2).tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # rows, columns, channels
    stride = traitlets.Float(1.0).tag(sync=True)
    map_url = traitlets.Unicode().tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)
    results = traitlets.Dict().tag(sync=True)  # what the browser shows of `values`
    names = traitlets.Dict(OPERATORS | {"exact": EXACT}).tag(sync=True)

    def __init__(self, features: np.ndarray, **traits):
        self.features = features
        super().__init__(shape=list(features.shape), **traits)
        self.observe(self._show_channel, ["channel"])
        self.observe(self._compute, ["box", "output", "sampling_ratio", "aligned", "channel"])
        self._show_channel()
        self._compute()

    @traitlets.validate("channel")
    def _channel_exists(self, proposal):
        channels = self.features.shape[2]
        if proposal["value"] >= channels:
            raise traitlets.TraitError(
                f"channel must be below {channels}, the number of the map's channels, got "
                f"{proposal['value']}."
            )
        return proposal["value"]

    @property
    def values(self) -> dict:
        """What labkit's operators pool from the RoI.

        Returns:
            By operator's name and "exact" a float array [output, output]; "errors", the mean
            |difference| from the exact mean, as a share of the map's range; "cells", the RoI in
            cells; "quantised", RoIPool's first and last cells.
        """
        chosen = self.features[None, :, :, self.channel, None]
        x, box = tf.constant(chosen), tf.constant([self.box], tf.float32)
        scale, shape = 1.0 / self.stride, [n * self.stride for n in self.shape[:2]]
        pooled = {
            "pool": roi_ops.roi_pool(x, box, [0], self.output, scale),
            "crop_and_resize": roi_ops.roi_crop_and_resize(x, box, [0], self.output, shape),
            "align": roi_ops.roi_align(
                x, box, [0], self.output, scale, self.sampling_ratio, self.aligned
            ),
            "exact": precise_roi_pool(chosen, [self.box], [0], self.output, scale),
        }
        pooled = {name: np.asarray(value)[0, :, :, 0] for name, value in pooled.items()}
        extent = float(np.ptp(chosen)) or 1.0
        errors = {
            name: float(np.abs(pooled[name] - pooled["exact"]).mean()) / extent
            for name in OPERATORS
        }
        cells = [v * scale for v in self.box]
        quantised = [int(np.floor(v + 0.5)) for v in cells]
        return pooled | {"errors": errors, "cells": cells, "quantised": quantised}

    def _show_channel(self, change=None):
        colored = self._colored(self.features[..., self.channel])
        self.map_url = data_url((255 * colored).round().astype(np.uint8))

    def _compute(self, change=None):
        found = self.values
        names = (*OPERATORS, "exact")
        self.results = {
            "errors": found["errors"],
            "values": {n: found[n].round(4).tolist() for n in names},
            "colors": {n: (255 * self._colored(found[n])).round().tolist() for n in names},
        }

    def _colored(self, values: np.ndarray) -> np.ndarray:
        """The values in the colours of the map, RGB in 0..1 [..., 3]."""
        chosen = self.features[..., self.channel]
        return COLORS((values - chosen.min()) / (np.ptp(chosen) or 1.0))[..., :3]

    def draw(self):
        found = self.values
        figure = Figure(figsize=(9, 6.6), layout="constrained")
        grid = figure.add_gridspec(2, 4, height_ratios=(1.75, 1))
        ax = figure.add_subplot(grid[0, :])
        rows, columns = (n * self.stride for n in self.shape[:2])
        ax.imshow(self._colored(self.features[..., self.channel]), extent=(0, columns, rows, 0))
        y1, x1, y2, x2 = found["quantised"]
        quantised = [v * self.stride for v in (y1, x1, y2 + 1, x2 + 1)]  # with the last cell
        haloed(ax, quantised, "white", "--", halo=INK, width=2.5)
        haloed(ax, self.box, PREDICTION, "-", halo=INK, width=2.5)
        ax.set_title("the RoI (solid) and RoIPool's cells (dashed)", fontsize=12)
        ax.set(xticks=[], yticks=[])
        for i, (name, title) in enumerate(self.names.items()):
            small = figure.add_subplot(grid[1, i])
            small.imshow(self._colored(found[name]))
            error = found["errors"].get(name)
            words = "the reference" if error is None else f"off by {100 * error:.1f} %"
            small.set_title(f"{title}\n{words}", fontsize=12)
            small.set(xticks=[], yticks=[])
            if self.output <= 4:
                _write(small, found[name])
        errors = ", ".join(
            f"{title} {100 * found['errors'][n]:.1f} %" for n, title in OPERATORS.items()
        )
        return figure, (
            "A feature map with one region of interest, and below it what three operators pool "
            "there, beside the exact mean. Mean difference from it, in per cent of the map's "
            f"range: {errors}."
        )


def _write(ax, values: np.ndarray) -> None:
    white = {"facecolor": "white", "alpha": 0.8, "pad": 0.8, "linewidth": 0}
    for (y, x), value in np.ndenumerate(values):
        ax.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=10, color=INK, bbox=white)


def _blocks(image: np.ndarray, stride: int) -> np.ndarray:
    """The brightness of an image [H, W, 3], averaged over squares of `stride` pixels."""
    height, width = (n // stride for n in image.shape[:2])
    gray = image[: height * stride, : width * stride].astype(np.float32).mean(axis=-1) / 255
    return gray.reshape(height, stride, width, stride).mean(axis=(1, 3))[..., None]


def explore_roi(
    features=None,
    image=None,
    box=None,
    *,
    stride: float | None = None,
    operator: str = "align",
    output: int = 4,
    sampling_ratio: int = 2,
    aligned: bool = True,
    channel: int | None = None,
) -> RoiExplorer:
    """One RoI to move by fractions of a pixel, pooled by RoIPool, crop_and_resize and RoIAlign.

    The explorer can be changed from code (`w.box = ...`) and read (`w.values`).

    Args:
        features: one feature map [H, W] or [H, W, C] of at most 64 cells per side, such as
            `model.trace(image).features[0]`; by default the image's brightness in squares.
        image: that the map was computed from, as the network saw it (`trace.seen`); of any kind
            that `model.detect` takes. It can be shown under the RoI. Without both: drawn shapes.
        box: the RoI (y1, x1, y2, x2), in pixels of that image (without one: in cells).
        stride: pixels per cell; by default the image's side divided by the map's.
        operator: whose sampling is drawn on the map, "pool", "crop_and_resize" or "align".
        output: cells along each side of the result, as in `labkit.roi_align`.
        sampling_ratio: as in `labkit.roi_align`; 0 is adaptive.
        aligned: as in `labkit.roi_align`.
        channel: of the map; by default the one with the largest standard deviation.

    Raises:
        LabkitError: the map is not a feature map, too large, or does not fit the image.
    """
    picture = None if image is None else read_image(image)
    if features is None:
        if picture is None:
            picture = shapes(1, 128, seed=3)[0].image
        stride = int(stride or max(4, -(-max(picture.shape[:2]) // 32)))
        features = _blocks(picture, stride)
    features = _checked(features)
    height, width, _ = features.shape
    if stride is None:
        stride = 1.0 if picture is None else picture.shape[0] / height
    if picture is not None and (
        abs(picture.shape[0] - stride * height) >= stride
        or abs(picture.shape[1] - stride * width) >= stride
    ):
        raise LabkitError(
            f"explore_roi: the map has {height} x {width} cells and the image {picture.shape[0]} x "
            f"{picture.shape[1]} pixels, which is not the same number of pixels a cell both ways: "
            "give the image as the network saw it (trace.seen)."
        )
    if channel is None:
        channel = int(np.std(features, axis=(0, 1)).argmax())
    if box is None:
        unit = np.float64([height, width] * 2) * stride
        box = unit * [0.23, 0.28, 0.58, 0.66]
    picture_url = ""
    if picture is not None:
        picture_url = data_url(picture[: round(height * stride), : round(width * stride)])
    return RoiExplorer(
        features,
        box=box,
        stride=float(stride),
        operator=operator,
        output=output,
        sampling_ratio=sampling_ratio,
        aligned=aligned,
        channel=channel,
        picture_url=picture_url,
        caption="Move the RoI with the arrow keys, a quarter of a pixel at a time. Which numbers "
        "jump, and which change smoothly? Then make it small, and then large.",
    )


def _checked(features) -> np.ndarray:
    """The map as float32 [H, W, C]; LabkitError if it cannot be shown."""
    try:
        checked = np.asarray(features, np.float32)
    except (TypeError, ValueError):
        raise LabkitError("explore_roi: features must be numbers [H, W] or [H, W, C].") from None
    if checked.ndim == 2:
        checked = checked[..., None]
    if checked.ndim != 3 or 0 in checked.shape:
        raise LabkitError(
            f"explore_roi: features must be one map [H, W] or [H, W, C], got the shape "
            f"{np.shape(features)}; of a batch, give features[0]."
        )
    if max(checked.shape[:2]) > LARGEST:
        raise LabkitError(
            f"explore_roi: a map of {checked.shape[0]} x {checked.shape[1]} cells is too fine to "
            f"be seen; give a part of it, features[:{LARGEST}, :{LARGEST}], or a coarser level."
        )
    if not np.isfinite(checked).all():
        raise LabkitError("explore_roi: features hold NaN or infinity, which have no mean.")
    return checked
