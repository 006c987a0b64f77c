"""labkit's Mask R-CNN against torchvision's, with the same weights: every stage of detection.

Each stage gets the output of labkit's own stages before it, so that deviations add up as they do in
use. Only what depends on the order of proposals gets the reference's: two of a thousand may have
scores so close that rounding decides which is first.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from labkit.models.config import Config
from labkit.models.inference import batch_of
from labkit.models.mask_rcnn import MaskRCNN
from labkit.ops.pasting import paste_mask, paste_masks
from labkit.parity.check import Check, in_reference_order
from labkit.parity.golden import Golden
from labkit.parity.reference_weights import TORCHVISION, parameters
from labkit.weights import load_tensors

# About ten times the float32 rounding error of these networks against float64, as measured for the
# reference: 1.6e-5 for features and logits of up to 24, 2e-4 px for boxes, 8e-6 for scores.
FEATURES = {"atol": 2e-4, "rtol": 1e-4}
PIXELS = 0.01
SCORES = 1e-4
MASK_BITS = 1e-3  # the share of bits that may differ

FOUND = ("boxes", "scores", "classes", "masks")


class ReferenceNetwork:
    """The network of a set of reference values.

    Args:
        folder: of the reference values.
        version: "v1" or "v2".
        **changes: fields of the config.
    """

    def __init__(self, folder: Path, version: str, **changes):
        self.tensors = parameters(folder / f"maskrcnn_{version}_params.json", TORCHVISION[version])
        classes = len(self.tensors["roi_heads.box_predictor.cls_score.bias"]) - 1
        self.version = version
        self.config = Config.preset(
            f"torchvision_{version}",
            image_min_side=256,
            image_max_side=320,
            freeze_batch_norm=False,
            **changes,
        )
        self.model = self.make(classes)
        self.report = load_tensors(self.model, self.tensors, f"maskrcnn_{version}_params.json")

    def make(self, classes: int) -> MaskRCNN:
        return MaskRCNN(self.config, [f"class {i + 1}" for i in range(classes)])

    def pictures(self, images: Golden, names: str) -> list[np.ndarray]:
        """Images of the set by their names, float [H, W, 3] in 0..255."""
        return [255 * images[name].transpose(1, 2, 0) for name in names]


def detection(network: ReferenceNetwork, images: Golden, g: Golden, name: str) -> Iterator[Check]:
    """Compares detection in a single image, stage by stage."""
    model, title = network.model, f"{network.version} {name}"
    picture = network.pictures(images, name)[0]
    batch, sizes = batch_of([picture], network.config)
    x = model.normalise(batch, sizes)
    check = Check(f"{title}: input", atol=1e-5).add(x, g.maps("input"))
    yield check.add(sizes[0], g["image_size_hw"])
    yield from _features(model, x, g, title)
    result = model.detect_in_batch(batch, sizes)
    yield from _rpn(result, g, title)
    yield from _proposals(result, g, title)
    yield from _heads(model, result["maps"], g, title)
    found = {k: result[k].numpy()[0] for k in FOUND}
    yield from _detections(found, picture.shape[:2], sizes[0], g, title)


def _features(model, x, g: Golden, title: str) -> Iterator[Check]:
    stem = keras.Model(model.backbone.inputs, model.backbone.get_layer("pool1").output)
    backbone = model.backbone(x)
    maps = {"C1pool": stem(x)} | {f"C{i + 2}": m for i, m in enumerate(backbone)}
    maps |= {f"P{i + 2}": m for i, m in enumerate(model.fpn(backbone))}
    check = Check(f"{title}: features", **FEATURES)
    for name, value in maps.items():
        value = value.numpy().transpose(0, 3, 1, 2)
        sampled(check, value, g, name)
        if f"{name}_full" in g:
            check.add(value, g[f"{name}_full"])
        if f"{name}_first32" in g:
            check.add(value[:, :32], g[f"{name}_first32"])
    yield check


def sampled(check: Check, value: np.ndarray, g: Golden, name: str) -> None:
    """Compares a map [N, C, H, W] with samples, and each channel's mean and standard deviation."""
    check.add(value.shape, g[f"{name}_shape"])
    check.add(value.ravel()[g[f"{name}_idx"]], g[f"{name}_val"])
    check.add(value.mean((0, 2, 3), dtype=np.float64), g[f"{name}_chmean"])
    check.add(value.std((0, 2, 3), dtype=np.float64), g[f"{name}_chstd"])


