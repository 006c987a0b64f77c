"""labkit's operators against those of YOLACT's original code, file by file.

Boxes are relative to the image there, and x comes first; `Golden.boxes` turns them around. A share
of the image is a pixel of an image of 1 x 1, so the same functions serve.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from labkit.models.resize import resize_image
from labkit.ops import boxes as box_ops
from labkit.ops import losses, prototypes
from labkit.ops import prototype_losses as own_losses
from labkit.ops.anchors import cell_anchors, grid_anchors
from labkit.ops.masks import mini_mask, paste_grids
from labkit.ops.matching import BACKGROUND, match_distinct, spare_crowds
from labkit.ops.nms import batched_nms, fast_nms
from labkit.parity.check import Check
from labkit.parity.golden import Golden

BOX_STD = (0.1, 0.1, 0.2, 0.2)
POSITIVE, NEGATIVE, CROWD = 0.5, 0.4, 0.7  # IoUs, and the share of an anchor in a crowd
NEVER = float(np.finfo(np.float32).max)


# --- anchors, boxes, matching -------------------------------------------------------------


def priors(g: Golden) -> Iterator[Check]:
    """Anchors of six configurations, square or not, of one or three sizes at a level."""
    for name in sorted(n.removesuffix("_grid") for n in g if n.endswith("_grid")):
        found = all_anchors(g, name)
        check = Check(f"anchors: {name}", atol=3e-7).add(len(found), g[f"{name}_n"])
        rows = g[f"{name}_rows"] if f"{name}_rows" in g else slice(None)
        want = g[f"{name}_val"] if f"{name}_rows" in g else g[f"{name}_all"]
        check.add(found[rows], corners(want))
        want = g[f"{name}_sum_f64"][[1, 0, 3, 2]]
        size = found[:, 2:] - found[:, :2]
        sums = np.hstack([found[:, :2] + size / 2, size]).sum(0, dtype=np.float64)
        yield check.add(sums / len(found), want / len(found))


def all_anchors(g: Golden, name: str) -> np.ndarray:
    """The anchors of a configuration of unit_priors, float32 [A, 4] as shares of the image."""
    side, ratios = float(g[f"{name}_max_size"]), 1.0 / g[f"{name}_ratios"]  # width / height there
    levels = []
    for cells, sizes in zip(g[f"{name}_grid"].tolist(), g[f"{name}_scales"], strict=True):
        shapes = [cell_anchors(s / side, ratios, square=bool(g[f"{name}_square"])) for s in sizes]
        stride = (1.0 / cells, 1.0 / cells)
        levels.append(grid_anchors(np.concatenate(shapes), (cells, cells), stride, 0.5))
    return tf.concat(levels, 0).numpy()


def corners(priors: np.ndarray) -> np.ndarray:
    """Boxes (centre x, centre y, width, height) as (y1, x1, y2, x2)."""
    x, y, w, h = np.moveaxis(priors, -1, 0)
    return np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], -1)


def boxes(g: Golden) -> Iterator[Check]:
    """Encoding, decoding, IoU, clipping, and which cells a box crops."""
    anchors = corners(g["enc_prior"])
    found = box_ops.encode(g.boxes("enc_gt"), anchors, BOX_STD)
    want = g.boxes("enc_out")
    proper = np.isfinite(want).all(-1)  # boxes without an area have no finite deltas
    check = Check("boxes: encode", atol=1e-4, rtol=1e-5).add(found.numpy()[proper], want[proper])
    yield check
    deltas, want = g.boxes("dec_loc"), g.boxes("dec_out")
    found = box_ops.decode(deltas, anchors, BOX_STD).numpy()
    # A delta that asks for more than 62 times the anchor is capped here and not there.
    usual = (deltas[:, 2:] * BOX_STD[2] < box_ops.MAX_LOG_SCALE).all(-1)
    check = Check("boxes: decode", atol=1e-6, rtol=1e-6).add(found[usual], want[usual])
    yield check.add(np.isfinite(found).all(), True)
    a, b = g.boxes("a"), g.boxes("b")
    shared = box_ops.intersection(a, b)
    yield Check("boxes: intersection", atol=1e-7).add(shared, g["intersect"])
    # 0 / 0 is NaN there and 0 here
    yield Check("boxes: IoU", atol=1e-6).add(box_ops.iou(a, b), np.nan_to_num(g["iou"]))
    own = tf.math.divide_no_nan(shared, box_ops.area(a)[:, None])
    want = np.nan_to_num(g["inter_over_a"])
    yield Check("boxes: share of the first", atol=1e-6).add(own, want)
    yield _clipped(g)
    rows, columns = (int(n) for n in g["crop_hw"])
    cells = prototypes.on_grid(upright(g.boxes("crop_boxes")), (1, 1), (rows, columns))
    found = np.transpose(prototypes.inside(cells, (rows, columns)), (1, 2, 0))
    want = g.bits("crop_inside_bits", found.shape)
    check = Check("boxes: cropped cells").add(found, want)
    yield check.add(found.sum((0, 1)), g["crop_inside_count"])


def upright(boxes: np.ndarray) -> np.ndarray:
    """Boxes whose ends may be swapped, as the original crops by them: in ascending order."""
    near, far = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(near, far), np.maximum(near, far)], -1)


def _clipped(g: Golden) -> Check:
    """Ends of boxes in whole pixels. Those outside the image have swapped ends in the original."""
    check = Check("boxes: clipped, in pixels", atol=1e-4)
    low, high = np.minimum(g["san_x1"], g["san_x2"]), np.maximum(g["san_x1"], g["san_x2"])
    for size in (138, 200, 550):
        want = g[f"san_{size}_pad0_cast0"]
        ends = np.stack([low, low, high, high], -1) * np.float32(size)
        found = box_ops.clip(ends, size, size).numpy()
        good = want[0] <= want[1]
        check.add(found[good][:, [0, 2]].T, want[:, good])
    return check


def matching(g: Golden) -> Iterator[Check]:
    """Distinct forced positives, thresholds met exactly, crowds, more objects than anchors."""
    names = [n.removesuffix("_labels") for n in g if n.endswith("_labels")]
    for name in names:
        anchors = f"{name}_priors" if f"{name}_priors" in g else "priors"
        crowd = g.boxes(f"{name}_crowd") if f"{name}_crowd" in g else np.zeros((0, 4), np.float32)
        truth = g.boxes(f"{name}_gt")
        matches = matched(corners(g[anchors]), truth, crowd)
        check = Check(f"matching: {name}").add(
            as_labels(matches, g[f"{name}_labels"] + 1), g[f"{name}_conf_t"]
        )
        positive = g[f"{name}_conf_t"] > 0
        yield check.add(matches[positive], g[f"{name}_idx_t"][positive])
        finite = positive & np.isfinite(g[f"{name}_loc_t"]).all(-1)
        found = box_ops.encode(truth[matches[finite]], corners(g[anchors])[finite], BOX_STD)
        want = g.boxes(f"{name}_loc_t")[finite]
        yield Check(f"matching: {name}, deltas", atol=1e-4, rtol=1e-5).add(found, want)


def matched(anchors: np.ndarray, truth: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """The match of each anchor with objects and crowds of one image, int32 [A]."""
    overlap = box_ops.iou(anchors, truth)[None]
    valid = np.ones((1, len(truth)), bool)
    matches = match_distinct(overlap, valid, POSITIVE, NEGATIVE)
    return spare_crowds(matches, anchors, crowd[None], CROWD).numpy()[0]


def as_labels(matches: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Matches as the original has them: the object's label, 0 for background, -1 for neither."""
    found = np.asarray(labels)[np.maximum(matches, 0)]
    return np.where(matches >= 0, found, np.where(matches == BACKGROUND, 0, -1))


