"""Training of Mask R-CNN against torchvision's: targets, losses, gradients, a few steps of SGD.

torchvision samples anchors and RoIs at random; the reference was made with samplers that take all
of them ("all", "bn") or the lowest indices first ("firstk"), and so does the network here.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from labkit.models.inference import batch_of
from labkit.models.mask_rcnn import MaskRCNN
from labkit.models.resize import resize_mask
from labkit.parity.check import Check, in_reference_order
from labkit.parity.golden import Golden
from labkit.parity.gradients import compare_gradients
from labkit.parity.network import ReferenceNetwork
from labkit.training.schedules import SGDWithL2
from labkit.weights.torchvision import pairs

LOSSES = {  # labkit's name: torchvision's
    "objectness": "loss_objectness",
    "rpn_box": "loss_rpn_box_reg",
    "class": "loss_classifier",
    "box": "loss_box_reg",
    "mask": "loss_mask",
}
EVERYTHING = 10**9
MODES = {
    "all": {"rpn_samples": EVERYTHING, "roi_samples": EVERYTHING, "proposals_train": 200},
    "firstk": {},
    "bn": {"rpn_samples": EVERYTHING, "roi_samples": EVERYTHING, "proposals_train": 200},
}

# Relative: ten times the float32 rounding error of gradient norms against float64, as measured for
# the reference (1.2e-4; with batch statistics 2.2e-3).
GRADIENTS = {"all": 1.2e-3, "bn": 2.2e-2}


class FirstOnes(MaskRCNN):
    """Mask R-CNN that samples the lowest indices first, objects after proposals."""

    objects: int  # in each image, padding included

    def priority(self, shape, step, use: int) -> tf.Tensor:
        order = tf.range(shape[1])
        if use == 1:  # objects stand first here and last in torchvision
            order = tf.concat([order[-self.objects :], order[: -self.objects]], 0)
        return -tf.cast(order, tf.float32)[None] * tf.ones(shape)


class TrainingNetwork(ReferenceNetwork):
    """A reference network with the samplers of a mode."""

    def __init__(self, folder: Path, version: str, mode: str):
        super().__init__(folder, version, mini_mask=0, **MODES[mode])

    def make(self, classes: int) -> MaskRCNN:
        return FirstOnes(self.config, [f"class {i + 1}" for i in range(classes)])


def batch_from(network: ReferenceNetwork, images: Golden, g: Golden) -> dict[str, tf.Tensor]:
    """The two images and their objects as a training batch."""
    pictures = network.pictures(images, "AB")
    batch, sizes = batch_of(pictures, network.config)
    most = max(len(g[f"{name}_gt_labels"]) for name in "AB")
    boxes, classes = np.zeros((2, most, 4), np.float32), np.zeros((2, most), np.int32)
    masks = np.zeros((2, most, *batch.shape[1:3]), np.uint8)
    for i, (name, picture) in enumerate(zip("AB", pictures, strict=True)):
        count = len(g[f"{name}_gt_labels"])
        scale = np.tile(sizes[i] / np.float32(picture.shape[:2]), 2)
        boxes[i, :count] = g.boxes(f"{name}_gt_boxes") * scale
        classes[i, :count] = g[f"{name}_gt_labels"]
        height, width = (int(side) for side in sizes[i])
        whole = g.bits(f"{name}_gt_masks_bits", g[f"{name}_gt_masks_shape"])
        for j, mask in enumerate(whole):
            masks[i, j, :height, :width] = resize_mask(mask, height, width)
    network.model.objects = most
    arrays = {"images": batch, "sizes": sizes, "boxes": boxes, "classes": classes, "masks": masks}
    return {name: tf.constant(value) for name, value in arrays.items()}


def training(folder: Path, version: str, images: Golden, g: Golden) -> Iterator[Check]:
    """Compares all that a `maskrcnn_*_train.npz` holds."""
    for mode in (m for m in MODES if f"{m}_loss_mask" in g):
        network = TrainingNetwork(folder, version, mode)
        batch = batch_from(network, images, g)
        if mode == "all":
            yield from _resized(batch, g, f"{version} train")
        yield from _one_step(network, batch, mode, g)
        if f"{mode}_sgd_traj" in g:
            yield _trajectory(network, batch, g, mode)


def _resized(batch, g: Golden, title: str) -> Iterator[Check]:
    boxes, masks = Check(f"{title}: boxes", rtol=2e-7), Check(f"{title}: masks")
    for i, name in enumerate("AB"):
        want = g.boxes(f"{name}_gt_boxes_resized")
        boxes.add(batch["boxes"][i, : len(want)], want)
        want = g.bits(f"{name}_gt_masks_resized_bits", g[f"{name}_gt_masks_resized_shape"])
        count, height, width = want.shape
        masks.add(batch["masks"][i, :count, :height, :width] == 1, want)
    yield boxes
    yield masks


def _one_step(network, batch, mode: str, g: Golden) -> Iterator[Check]:
    """Compares targets, losses, gradients and, in mode "bn", the batch statistics afterwards."""
    model, title = network.model, f"{network.version} train {mode}"
    with tf.GradientTape() as tape:
        trace = model.trace_losses(batch, training=mode == "bn")
        total = tf.add_n(list(trace["losses"].values()))
    if f"{mode}_A_sampled" in g:
        yield from _targets(trace, mode, g, title)
    got = [trace["losses"][name] for name in LOSSES]
    check = Check(f"{title}: losses", rtol=1e-4)
    check.add(got, [g[f"{mode}_{name}"] for name in LOSSES.values()])
    yield check.add(got, [g[f"{mode}_{name}_f64"] for name in LOSSES.values()])
    if f"{mode}_grad_norm" in g:
        yield from compare_gradients(pairs(model), tape, total, g, mode, title, GRADIENTS[mode])
    after = f"{mode}_after_"
    means, variances = Check(f"{title}: running means", 1e-5), Check(f"{title}: variances", 1e-5)
    for pair in pairs(model):
        if after + pair.name not in g:
            continue
        want = g[after + pair.name]
        if pair.name.endswith("running_mean"):
            means.add(pair.outside(), want)
        else:
            variances.add(_unbiased(pair, batch, network), want)
    if means.values:
        yield means
        yield variances


def _targets(trace, mode: str, g: Golden, title: str) -> Iterator[Check]:
    anchors, labels = Check(f"{title}: labels of anchors"), Check(f"{title}: labels of RoIs")
    rois = Check(f"{title}: sampled RoIs (px)", atol=0.01)
    deltas = Check(f"{title}: deltas of RoIs", atol=1e-3)  # 0.01 px of a RoI of a few pixels
    matches = trace["rpn_targets"]["matches"].numpy()
    sampled = trace["rois"]["sampled"].numpy()
    for i, name in enumerate("AB"):
        want = np.where(matches[i] >= 0, 1, np.where(matches[i] == -1, 0, -1))
        anchors.add(want, g[f"{name}_anchor_labels_i8"])
        found = {k: v.numpy()[i][sampled[i]] for k, v in trace["rois"].items()}
        found["boxes"] = found.pop("rois")
        want, label = g.boxes(f"{mode}_{name}_sampled"), g[f"{mode}_{name}_labels"]
        ours = in_reference_order(found, want, label)
        rois.add(ours["count"], len(want)).add(ours["boxes"], want)
        labels.add(ours["classes"], label)
        positive = label > 0
        want = g.boxes(f"{mode}_{name}_regtargets")[positive]
        deltas.add(ours["deltas"][positive], want)
    yield from (anchors, rois, labels, deltas)


def _unbiased(pair, batch, network) -> np.ndarray:
    """A running variance as torch would have updated it.

    torch updates it with the unbiased variance, n / (n - 1) times the batch's own; Keras with the
    batch's own. n is the number of cells that the normalisation averages over.
    """
    stride = 2 if pair.name.startswith("backbone.body.bn1") else 32
    images, height, width, _ = batch["images"].shape
    n = images * -(-height // stride) * -(-width // stride)
    before = network.tensors[pair.name]
    momentum = network.config.batch_norm_momentum
    own = (pair.outside() - momentum * before) / (1 - momentum)
    return momentum * before + (1 - momentum) * own * n / (n - 1)


def _trajectory(network, batch, g: Golden, mode: str) -> Check:
    """Compares the losses over a few steps of SGD, batch normalisation's gamma and beta fixed."""
    model, want = network.model, g[f"{mode}_sgd_traj"]
    order = {theirs: ours for ours, theirs in LOSSES.items()}
    names = [order[str(name)] for name in g[f"{mode}_sgd_loss_order"]]
    variables = [v for v in model.trainable_variables if v.name not in ("gamma", "beta")]
    optimizer = SGDWithL2(float(g[f"{mode}_sgd_lr"]), l2=1e-4, no_decay=(), momentum=0.9)
    check = Check(f"{network.version} train {mode}: losses over {len(want) - 1} steps", rtol=1e-4)
    for step, (losses, exact) in enumerate(zip(want, g[f"{mode}_sgd_traj_f64"], strict=True)):
        with tf.GradientTape() as tape:
            found = model.trace_losses(batch, training=False)["losses"]
            total = tf.add_n(list(found.values()))
        ours = [found[name] for name in names]
        check.add(ours, losses).add(ours, exact)
        if step + 1 < len(want):
            optimizer.apply(tape.gradient(total, variables), variables)
    return check
