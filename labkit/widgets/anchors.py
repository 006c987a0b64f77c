"""explore_anchors: the grid of anchors on an image, and which objects no anchor fits."""

import functools

import numpy as np
import traitlets

from labkit.data.anchor_fit import POOR_IOU
from labkit.errors import LabkitError
from labkit.io.images import read_image
from labkit.models.config import Config
from labkit.models.inference import batch_of
from labkit.models.resize import Placement
from labkit.ops import boxes as box_ops
from labkit.ops.anchors import cell_anchors, pyramid_anchors
from labkit.viz.colors import INK, PREDICTION, TRUTH
from labkit.viz.labels import plain_text
from labkit.widgets.explorer import Boxes, Explorer, data_url, script
from labkit.widgets.sketch import haloed, sketch

LEVELS = ("P2", "P3", "P4", "P5", "P6")
RATIO_SETS = ((1.0,), (0.5, 1.0, 2.0), (1 / 3, 0.5, 1.0, 2.0, 3.0), (0.2, 1.0, 5.0, 10.0))
MOST_DRAWN = 6000  # rectangles that a browser can redraw while a slider moves

# Objects in scikit-image's photo of a rocket, which comes with the package, annotated by hand: two
# that are very thin, one that is very small, and two that are neither.
ROCKET = {
    "tower": [0, 0, 427, 92],
    "rocket": [126, 309, 407, 336],
    "nose cone": [126, 310, 179, 336],
    "lamp and rays": [370, 167, 426, 220],
    "lamp": [345, 78, 355, 88],
}


