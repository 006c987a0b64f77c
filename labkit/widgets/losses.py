"""explore_losses: move a box, change logits, paint a mask, and watch five losses and gradients."""

import numpy as np
import tensorflow as tf
import traitlets
from matplotlib.figure import Figure

from labkit.data import shapes
from labkit.errors import LabkitError
from labkit.models import heads
from labkit.models.config import Config
from labkit.ops import boxes as box_ops
from labkit.ops import losses
from labkit.ops.matching import BACKGROUND, match
from labkit.ops.mini_masks import mini_mask
from labkit.viz.colors import CROWD, PREDICTION, TRUTH
from labkit.widgets.explorer import Box, Explorer, data_url, opened, script
from labkit.widgets.sketch import rectangle

STATE = ("truth", "start", "box", "objectness", "class_logits", "mask_logits")
CONFIDENT = 6.0  # a logit: the probability is 0.9975
MOST_SLIDERS = 5  # classes whose logits can be changed; the others count, but stay as they are


class Numbers(traitlets.TraitType):
    """A trait for an array (or tensor) of finite numbers, stored as nested lists."""

    info_text = "finite numbers"

    def validate(self, obj, value):
        try:
            numbers = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            self.error(obj, value)
        if not np.isfinite(numbers).all():
            self.error(obj, value)
        return numbers.tolist()


