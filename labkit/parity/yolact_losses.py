"""labkit's four losses of YOLACT against those of the original code."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from labkit.ops import boxes as box_ops
from labkit.ops import losses, prototypes
from labkit.ops import prototype_losses as own_losses
from labkit.ops.matching import BACKGROUND
from labkit.parity.check import Check
from labkit.parity.golden import Golden
from labkit.parity.yolact_boxes import BOX_STD, as_labels, corners, matched

FLOAT32 = {"atol": 1e-6, "rtol": 1e-4}


class LossInputs:
    """The two images of unit_losses: outputs of a network, objects, matches.

    Args:
        g: the file.
        start: of the names of its arrays, "" or "short_".
        images: which of the two.
    """

    def __init__(self, g: Golden, start: str = "", images=(0, 1)):
        names = ("loc", "conf", "mask", "proto", "segm")
        arrays = {n: g[f"{start}in_{n}"][list(images)] for n in names}
        arrays["loc"] = arrays["loc"][..., [1, 0, 3, 2]]
        arrays["segm"] = arrays["segm"].transpose(0, 2, 3, 1)
        self.outputs = {n: tf.Variable(a) for n, a in arrays.items()}
        self.anchors = corners(g[f"{start}priors"])
        objects = [_objects(g, start, i) for i in images]
        most = max(len(o[0]) for o in objects)
        self.grid = tuple(int(n) for n in arrays["proto"].shape[1:3])
        self.coarse = tuple(int(n) for n in arrays["segm"].shape[1:3])
        self.boxes = np.stack([_padded(boxes, most) for boxes, *_ in objects])
        self.classes = np.stack([_padded(classes, most) for _, classes, *_ in objects])
        self.masks = np.stack([_padded(masks, most) for _, _, masks, _ in objects])
        matches = [matched(self.anchors, o[0], o[3]) for o in objects]
        self.matches = tf.constant(np.stack(matches))
        self.positive = self.matches >= 0
        owner = tf.maximum(self.matches, 0)
        labels = tf.gather(self.classes, owner, batch_dims=1)
        self.labels = tf.where(self.positive, labels, 0)
        self.counts = tf.reduce_sum(tf.cast(self.positive, tf.int32), 1)
        self.total = tf.cast(tf.reduce_sum(self.counts), tf.float32)
        self.truth = tf.gather(self.boxes, owner, batch_dims=1)
        self.owner = owner

    def box(self) -> tf.Tensor:
        targets = box_ops.encode(self.truth, self.anchors[None], BOX_STD)
        return 1.5 * losses.box_loss(self.outputs["loc"], targets, self.positive, self.total, 1.0)

    def classes_taken(self) -> tf.Tensor:
        background = self.matches == BACKGROUND
        return own_losses.hard_negatives(self.outputs["conf"], background, self.counts, 3.0)

    def class_(self) -> tf.Tensor:
        taken = self.positive | self.classes_taken()
        return own_losses.class_loss(self.outputs["conf"], self.labels, taken, self.total)

    def mask(self, most: int = 100, factor: float = 1.0) -> tf.Tensor:
        first = tf.minimum(most, tf.reduce_max(self.counts))
        flags, rows = tf.math.top_k(tf.cast(self.positive, tf.float32), first)
        coefficients = tf.gather(self.outputs["mask"], rows, batch_dims=1)
        logits = prototypes.assemble(factor * self.outputs["proto"], coefficients)
        targets = prototypes.targets_of_masks(self.masks, self.grid)
        owner = tf.gather(self.owner, rows, batch_dims=1)
        cells = prototypes.on_grid(tf.gather(self.boxes, owner, batch_dims=1), (1, 1), self.grid)
        drawn = tf.minimum(self.counts, most)
        shares = flags * tf.cast(self.counts / drawn, tf.float32)[:, None]
        return 6.125 * own_losses.mask_loss(
            logits,
            tf.gather(targets, owner, batch_dims=1),
            prototypes.inside(cells, self.grid),
            box_ops.area(cells),
            shares,
            self.total,
            as_torch=True,
        )

    def semantic(self) -> tf.Tensor:
        masks = prototypes.targets_of_masks(self.masks, self.coarse)
        logits = self.outputs["segm"]
        targets = prototypes.union_by_class(masks, self.classes, logits.shape[-1])
        return own_losses.semantic_loss(logits, targets)


def _objects(g: Golden, start: str, i: int):
    """(boxes, classes from 1, masks, boxes of crowds) of an image; crowds come last there."""
    rows, masks = g[f"{start}gt{i}"], g[f"{start}gt{i}_masks"]
    name = f"{start}gt{i}_num_crowds"
    real = len(rows) - (int(g[name]) if name in g else 0)
    boxes = np.ascontiguousarray(rows[:, [1, 0, 3, 2]])
    return boxes[:real], rows[:real, 4].astype(np.int32) + 1, masks[:real], boxes[real:]


def _padded(array: np.ndarray, rows: int) -> np.ndarray:
    return np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1))


def four_losses(g: Golden) -> Iterator[Check]:
    """The four losses of made-up outputs, their gradients, and the corners of each."""
    yield from _base(g)
    for i in (0, 1):
        alone = LossInputs(g, images=(i,))
        got = [alone.box(), alone.mask(), alone.class_(), alone.semantic()]
        want = [g[f"only{i}_loss_{name}"] for name in "BMCS"]
        yield Check(f"losses: image {i} alone", **FLOAT32).add(got, want)
        check = Check(f"losses: image {i}, labels")
        yield check.add(as_labels(alone.matches[0].numpy(), alone.classes[0]), g[f"gt{i}_conf_t"])
    yield from _masks_that_are_hard(g)
    yield from _constant(g)
    short = LossInputs(g, "short_")
    with tf.GradientTape() as tape:
        class_ = short.class_()
    got = [short.box(), short.mask(), class_, short.semantic()]
    check = Check("losses: too few negatives", **FLOAT32)
    check.add(got, [g[f"short_loss_{name}"] for name in "BMCS"])
    slope = tape.gradient(class_, short.outputs["conf"])
    yield check.add(slope, g["short_grad_conf"])
    yield _entropy(g)


def _base(g: Golden) -> Iterator[Check]:
    inputs = LossInputs(g)
    with tf.GradientTape() as tape:
        got = [inputs.box(), inputs.mask(), inputs.class_(), inputs.semantic()]
        total = tf.add_n(got)
    want = [g[f"base_loss_{name}"] for name in "BMCS"]
    yield Check("losses: two images", **FLOAT32).add(got, want)
    slopes = tape.gradient(total, inputs.outputs)
    check = Check("losses: gradients", atol=1e-6, rtol=1e-3)
    check.add(slopes["loc"], g["base_grad_loc"][..., [1, 0, 3, 2]])
    check.add(slopes["segm"], g["base_grad_segm"].transpose(0, 2, 3, 1))
    for name in ("conf", "mask", "proto"):
        check.add(slopes[name], g[f"base_grad_{name}"])
    yield check


def _masks_that_are_hard(g: Golden) -> Iterator[Check]:
    full = LossInputs(g)
    full.masks = np.ones_like(full.masks) * (full.classes > 0)[..., None, None]
    with tf.GradientTape() as tape:
        mask = full.mask()
    check = Check("losses: masks that leave their boxes", **FLOAT32)
    check.add([mask, full.semantic()], [g["fullmask_loss_M"], g["fullmask_loss_S"]])
    yield check.add(tape.gradient(mask, full.outputs["mask"]), g["fullmask_grad_mask"])
    inputs = LossInputs(g)
    with tf.GradientTape() as tape:
        mask = inputs.mask(factor=float(g["saturated_proto_factor"]))
    slopes = tape.gradient(mask, [inputs.outputs["mask"], inputs.outputs["proto"]])
    # Whether a probability rounds to 1 in float32 is up to the exponential function.
    check = Check("losses: saturated masks", atol=1e-4, rtol=1e-2)
    yield check.add(mask, g["saturated_loss_M"])
    check = Check("losses: saturated masks, gradients", atol=1e-3, rtol=1e-2)
    check.add(slopes[0], g["saturated_grad_mask"])
    yield check.add(slopes[1] / g["saturated_proto_factor"], g["saturated_grad_proto"])
    with tf.GradientTape() as tape:
        mask = inputs.mask(most=4)
    check = Check("losses: four masks of each image", **FLOAT32).add(mask, g["first4masks_loss_M"])
    yield check.add(tape.gradient(mask, inputs.outputs["mask"]), g["first4masks_grad_mask"])


def _constant(g: Golden) -> Iterator[Check]:
    """Where all anchors say the same, the first are taken."""
    inputs = LossInputs(g)
    inputs.outputs["conf"].assign(tf.zeros_like(inputs.outputs["conf"]))
    with tf.GradientTape() as tape:
        class_ = inputs.class_()
    check = Check("losses: equal logits", **FLOAT32).add(class_, g["constconf_loss_C"])
    yield check.add(tape.gradient(class_, inputs.outputs["conf"]), g["constconf_stable_grad_conf"])


def _entropy(g: Golden) -> Check:
    """Entropies of single cells, up to logits that saturate."""
    check = Check("losses: entropy of probabilities", atol=1e-6, rtol=1e-3)
    # At -90 a probability is 8e-40, which a processor may take for 0.
    some = g["bce_logit"] != -90
    logits = tf.Variable(g["bce_logit"][some])
    for target in (0, 1):
        with tf.GradientTape() as tape:
            each = own_losses.entropy_of_probabilities(logits, tf.fill(logits.shape, float(target)))
        check.add(each, g[f"bce_target{target}"][some])
        check.add(tape.gradient(each, logits), g[f"bce_target{target}_grad"][some])
    return check
