"""explore_iou: drag two boxes and watch intersection, union and IoU."""

import numpy as np
import traitlets

from labkit.ops import boxes as box_ops
from labkit.viz.colors import INK, PREDICTION, TRUTH
from labkit.widgets.explorer import Boxes, Explorer, background, script
from labkit.widgets.sketch import rectangle, sketch

MEASURES = ("IoU", "GIoU")

# Four pairs with the same IoU of 0.5 and different errors; and pairs with a small or no overlap.
PRESETS = {
    "shifted sideways (IoU 0.5)": [[60, 60, 180, 180], [60, 100, 180, 220]],
    "shifted both ways (IoU 0.5)": [[60, 60, 180, 180], [82, 82, 202, 202]],
    "too large (IoU 0.5)": [[75, 75, 165, 165], [56, 56, 183.3, 183.3]],
    "half of it missed (IoU 0.5)": [[60, 60, 180, 180], [60, 60, 120, 180]],
    "a thin one, five pixels off": [[40, 100, 220, 110], [40, 105, 220, 115]],
    "a large one, five pixels off": [[40, 60, 220, 240], [40, 65, 220, 245]],
    "side by side": [[80, 60, 160, 140], [80, 140, 160, 220]],
    "far apart": [[20, 20, 70, 70], [190, 240, 250, 310]],
}


class IouExplorer(Explorer):
    """Two boxes to drag. See `explore_iou`."""

    in_browser = True
    _esm = script("geometry.js", "iou.js")
    boxes = Boxes([[0, 0, 1, 1], [0, 0, 1, 1]], count=2).tag(sync=True)
    measure = traitlets.Enum(MEASURES, "IoU").tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)
    presets = traitlets.Dict().tag(sync=True)

    @property
    def values(self) -> dict[str, float]:
        """Areas, intersection, union, IoU and GIoU of the two boxes, by `labkit.ops.boxes`."""
        a, b = (np.float32([box]) for box in self.boxes)
        shared = float(box_ops.intersection(a, b)[0, 0])
        areas = [float(box_ops.area(box)[0]) for box in (a, b)]
        return {
            "areas": areas,
            "shared": shared,
            "union": sum(areas) - shared,
            "iou": float(box_ops.iou(a, b)[0, 0]),
            "giou": float(box_ops.giou(a, b)[0, 0]),
        }

    def draw(self):
        a, b = self.boxes
        found = self.values
        sentence = (
            f"shared {found['shared']:.0f} of {found['union']:.0f} pixels in either: "
            f"IoU {found['iou']:.3f}, GIoU {found['giou']:.3f}"
        )
        figure, ax = sketch(self.size, self.picture_url, sentence)
        shared = [max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])]
        meet = shared[2] > shared[0] and shared[3] > shared[1]
        if meet:
            ax.add_patch(rectangle(shared, fill=True, color=INK, alpha=0.35, linewidth=0))
        if self.measure == "GIoU":
            around = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
            ax.add_patch(rectangle(around, edgecolor=INK, linestyle=":"))
        for box, color, style, name in (
            (a, TRUTH, "--", "A (ground truth)"),
            (b, PREDICTION, "-", "B (prediction)"),
        ):
            ax.add_patch(
                rectangle(box, edgecolor=color, linestyle=style, linewidth=2.5, label=name)
            )
        ax.legend(loc="upper right")
        pair = "Two overlapping boxes" if meet else "Two separate boxes"
        return figure, f"{pair}, A dashed and B solid; {sentence}."


def explore_iou(boxes=None, image=None, measure: str = "IoU") -> IouExplorer:
    """Two boxes to drag and resize, with their areas, intersection, union, IoU and GIoU.

    The explorer can be changed from code (`w.boxes = ...`) and read (`w.boxes`, `w.values`).

    Args:
        boxes: two boxes (y1, x1, y2, x2) in pixels, ground truth and prediction.
        image: the background, of any kind that `model.detect` takes; by default a grid.
        measure: "IoU" or "GIoU" (Rezatofighi et al. 2019).
    """
    (height, width), picture_url = background(image, (280, 360))
    # The presets fit on the grid; on another image they might lie outside.
    presets = PRESETS if image is None else {}
    if boxes is None:
        fifth = [height / 5, width / 5, 3 * height / 5, 3 * width / 5]
        boxes = [fifth, [fifth[i] + (height, width)[i % 2] / 8 for i in range(4)]]
    return IouExplorer(
        boxes=boxes,
        measure=measure,
        size=[height, width],
        picture_url=picture_url,
        presets=presets,
        caption="Drag a box, or a corner of it; or press Tab until it is marked, then the arrow "
        "keys (with Shift: ten pixels). Can you make the IoU 0.5 in four different ways?",
    )
