"""explore_fast_nms: ordinary and Fast NMS on the same boxes, side by side."""

import numpy as np
import tensorflow as tf
import traitlets
from matplotlib.figure import Figure

from labkit.errors import LabkitError
from labkit.ops.nms import fast_nms, nms
from labkit.viz.colors import CROWD, INK, PREDICTION
from labkit.widgets.explorer import Boxes, Explorer, background, opened, script
from labkit.widgets.sketch import outline

# Chains: each box overlaps the next one, and the first does not reach the last.
CANDIDATES = [
    [40, 20, 180, 120, 0.95],
    [44, 50, 186, 150, 0.80],
    [40, 82, 182, 182, 0.62],
    [46, 112, 184, 214, 0.41],
    [60, 250, 150, 330, 0.88],
    [66, 258, 158, 340, 0.55],
    [150, 262, 230, 350, 0.30],
]


class FastNmsExplorer(Explorer):
    """Boxes with scores, two thresholds, and what each kind of NMS keeps. See the function."""

    in_browser = True
    _esm = script("geometry.js", "fast_nms.js")
    boxes = Boxes([]).tag(sync=True)
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    iou_threshold = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    score_threshold = traitlets.Float(0.05, min=0.0, max=1.0).tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)

    @property
    def values(self) -> dict:
        """The indices that labkit keeps, best score first.

        Returns:
            `ordinary` and `fast`; `only_ordinary`, the boxes that Fast NMS removes in addition.
        """
        boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        scores = np.asarray(self.scores, np.float32)
        taking_part = np.flatnonzero(scores > self.score_threshold)
        boxes, scores = tf.constant(boxes[taking_part]), tf.constant(scores[taking_part])
        ordinary = taking_part[nms(boxes, scores, self.iou_threshold).numpy()]
        order, keep = fast_nms(boxes, scores[None], self.iou_threshold, max(1, len(taking_part)))
        fast = taking_part[order[0].numpy()[keep[0].numpy()]]
        return {
            "ordinary": ordinary.tolist(),
            "fast": fast.tolist(),
            "only_ordinary": [int(i) for i in ordinary if i not in fast],
        }

    def draw(self):
        found = self.values
        sentence = (
            f"IoU threshold {self.iou_threshold:g}, score threshold {self.score_threshold:g}: "
            f"ordinary NMS keeps {len(found['ordinary'])}, Fast NMS {len(found['fast'])}"
        )
        height, width = self.size
        figure = Figure(figsize=(10, 5.6 * height / width + 1), layout="constrained")
        for ax, kind in zip(figure.subplots(1, 2), ("ordinary", "fast"), strict=True):
            ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
            if self.picture_url:
                ax.imshow(opened(self.picture_url), extent=(0, width, height, 0))
            kept = found[kind]
            gone = [i for i in range(len(self.boxes)) if i not in kept]
            outline(ax, [self.boxes[i] for i in gone], CROWD, ":", 1.2, "removed")
            outline(ax, [self.boxes[i] for i in kept], PREDICTION, "-", 3.0, "kept")
            for box, score in zip(self.boxes, self.scores, strict=True):
                ax.text(box[1], box[0] - 3, f"{score:.2f}", fontsize=9, color=INK)
            ax.set_title("ordinary NMS" if kind == "ordinary" else "Fast NMS", fontsize=11)
            ax.legend(loc="lower right", fontsize=9)
        return figure, f"The same boxes after two kinds of NMS. {sentence}."


def explore_fast_nms(
    boxes=None, scores=None, image=None, iou_threshold=0.5, score_threshold=0.05
) -> FastNmsExplorer:
    """Ordinary (greedy) NMS and YOLACT's Fast NMS on the same boxes, with both thresholds.

    The explorer can be changed from code (`w.iou_threshold = 0.4`) and read (`w.values`).

    Args:
        boxes: [N, 4], (y1, x1, y2, x2) in pixels; by default two chains of overlapping boxes.
        scores: N scores.
        image: the background, of any kind that `model.detect` takes; by default a grid.
        iou_threshold: the IoU above which a box is suppressed.
        score_threshold: boxes up to this score do not take part.

    Raises:
        LabkitError: boxes without scores or scores without boxes, or not as many.
    """
    if (boxes is None) != (scores is None):
        raise LabkitError("explore_fast_nms: give boxes and scores together, or neither.")
    size, picture_url = background(image, (260, 380))
    if boxes is None:
        boxes, scores = [c[:4] for c in CANDIDATES], [c[4] for c in CANDIDATES]
    elif image is None:
        size = [int(v) for v in np.ceil(np.reshape(boxes, (-1, 4)).max(axis=0, initial=8)[2:] + 8)]
    scores = np.asarray(scores, np.float64).ravel().tolist()
    if len(scores) != len(boxes):
        raise LabkitError(
            f"explore_fast_nms: {len(boxes)} boxes and {len(scores)} scores; "
            "give each box one score."
        )
    return FastNmsExplorer(
        boxes=boxes,
        scores=scores,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        size=size,
        picture_url=picture_url,
        caption="Lower the IoU threshold until the two pictures differ. Which box does Fast NMS "
        "remove in addition, and which box removes it? Then raise the score threshold.",
    )