class LossExplorer(Explorer):
    """One object, one start box, one prediction of the network. See `explore_losses`."""

    _esm = script("losses.js")
    truth = Box([0, 0, 1, 1]).tag(sync=True)
    start = Box([0, 0, 1, 1]).tag(sync=True)
    box = Box([0, 0, 1, 1]).tag(sync=True)
    objectness = traitlets.Float().tag(sync=True)
    class_logits = Numbers([]).tag(sync=True)
    mask_logits = Numbers([]).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sliders = traitlets.List(traitlets.Int()).tag(sync=True)
    size = traitlets.List(traitlets.Int(), minlen=2, maxlen=2).tag(sync=True)
    picture_url = traitlets.Unicode().tag(sync=True)
    presets = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict(help="What Python computed, for the browser.").tag(sync=True)

    def __init__(self, config: Config, true_class: int, mask: np.ndarray, **traits):
        """Builds the explorer.

        Args:
            config: thresholds and standard deviations.
            true_class: 1..N.
            mask: bool [h, w], the ground truth in its box.
            **traits: the initial state.
        """
        self.config, self.true_class = config, true_class
        self._mask = tf.constant(np.uint8(mask)[None, None])
        self._cached = (None, None)  # the last state, and what was computed for it
        self._answered = None
        self._graph = tf.function(self._gradients_of)  # ten times as fast as op by op, for dragging
        super().__init__(**traits)
        self.observe(self._respond, STATE)
        self._respond()

    @traitlets.validate("truth", "start", "box")
    def _has_area(self, proposal):
        y1, x1, y2, x2 = proposal.value
        if min(y2 - y1, x2 - x1) < 1:
            raise traitlets.TraitError(
                f"'{proposal.trait.name}' must be at least one pixel high "
                f"and wide, got {proposal.value}."
            )
        return proposal.value

    @traitlets.validate("class_logits", "mask_logits")
    def _fits(self, proposal):
        name, side = proposal.trait.name, 2 * self.config.mask_pool
        shape = (side, side) if name == "mask_logits" else (len(self.class_names),)
        if np.shape(proposal.value) != shape:
            raise traitlets.TraitError(
                f"'{name}' must have the shape {shape}, not {np.shape(proposal.value)}."
            )
        return proposal.value

    # --- what labkit computes -----------------------------------------------------------

    @property
    def values(self) -> dict[str, float]:
        """The five losses, their sum `total`, and the `iou` of start and ground truth.

        The losses are normalised as if this were the only sample.
        """
        found = self._computed()
        five = {name: float(found["losses"][name]) for name in losses.LOSS_NAMES}
        return five | {"total": sum(five.values()), "iou": float(found["targets"]["iou"])}

    @property
    def gradients(self) -> dict[str, np.ndarray]:
        """The gradient of each loss with respect to the output of its head.

        The outputs are a logit, deltas [4], logits [1 + N], deltas [4] and logits [28, 28].
        """
        return {n: g.numpy() for n, g in self._computed()["gradients"].items()}

    def _targets_of(self, truth: tf.Tensor, start: tf.Tensor) -> dict:
        """The targets of the anchor and RoI `start` [1, 4] for the object `truth` [1, 4]."""
        c, side = self.config, 2 * self.config.mask_pool
        iou, valid = box_ops.iou(start, truth), tf.constant([True])
        as_anchor = match(iou, valid, c.rpn_positive_iou, c.rpn_negative_iou, False)[None]
        as_roi = match(iou, valid, c.roi_positive_iou, c.roi_positive_iou, False)[None]
        return {
            "iou": iou[0, 0],
            "anchor_positive": as_anchor >= 0,
            "anchor_negative": as_anchor == BACKGROUND,
            "roi_positive": as_roi >= 0,
            "label": tf.where(as_roi >= 0, self.true_class, 0),
            "rpn_box": box_ops.encode(truth, start, c.rpn_box_std)[None],
            "box": box_ops.encode(truth, start, c.roi_box_std)[None],
            "mask": heads.mask_targets(
                start[None], tf.zeros([1, 1], tf.int32), self._mask, truth[None], side
            ),
        }

    def _gradients_of(self, truth, start, box, objectness, class_logits, mask_logits) -> dict:
        """Losses, gradients and intermediate results for one anchor and RoI in a batch of one."""
        c, t = self.config, self._targets_of(truth[0], start[0])
        samples = tf.cast(t["anchor_positive"] | t["anchor_negative"], tf.int32)[0, 0]
        with tf.GradientTape() as tape:
            tape.watch([objectness, class_logits, mask_logits, box])
            rpn_deltas = box_ops.encode(box, start, c.rpn_box_std)
            box_deltas = box_ops.encode(box, start, c.roi_box_std)
            five = {
                "objectness": losses.objectness_loss(
                    objectness, t["anchor_positive"], t["anchor_negative"]
                ),
                "rpn_box": losses.box_loss(
                    rpn_deltas, t["rpn_box"], t["anchor_positive"], samples, c.smooth_l1_beta
                ),
                "class": losses.class_loss(
                    class_logits, t["label"], tf.constant([[True]]), c.class_weights, c.class_focal
                ),
                "box": losses.box_loss(
                    box_deltas, t["box"], t["roi_positive"], 1, c.smooth_l1_beta
                ),
                "mask": losses.mask_loss(mask_logits, t["mask"], t["roi_positive"]),
            }
            total = tf.add_n(list(five.values()))
        # The losses share no input except the box in pixels: one backward pass gives all gradients.
        outputs = [objectness, rpn_deltas, class_logits, box_deltas, mask_logits]
        *gradients, pixels = tape.gradient(total, [*outputs, box])
        flat = {n: g[0, 0] for n, g in zip(losses.LOSS_NAMES, gradients, strict=True)}
        return {
            "losses": five,
            "targets": t,
            "gradients": flat,
            "deltas": {"rpn_box": rpn_deltas[0, 0], "box": box_deltas[0, 0]},
            "probabilities": tf.nn.softmax(class_logits)[0, 0],
            "pixels": pixels[0, 0],
        }

    def _computed(self) -> dict:
        """`_gradients_of` the current state, cached."""
        state = [getattr(self, name) for name in STATE]
        if state != self._cached[0]:
            tensors = [tf.constant([[np.float32(value)]]) for value in state]
            self._cached = ([*state], self._graph(*tensors))
        return self._cached[1]

    def _respond(self, change=None):
        found, side = self._computed(), 2 * self.config.mask_pool
        if found is self._answered:  # several traits that change together: answer once
            return
        self._answered = found
        t = found["targets"]
        self.answer = {
            "losses": {n: float(v) for n, v in found["losses"].items()},
            "iou": float(t["iou"]),
            "label": int(t["label"][0, 0]),
            "anchor": ["ignored", "negative", "positive"][
                2 * int(t["anchor_positive"][0, 0]) + int(t["anchor_negative"][0, 0])
            ],
            "roi": "positive" if bool(t["roi_positive"][0, 0]) else "negative",
            "deltas": {
                n: {
                    "now": _plain(found["deltas"][n]),
                    "wanted": _plain(t[n][0, 0]),
                    "slope": _plain(found["gradients"][n]),
                }
                for n in ("rpn_box", "box")
            },
            "objectness_slope": float(found["gradients"]["objectness"]),
            "probabilities": _plain(found["probabilities"]),
            "class_slopes": _plain(found["gradients"]["class"]),
            "mask_target": _plain(t["mask"][0, 0]),
            # Of the loss of one cell: the mean over all cells makes them too small to read.
            "mask_slopes": _plain(found["gradients"]["mask"] * side**2),
            "pull": _plain(-found["pixels"], 6),
        }

    # --- a picture without a browser ----------------------------------------------------

    def draw(self):
        found, a = self.values, self.answer
        figure = Figure(figsize=(11, 3.7), layout="constrained")
        view, bars, painted, slopes = figure.subplots(1, 4, width_ratios=[1.25, 1, 1, 1.15])
        view.imshow(opened(self.picture_url))
        for box, color, line, name in (
            (self.start, CROWD, ":", "start"),
            (self.truth, TRUTH, "--", "ground truth"),
            (self.box, PREDICTION, "-", "prediction"),
        ):
            view.add_patch(
                rectangle(box, edgecolor=color, linestyle=line, linewidth=2.5, label=name)
            )
        view.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.02),
            ncols=3,
            fontsize=10,
            frameon=False,
            handlelength=1.4,
            columnspacing=0.8,
        )
        view.set_title(f"anchor {a['anchor']}, RoI {a['roi']}", fontsize=11)
        drawn = bars.barh(
            losses.LOSS_NAMES, [found[n] for n in losses.LOSS_NAMES], color=PREDICTION
        )
        bars.bar_label(drawn, fmt="%.3f", padding=3, fontsize=10)
        bars.margins(x=0.4)
        bars.invert_yaxis()
        bars.spines[["top", "right"]].set_visible(False)
        bars.set_title("the five losses", fontsize=11)
        probabilities = tf.sigmoid(self.mask_logits).numpy()
        painted.imshow(probabilities, cmap="cividis", vmin=0, vmax=1)
        if np.ptp(a["mask_target"]):
            painted.contour(a["mask_target"], [0.5], colors="white", linestyles="--")
        painted.set_title("mask (dashed: target)", fontsize=11)
        heat = slopes.imshow(a["mask_slopes"], cmap="PuOr", vmin=-1, vmax=1)
        figure.colorbar(heat, ax=slopes, shrink=0.8)
        slopes.set_title("gradient of the mask loss", fontsize=11)
        for ax in (view, painted, slopes):
            ax.set(xticks=[], yticks=[])
        five = ", ".join(f"{n} {found[n]:.3f}" for n in losses.LOSS_NAMES)
        return (
            figure,
            f"An image with start box, ground truth and prediction; the five losses: {five}; "
            "the painted mask; and the gradient of its loss in every cell.",
        )


