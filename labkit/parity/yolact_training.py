"""Training of YOLACT against the original: matches, hard negatives, losses, gradients, SGD.

Where an image has more positives than masks are assembled, the original draws at random; in the
reference there are fewer, but for one loss that was made with the first five.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from labkit.models.inference import batch_of
from labkit.models.yolact import YOLACT
from labkit.parity.check import Check
from labkit.parity.golden import Golden
from labkit.parity.gradients import compare_gradients
from labkit.parity.network import FEATURES
from labkit.parity.yolact_boxes import as_labels
from labkit.parity.yolact_network import ReferenceYolact
from labkit.training.schedules import SGDWithL2
from labkit.weights.yolact import pairs

LOSSES = {"box": "B", "mask": "M", "class": "C", "semantic": "S"}  # labkit's name: theirs

# Relative: ten times the float32 rounding error of gradient norms against float64, as measured for
# the reference (7.4e-5; with batch statistics 8e-4).
GRADIENTS = {"batch": 1e-3, "bn": 1e-2}


class FirstMasks(YOLACT):
    """A YOLACT that assembles the masks of an image's first positives."""

    def priority(self, shape, step, use: int) -> tf.Tensor:
        order = 1.0 + tf.range(tf.cast(shape[1], tf.float32))
        return tf.broadcast_to(1.0 / order, shape)


def training(folder: Path, name: str, images: Golden, g: Golden) -> Iterator[Check]:
    """Compares all that a `*_train.npz` holds."""
    network = ReferenceYolact(folder, name, FirstMasks, mini_mask=0)
    whole = batch_from(network, images, g, "AB")
    for image in "AB":
        yield from _one_image(network, batch_from(network, images, g, image), image, g)
    yield from _gradients(network, whole, g, "batch")
    if "batch_first5masks_loss_M" in g:
        yield from _each_loss(network, whole, g)
        yield _first_masks(network, whole, g)
        yield _trajectory(network, whole, g)
    if "bn_loss_B" in g:
        network = ReferenceYolact(folder, name, FirstMasks, mini_mask=0)
        yield from _gradients(network, whole, g, "bn")
        yield from _running(network, whole, g)


def batch_from(network, images: Golden, g: Golden, names: str) -> dict[str, tf.Tensor]:
    """Images and their objects, as large as the network sees them, as a training batch."""
    batch, sizes = batch_of([images[name] for name in names], network.config)
    real = {name: len(g[f"{name}_gt"]) - int(g[f"{name}_num_crowds"]) for name in names}
    most, crowds = max(real.values()), max(int(g[f"{name}_num_crowds"]) for name in names)
    arrays = {
        "boxes": np.zeros((len(names), most, 4), np.float32),
        "classes": np.zeros((len(names), most), np.int32),
        "masks": np.zeros((len(names), most, *batch.shape[1:3]), np.uint8),
        "crowds": np.zeros((len(names), crowds, 4), np.float32),
    }
    for i, name in enumerate(names):
        count, rows = real[name], g[f"{name}_gt"]
        boxes = rows[:, [1, 0, 3, 2]] * np.float32(network.side)
        arrays["boxes"][i, :count], arrays["crowds"][i, : len(rows) - count] = (
            boxes[:count],
            boxes[count:],
        )
        arrays["classes"][i, :count] = rows[:count, 4] + 1
        arrays["masks"][i, :count] = g.bits(f"{name}_gt_mask_bits", g[f"{name}_gt_mask_shape"])[
            :count
        ]
    arrays |= {"images": batch, "sizes": sizes}
    return {name: tf.constant(value) for name, value in arrays.items()}


def _weighted(model, losses) -> list[tf.Tensor]:
    """The losses in the reference's order, with their weights, as there."""
    return [losses[name] * model.loss_weights[name] for name in LOSSES]


def _one_image(network, batch, image: str, g: Golden) -> Iterator[Check]:
    """Compares matches, hard negatives and losses of an image by itself."""
    model, title = network.model, f"{network.name} train {image}"
    trace = model.trace_losses(batch, training=False)
    targets = {k: v.numpy()[0] for k, v in trace["targets"].items()}
    labels = as_labels(targets["matches"], batch["classes"][0].numpy())
    check = Check(f"{title}: labels").add(labels, g[f"{image}_conf_t"])
    positive = np.flatnonzero(targets["positive"])
    check.add(positive, g[f"{image}_pos_prior"])
    yield check.add(targets["owner"][positive], g[f"{image}_idx_t"][positive])
    check = Check(f"{title}: deltas", atol=1e-3, rtol=1e-5)  # 1e-4 px of an anchor of a few pixels
    yield check.add(targets["deltas"][positive], g.boxes(f"{image}_pos_loc_t"))
    negative = np.flatnonzero(trace["negative"].numpy()[0])
    yield Check(f"{title}: hard negatives").add(negative, np.sort(g[f"{image}_neg_prior"]))
    yield from _targets_of_masks(network, batch, image, g, title)
    got = _weighted(model, trace["losses"])
    check = Check(f"{title}: losses", rtol=1e-4)
    for end in ("", "_f64"):
        check.add(got, [g[f"{image}_loss_{name}{end}"] for name in LOSSES.values()])
    yield check