# --- NMS ----------------------------------------------------------------------------------


def nms(g: Golden) -> Iterator[Check]:
    """Fast NMS with one and with two thresholds, across classes, and ordinary NMS."""
    for name in g["case_names"].tolist():
        boxes, scores = g.boxes(f"{name}_boxes"), g[f"{name}_scores"]
        rules = float(g["conf_threshold"]), float(g["iou_threshold"]), int(g["max_detections"])
        # Ties are broken by the order there, which here is always stable.
        stable = "stable" if f"{name}_faststable_index" in g else ""
        for kind, found in (
            (f"fast{stable}", fast(boxes, scores, g)),
            ("fast2nd", fast(boxes, scores, g, float(g["conf_threshold"]))),
            (f"cross{stable}", across_classes(boxes, scores, g)),
            ("trad", ordinary(boxes, scores, int(g["trad_pixels"]), *rules)),
        ):
            if kind in ("fast2nd", "trad") and name in ("duplicates", "ties"):
                continue  # which of equal scores comes first is an accident there
            check = Check(f"NMS: {name}, {kind}")
            for part, value in zip(("index", "class", "score"), found, strict=True):
                value, want = value, g[f"{name}_{kind}_{part}"]
                if kind == "trad":  # equal scores in any order
                    order = np.lexsort(found[:2])
                    other = np.lexsort([g[f"{name}_{kind}_{p}"] for p in ("index", "class")])
                    value, want = value[order], want[other]
                check.add(value, want)
            yield check


