"""labkit's operators against torchvision's: the same boxes, maps and numbers go in.

Each function takes a file of reference values and yields a `Check` for every quantity in it. A
comment gives the reason for each tolerance; results without rounding must be equal.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from labkit.models.config import Config
from labkit.models.heads import mask_targets
from labkit.models.resize import resize_image, resize_mask, resized_shape
from labkit.ops import boxes as box_ops
from labkit.ops import losses
from labkit.ops.anchors import cell_anchors, pyramid_anchors
from labkit.ops.matching import match, sample
from labkit.ops.nms import batched_nms, nms
from labkit.ops.pasting import paste_mask, paste_masks
from labkit.ops.roi import roi_align, roi_pool
from labkit.ops.roi_pyramid import pyramid_roi_align, roi_level
from labkit.parity.check import Check
from labkit.parity.golden import Golden

STD = {"w1": (1.0, 1.0, 1.0, 1.0), "w10": (0.1, 0.1, 0.2, 0.2)}
NMS_IOU = {"t3": 0.3, "t5": 0.5, "t7": 0.7}

# Positions of a few tens of cells are accurate to 4e-6 cells in float32; maps change by up to 6 per
# cell.
ALIGN = 1e-4


def anchors(g: Golden) -> Iterator[Check]:
    config = Config.preset("torchvision_v1")
    sizes, ratios = config.anchor_sizes, config.anchor_ratios
    check = Check("anchors: one cell")
    cells = [cell_anchors(size, ratios, rounding=True) for size in sizes]
    for level, cell in enumerate(cells):
        check.add(cell, g.boxes(f"cell_{level}"))
    yield check.add(np.stack(cells, axis=1).reshape(-1, 4), g.boxes("cell_multi"))
    # Sums of whole numbers below 2^24: float32 is exact.
    check = Check("anchors: pyramids")
    for name in (n.removesuffix("_grid") for n in g if n.endswith("_grid")):
        grid = [tuple(int(n) for n in row) for row in g[f"{name}_grid"]]
        image = tuple(int(n) for n in name.split("x"))
        got = tf.concat(pyramid_anchors(image, grid, sizes, ratios, rounding=True), 0).numpy()
        if f"{name}_anchors" in g:
            check.add(got, g.boxes(f"{name}_anchors"))
        else:
            check.add(len(got), g[f"{name}_n"])
            check.add(got[g[f"{name}_rows"]], g.boxes(f"{name}_anchors_rows"))
            check.add(got.sum(0, dtype=np.float64), g.boxes(f"{name}_sum"))
    yield check


def boxes(g: Golden) -> Iterator[Check]:
    a, b = tf.constant(g.boxes("a")), tf.constant(g.boxes("b"))
    # A pair without any area is NaN in torchvision and 0 here. One ulp for fused multiply-adds.
    yield Check("boxes: IoU", rtol=1.2e-7).add(box_ops.iou(a, b), np.nan_to_num(g["iou"], nan=0.0))
    proper = np.all(a[:, 2:] >= a[:, :2], axis=1)  # torchvision multiplies negative sides
    yield Check("boxes: area").add(box_ops.area(a).numpy()[proper], g["area_a"][proper])
    yield Check("boxes: clip").add(box_ops.clip(a, *g["clip_size_hw"]), g.boxes("clip_a"))
    check = Check("boxes: small ones removed")
    for name in (n for n in g if "_keep_" in n):
        tested = tf.constant(g.boxes("edge" if name.startswith("edge") else "a"))
        keep = box_ops.large_enough(tested, float(name.rsplit("_", 1)[1]))
        check.add(np.flatnonzero(keep), g[name])
    yield check
    anchors, truth = tf.constant(g.boxes("prop")), tf.constant(g.boxes("ref"))
    # Differences of a few hundred pixels over sizes of a few: some ulp (6e-8) of |y / h| / std.
    check = Check("boxes: encode", atol=5e-6, rtol=5e-7)
    for name, std in STD.items():
        check.add(box_ops.encode(truth, anchors, std), g.boxes(f"enc_{name}"))
    yield check
    check = Check("boxes: decode, relative to the largest coordinate", atol=5e-7)
    for name, std in STD.items():
        for number in ("1", "K"):  # one box per anchor, or one for each class
            deltas = g[f"codes{number}"].reshape(len(anchors), -1, 4)[..., [1, 0, 3, 2]]
            got = box_ops.decode(tf.constant(deltas), anchors[:, None], std).numpy()
            want = g.boxes(f"dec{number}_{name}").reshape(got.shape)
            extent = np.maximum(np.abs(want).max(axis=-1, keepdims=True), 1.0)
            check.add(got / extent, want / extent)
    yield check


def matcher(g: Golden) -> Iterator[Check]:
    for kind, rule in {"rpn": (0.7, 0.3, True), "roi": (0.5, 0.5, False)}.items():
        check = Check(f"matcher: {kind}")
        for name in g["names"]:
            overlap = tf.constant(g[f"q_{name}"].T)  # torchvision's is objects x candidates
            got = match(overlap, tf.ones(overlap.shape[1], tf.bool), *rule)
            check.add(got, g[f"{kind}_{name}"])
        yield check


def suppression(g: Golden) -> Iterator[Check]:
    check = Check("nms")
    for name in g["case_names"]:
        for suffix, threshold in NMS_IOU.items():
            scored = tf.constant(g.boxes(f"{name}_boxes")), tf.constant(g[f"{name}_scores"])
            check.add(nms(*scored, threshold), g[f"{name}_keep_{suffix}"])
    yield check
    check = Check("nms in groups")
    for name in (n[len("batched_") : -len("_idxs")] for n in g if n.endswith("_idxs")):
        groups = g[f"batched_{name}_idxs"]
        source = name if f"{name}_boxes" in g else "rand2000"  # it uses the first boxes of these
        scored = g.boxes(f"{source}_boxes")[: len(groups)], g[f"{source}_scores"][: len(groups)]
        for suffix, threshold in NMS_IOU.items():
            check.add(batched_nms(*scored, groups, threshold), g[f"batched_{name}_keep_{suffix}"])
    yield check


def aligned_pooling(g: Golden) -> Iterator[Check]:
    name = g.path.stem
    features, (rois, image) = tf.constant(g.maps("input")), g.rois("rois")
    scale = float(g["spatial_scale"])
    value, gradient = Check(f"{name}: values", atol=ALIGN), Check(f"{name}: gradients", atol=ALIGN)
    for case in (n for n in g if n.startswith(("out_", "grad_in_"))):
        output, ratio, aligned = case.removeprefix("out_").removeprefix("grad_in_").split("_")
        ratio = 0 if ratio == "srm1" else int(ratio[2:])
        settings = (int(output[1:]), scale, ratio, aligned == "al1")
        if case.startswith("out_"):
            value.add(roi_align(features, rois, image, *settings), g.maps(case))
            continue
        with tf.GradientTape() as tape:
            tape.watch(features)
            # A copy of the map for each RoI: where RoIs share one, a CPU may lose a part of the
            # gradient (see `labkit.ops.roi`).
            pooled = roi_align(tf.gather(features, image), rois, tf.range(len(rois)), *settings)
        got = tf.convert_to_tensor(tape.gradient(pooled, features, g.maps(f"grad_out_{output}")))
        gradient.add(got, g.maps(case))
    yield value
    yield gradient


def pooling(g: Golden) -> Iterator[Check]:
    name = g.path.stem
    features, (rois, image) = tf.constant(g.maps("input")), g.rois("rois")
    value = Check(f"{name}: values")  # a maximum is not rounded
    # Up to a hundred bins add to one cell, in another order: a hundred ulp of about 20.
    gradient = Check(f"{name}: gradients", atol=1e-4)
    for case in (n for n in g if n.startswith("out_")):
        output = case.removeprefix("out_")
        with tf.GradientTape() as tape:
            tape.watch(features)
            pooled = roi_pool(features, rois, image, int(output[1:]), float(g["spatial_scale"]))
        value.add(pooled, g.maps(case))
        if f"grad_in_{output}" in g:
            back = tape.gradient(pooled, features, g.maps(f"grad_out_{output}"))
            gradient.add(back, g.maps(f"grad_in_{output}"))
    yield value
    yield gradient


def levels(g: Golden) -> Iterator[Check]:
    number = int(g["k_max"] - g["k_min"]) + 1
    yield Check("levels of RoIs").add(roi_level(g.boxes("boxes"), number), g["level_index"])
    features = [tf.constant(g.maps(f"ms_feat{i}")) for i in range(4)]
    rois = tf.constant(g.boxes("ms_boxes"))
    check = Check("RoIAlign over a pyramid", atol=ALIGN)
    for output in (7, 14):
        got = pyramid_roi_align(features, rois, output, (4, 8, 16, 32), 2, False)
        check.add(tf.reshape(got, [-1, *got.shape[2:]]), g.maps(f"ms_out{output}"))
    yield check


def pasting(g: Golden) -> Iterator[Check]:
    height, width = (int(side) for side in g["size_hw"])
    boxes, grids, want = g.boxes("boxes"), g["masks"][:, 0], g["out"][:, 0]
    check = Check("mask pasting: probabilities", atol=1e-5)  # weights of up to 30 cells' positions
    for grid, box, image in zip(grids, boxes, want, strict=True):
        window, top, left = paste_mask(grid, box, height, width, "integer")
        got = np.zeros((height, width), np.float32)
        got[top : top + window.shape[0], left : left + window.shape[1]] = window
        check.add(got, image)
    yield check
    clear = np.abs(want - 0.5) > 1e-5  # on the threshold itself rounding decides
    got = paste_masks(grids, boxes, height, width, method="integer")
    yield Check("mask pasting: bits").add(got[clear], g.bits("out_bits", want.shape)[clear])


def loss_functions(g: Golden) -> Iterator[Check]:
    # Sums of a few thousand float32 numbers, in a different order.
    value, gradient = Check("losses: values", rtol=1e-6), Check("losses: gradients", 1e-8, 1e-5)
    for part in (_smooth_l1, _rpn_losses, _box_head_losses, _mask_losses):
        part(g, value, gradient)
    yield value
    yield gradient
    # Positions of up to 80 px are accurate to 8e-6 px; a mask goes from 0 to 1 within a pixel.
    masks, matches = tf.constant(g["mask_gt"]), tf.constant(g["mask_matched"], tf.int32)
    got = mask_targets(tf.constant(g.boxes("mask_proposals")), matches, masks, None, 28)
    yield Check("losses: mask targets", atol=1e-4).add(got, g["mask_targets"].reshape(got.shape))


def _smooth_l1(g: Golden, value: Check, gradient: Check) -> None:
    pred = tf.constant(g["sl1_pred"])
    for name in (n.removesuffix("_none") for n in g if n.startswith("sl1_b") and "none" in n):
        beta = {"0.111": 1 / 9}.get(name.removeprefix("sl1_b"), float(name.removeprefix("sl1_b")))
        with tf.GradientTape() as tape:
            tape.watch(pred)
            each = losses.smooth_l1(pred - g["sl1_target"], beta)
            total = tf.reduce_sum(each)
        value.add(each, g[f"{name}_none"])
        value.add(total, g[f"{name}_sum"])
        value.add(tf.reduce_mean(each), g[f"{name}_mean"])
        gradient.add(tape.gradient(total, pred), g[f"{name}_sum_grad"])


def _rpn_losses(g: Golden, value: Check, gradient: Check) -> None:
    labels = g["rpn_labels"]
    logits, deltas = tf.constant(g["rpn_objectness"]), tf.constant(g["rpn_deltas"])
    for mode, number in {"all": labels.size, "first256": 256, "first64": 64}.items():
        # The reference's sampler takes the lowest indices first.
        first = -tf.range(float(labels.shape[1]))[None] * tf.ones([len(labels), 1])
        drawn = sample(tf.constant(labels == 1), tf.constant(labels == 0), number, 0.5, first)
        if mode == "all":
            drawn = tf.constant(labels == 1), tf.constant(labels == 0)
        samples = tf.reduce_sum(tf.cast(drawn[0] | drawn[1], tf.int32))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([logits, deltas])
            objectness = losses.objectness_loss(tf.reshape(logits, labels.shape), *drawn)
            each = tf.reshape(deltas, [*labels.shape, 4])
            box = losses.box_loss(each, tf.constant(g["rpn_targets"]), drawn[0], samples, 1 / 9)
        value.add(objectness, g[f"rpn_{mode}_loss_objectness"])
        value.add(box, g[f"rpn_{mode}_loss_box"])
        gradient.add(tape.gradient(objectness, logits), g[f"rpn_{mode}_grad_objectness"])
        gradient.add(tape.gradient(box, deltas), g[f"rpn_{mode}_grad_deltas"])


def _box_head_losses(g: Golden, value: Check, gradient: Check) -> None:
    labels = g["frcnn_labels"].astype(np.int32)
    logits, deltas = tf.constant(g["frcnn_logits"]), tf.constant(g["frcnn_boxreg"])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([logits, deltas])
        by_class = losses.class_loss(
            tf.reshape(logits, [*labels.shape, -1]), labels, tf.ones(labels.shape, tf.bool)
        )
        own = tf.gather(tf.reshape(deltas, [*labels.shape, -1, 4]), labels, batch_dims=2)
        box = losses.box_loss(own, tf.constant(g["frcnn_targets"]), labels > 0, labels.size, 1 / 9)
        nothing, every = tf.zeros_like(labels), tf.ones(labels.shape, tf.bool)
        background = losses.class_loss(tf.reshape(logits, [*labels.shape, -1]), nothing, every)
        no_box = losses.box_loss(own, tf.constant(g["frcnn_targets"]), ~every, labels.size, 1 / 9)
    value.add(by_class, g["frcnn_loss_cls"]).add(box, g["frcnn_loss_box"])
    value.add(background, g["frcnn_nopos_loss_cls"]).add(no_box, g["frcnn_nopos_loss_box"])
    gradient.add(tape.gradient(by_class, logits), g["frcnn_grad_logits"])
    gradient.add(tape.gradient(box, deltas), g["frcnn_grad_boxreg"])


def _mask_losses(g: Golden, value: Check, gradient: Check) -> None:
    classes = np.take_along_axis(g["mask_gt_labels"], g["mask_matched"], axis=1)
    logits, targets = tf.constant(g["mask_logits"]), tf.constant(g["mask_targets"])
    shape = [*classes.shape, *targets.shape[1:]]
    with tf.GradientTape() as tape:
        tape.watch(logits)
        own = tf.reshape(tf.gather(logits, classes.ravel(), batch_dims=1), shape)
        every = tf.ones(classes.shape, tf.bool)
        loss = losses.mask_loss(own, tf.reshape(targets, shape), every)
    value.add(loss, g["mask_loss"])
    # At inference the reference took the masks of classes 0, 1, 2, ... in each image.
    labels = np.tile(np.arange(classes.shape[1]) % logits.shape[1], len(classes))
    value.add(tf.sigmoid(tf.gather(logits, labels, batch_dims=1)), g["mask_infer_prob"][:, 0])
    back = tf.gather(tape.gradient(loss, logits), classes.ravel(), batch_dims=1)
    gradient.add(back, g["mask_grad_logits_sel"])


def transform(g: Golden) -> Iterator[Check]:
    shape, masks = Check("transform: sizes"), Check("transform: masks")
    image = Check("transform: normalised images", atol=1e-5)  # values of up to 2.6
    boxes = Check("transform: boxes", rtol=2e-7)  # a product of two float32 numbers
    for case in (n.removesuffix("_image") for n in g if n.endswith("_image")):
        low, high = (int(n) for n in g[f"{case}_min_max"])
        config = Config.preset("torchvision_v1", image_min_side=low, image_max_side=high)
        picture = 255 * g[f"{case}_image"].transpose(1, 2, 0)
        rows, columns = resized_shape(*picture.shape[:2], config)
        shape.add((rows, columns), g[f"{case}_size_hw"])
        got = resize_image(picture, rows, columns, "bilinear")
        got = (got - config.image_mean) / config.image_std
        want = g.maps(f"{case}_out")[0]
        padded = [-(-side // config.pad_multiple) * config.pad_multiple for side in (rows, columns)]
        shape.add(padded, want.shape[:2])
        image.add(got, want[:rows, :columns])
        scale = np.float32([rows, columns] * 2) / np.float32(picture.shape[:2] * 2)
        boxes.add(g.boxes(f"{case}_boxes") * scale, g.boxes(f"{case}_out_boxes"))
        for mask, small in zip(g[f"{case}_masks"], g[f"{case}_out_masks"], strict=True):
            masks.add(resize_mask(mask, rows, columns), small)
    yield from (shape, image, boxes, masks)


FILES = {
    "anchors": anchors,
    "boxes": boxes,
    "matcher": matcher,
    "nms": suppression,
    "roi_align_s1": aligned_pooling,
    "roi_align_s4": aligned_pooling,
    "roi_align_s16": aligned_pooling,
    "roi_pool_s1": pooling,
    "roi_pool_s4": pooling,
    "roi_pool_s16": pooling,
    "level_mapper": levels,
    "paste_masks": pasting,
    "losses": loss_functions,
    "transform": transform,
}