class AnchorsExplorer(Explorer):
    """A grid of anchors on an image. See `explore_anchors`.

    All lengths are in pixels of the image as the network sees it, resized and padded.

    Attributes:
        sizes: of the anchors, one per level, P2..P6.
        strides: likewise.
        at: (y, x); the anchors of the nearest cell are drawn.
    """

    _esm = script("geometry.js", "anchors.js")
    picture_url = traitlets.Unicode().tag(sync=True)
    canvas = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    place = traitlets.List(traitlets.Float(), minlen=4, maxlen=4).tag(sync=True)
    boxes = Boxes([]).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    level = traitlets.Int(0, min=0, max=4).tag(sync=True)
    at = traitlets.List(traitlets.Float(), [0.0, 0.0], minlen=2, maxlen=2).tag(sync=True)
    all_anchors = traitlets.Bool(False).tag(sync=True)
    sizes = traitlets.List(traitlets.Float(min=1.0), minlen=5, maxlen=5).tag(sync=True)
    strides = traitlets.List(traitlets.Int(min=2), minlen=5, maxlen=5).tag(sync=True)
    ratios = traitlets.List(traitlets.Float(min=0.02, max=50), minlen=1, maxlen=9).tag(sync=True)
    offset = traitlets.Float(0.5).tag(sync=True)
    rounding = traitlets.Bool(False).tag(sync=True)
    ratio_sets = traitlets.List().tag(sync=True)
    first = traitlets.Dict(help="The config's own sizes, strides and ratios.").tag(sync=True)
    most_drawn = traitlets.Int(MOST_DRAWN).tag(sync=True)
    poor_iou = traitlets.Float(POOR_IOU).tag(sync=True)
    found = traitlets.Dict(help="What labkit computed for this grid: `values`.").tag(sync=True)

    def __init__(self, **traits):
        super().__init__(**traits)
        self._compute()
        self.observe(self._compute, ["sizes", "strides", "ratios", "boxes"])

    @property
    def values(self) -> dict:
        """What labkit computed for this grid.

        Returns:
            Of each level `grids`, (rows, columns, pixels per row, pixels per column); `count` of
            anchors; how many are `inside` the image; and the share of it that is `covered`. Of each
            object `best`: its best IoU with any anchor, that anchor and its level (0 for P2).
            `uncovered`: the indices of the objects whose best IoU is below 0.5.
        """
        return dict(self.found)

    def _compute(self, change=None):
        levels = [
            _level(
                tuple(self.canvas),
                tuple(self.place),
                size,
                stride,
                tuple(self.ratios),
                self.rounding,
                self.offset,
                tuple(map(tuple, self.boxes)),
            )
            for size, stride in zip(self.sizes, self.strides, strict=True)
        ]
        best = []
        for i in range(len(self.boxes)):
            level = int(np.argmax([found["best"][i][0] for found in levels]))
            iou, anchor = levels[level]["best"][i]
            best.append({"iou": iou, "level": level, "anchor": anchor})
        self.found = {
            **{
                name: [found[name] for found in levels]
                for name in ("grids", "count", "inside", "covered")
            },
            "best": best,
            "uncovered": [i for i, b in enumerate(best) if b["iou"] < POOR_IOU],
        }

    @property
    def cell(self) -> list[int]:
        """Row and column of the cell of `level` with the centre nearest to `at`."""
        rows, columns, *stride = self.found["grids"][self.level]
        nearest = np.floor(np.divide(self.at, stride) - self.offset + 0.5)
        return np.clip(nearest, 0, [rows - 1, columns - 1]).astype(int).tolist()

    def shown(self) -> np.ndarray:
        """The anchors of `cell`, float32 [ratios, 4]."""
        stride = self.found["grids"][self.level][2:]
        centre = np.float32(np.add(self.cell, self.offset) * stride)
        return cell_anchors(self.sizes[self.level], self.ratios, self.rounding) + np.tile(centre, 2)

    def draw(self):
        figure, ax = sketch(self.canvas, self.picture_url, "", self.place)
        for box, name, best in zip(self.boxes, self.names, self.found["best"], strict=True):
            haloed(ax, box, TRUTH, "--")
            if best["iou"] < POOR_IOU:
                for y1, y2 in ((box[0], box[2]), (box[2], box[0])):  # a cross, with a halo
                    ax.plot([box[1], box[3]], [y1, y2], color="white", linewidth=4.5)
                    ax.plot([box[1], box[3]], [y1, y2], color=TRUTH, linewidth=2.5)
            label = f" {plain_text(name)}: {best['iou']:.2f}" + " ✗" * (best["iou"] < POOR_IOU)
            ax.text(
                box[3],
                (box[0] + box[2]) / 2,
                label,
                fontsize=10,
                va="center",
                color="white",
                bbox={"facecolor": INK, "alpha": 0.75, "pad": 1.5},
            )
        for anchor in self.shown():
            haloed(ax, anchor, PREDICTION, "-")
        sentence = self._sentence()
        ax.set_title(sentence, fontsize=10, loc="left", wrap=True)
        fits = "; ".join(
            f"{n} {b['iou']:.2f}" for n, b in zip(self.names, self.found["best"], strict=True)
        )
        objects = f" Best IoU of each object with any anchor: {fits}." if fits else ""
        return figure, (
            f"An image with the anchors of one cell of {LEVELS[self.level]}, solid, "
            f"and its objects, dashed, crossed out where no anchor fits. {sentence}"
            f"{objects}"
        )

    def _sentence(self) -> str:
        rows, columns, *_ = self.found["grids"][self.level]
        count = self.found["count"]
        text = (
            f"{LEVELS[self.level]}: {rows} × {columns} cells × {len(self.ratios)} ratios = "
            f"{count[self.level]:,} anchors of {sum(count):,}."
        )
        if self.boxes:
            text += f" {len(self.found['uncovered'])} of {len(self.boxes)} objects fit no anchor."
        return text


