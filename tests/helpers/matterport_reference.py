"""Matterport's detector, written down a second time from its definition, with random weights.

Its weights cannot be had here, nor TensorFlow 1: this computes in normalised coordinates, one image
and one class at a time, with norms unfolded and two logits an anchor, and shares no line with the
package. The weights are random and in a file of Matterport's layout.
"""

from types import SimpleNamespace

import h5py
import numpy as np
import scipy.ndimage
import tensorflow as tf

BLOCKS, WIDTHS, CLASSES = (1, 1, 2, 1), (16, 24, 32, 40), 4  # background is one of the classes
SIDE, SHORT, SIZES, CANONICAL = 128, 96, (8, 16, 32, 64, 128), 16.0
BEFORE, PROPOSALS, DETECTIONS, SCORE = 400, 60, 20, 0.5


# --- the weights, as its file has them --------------------------------------------------


def weights() -> dict[str, dict[str, np.ndarray]]:
    """Random arrays by layer and name."""
    rng, layers = np.random.default_rng(8), {}

    def conv(name, kernel, into, out, gain=1.0):
        std = gain * np.sqrt(2 / (kernel * kernel * into))
        layers[name] = {
            "kernel": rng.normal(0, std, (kernel, kernel, into, out)),
            "bias": rng.normal(0, 0.1, out),
        }

    def norm(name, channels, scale=1.0):
        layers[name] = {
            "gamma": scale * rng.uniform(0.8, 1.2, channels),
            "beta": rng.normal(0, 0.1, channels),
            "moving_mean": rng.normal(0, 0.2, channels),
            "moving_variance": rng.uniform(0.5, 1.5, channels),
        }

    conv("conv1", 7, 3, 8, gain=0.008)  # its input reaches from -124 to 151
    norm("bn_conv1", 8)
    into = 8
    for stage, (count, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True), start=2):
        for block in "abcd"[:count]:
            place = f"{stage}{block}_branch"
            thin = width // 4
            for part, kernel, a, b in (
                ("2a", 1, into, thin),
                ("2b", 3, thin, thin),
                ("2c", 1, thin, width),
            ):
                conv(f"res{place}{part}", kernel, a, b)
                norm(f"bn{place}{part}", b, 0.5 if part == "2c" else 1.0)
            if block == "a":
                conv(f"res{place}1", 1, into, width)
                norm(f"bn{place}1", width)
            into = width
    for level, width in zip((2, 3, 4, 5), WIDTHS, strict=True):
        conv(f"fpn_c{level}p{level}", 1, width, 16)
        conv(f"fpn_p{level}", 3, 16, 16)
    conv("rpn_conv_shared", 3, 16, 24)
    conv("rpn_class_raw", 1, 24, 6, gain=0.1)
    conv("rpn_bbox_pred", 1, 24, 12, gain=0.3)
    for i, (kernel, a) in enumerate(((7, 16), (1, 32)), start=1):
        conv(f"mrcnn_class_conv{i}", kernel, a, 32)
        norm(f"mrcnn_class_bn{i}", 32)
    for name, out, gain in (("mrcnn_class_logits", CLASSES, 1.0), ("mrcnn_bbox_fc", 16, 0.3)):
        layers[name] = {
            "kernel": rng.normal(0, gain / np.sqrt(32), (32, out)),
            "bias": rng.normal(0, 0.1, out),
        }
    layers["mrcnn_class_logits"]["kernel"] -= layers["mrcnn_class_logits"]["kernel"].mean(0)
    for i in (1, 2, 3, 4):
        conv(f"mrcnn_mask_conv{i}", 3, 16, 16)
        norm(f"mrcnn_mask_bn{i}", 16)
    layers["mrcnn_mask_deconv"] = {
        "kernel": rng.normal(0, 0.3, (2, 2, 16, 16)),
        "bias": rng.normal(0, 0.1, 16),
    }
    conv("mrcnn_mask", 1, 16, CLASSES)
    return {n: {k: np.float32(v) for k, v in arrays.items()} for n, arrays in layers.items()}


def write(path, layers, root: str = "", text: type = bytes) -> None:
    """As Keras 2 saved it: weights alone, or (root "model_weights") within a whole model."""
    kind = (lambda names: np.array(names, "S")) if text is bytes else list
    with h5py.File(path, "w") as file:
        group = file.require_group(root) if root else file
        rpn = {n for n in layers if n.startswith("rpn_")}
        group.attrs["layer_names"] = kind([*(n for n in layers if n not in rpn), "rpn_model"])
        for name, arrays in layers.items():
            own = group.require_group("rpn_model" if name in rpn else name)
            held = list(own.attrs.get("weight_names", []))
            held = [h.decode() if isinstance(h, bytes) else h for h in held]
            own.attrs["weight_names"] = kind(held + [f"{name}/{part}:0" for part in arrays])
            for part, values in arrays.items():
                own[f"{name}/{part}:0"] = values
        if root:
            file["optimizer_weights/SGD/conv1/kernel/momentum:0"] = np.zeros(3, "f4")


