"""explore_rpn_targets: which anchors are positive, negative or ignored, and by which rules."""

import numpy as np
import tensorflow as tf
import traitlets

from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.io.images import read_image
from labkit.models.config import Config
from labkit.models.inference import batch_of
from labkit.models.resize import Placement
from labkit.ops import boxes as box_ops
from labkit.ops.anchors import pyramid_anchors
from labkit.ops.matching import BACKGROUND, IGNORED, match, sample
from labkit.viz.colors import CROWD, INK, PREDICTION, TRUTH
from labkit.widgets.explorer import Boxes, Explorer, data_url, script
from labkit.widgets.sketch import outline, sketch

LEFT_OUT = -3  # beside BACKGROUND and IGNORED: an anchor that crosses the border and is not used
VIEWS = ("positive anchors", "every anchor", "the sample")
INPUTS = [  # the traits that the matches depend on
    *("boxes", "positive_iou", "negative_iou", "every_object", "inside_only"),
    *("samples", "positive_fraction", "seed"),
]


class RpnTargetsExplorer(Explorer):
    """Anchors and their labels in training. See `explore_rpn_targets`.

    Lengths are in pixels of the image as the network sees it.

    Attributes:
        anchors: float32 [A, 4] as bytes, of all levels.
        counts: the number of anchors of each level.
        matches: int32 [A] as bytes, the index of an object, BACKGROUND, IGNORED or LEFT_OUT.
        sampled: uint8 [A] as bytes, whether the anchor is in the sample.
        level: that is drawn, 0 for P2, -1 for all.
    """

    _esm = script("rpn_targets.js")
    picture_url = traitlets.Unicode().tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    place = traitlets.List(traitlets.Float(), minlen=4, maxlen=4).tag(sync=True)
    boxes = Boxes([]).tag(sync=True)
    anchors = traitlets.Bytes().tag(sync=True)
    counts = traitlets.List(traitlets.Int()).tag(sync=True)
    positive_iou = traitlets.Float(0.7, min=0.0, max=1.0).tag(sync=True)
    negative_iou = traitlets.Float(0.3, min=0.0, max=1.0).tag(sync=True)
    every_object = traitlets.Bool(True).tag(sync=True)
    inside_only = traitlets.Bool(False).tag(sync=True)
    samples = traitlets.Int(256, min=1, max=4096).tag(sync=True)
    positive_fraction = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    seed = traitlets.Int(0, min=0).tag(sync=True)
    level = traitlets.Int(-1, min=-1, max=4).tag(sync=True)
    view = traitlets.Enum(VIEWS, VIEWS[0]).tag(sync=True)
    matches = traitlets.Bytes(read_only=True).tag(sync=True)
    sampled = traitlets.Bytes(read_only=True).tag(sync=True)
    found = traitlets.Dict(read_only=True, help="See `values`.").tag(sync=True)

    def __init__(self, **traits):
        super().__init__(**traits)
        self._compute()
        self.observe(self._compute, INPUTS)

    @traitlets.validate("boxes")
    def _with_an_area(self, proposal):
        for i, (y1, x1, y2, x2) in enumerate(proposal["value"]):
            if y2 <= y1 or x2 <= x1:
                raise traitlets.TraitError(
                    f"explore_rpn_targets: box {i} has no area, so no anchor can overlap it; give "
                    "y1 < y2 and x1 < x2."
                )
        return proposal["value"]

    @traitlets.observe("positive_iou", "negative_iou")
    def _in_order(self, change):
        if self.negative_iou > self.positive_iou:  # the other one follows
            other = {"positive_iou": "negative_iou", "negative_iou": "positive_iou"}
            self.set_trait(other[change["name"]], change["new"])

    @property
    def values(self) -> dict:
        """Counts of anchors by label.

        Returns:
            The numbers of `positive`, `ignored`, `negative` and `left_out` anchors, and of sampled
            ones (`sampled_positive`, `sampled_negative`); `positives`, the number of positive
            anchors of each object; `without`, the objects that have none; `share_without`, their
            share of all objects, NaN without objects.
        """
        without = self.found["without"]
        share = len(without) / len(self.boxes) if self.boxes else float("nan")
        return {**self.found, "share_without": share}

    def _compute(self, change=None):
        anchors = np.frombuffer(self.anchors, np.float32).reshape(-1, 4)
        matches = matches_of(
            anchors,
            self.boxes,
            self.place if self.inside_only else None,
            self.positive_iou,
            self.negative_iou,
            self.every_object,
        )
        priority = tf.random.stateless_uniform([1, len(anchors)], [self.seed, 0])
        positive, negative = (
            t.numpy()[0]
            for t in sample(
                tf.constant(matches >= 0)[None],
                tf.constant(matches == BACKGROUND)[None],
                self.samples,
                self.positive_fraction,
                priority,
            )
        )
        positives = [int((matches == g).sum()) for g in range(len(self.boxes))]
        kinds = {"ignored": IGNORED, "negative": BACKGROUND, "left_out": LEFT_OUT}
        with self.hold_sync():  # one message: the counts belong to the anchors that are drawn
            self.set_trait("matches", matches.astype(np.int32).tobytes())
            self.set_trait("sampled", (positive | negative).astype(np.uint8).tobytes())
            self.set_trait(
                "found",
                {
                    "positive": int((matches >= 0).sum()),
                    **{name: int((matches == value).sum()) for name, value in kinds.items()},
                    "sampled_positive": int(positive.sum()),
                    "sampled_negative": int(negative.sum()),
                    "positives": positives,
                    "without": [g for g, n in enumerate(positives) if not n],
                },
            )

    def shown(self) -> dict[str, np.ndarray]:
        """The anchors that are drawn, by label, float32 [N, 4] each."""
        anchors = np.frombuffer(self.anchors, np.float32).reshape(-1, 4)
        matches = np.frombuffer(self.matches, np.int32)
        level = np.repeat(np.arange(len(self.counts)), self.counts)
        drawn = np.ones(len(anchors), bool) if self.level < 0 else level == self.level
        if self.view == "positive anchors":
            drawn = drawn & (matches >= 0)
        elif self.view == "the sample":
            drawn = drawn & (np.frombuffer(self.sampled, np.uint8) > 0)
        kinds = {
            "positive": matches >= 0,
            "ignored": matches == IGNORED,
            "negative": matches == BACKGROUND,
            "left_out": matches == LEFT_OUT,
        }
        return {name: anchors[drawn & of_kind] for name, of_kind in kinds.items()}

    def draw(self):
        found, drawn = self.values, self.shown()
        figure, ax = sketch(self.size, self.picture_url, self._sentence())
        marks = [
            ("negative", "o", CROWD, "negative, at its centre"),
            ("left_out", "X", INK, "left out, at its centre"),
        ]
        for kind, mark, color, label in marks:
            if len(drawn[kind]):
                y, x = ((drawn[kind][:, i] + drawn[kind][:, i + 2]) / 2 for i in (0, 1))
                ax.plot(
                    x,
                    y,
                    mark,
                    color=color,
                    markersize=3.6,
                    markeredgecolor="white",
                    markeredgewidth=0.5,
                    label=f"{label} ({len(x):,})",
                )
        if self.view == "the sample":
            outline(ax, drawn["negative"], CROWD, ":", 1.0, "negative")
        if len(drawn["ignored"]):
            outline(ax, drawn["ignored"], INK, ":", 1.0, "ignored")
        outline(ax, drawn["positive"], PREDICTION, "-", 2.0, "positive")
        outline(ax, self.boxes, TRUTH, "--", 2.5, "object")
        figure.legend(loc="outside lower center", ncols=3, fontsize=10)
        each = ", ".join(f"object {g + 1} has {n}" for g, n in enumerate(found["positives"]))
        return figure, (
            f"An image with its objects, dashed, and its anchors by their labels. "
            f"{self._sentence()} Positive anchors: {each or 'none'}."
        )

    def _sentence(self) -> str:
        found = self.found
        rules = [
            f"positive from {self.positive_iou:g}, negative below {self.negative_iou:g}",
            f"best-anchor rule {'on' if self.every_object else 'off'}",
            f"border anchors {'left out' if self.inside_only else 'used'}",
        ]
        return (
            f"{', '.join(rules)}:\n{found['positive']} positive, {found['ignored']} ignored, "
            f"{found['negative']} negative; {len(found['without'])} of {len(self.boxes)} "
            "objects without an anchor."
        )