def _rpn(result, g: Golden, title: str) -> Iterator[Check]:
    objectness = Check(f"{title}: objectness", **FEATURES)
    deltas = Check(f"{title}: RPN deltas", **FEATURES)
    for i, (logit, delta) in enumerate(zip(result["objectness"], result["deltas"], strict=True)):
        want = g[f"rpn_obj_P{i + 2}"]
        _, anchors, height, width = want.shape
        objectness.add(logit.numpy().reshape(1, height, width, anchors), want.transpose(0, 2, 3, 1))
        # [H, W, A, (dy, dx, dh, dw)] as [A * (dx, dy, dw, dh), H, W]
        delta = delta.numpy().reshape(1, height, width, anchors, 4)[..., [1, 0, 3, 2]]
        delta = delta.reshape(1, height, width, -1).transpose(0, 3, 1, 2)
        name = f"rpn_delta_P{i + 2}"
        if name in g:
            deltas.add(delta, g[name])
        else:
            sampled(deltas, delta, g, name)
    yield objectness
    yield deltas


def _proposals(result, g: Golden, title: str) -> Iterator[Check]:
    """Each reference proposal must have one of ours with the same score, at any rank."""
    count = int(result["proposals"]["count"][0])
    found = {k: result["proposals"][k].numpy()[0, :count] for k in ("boxes", "scores")}
    want = g.boxes("proposals")
    ours = in_reference_order(found, want)
    check = Check(f"{title}: proposals (px)", atol=PIXELS).add(ours["count"], len(want))
    yield check.add(ours["boxes"], want)
    check = Check(f"{title}: proposal scores", atol=SCORES)
    yield check.add(ours["scores"], g["proposal_scores"])


def _heads(model, maps, g: Golden, title: str) -> Iterator[Check]:
    """Compares the box head on the reference's proposals, in its order."""
    rois = tf.constant(g.boxes("proposals")[None])
    pooled = model.pool(maps, rois, model.config.box_pool)[0]
    check = Check(f"{title}: pooled features", **FEATURES)
    sampled(check, pooled.numpy().transpose(0, 3, 1, 2), g, "box_pooled")
    yield check
    last = model.box_head.get_layer(f"fc{len(model.config.box_dense) - 1}")
    dense = keras.Model(model.box_head.inputs, last.output)(pooled[:16])
    logits, deltas = (v.numpy()[0] for v in model.classify(maps, rois))
    yield Check(f"{title}: box head", **FEATURES).add(dense, g["box_head_first16"])
    yield Check(f"{title}: class logits", **FEATURES).add(logits, g["class_logits"])
    want = g["box_regression_first40"].reshape(40, -1, 4)[:, 1:, [1, 0, 3, 2]]
    yield Check(f"{title}: box deltas", **FEATURES).add(deltas[:40], want)