def _plain(values, digits: int = 4) -> list:
    return np.round(np.float64(values), digits).tolist()


def explore_losses(
    sample=None, class_names=None, model=None, instance: int = 0, roi: int = 0
) -> LossExplorer:
    """Each of the five losses of one object and one start box, and its gradient, while you drag.

    The start box has two roles: as an anchor it is trained by objectness and rpn_box, as a RoI by
    class, box and mask. All are normalised as if it were the only sample. The explorer can be
    changed from code (`w.box = ...`, `w.mask_logits = ...`) and read (`w.values`, `w.gradients`).

    Args:
        sample: a `labkit.Sample`; by default a synthetic star.
        class_names: of its classes, without background; a model has its own.
        model: a MaskRCNN; its predictions for the sample are then the initial state, and its config
            has the thresholds and standard deviations (otherwise those of the paper).
        instance: which object of the sample, without a model.
        roi: with a model: which of the RoIs that training would sample; positive ones come first.

    Raises:
        LabkitError: the sample has no such object or RoI.
    """
    if sample is None:
        synthetic = shapes(
            1,
            256,
            22,
            classes=("star", "ellipse", "triangle"),
            max_objects=1,
            min_size=70,
            max_size=84,
        )
        sample, class_names = synthetic[0], class_names or synthetic.class_names
    if model is None:
        first = _untrained(sample, class_names, instance)
    else:
        first = _from_model(sample, model, roi)
    state, names = first["state"], first["class_names"]
    target = _target_of(first)
    by_size = sorted(range(1, len(names)), key=lambda k: -state["class_logits"][k])
    others = [k for k in by_size if k != first["true_class"]][: MOST_SLIDERS - 1]
    height, width = first["image"].shape[:2]
    return LossExplorer(
        first["config"],
        first["true_class"],
        first["mask"],
        **state,
        class_names=names,
        sliders=sorted([0, first["true_class"], *others]),
        size=[height, width],
        picture_url=data_url(first["image"]),
        presets=_presets(state, first["true_class"], len(names), target, width),
        caption="Drag the predicted box (solid), the start box (dotted) or the ground truth "
        "(dashed); change the logits; paint on the mask. Arrows on the box show where the gradient "
        "pulls it. When do rpn_box, box and mask become 0?",
    )