def fast(boxes, scores, g: Golden, threshold: float = -1.0) -> tuple[np.ndarray, ...]:
    """(indices, classes, scores) of Fast NMS, the best of all classes first."""
    order, keep = fast_nms(boxes, scores, float(g["iou_threshold"]), int(g["top_k"]))
    order, keep = order.numpy(), keep.numpy()
    found = np.take_along_axis(scores, order, 1)
    group = np.broadcast_to(np.arange(len(scores))[:, None], order.shape)
    keep &= found > threshold
    best = np.argsort(-found[keep], kind="stable")[: int(g["max_detections"])]
    return order[keep][best], group[keep][best], found[keep][best]


def across_classes(boxes, scores, g: Golden) -> tuple[np.ndarray, ...]:
    """(indices, classes, scores) of Fast NMS in which boxes of all classes compete."""
    highest = scores.max(0)
    order, keep = fast_nms(boxes, highest[None], float(g["iou_threshold"]), int(g["top_k"]))
    kept = order[0][keep[0]].numpy()
    return kept, scores.argmax(0)[kept], highest[kept]


def ordinary(
    boxes, scores, pixels: int, least: float, threshold: float, most: int
) -> tuple[np.ndarray, ...]:
    """(indices, classes, scores) of ordinary NMS as there: boxes end at their last pixel.

    Args:
        boxes: [n, 4], as shares of the image.
        scores: [N, n].
        pixels: a side of the image.
        least: only scores above it take part.
        threshold: a box is suppressed at this IoU already.
        most: are kept at most.
    """
    boxes = boxes * np.float32(pixels) + np.float32([0, 0, 1, 1])
    group, index = np.nonzero(scores > np.float32(least))
    below = np.nextafter(np.float32(threshold), np.float32(0))
    found = scores[group, index]
    kept = batched_nms(boxes[index], found, group, below, most).numpy()
    return index[kept], group[kept], found[kept]


# --- losses -------------------------------------------------------------------------------

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


# --- masks, resizing, input ---------------------------------------------------------------