@functools.lru_cache(maxsize=64)
def _level(canvas, place, size, stride, ratios, rounding, offset, boxes) -> dict:
    """What labkit computes for the anchors of one level; cached, as only one changes at a time."""
    grid = tuple(-(-side // stride) for side in canvas)
    anchors = pyramid_anchors(canvas, [grid], [size], ratios, rounding, offset)[0]
    best = []
    if boxes:
        iou = box_ops.iou(np.float32(boxes), anchors).numpy()
        best = [(float(row.max()), anchors[int(row.argmax())].numpy().tolist()) for row in iou]
    a = anchors.numpy()
    inside = (a[:, :2] >= place[:2]).all(axis=1) & (a[:, 2:] <= place[2:]).all(axis=1)
    return {
        "grids": [*grid, *(c // g for c, g in zip(canvas, grid, strict=True))],
        "count": len(a),
        "inside": int(inside.sum()),
        "best": best,
        "covered": _covered(a.reshape(*grid, len(ratios), 4), place),
    }


def _covered(anchors: np.ndarray, place) -> float:
    """The share of the image's pixels whose centre lies in an anchor of the grid [R, C, A, 4].

    Anchors of one ratio form rows and columns: they cover the rows that one column of them covers,
    crossed with the columns that one row of them covers.
    """
    y, x = (np.arange(place[i] + 0.5, place[i + 2]) for i in (0, 1))
    covered = np.zeros((len(y), len(x)), bool)
    for a in range(anchors.shape[2]):
        down, across = anchors[:, 0, a], anchors[0, :, a]
        rows = ((y >= down[:, :1]) & (y < down[:, 2:3])).any(axis=0)
        columns = ((x >= across[:, 1:2]) & (x < across[:, 3:])).any(axis=0)
        covered |= rows[:, None] & columns
    return float(covered.mean())


def explore_anchors(
    image=None, boxes=None, config: Config | None = None, names=None
) -> AnchorsExplorer:
    """The anchors of a config on an image, at one cell of one level, and the objects they miss.

    The explorer can be changed from code (`w.level = 2`, `w.sizes = ...`) and read (`w.values`).

    Args:
        image: of any kind that `model.detect` takes; by default a photo of a rocket, with boxes.
        boxes: float32 [N, 4], the objects, in pixels of the image; an object that no anchor
            overlaps with an IoU of 0.5 is crossed out.
        config: its resizing, anchors and strides are the initial ones; by default the preset
            "tiny".
        names: N texts; by default the objects are numbered.

    Raises:
        LabkitError: a box is empty or not inside the image, or the number of names differs.
    """
    if image is None:
        from skimage import data

        image = data.rocket()
        if boxes is None:
            boxes, names = list(ROCKET.values()), list(ROCKET)
    pixels = read_image(image)
    config = Config.preset("tiny") if config is None else config
    boxes = _checked(boxes, pixels.shape)
    names = [str(i + 1) for i in range(len(boxes))] if names is None else [str(n) for n in names]
    if len(names) != len(boxes):
        raise LabkitError(
            f"explore_anchors: {len(names)} names for {len(boxes)} boxes; give one for each."
        )
    batch, sizes = batch_of([pixels], config)
    canvas = np.int32(batch.shape[1:3])
    placement = Placement.of(pixels.shape, sizes[0], canvas, config)
    first = {
        "sizes": list(map(float, config.anchor_sizes)),
        "strides": list(config.strides),
        "ratios": list(map(float, config.anchor_ratios)),
    }
    return AnchorsExplorer(
        picture_url=data_url(pixels),
        canvas=canvas.tolist(),
        place=placement.box,
        boxes=placement.in_batch(boxes),
        names=names,
        at=(canvas / 2).tolist(),
        first=first,
        ratio_sets=[list(r) for r in dict.fromkeys([tuple(first["ratios"]), *RATIO_SETS])],
        offset=config.anchor_offset,
        rounding=config.anchor_rounding,
        **first,
        caption="Move over the picture to see the anchors of a place (a click, or the arrow keys "
        "on the dot, keep it there). Which level has the best anchor for the nose cone? Can you "
        "find a size and a ratio that fit the rocket, and what do they cost the others?",
    )


def _checked(boxes, shape) -> np.ndarray:
    boxes = np.zeros((0, 4)) if boxes is None else np.asarray(boxes, np.float32)
    if boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise LabkitError(
            f"explore_anchors: the boxes are an array {boxes.shape}; give [N, 4], "
            "(y1, x1, y2, x2) in pixels of the image."
        )
    height, width = shape[:2]
    good = (
        (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        & (boxes[:, :2] >= 0).all(axis=1)
        & (boxes[:, 2:] <= [height, width]).all(axis=1)
    )
    if not good.all():
        bad = int(np.argmin(good))
        raise LabkitError(
            f"explore_anchors: box {bad}, {boxes[bad].tolist()}, is empty or leaves "
            f"the image of {height} x {width} pixels."
        )
    return boxes
