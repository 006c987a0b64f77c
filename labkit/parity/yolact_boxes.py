"""labkit's anchors, boxes, matching and NMS against those of YOLACT's original code.

Boxes are relative to the image there, and x comes first; `Golden.boxes` turns them around. A share
of the image is a pixel of an image of 1 x 1, so the same functions serve.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from labkit.ops import boxes as box_ops
from labkit.ops import prototypes
from labkit.ops.anchors import cell_anchors, grid_anchors
from labkit.ops.matching import BACKGROUND, match_distinct, spare_crowds
from labkit.ops.nms import batched_nms, fast_nms
from labkit.parity.check import Check
from labkit.parity.golden import Golden

BOX_STD = (0.1, 0.1, 0.2, 0.2)


POSITIVE, NEGATIVE, CROWD = 0.5, 0.4, 0.7  # IoUs, and the share of an anchor in a crowd


NEVER = float(np.finfo(np.float32).max)


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
