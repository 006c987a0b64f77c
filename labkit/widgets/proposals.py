"""explore_proposals: from the best anchors to the proposals, stage by stage."""

import numpy as np
import tensorflow as tf
import traitlets

from labkit.errors import LabkitError
from labkit.evaluation.proposal_recall import best_overlaps
from labkit.models.inclusive import to_inclusive
from labkit.models.trace import Trace
from labkit.ops import boxes as box_ops
from labkit.ops.nms import batched_nms
from labkit.viz.colors import CROWD, PREDICTION, TRUTH
from labkit.widgets.explorer import Boxes, Explorer, data_url, script
from labkit.widgets.sketch import outline, sketch

# The name of each stage, and what has been done.
STAGES = {
    "top-k": "the anchors with the best objectness of every level",
    "decode": "each anchor moved and resized by its deltas",
    "clip": "clipped to the image",
    "drop tiny": "boxes without an area after clipping removed",
    "NMS": "of near-copies within a level, only the best kept",
    "top-n": "the best of the rest: these are the proposals",
}


class ProposalsExplorer(Explorer):
    """The boxes of each stage, and how many objects they cover. See `explore_proposals`.

    Attributes:
        stages: for each of `STAGES`, its name, what it does, and its number of boxes.
        boxes: float32 [., 5] as bytes, (y1, x1, y2, x2, score) of all stages one after the other,
            best score first.
        overlaps: for each stage the best IoU of each object; of the last one with the first `most`.
    """

    _esm = script("proposals.js")
    picture_url = traitlets.Unicode().tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    truth = Boxes([]).tag(sync=True)
    stages = traitlets.List().tag(sync=True)
    boxes = traitlets.Bytes().tag(sync=True)
    stage = traitlets.Int(0, min=0, max=len(STAGES) - 1).tag(sync=True)
    shown = traitlets.Int(60, min=1).tag(sync=True)
    iou = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    most = traitlets.Int(100, min=1, help="top-n's n").tag(sync=True)
    overlaps = traitlets.List(read_only=True).tag(sync=True)
    best = traitlets.List(read_only=True, help="For each object, its best box.").tag(sync=True)

    def __init__(self, **traits):
        super().__init__(**traits)
        counts = [s["count"] for s in self.stages]
        all_boxes = np.frombuffer(self.boxes, np.float32).reshape(-1, 5)
        self.frames = np.split(all_boxes, np.cumsum(counts)[:-1])
        self._compute()
        self.observe(self._compute, ["most", "truth", "stage"])

    def of_stage(self, stage: int) -> np.ndarray:
        """The boxes of a stage, float32 [N, 4], best score first; of top-n the first `most`."""
        last = stage == len(self.frames) - 1
        return self.frames[stage][: self.most if last else None, :4]

    @property
    def values(self) -> list[dict]:
        """Of each stage `name`, number of `boxes`, and `recall`, objects covered with `iou`."""
        overlaps = [np.float32(o) for o in self.overlaps]
        return [
            {
                "name": s["name"],
                "boxes": len(self.of_stage(i)),
                "recall": float((overlaps[i] >= self.iou).mean()) if len(overlaps[i]) else np.nan,
            }
            for i, s in enumerate(self.stages)
        ]

    def _compute(self, change=None):
        with self.hold_sync():
            frames = [self.of_stage(i) for i in range(len(self.frames))]
            self.set_trait("overlaps", [best_overlaps(f, self.truth).tolist() for f in frames])
            self.set_trait("best", best_boxes(frames[self.stage], self.truth))

    def draw(self):
        now = self.values[self.stage]
        title = (
            f"{self.stage + 1} of {len(self.stages)}: {now['name']} — "
            f"{self.stages[self.stage]['what']}\n{now['boxes']:,} boxes, recall "
            f"{now['recall']:.2f} at IoU {self.iou:g}"
        )
        figure, ax = sketch(self.size, self.picture_url, title)
        boxes = self.of_stage(self.stage)
        outline(ax, boxes[: self.shown], CROWD, "-", 0.9, "by score")
        outline(ax, self.best, PREDICTION, "-", 2.5, "best of an object")
        outline(ax, self.truth, TRUTH, "--", 2.5, "object")
        # Before clipping, boxes may leave the image: show where they go.
        height, width = self.size
        ax.set(xlim=(-0.12 * width, 1.12 * width), ylim=(1.12 * height, -0.12 * height))
        figure.legend(loc="outside lower center", ncols=3, fontsize=10)
        recalls = "; ".join(
            f"{v['name']}: {v['boxes']} boxes, recall {v['recall']:.2f}" for v in self.values
        )
        return figure, f"Boxes of one stage over the image, objects dashed. {recalls}."