def _detections(found, shape, size, g: Golden, title: str) -> Iterator[Check]:
    want = g.boxes("det_boxes_net")
    ours = in_reference_order(found, want, g["det_labels"])
    yield _labels(ours, g["det_labels"], title)
    boxes = ours["boxes"] * np.tile(np.float32(shape) / size, 2)
    check = Check(f"{title}: boxes (px)", atol=PIXELS)
    check.add(ours["boxes"], want).add(boxes, g.boxes("det_boxes"))
    yield check.add(boxes, g.boxes("f64_boxes"))
    check = Check(f"{title}: scores", atol=SCORES).add(ours["scores"], g["det_scores"])
    yield check.add(ours["scores"], g["f64_scores"])
    check = Check(f"{title}: 28 x 28 masks", atol=1e-3)
    check.add(ours["masks"][:5], g["det_masks28_top5"])
    yield check.add(ours["masks"].mean((1, 2)), g["det_masks28_mean"])
    bits = g.bits("det_masks28_bits_all", ours["masks"].shape)
    yield _share(f"{title}: share of 28 x 28 bits", ours["masks"] >= 0.5, bits)
    pasted = paste_masks(ours["masks"], boxes, *shape, method="integer")
    top = g.bits("det_masks_pasted_bits_top20", (min(20, len(want)), *shape))
    yield _share(f"{title}: share of pasted bits", pasted[:20], top)
    yield _areas(pasted, g["det_masks_pasted_area"], title)
    window, y, x = paste_mask(ours["masks"][0], boxes[0], *shape, "integer")
    first = np.zeros(shape, np.float32)
    first[y : y + window.shape[0], x : x + window.shape[1]] = window
    yield Check(f"{title}: first pasted mask", atol=1e-3).add(first, g["det_mask_pasted_0"])


def _labels(ours, labels: np.ndarray, title: str) -> Check:
    """The number of detections must agree, none matched twice, and all classes."""
    check = Check(f"{title}: labels").add(ours["count"], len(labels))
    return check.add(ours["classes"], labels)


def _share(name: str, got: np.ndarray, want: np.ndarray) -> Check:
    """Compares bits by the share of them that differ."""
    check = Check(name, atol=MASK_BITS)
    if got.shape != want.shape:
        return check.add(got, want)
    check.add(np.mean(got != want), 0.0)
    check.values = want.size
    return check


def batch_of_two(network: ReferenceNetwork, images: Golden, g: Golden) -> Iterator[Check]:
    """Compares detection in a batch of both images, where the smaller one gets more padding."""
    pictures = network.pictures(images, "AB")
    batch, sizes = batch_of(pictures, network.config)
    title = f"{network.version} batch"
    check = Check(f"{title}: shapes")
    check.add(batch.shape, g["batch_shape"][[0, 2, 3, 1]])
    yield check.add(sizes, g["image_sizes_hw"])
    result = network.model.detect_in_batch(batch, sizes)
    for i, name in enumerate("AB"):
        count = int(result["count"][i])
        found = {k: result[k].numpy()[i, :count] for k in FOUND}
        yield from _pasted_detections(found, pictures[i].shape[:2], sizes[i], g, name, title)


def _pasted_detections(found, shape, size, g: Golden, name: str, title: str) -> Iterator[Check]:
    """Compares the detections of one image of a batch, in the image's own pixels."""
    found["boxes"] = found["boxes"] * np.tile(np.float32(shape) / size, 2)
    want, title = g.boxes(f"{name}_boxes"), f"{title} {name}"
    ours = in_reference_order(found, want, g[f"{name}_labels"])
    yield _labels(ours, g[f"{name}_labels"], title)
    yield Check(f"{title}: boxes (px)", atol=PIXELS).add(ours["boxes"], want)
    yield Check(f"{title}: scores", atol=SCORES).add(ours["scores"], g[f"{name}_scores"])
    pasted = paste_masks(ours["masks"], ours["boxes"], *shape, method="integer")
    top = g.bits(f"{name}_masks_pasted_bits_top5", (min(5, len(want)), *shape))
    yield _share(f"{title}: share of pasted bits", pasted[:5], top)
    yield _areas(pasted, g[f"{name}_mask_areas"], title)


def _areas(pasted: np.ndarray, areas: np.ndarray, title: str) -> Check:
    """Compares the area of each mask, as a share of the image's pixels."""
    off = np.abs(pasted.sum((1, 2)) - areas) / pasted[0].size if len(pasted) else np.zeros(0)
    check = Check(f"{title}: share of pasted pixels, each mask", atol=MASK_BITS)
    return check.add(off, np.zeros(len(areas)))