def matches_of(anchors, boxes, place, high: float, low: float, every_object: bool) -> np.ndarray:
    """`labkit.match` of anchors with boxes, with or without anchors that cross the border.

    Args:
        anchors: [A, 4].
        boxes: [G, 4].
        place: None, or (y1, x1, y2, x2) of the image: anchors that leave it are then LEFT_OUT and
            not matched, so that an object's best anchor is the best inside (Ren et al. 2015).
        high: the least IoU of a positive anchor.
        low: the IoU below which an anchor is negative.
        every_object: whether the best anchor of each object is positive, too.

    Returns:
        int32 [A]: the index of the object, BACKGROUND, IGNORED or LEFT_OUT.
    """
    anchors, boxes = np.float32(anchors), np.float32(boxes).reshape(-1, 4)
    inside = np.ones(len(anchors), bool)
    if place is not None:
        inside = ((anchors[:, :2] >= place[:2]) & (anchors[:, 2:] <= place[2:])).all(axis=1)
    matches = np.full(len(anchors), LEFT_OUT, np.int32)
    iou = box_ops.iou(anchors[inside], boxes)
    matches[inside] = match(iou, tf.ones(len(boxes), tf.bool), high, low, every_object).numpy()
    return matches


def explore_rpn_targets(image=None, boxes=None, config: Config | None = None) -> RpnTargetsExplorer:
    """The training labels of an image's anchors: positive, negative, or ignored.

    Sliders for the two thresholds; the best-anchor rule; anchors that cross the border in or out;
    the random sample that counts in the loss; the objects can be dragged. The explorer can be
    changed from code (`w.positive_iou = 0.5`) and read (`w.values`).

    Args:
        image: of any kind that `model.detect` takes; by default a synthetic image of shapes.
        boxes: float32 [G, 4], its objects, in pixels of the image.
        config: its resizing, anchors, thresholds and sample are the initial ones; by default the
            preset "tiny".

    Raises:
        LabkitError: an image without boxes.
    """
    config = Config.preset("tiny") if config is None else config
    if image is None:
        drawn = shapes(8, size=128, seed=7)[7]
        image, boxes = drawn.image, drawn.boxes if boxes is None else boxes
    if boxes is None:
        raise LabkitError(
            "explore_rpn_targets: an image without boxes; give the objects' boxes "
            "[G, 4], (y1, x1, y2, x2) in its pixels."
        )
    pixels = read_image(image)
    batch, sizes = batch_of([pixels], config)
    canvas = np.int32(batch.shape[1:3])
    placement = Placement.of(pixels.shape, sizes[0], canvas, config)
    grids = [tuple(-(-canvas // stride)) for stride in config.strides]
    levels = pyramid_anchors(
        canvas,
        grids,
        config.anchor_sizes,
        config.anchor_ratios,
        config.anchor_rounding,
        config.anchor_offset,
    )
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return RpnTargetsExplorer(
        picture_url=data_url(batch[0].round().clip(0, 255).astype(np.uint8)),
        size=canvas.tolist(),
        place=placement.box,
        boxes=placement.in_batch(boxes),
        anchors=np.concatenate(levels).astype(np.float32).tobytes(),
        counts=[len(a) for a in levels],
        positive_iou=config.rpn_positive_iou,
        negative_iou=config.rpn_negative_iou,
        samples=config.rpn_samples,
        positive_fraction=config.rpn_positive_fraction,
        caption="Raise the upper threshold until an object has no anchor left, then switch the "
        "best-anchor rule off and on. Drag an object, or a corner of it: "
        "where does it have the fewest anchors?",
    )
