"""explore_deltas: drag a box and watch its four deltas; drag the deltas and watch the box."""

import numpy as np
import traitlets

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.ops import boxes as box_ops
from labkit.viz.colors import INK, PREDICTION, TRUTH
from labkit.widgets.explorer import Box, Explorer, background, script
from labkit.widgets.sketch import rectangle, sketch

NAMES = ("dy", "dx", "dh", "dw")
SMALLEST = 8.0  # pixels: the logarithm of 0 cannot be drawn


class DeltasExplorer(Explorer):
    """An anchor, a box and the deltas between them. See `explore_deltas`."""

    in_browser = True
    _esm = script("geometry.js", "deltas.js")
    anchor = Box([0.0, 0.0, 1.0, 1.0]).tag(sync=True)
    box = Box([0.0, 0.0, 1.0, 1.0]).tag(sync=True)
    std = traitlets.List(traitlets.Float(min=1e-3), minlen=4, maxlen=4).tag(sync=True)
    divide = traitlets.Bool(False, help="Divide the deltas by std.").tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    smallest = traitlets.Float(SMALLEST).tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)

    @traitlets.validate("anchor", "box")
    def _not_too_thin(self, proposal):
        y1, x1, y2, x2 = proposal["value"]
        if min(y2 - y1, x2 - x1) <= 0:
            raise traitlets.TraitError(
                f"The '{proposal['trait'].name}' {proposal['value']} has no area, and so no "
                "deltas: log 0 is undefined."
            )
        return proposal["value"]

    @property
    def deltas(self) -> list[float]:
        """(dy, dx, dh, dw) from the anchor to the box, by `labkit.encode`; can be set."""
        found = box_ops.encode(np.float32([self.box]), np.float32([self.anchor]), self._std())
        return found[0].numpy().tolist()

    @deltas.setter
    def deltas(self, values) -> None:
        moved = box_ops.decode(np.float32([values]), np.float32([self.anchor]), self._std())
        self.box = moved[0].numpy()

    @property
    def values(self) -> dict:
        """The deltas by name, and the heights and widths of both boxes."""
        sides = {
            n: [b[2] - b[0], b[3] - b[1]] for n, b in (("anchor", self.anchor), ("box", self.box))
        }
        return dict(zip(NAMES, self.deltas, strict=True)) | {
            f"{n}_sides": s for n, s in sides.items()
        }

    def _std(self) -> tuple[float, ...]:
        return tuple(self.std) if self.divide else (1.0,) * 4

    def draw(self):
        how = ", divided by std" if self.divide else ""
        numbers = zip(NAMES, self.deltas, strict=True)
        sentence = ", ".join(f"{n} = {v:.2f}" for n, v in numbers) + how
        figure, ax = sketch(self.size, self.picture_url, sentence)
        looks = ((self.anchor, PREDICTION, "-", "anchor"), (self.box, TRUTH, "--", "box (target)"))
        centres = []
        for box, color, style, name in looks:
            ax.add_patch(
                rectangle(box, edgecolor=color, linestyle=style, linewidth=2.5, label=name)
            )
            y1, x1, y2, x2 = box
            centres.append(((x1 + x2) / 2, (y1 + y2) / 2))
        arrow = {"arrowstyle": "->", "color": INK, "linewidth": 2}
        ax.annotate("", centres[1], centres[0], arrowprops=arrow)
        ax.legend(loc="upper right")
        return figure, (
            "An anchor, solid, and its target box, dashed, with an arrow from centre to centre; "
            f"{sentence}."
        )


def explore_deltas(anchor=None, box=None, image=None, std=None) -> DeltasExplorer:
    """The four deltas (dy, dx, dh, dw) between an anchor and a box, encoded and decoded.

    The explorer can be changed from code (`w.box = ...`, `w.deltas = ...`) and read (`w.values`).

    Args:
        anchor: (y1, x1, y2, x2) in pixels, with an area.
        box: likewise.
        image: the background, of any kind that `model.detect` takes; by default a grid.
        std: the four standard deviations; by default those of the box head, (0.1, 0.1, 0.2, 0.2).

    Raises:
        LabkitError: std is not four numbers above 0.
        TraitError: a box has no area.
    """
    (height, width), picture_url = background(image, (280, 360))
    std = Config().roi_box_std if std is None else tuple(np.ravel(std).tolist())
    if len(std) != 4 or not all(s > 0 for s in std):
        raise LabkitError(f"explore_deltas: std must be four numbers above 0, got {std}.")
    if anchor is None:
        anchor = np.round(np.multiply([0.36, 0.39, 0.64, 0.61], [height, width] * 2))
    if box is None:
        box = np.round(np.multiply([0.3, 0.4, 0.9, 0.75], [height, width] * 2))
    return DeltasExplorer(
        anchor=anchor,
        box=box,
        std=list(map(float, std)),
        size=[height, width],
        picture_url=picture_url,
        caption="Drag the dashed box and watch the four numbers; drag a number and watch the box. "
        "What does dh say when the box is twice as high as the anchor, and when it is half as "
        "high? Move the anchor by a few pixels: which of the four change?",
    )
