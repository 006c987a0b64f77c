"""explore_nms: non-maximum suppression, one greedy step per click."""

import numpy as np
import traitlets

from labkit.errors import LabkitError
from labkit.ops import boxes as box_ops
from labkit.ops.nms import nms
from labkit.viz.colors import CROWD, INK, PREDICTION, TRUTH
from labkit.widgets.explorer import Boxes, Explorer, background, script
from labkit.widgets.sketch import outline, sketch

# Two objects that are closer to each other than some boxes to their own, and a separate one.
THREE_OBJECTS = [[60, 60, 200, 150], [65, 82, 205, 174], [90, 250, 170, 330]]
CANDIDATES = [
    [62, 58, 203, 150, 0.97],
    [55, 66, 192, 158, 0.90],
    [72, 52, 214, 138, 0.72],
    [65, 83, 205, 175, 0.93],
    [57, 88, 195, 184, 0.81],
    [76, 91, 211, 168, 0.55],
    [92, 252, 172, 328, 0.88],
    [84, 244, 160, 318, 0.76],
    [100, 262, 176, 342, 0.64],
    [20, 290, 60, 350, 0.35],
]


class NmsExplorer(Explorer):
    """Boxes with scores, and which of them suppresses which. See `explore_nms`."""

    _esm = script("nms.js")
    boxes = Boxes([]).tag(sync=True)
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    truth = Boxes([]).tag(sync=True)
    threshold = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)
    rounds = traitlets.List(read_only=True).tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits):
        super().__init__(**traits)
        self._suppress()

    @traitlets.validate("boxes", "scores")
    def _one_score_a_box(self, proposal):
        value, other = proposal["value"], {"boxes": "scores", "scores": "boxes"}
        there = len(getattr(self, other[proposal["trait"].name]))
        if there and len(value) != there:
            raise traitlets.TraitError(
                f"explore_nms: {proposal['trait'].name} has {len(value)} entries, there are "
                f"{there} {other[proposal['trait'].name]}; give every box one score (and set both "
                "inside `with w.hold_trait_notifications():`)."
            )
        return value

    @traitlets.validate("step")
    def _not_beyond_the_end(self, proposal):
        return min(proposal["value"], len(self.rounds))

    @traitlets.observe("boxes", "scores", "truth", "threshold")
    def _suppress(self, change=None):
        if len(self.boxes) == len(self.scores):  # not while the explorer is being built
            self.set_trait("rounds", rounds_of(self.boxes, self.scores, self.threshold, self.truth))
            self.step = min(self.step, len(self.rounds))

    @property
    def values(self) -> dict:
        """The state after the steps so far.

        Returns:
            The indices of the boxes that are `kept`, `suppressed` and still `waiting`;
            `objects_left`, how many objects of `truth` still have a box (see `rounds_of`).
        """
        done = self.rounds[: self.step]
        kept = [r["taken"] for r in done]
        suppressed = [i for r in done for i in r["suppressed"]]
        decided = {*kept, *suppressed}
        return {
            "kept": kept,
            "suppressed": suppressed,
            "objects_left": _objects_left(_owners(self.boxes, self.truth), set(suppressed)),
            "waiting": [i for i in range(len(self.boxes)) if i not in decided],
        }

    def draw(self):
        found = self.values
        now = set(self.rounds[self.step - 1]["suppressed"]) if self.step else set()
        before = [i for i in found["suppressed"] if i not in now]
        sentence = (
            f"IoU threshold {self.threshold:g}, step {self.step} of {len(self.rounds)}: "
            f"{len(found['kept'])} kept, {len(found['suppressed'])} suppressed, "
            f"{len(found['waiting'])} waiting"
        )
        figure, ax = sketch(self.size, self.picture_url, sentence)
        groups = [
            (found["waiting"], INK, "-", 1.2, "waiting"),
            (before, CROWD, ":", 1.0, "suppressed"),
            (sorted(now), INK, ":", 2.0, "suppressed now"),
            (found["kept"], PREDICTION, "-", 3.0, "kept"),
        ]
        for numbers, color, dashes, width, name in groups:
            outline(ax, [self.boxes[i] for i in numbers], color, dashes, width, name)
        outline(ax, self.truth, TRUTH, "--", 2.5, "object (ground truth)")
        _write_scores(ax, self.boxes, self.scores)
        for rank, i in enumerate(found["kept"], 1):
            ax.text(
                self.boxes[i][1],
                self.boxes[i][0],
                str(rank),
                fontsize=11,
                weight="bold",
                bbox={"facecolor": "white", "edgecolor": PREDICTION, "pad": 2},
            )
        figure.legend(loc="outside lower center", ncols=3, fontsize=10)
        return figure, f"Overlapping boxes during non-maximum suppression; {sentence}."