def _targets_of_masks(network, batch, image: str, g: Golden, title: str) -> Iterator[Check]:
    """Compares the objects' masks at the size of the prototypes and of the finest level."""
    from labkit.models.yolact_targets import mask_targets

    rows, count = g[f"{image}_gt_mask_shape"][0], batch["classes"].shape[1]
    side = -(-network.side // 8)
    for name, cells in (("proto", 2 * side), ("segm", side)):
        found = mask_targets(batch, (cells, cells), network.config)[0].numpy()
        want = g.bits(f"{image}_gt_mask_{name}_bits", (rows, cells, cells))[:count]
        yield Check(f"{title}: masks of {cells} cells").add(found, want)


def _gradients(network, batch, g: Golden, mode: str) -> Iterator[Check]:
    """Compares losses and gradients of the two images together."""
    model, title = network.model, f"{network.name} train {mode}"
    with tf.GradientTape() as tape:
        losses = model.losses_of(batch, training=mode == "bn")
        got = _weighted(model, losses)
        total = tf.add_n(got)
    check = Check(f"{title}: losses", rtol=1e-4)
    for end in ("", "_f64"):
        check.add(got, [g[f"{mode}_loss_{name}{end}"] for name in LOSSES.values()])
    yield check
    yield from compare_gradients(pairs(model), tape, total, g, mode, title, GRADIENTS[mode])


def _each_loss(network, batch, g: Golden) -> Iterator[Check]:
    """Compares the norms of the gradients of each loss by itself."""
    model = network.model
    with tf.GradientTape(persistent=True) as tape:
        losses = model.losses_of(batch, training=False)
        weighted = dict(zip(LOSSES.values(), _weighted(model, losses), strict=True))
    variables = {p.name: (p, p.variable.value) for p in pairs(model)}
    for name, loss in weighted.items():
        names = g[f"grad_of_{name}_names"].tolist()
        found = tape.gradient(loss, [variables[n][1] for n in names])
        norms = [np.linalg.norm(v.numpy().astype(np.float64)) for v in found]
        check = Check(f"{network.name} train: gradient norms of {name}", 1e-7, GRADIENTS["batch"])
        yield check.add(norms, g[f"grad_of_{name}_norm"])


def _first_masks(network, batch, g: Golden) -> Check:
    """Compares the mask loss where five positives of each image stand for all."""
    model, config = network.model, network.config
    model.config = config.replace(mask_samples=5)
    try:
        losses = model.losses_of(batch, training=False)
    finally:
        model.config = config
    check = Check(f"{network.name} train: five masks of each image", rtol=1e-4)
    got = losses["mask"] * model.loss_weights["mask"]
    return check.add(got, g["batch_first5masks_loss_M"])


def _trajectory(network, batch, g: Golden) -> Check:
    """Compares the losses over a few steps of SGD, batch normalisation's gamma and beta fixed."""
    model, want = network.model, g["sgd_traj"]
    order = [list(LOSSES.values()).index(str(name)) for name in g["sgd_loss_order"]]
    variables = [v for v in model.trainable_variables if v.name not in ("gamma", "beta")]
    optimizer = SGDWithL2(float(g["sgd_lr"]), l2=5e-4, no_decay=(), momentum=0.9)
    check = Check(f"{network.name} train: losses over {len(want) - 1} steps", rtol=1e-4)
    for step, (row, exact) in enumerate(zip(want, g["sgd_traj_f64"], strict=True)):
        with tf.GradientTape() as tape:
            found = _weighted(model, model.losses_of(batch, training=False))
            total = tf.add_n(found)
        ours = [found[i] for i in order]
        check.add(ours, row).add(ours, exact)
        if step + 1 < len(want):
            optimizer.apply(tape.gradient(total, variables), variables)
    return check


def _running(network, batch, g: Golden) -> Iterator[Check]:
    """Compares batch normalisation's running values after one step."""
    means = Check(f"{network.name} train bn: running means", **FEATURES)
    variances = Check(f"{network.name} train bn: running variances", **FEATURES)
    for pair in pairs(network.model):
        if f"bn_after_{pair.name}" not in g:
            continue
        want = g[f"bn_after_{pair.name}"]
        if pair.name.endswith("running_mean"):
            means.add(pair.outside(), want)
        else:
            variances.add(_unbiased(network, pair, batch), want)
    yield from (means, variances)


def _unbiased(network, pair, batch) -> np.ndarray:
    """A running variance as torch would have updated it: see `labkit.parity.training`."""
    stride = next((s for start, s in _STRIDES if pair.name.startswith(start)), 32)
    n = len(batch["images"]) * (-(-network.side // stride)) ** 2
    before, momentum = network.tensors[pair.name], network.config.batch_norm_momentum
    own = (pair.outside() - momentum * before) / (1 - momentum)
    return momentum * before + (1 - momentum) * own * n / (n - 1)


# Pixels a cell of the maps whose norms are compared covers.
_STRIDES = (("backbone.bn1", 2), ("backbone._preconv", 1), ("backbone.layers.3", 32))