def masks(g: Golden) -> Iterator[Check]:
    """Assembly, crop and the way to the size of the image; targets at the prototypes' size."""
    proto = g["proto"]
    grid = proto.shape[:2]
    logits = prototypes.assemble(proto[None], g["coef"][None])[0]
    probability = tf.sigmoid(logits).numpy()
    check = Check("masks: assembled", atol=1e-5)
    yield check.add(probability.transpose(1, 2, 0), g["prob_uncropped"])
    boxes = upright(g.boxes("box"))
    inside = prototypes.inside(prototypes.on_grid(boxes, (1, 1), grid), grid).numpy()
    for name in sorted(n.removeprefix("mask_bits_") for n in g if n.startswith("mask_bits_")):
        rows, columns = (int(n) for n in name.split("x"))
        found = whole_masks(probability * inside, boxes, (rows, columns))
        check = Check(f"masks: {name} pixels").add(found, g.bits(f"mask_bits_{name}", found.shape))
        yield check.add(found.sum((1, 2)), g[f"mask_area_{name}"])
        everywhere = np.tile(np.float32([0, 0, 1, 1]), (len(boxes), 1))
        found = whole_masks(probability, everywhere, (rows, columns))
        want = g.bits(f"mask_nocrop_bits_{name}", found.shape)
        yield Check(f"masks: {name} pixels, not cropped").add(found, want)
    whole = g.bits("gt_mask_bits", g["gt_mask_shape"])
    for name in sorted(n for n in g if n.startswith("gt_small_bits_")):
        size = tuple(int(n) for n in name.rpartition("_")[2].split("x"))
        found = prototypes.targets_of_masks(whole[None], size)[0]
        yield Check(f"masks: targets {size}").add(found, g.bits(name, found.shape))


def whole_masks(grids: np.ndarray, boxes: np.ndarray, shape) -> np.ndarray:
    """Grids over an image as masks of its pixels, bool [N, H, W]; boxes as shares of the image."""
    pixels = boxes * np.tile(np.float32(shape), 2)
    return paste_grids(grids, [0, 0, *shape], pixels, *shape, threshold=0.5)


def resizing(g: Golden) -> Iterator[Check]:
    """Bilinear interpolation up and down, and what a stride of 2 reads."""
    from labkit.models.layers import downsample

    check = Check("resizing: bilinear", atol=1e-5)
    for name in (n.removeprefix("in_") for n in g if n.startswith("in_")):
        want = g.maps(f"out_{name}")
        check.add(tf.image.resize(g.maps(f"in_{name}"), want.shape[1:3]), want)
    yield check
    check = Check("resizing: stride 2", atol=1e-5)
    for name in (n.removeprefix("convin_") for n in g if n.startswith("convin_")):
        x = tf.keras.Input((None, None, 3))
        model = tf.keras.Model(x, downsample(x, 4, 3, bias=True, name="c"))
        model.get_layer("c").set_weights(
            [g[f"convw_{name}"].transpose(2, 3, 1, 0), g[f"convb_{name}"]]
        )
        check.add(model(g.maps(f"convin_{name}")), g.maps(f"conv_s2_{name}"))
    yield check


def transform(g: Golden) -> Iterator[Check]:
    """From pictures to the network's input, for both backbones."""
    from labkit.models.yolact_config import YolactConfig

    configs = {kind: YolactConfig.preset(f"yolact_{p}") for kind, p in KINDS.items()}
    for kind, config in configs.items():
        check = Check(f"input: {kind}", atol=1e-5)
        for name in sorted(n for n in g if n.endswith(f"_fast_{kind}")):
            want = g[name].transpose(1, 2, 0)
            picture = g[f"{name[0]}_image_rgb"]
            seen = resize_image(picture, *want.shape[:2], config.resize_filter)
            check.add((seen - config.image_mean) / config.image_std, want)
        yield check
    whole = g.bits("gt_masks_in_bits", g["gt_masks_in_shape"])
    want = g.bits("gt_masks_out_bits", g["gt_masks_out_shape"])
    check = Check("input: objects' masks, share of their cells", atol=1e-3)
    sizes = [mini_mask(m, [0, 0, *m.shape], want.shape[1:]) for m in whole]
    rows = g["gt_rows_in"]
    sides = (rows[:, 2:4] - rows[:, :2]).min(1) * want.shape[-1]
    kept = np.array(sizes)[sides > g["gt_discard_px"]]
    check.add(len(kept), len(want))
    yield check.add(np.mean(kept != want), 0.0)


KINDS = {"resnet": "r50", "darknet": "darknet53"}


FILES = {
    "unit_priors": priors,
    "unit_boxes": boxes,
    "unit_match": matching,
    "unit_nms": nms,
    "unit_losses": four_losses,
    "unit_masks": masks,
    "unit_resize": resizing,
    "unit_transform": transform,
}