def _untrained(sample, class_names, instance: int) -> dict:
    if not -len(sample) <= instance < len(sample):
        raise LabkitError(
            f"explore_losses: {sample.name} has {len(sample)} objects, there is no "
            f"instance {instance}."
        )
    config, true_class = Config(), int(sample.class_ids[instance])
    names = class_names or [f"class {k}" for k in range(1, int(sample.class_ids.max()) + 1)]
    if true_class > len(names):
        raise LabkitError(
            f"explore_losses: the object is of class {true_class}, and class_names "
            f"has only {len(names)}."
        )
    truth = np.float64(sample.boxes[instance])
    unit = np.tile(truth[2:] - truth[:2], 2)
    within = [*sample.image.shape[:2]] * 2
    # A start box with an IoU of nearly 0.8, positive as an anchor and as a RoI; a poor prediction.
    start = np.clip(truth + unit * [0.06, 0.06, 0.02, -0.13], 0, within)
    box = np.clip(start + unit * [0.2, 0.15, 0.12, 0.3], 0, within)
    side = 2 * config.mask_pool
    return {
        "config": config,
        "true_class": true_class,
        "image": sample.image,
        "class_names": ["background", *map(str, names)],
        "mask": mini_mask(sample.masks[instance], sample.boxes[instance]),
        "state": {
            "truth": truth,
            "start": start,
            "box": box,
            "objectness": 0.0,
            "class_logits": [0.0] * (1 + len(names)),
            "mask_logits": np.zeros((side, side)).tolist(),
        },
    }


def _from_model(sample, model, roi: int) -> dict:
    trace = model.trace(sample.image, sample)
    lesson = trace.lesson
    positive = int(lesson.roi_positive.sum())
    if not 0 <= roi < positive:
        raise LabkitError(
            f"explore_losses: of the sampled RoIs of {sample.name}, {positive} hold an "
            f"object; there is no number {roi}."
        )
    matched, start = int(lesson.roi_matched[roi]), lesson.rois[roi]
    instance = np.flatnonzero(~sample.crowd)[matched]
    truth = lesson.gt_boxes[matched]
    config = model.config
    box = box_ops.decode(lesson.box_deltas[roi], start, config.roi_box_std)
    box = _at_least_a_pixel(box.numpy())
    anchors, objectness = np.concatenate(trace.anchors), np.concatenate(trace.objectness)
    nearest = int(tf.argmax(box_ops.iou(tf.constant(anchors), truth[None])[:, 0]))
    return {
        "config": config,
        "true_class": int(lesson.roi_classes[roi]),
        "image": np.uint8(np.clip(trace.seen, 0, 255)),
        "class_names": ["background", *model.class_names],
        "mask": mini_mask(sample.masks[instance], sample.boxes[instance]),
        "state": {
            "truth": _at_least_a_pixel(truth),
            "start": _at_least_a_pixel(start),
            "box": box,
            "objectness": float(objectness[nearest]),
            "class_logits": _plain(lesson.class_logits[roi]),
            "mask_logits": _plain(lesson.mask_logits[roi]),
        },
    }


def _at_least_a_pixel(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:2], np.maximum(box[2:], box[:2] + 1)])


def _target_of(first: dict) -> np.ndarray:
    """The mask target of the start box, bool [28, 28]."""
    state = first["state"]
    start, truth = (tf.constant(state[n], tf.float32)[None, None] for n in ("start", "truth"))
    mask = tf.constant(np.uint8(first["mask"])[None, None])
    return (
        heads.mask_targets(
            start, tf.zeros([1, 1], tf.int32), mask, truth, 2 * first["config"].mask_pool
        )[0, 0].numpy()
        >= 0.5
    )


def _presets(state: dict, true_class: int, outputs: int, target: np.ndarray, width: int) -> dict:
    """Interesting states by name; each sets only the traits that it contains."""

    def logits(k: int) -> list[float]:
        return [CONFIDENT if i == k else 0.0 for i in range(outputs)]

    def preset(objectness: float, class_logits, box, mask) -> dict:
        values = {"objectness": objectness, "class_logits": class_logits, "mask_logits": mask}
        return values | {"box": box, "start": start, "truth": truth}

    wrong = next(k for k in range(outputs) if k not in (0, true_class)) if outputs > 2 else 0
    truth, start = np.float64(state["truth"]), np.float64(state["start"])
    room = width - start[3]  # to the right; to the left it is start[1]
    far = 0.8 * (truth[3] - truth[1])
    aside = np.array([0, 1, 0, 1]) * (min(room, far) if room > start[1] else -min(start[1], far))
    mask = np.where(target, CONFIDENT, -CONFIDENT)
    presets = {
        "at first": state,
        "knows nothing": preset(0.0, [0.0] * outputs, start, 0 * mask),
        "knows it all": preset(CONFIDENT, logits(true_class), truth, mask),
        "sure and wrong": preset(-CONFIDENT, logits(wrong), start + aside / 4, -mask),
        "starts far off": {"start": start + aside, "box": start + aside, "truth": truth},
    }
    return {
        name: {trait: np.asarray(value).tolist() for trait, value in values.items()}
        for name, values in presets.items()
    }