# --- the reference ----------------------------------------------------------------------


def conv(x, w, stride=1, padding="VALID"):
    return tf.nn.conv2d(x, w["kernel"], stride, padding) + w["bias"]


def norm(x, w):
    return (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w["gamma"] + w["beta"]


def pyramid(image, w):
    """P2..P6 of a normalised image [1, S, S, 3]."""
    x = conv(tf.pad(image, [[0, 0], [3, 3], [3, 3], [0, 0]]), w["conv1"], 2)
    x = tf.nn.max_pool2d(tf.nn.relu(norm(x, w["bn_conv1"])), 3, 2, "SAME")
    c = {}
    for stage, count in enumerate(BLOCKS, start=2):
        for block in "abcd"[:count]:

            def branch(x, part, stride=1, padding="VALID", place=f"{stage}{block}_branch"):
                y = conv(x, w[f"res{place}{part}"], stride, padding)
                return norm(y, w[f"bn{place}{part}"])

            stride = 2 if block == "a" and stage > 2 else 1
            y = tf.nn.relu(branch(x, "2a", stride))
            y = tf.nn.relu(branch(y, "2b", 1, "SAME"))
            shortcut = branch(x, "1", stride) if block == "a" else x
            x = tf.nn.relu(branch(y, "2c") + shortcut)
        c[stage] = x
    p, below = {}, None
    for level in (5, 4, 3, 2):
        lateral = conv(c[level], w[f"fpn_c{level}p{level}"])
        if below is not None:
            lateral += tf.repeat(tf.repeat(below, 2, 1), 2, 2)
        below = lateral
        p[level] = conv(lateral, w[f"fpn_p{level}"], 1, "SAME")
    return [p[2], p[3], p[4], p[5], p[5][:, ::2, ::2]]


def normalised(boxes, shape):
    """Pixels, far edge outside, to 0..1, far edge inside."""
    last = np.array([shape[0] - 1, shape[1] - 1] * 2)
    return np.float32((np.asarray(boxes, np.float64) - [0, 0, 1, 1]) / last)


def all_anchors():
    boxes = []
    for size, stride in zip(SIZES, (4, 8, 16, 32, 64), strict=True):
        for y in range(0, SIDE, stride):
            for x in range(0, SIDE, stride):
                for ratio in (0.5, 1, 2):  # width / height
                    h, w = size / np.sqrt(ratio), size * np.sqrt(ratio)
                    boxes.append([y - h / 2, x - w / 2, y + h / 2, x + w / 2])
    return normalised(boxes, (SIDE, SIDE))


def moved(boxes, deltas):
    """Boxes after deltas that were divided by their deviations."""
    deltas = deltas * np.float32([0.1, 0.1, 0.2, 0.2])
    h, w = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    y = boxes[:, 0] + h / 2 + deltas[:, 0] * h
    x = boxes[:, 1] + w / 2 + deltas[:, 1] * w
    h, w = h * np.exp(deltas[:, 2]), w * np.exp(deltas[:, 3])
    return np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], axis=1)


def cut(boxes, window):
    return np.clip(boxes, [window[0], window[1]] * 2, [window[2], window[3]] * 2)


def suppressed(boxes, scores, threshold, most):
    """Indices of the boxes kept, greedily, best first."""
    kept = []
    for i in np.argsort(-scores, kind="stable"):

        def iou(j, i=i):
            sides = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2])
            shared = np.prod(np.maximum(sides, 0))
            both = sum(np.prod(boxes[k, 2:] - boxes[k, :2]) for k in (i, j))
            return shared / (both - shared) if both > shared else 0

        if len(kept) < most and all(iou(j) <= threshold for j in kept):
            kept.append(i)
    return np.array(kept, int)


def pooled(maps, boxes, side):
    """One bilinear sample a bin; the level by the part of the image that the box covers."""
    h, w = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    octave = np.log2(np.maximum(np.sqrt(h * w), 1e-9) / (CANONICAL / SIDE))
    level = np.clip(4 + np.round(octave), 2, 5).astype(int)
    return tf.concat(
        [
            tf.image.crop_and_resize(maps[k - 2], box[None], [0], [side, side])
            for k, box in zip(level, boxes, strict=True)
        ],
        axis=0,
    ), level


def box_head(maps, boxes, w):
    x, level = pooled(maps, boxes, 7)
    for i in (1, 2):
        x = tf.nn.relu(norm(conv(x, w[f"mrcnn_class_conv{i}"]), w[f"mrcnn_class_bn{i}"]))
    x = x.numpy()[:, 0, 0]
    logits, deltas = (
        x @ w[n]["kernel"] + w[n]["bias"] for n in ("mrcnn_class_logits", "mrcnn_bbox_fc")
    )
    return logits, deltas.reshape(len(x), CLASSES, 4), level