def _write_scores(ax, boxes, scores) -> None:
    """Each score below the lower right corner of its box, further down where there is another."""
    taken = []
    for (_, _, y2, x2), score in sorted(
        zip(boxes, scores, strict=True), key=lambda pair: pair[0][2]
    ):
        y = y2 + 2
        while any(abs(x2 - x) < 28 and abs(y - other) < 11 for x, other in taken):
            y += 1
        taken.append((x2, y))
        ax.text(
            x2, y, f"{score:.2f}", fontsize=9, ha="right", va="top", backgroundcolor="#ffffffb0"
        )


def rounds_of(boxes, scores, threshold: float, truth=()) -> list[dict]:
    """The rounds of greedy suppression, one for each box that `labkit.ops.nms.nms` keeps.

    Args:
        boxes: [N, 4].
        scores: [N].
        threshold: the IoU above which the box with the lower score is suppressed.
        truth: the objects [G, 4]. A box belongs to the object that it overlaps most.

    Returns:
        Of each round `taken`, the box that is kept; `suppressed`, the boxes it suppresses;
        `overlaps`, their IoUs with it; `objects_left`, how many objects still have a box.
    """
    boxes, scores = np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(scores, np.float32)
    kept = nms(boxes, scores, threshold).numpy().tolist()
    overlap = box_ops.iou(boxes, boxes).numpy()
    # A box is suppressed by the first kept one that overlaps it too much, and by no later one.
    suppressed_by = {
        i: kept[int(np.argmax(overlap[kept, i] > threshold))]
        for i in range(len(boxes))
        if i not in kept
    }
    order = np.argsort(-scores, kind="stable").tolist()
    owners, suppressed, rounds = _owners(boxes, truth), set(), []
    for best in kept:
        now = [i for i in order if suppressed_by.get(i) == best]
        suppressed.update(now)
        rounds.append(
            {
                "taken": best,
                "suppressed": now,
                "overlaps": [round(float(overlap[best, i]), 3) for i in now],
                "objects_left": _objects_left(owners, suppressed),
            }
        )
    return rounds


def _owners(boxes, truth) -> list[int]:
    """The index of the object that each box overlaps most; -1 if it overlaps none."""
    if not len(truth) or not len(boxes):
        return [-1] * len(boxes)
    overlap = box_ops.iou(np.float32(boxes), np.float32(truth)).numpy()
    return np.where(overlap.max(axis=1) > 0, overlap.argmax(axis=1), -1).tolist()


def _objects_left(owners: list[int], suppressed: set[int]) -> int:
    return len({o for i, o in enumerate(owners) if o >= 0 and i not in suppressed})


def explore_nms(boxes=None, scores=None, image=None, truth=None, threshold=0.5) -> NmsExplorer:
    """Greedy non-maximum suppression, one kept box per click, with a slider for the IoU threshold.

    The explorer can be changed from code (`w.threshold = 0.6`, `w.step = 3`) and read (`w.values`,
    `w.rounds`).

    Args:
        boxes: [N, 4], (y1, x1, y2, x2) in pixels; by default boxes around three objects, two of
            them close together.
        scores: N scores.
        image: the background, of any kind that `model.detect` takes; by default a grid.
        truth: boxes [G, 4] of the objects, to see which of them loses its last box.
        threshold: the IoU above which the box with the lower score is suppressed.

    Raises:
        LabkitError: boxes without scores, or scores without boxes.
    """
    if (boxes is None) != (scores is None):
        raise LabkitError("explore_nms: give boxes and scores together, or neither.")
    size, picture_url = background(image, (260, 380))
    if boxes is None:
        truth = THREE_OBJECTS if truth is None else truth
        boxes, scores = [c[:4] for c in CANDIDATES], [c[4] for c in CANDIDATES]
    elif image is None:
        size = [int(v) for v in np.ceil(np.reshape(boxes, (-1, 4)).max(axis=0, initial=8)[2:] + 8)]
    return NmsExplorer(
        boxes=boxes,
        scores=np.asarray(scores, np.float64).ravel().tolist(),
        truth=[] if truth is None else truth,
        threshold=threshold,
        size=size,
        picture_url=picture_url,
        caption="Press “Next” and see which boxes are kept and which are suppressed. "
        "Is there a threshold at which every object keeps exactly one box?",
    )