def stages_of(trace: Trace, config) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The boxes of each of `STAGES`, best score first, from a trace.

    Only the result of NMS before the limit is not in the trace: `labkit.batched_nms` computes it.

    Args:
        trace: of an image.
        config: of the model.

    Returns:
        Name -> (boxes [N, 4], scores [N]).
    """
    c = trace.candidates
    large = c.large_enough
    boxes, scores = c.clipped[large], c.scores[large]
    kept = batched_nms(
        tf.constant(to_inclusive(boxes, config)),
        tf.constant(scores),
        tf.constant(c.level[large]),
        config.rpn_nms_iou,
    ).numpy()
    found = {
        "top-k": (c.anchors, c.scores),
        "decode": (c.decoded, c.scores),
        "clip": (c.clipped, c.scores),
        "drop tiny": (boxes, scores),
        "NMS": (boxes[kept], scores[kept]),
        "top-n": (trace.rois, trace.roi_scores),
    }
    order = {name: np.argsort(-s, kind="stable") for name, (_, s) in found.items()}
    return {name: (b[order[name]], s[order[name]]) for name, (b, s) in found.items()}


def best_boxes(boxes, truth) -> list[list[float]]:
    """For each object of truth [G, 4] the box of boxes [N, 4] that overlaps it most, if any."""
    if not len(boxes) or not len(truth):
        return []
    overlap = box_ops.iou(np.float32(boxes), np.float32(truth)).numpy()
    best = np.asarray(boxes)[overlap.argmax(axis=0)]
    return best[overlap.max(axis=0) > 0].tolist()


def explore_proposals(model, image, targets=None) -> ProposalsExplorer:
    """The stages from a model's best anchors to its proposals, and the objects that they cover.

    The explorer can be changed from code (`w.stage = 4`, `w.most = 10`) and read (`w.values`).

    Args:
        model: a `MaskRCNN`.
        image: of any kind that `model.detect` takes.
        targets: the objects: a `Sample` of the image or boxes float32 [G, 4] in its pixels.

    Raises:
        LabkitError: targets are neither.
    """
    trace = model.trace(image)
    boxes = np.zeros((0, 4)) if targets is None else getattr(targets, "boxes", targets)
    try:
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    except (TypeError, ValueError):
        raise LabkitError(
            f"explore_proposals: targets are a {type(targets).__name__}; give a Sample, or boxes "
            "[G, 4], (y1, x1, y2, x2) in pixels of the image."
        ) from None
    stages = stages_of(trace, model.config)
    seen = trace.seen.round().clip(0, 255).astype(np.uint8)
    return ProposalsExplorer(
        picture_url=data_url(seen),
        size=list(seen.shape[:2]),
        truth=trace.placement.in_batch(boxes),
        stages=[
            {"name": name, "what": STAGES[name], "count": len(b)} for name, (b, _) in stages.items()
        ],
        boxes=np.concatenate([np.column_stack(s) for s in stages.values()]).astype("f4").tobytes(),
        most=max(len(trace.rois), 1),
        caption="Step through the stages with “Next”. Where do most boxes go, and does recall "
        "suffer for it? Then turn top-n down: how few proposals are enough?",
    )