def mask_head(maps, boxes, w):
    x, _ = pooled(maps, boxes, 14)
    for i in (1, 2, 3, 4):
        x = conv(x, w[f"mrcnn_mask_conv{i}"], 1, "SAME")
        x = tf.nn.relu(norm(x, w[f"mrcnn_mask_bn{i}"]))
    d = w["mrcnn_mask_deconv"]
    x = tf.nn.conv2d_transpose(x, d["kernel"], [len(boxes), 28, 28, 16], 2, "VALID") + d["bias"]
    return tf.sigmoid(conv(tf.nn.relu(x), w["mrcnn_mask"])).numpy()


def zoomed(grid, height, width):
    """skimage's resize with order=1, mode="constant": zeros outside, never beyond its values."""
    factor = [height / grid.shape[0], width / grid.shape[1]]
    out = scipy.ndimage.zoom(
        grid.astype(float), factor, order=1, mode="grid-constant", grid_mode=True
    )
    return np.clip(out, grid.min(), grid.max())


def moulded(picture):
    """The square that the network sees, and the window (y1, x1, y2, x2) of the picture in it."""
    height, width = picture.shape[:2]
    scale = max(1, SHORT / min(height, width))
    if round(max(height, width) * scale) > SIDE:
        scale = SIDE / max(height, width)
    h, w = round(height * scale), round(width * scale)
    if scale != 1:
        low, high = picture.min(), picture.max()
        channels = [zoomed(picture[..., i], h, w) for i in range(3)]
        # 100 - 1e-14 is taken for 100, which skimage's own cutting leaves to chance
        picture = np.floor(np.clip(np.stack(channels, -1), low, high) + 1e-3)
    top, left = (SIDE - h) // 2, (SIDE - w) // 2
    square = np.zeros((SIDE, SIDE, 3))
    square[top : top + h, left : left + w] = picture
    return np.float32(square), (top, left, top + h, left + w)


def reference(picture, w) -> SimpleNamespace:
    """Everything on the way, and the detections in whole pixels of the picture."""
    r = SimpleNamespace()
    r.square, window = moulded(picture)
    r.maps = pyramid(tf.constant(r.square - np.float32([123.7, 116.8, 103.9]))[None], w)
    shared = [tf.nn.relu(conv(m, w["rpn_conv_shared"], 1, "SAME")) for m in r.maps]
    logits = np.concatenate([tf.reshape(conv(s, w["rpn_class_raw"]), [-1, 2]) for s in shared])
    r.deltas = np.concatenate([tf.reshape(conv(s, w["rpn_bbox_pred"]), [-1, 4]) for s in shared])
    r.object = tf.nn.softmax(logits).numpy()[:, 1]
    r.anchors = all_anchors()

    best = np.argsort(-r.object, kind="stable")[:BEFORE]
    boxes = cut(moved(r.anchors[best], r.deltas[best]), (0, 0, 1, 1))
    r.proposals = boxes[suppressed(boxes, r.object[best], 0.7, PROPOSALS)]

    r.logits, deltas, r.level = box_head(r.maps, r.proposals, w)
    probabilities = tf.nn.softmax(r.logits).numpy()
    labels = probabilities.argmax(1)
    scores = probabilities[np.arange(len(labels)), labels]
    own = deltas[np.arange(len(labels)), labels]
    view = normalised(np.float64(window), (SIDE, SIDE))
    boxes = cut(moved(r.proposals, own), view)
    kept = []
    for label in range(1, CLASSES):
        of = np.flatnonzero((labels == label) & (scores >= SCORE))
        kept += list(of[suppressed(boxes[of], scores[of], 0.3, DETECTIONS)])
    kept = np.array(sorted(kept, key=lambda i: -scores[i])[:DETECTIONS], int)
    r.normal = boxes[kept]
    grids = mask_head(r.maps, r.normal, w)[np.arange(len(kept)), :, :, labels[kept]]

    inside = (r.normal - [view[0], view[1]] * 2) / np.tile(view[2:] - view[:2], 2)
    last = np.array([picture.shape[0] - 1, picture.shape[1] - 1] * 2)
    r.exact = inside * last + [0, 0, 1, 1]
    whole = np.around(r.exact).astype(int)
    r.real = (whole[:, 2:] > whole[:, :2]).all(1)
    r.boxes, r.scores, r.labels = whole[r.real], scores[kept][r.real], labels[kept][r.real]
    r.grids, r.masks = grids[r.real], []
    for (y1, x1, y2, x2), grid in zip(r.boxes, r.grids, strict=True):
        mask = np.zeros(picture.shape[:2], bool)
        mask[y1:y2, x1:x2] = zoomed(grid, y2 - y1, x2 - x1) >= 0.5
        r.masks.append(mask)
    return r
