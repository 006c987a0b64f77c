"""labkit's YOLACT against the original, with the same weights: every stage of detection."""

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from labkit.models.inference import batch_of, detections_of
from labkit.models.resize import Placement
from labkit.models.yolact import YOLACT
from labkit.models.yolact_config import YolactConfig
from labkit.ops import boxes as box_ops
from labkit.ops.pasting import paste_grid, paste_grids
from labkit.parity.check import Check, in_reference_order
from labkit.parity.golden import Golden
from labkit.parity.network import FEATURES, sampled
from labkit.parity.reference_weights import parameters, yolact_recipe
from labkit.parity.yolact_boxes import ordinary
from labkit.weights import load_tensors

# About ten times the float32 rounding error of these networks against float64, as measured for the
# reference: 7.5e-7 for boxes as shares of the image, 4e-6 for scores.
BOXES = 1e-5
SCORES = 5e-5
MASKS = 1e-4

KINDS = {"r50": "yolact_r50", "darknet53": "yolact_darknet53"}
SMALL_ANCHORS = (12, 24, 48, 84, 120)  # of the networks of 138 px


class ReferenceYolact:
    """The network of a set of reference values, with all the original's mistakes.

    Args:
        folder: of the reference values.
        name: of the network, "r50_138" for instance.
        model_class: `YOLACT`, or one that draws other masks.
        **changes: fields of the config.
    """

    def __init__(self, folder: Path, name: str, model_class=YOLACT, **changes):
        backbone, _, side = name.partition("_")
        self.folder, self.name, self.side = folder, name, int(side)
        path = folder / f"{name}_params.json"
        self.tensors = parameters(path, yolact_recipe(name))
        if self.side == 138:
            changes["anchor_sizes"] = SMALL_ANCHORS
        self.config = YolactConfig.preset(
            KINDS[backbone],
            image_min_side=self.side,
            image_max_side=self.side,
            freeze_batch_norm=False,
            faithful=True,
            **changes,
        )
        classes = len(self.tensors["semantic_seg_conv.bias"])
        self.model = model_class(self.config, [f"class {i + 1}" for i in range(classes)])
        self.report = load_tensors(self.model, self.tensors, path.name)

    def pixels_near_half(self, image: str) -> int:
        """How many pixels of the reference's masks are within 1e-4 of the threshold."""
        stats = json.loads((self.folder / f"{self.name}_stats.json").read_text(encoding="utf-8"))
        return stats[image]["mask_pixels_within_1e-4_of_half"]


def detection(network: ReferenceYolact, images: Golden, g: Golden, image: str) -> Iterator[Check]:
    """Compares detection in a single image, stage by stage."""
    model, title, picture = network.model, f"{network.name} {image}", images[image]
    batch, sizes = batch_of([picture], network.config)
    x = model.normalise(batch, sizes)
    check = Check(f"{title}: input", atol=1e-5)
    if "input" in g:
        check.add(x, g.maps("input"))
    else:
        sampled(check, x.numpy().transpose(0, 3, 1, 2), g, "input")
    yield check
    result = model.detect_in_batch(batch, sizes)
    yield _features(model, x, g, title)
    yield from _prototypes(model, result, g, title)
    yield from _anchors(model, result, g, title)
    yield from _candidates(network, result, g, title)
    yield from _kinds_of_nms(network, batch, sizes, g, title)
    found = {k: v.numpy()[0] for k, v in result.items() if k not in ("maps", "anchors")}
    yield from _detections(network, found, g, title)
    yield from _masks(network, found, picture, g, image, title)


def _features(model, x, g: Golden, title: str) -> Check:
    backbone = model.backbone(x)
    maps = {f"C{i + 2}": m for i, m in enumerate(backbone)}
    if "C1_val" in g:  # Darknet's first stage
        stem = keras.Model(model.backbone.inputs, model.backbone.get_layer("layers_0_1_add").output)
        maps["C1"] = stem(x)
    maps |= {f"P{i + 3}": m for i, m in enumerate(model.fpn(backbone[1:]))}
    check = Check(f"{title}: features", **FEATURES)
    for name, value in maps.items():
        if f"{name}_val" not in g:
            continue
        value = value.numpy().transpose(0, 3, 1, 2)
        sampled(check, value, g, name)
        if f"{name}_full" in g:
            check.add(value, g[f"{name}_full"])
    return check


def _prototypes(model, result, g: Golden, title: str) -> Iterator[Check]:
    net = model.prototype_net
    before = keras.Model(net.inputs, net.get_layer("prototypes").output)(result["maps"][0])
    check = Check(f"{title}: prototypes", **FEATURES)
    sampled(check, before.numpy().transpose(0, 3, 1, 2), g, "proto_prerelu")
    drawn = result["prototypes"].numpy()
    sampled(check, drawn.transpose(0, 3, 1, 2), g, "proto")
    yield check.add(drawn[0], g["proto_hwc_full"]) if "proto_hwc_full" in g else check
    cells = model.semantic_net(result["maps"][0]).numpy().transpose(0, 3, 1, 2)
    check = Check(f"{title}: classes of cells", **FEATURES)
    sampled(check, cells, g, "segm")
    yield check.add(cells, g["segm_full"]) if "segm_full" in g else check


def _anchors(model, result, g: Golden, title: str) -> Iterator[Check]:
    """Compares what the head says at every anchor, level by level."""
    _, logits, _ = model.predict_anchors(result["maps"])
    values = {
        "loc": result["deltas"].numpy()[0][:, [1, 0, 3, 2]],
        "logit": logits.numpy()[0],
        "coef": result["all_coefficients"].numpy()[0],
    }
    starts = g["level_start"]
    for name, value in values.items():
        check = Check(f"{title}: {name}", **FEATURES)
        for level, (start, end) in enumerate(zip(starts, starts[1:], strict=False), 3):
            check.add(value[start:end].shape, g[f"{name}_P{level}_shape"])
            some = value[start:end].ravel()[g[f"{name}_P{level}_idx"]]
            check.add(some, g[f"{name}_P{level}_val"])
        yield check.add(value, g[f"{name}_full"]) if f"{name}_full" in g else check
    decoded = result["decoded"].numpy()[0] / model.config.image_max_side
    rows = g["decoded_rows"] if "decoded_rows" in g else slice(None)
    want = g.boxes("decoded_val" if "decoded_rows" in g else "decoded_full")
    yield Check(f"{title}: decoded boxes", atol=BOXES, rtol=1e-5).add(decoded[rows], want)


def _candidates(network, result, g: Golden, title: str) -> Iterator[Check]:
    scores = result["class_probabilities"].numpy()[0, :, 1:]
    own = np.flatnonzero(scores.max(1) > network.config.score_threshold)
    yield Check(f"{title}: candidates").add(own, g["cand_prior"])
    check = Check(f"{title}: candidates' scores", atol=SCORES)
    yield check.add(scores[g["cand_prior"]].T, g["cand_score"])
    boxes = result["decoded"].numpy()[0][g["cand_prior"]] / network.side
    yield Check(f"{title}: candidates' boxes", atol=BOXES).add(boxes, g.boxes("cand_box"))
    index, group, score = ordinary(
        boxes, scores[g["cand_prior"]].T, network.side, *_rules(network.config)
    )
    found = {"prior": g["cand_prior"][index], "class": group, "score": score, "boxes": boxes[index]}
    yield from _same(found, g, "trad", f"{title}: ordinary NMS")


def _rules(config) -> tuple[float, float, int]:
    return config.score_threshold, config.nms_iou, config.detections


def _kinds_of_nms(network, batch, sizes, g: Golden, title: str) -> Iterator[Check]:
    """Compares Fast NMS among all classes; there, as many are kept as take part."""
    model, config = network.model, network.config
    model.config = config.replace(nms="cross_class", detections=config.nms_candidates)
    try:
        result = model.detect_in_batch(batch, sizes)
    finally:
        model.config = config
    found = {k: result[k].numpy()[0] for k in ("kept", "classes", "scores", "boxes")}
    yield from _same(_named(found, network.side), g, "cross", f"{title}: NMS across classes")


def _named(found: dict, side: int) -> dict:
    return {
        "prior": found["kept"],
        "class": found["classes"] - 1,
        "score": found["scores"],
        "boxes": found["boxes"] / side,
    }


def _same(found: dict, g: Golden, kind: str, title: str) -> Iterator[Check]:
    """Compares detections anchor by anchor: adjacent scores are too close to compare ranks."""
    ours, theirs = in_order(found["prior"], found["class"]), in_order(*_reference(g, kind))
    labels = Check(f"{title}, anchors and classes")
    for name in ("prior", "class"):
        labels.add(found[name][ours], g[f"{kind}_{name}"][theirs])
    yield labels
    if labels.ok:
        check = Check(f"{title}, boxes", atol=BOXES)
        yield check.add(found["boxes"][ours], g.boxes(f"{kind}_box")[theirs])
        check = Check(f"{title}, scores", atol=SCORES)
        yield check.add(found["score"][ours], g[f"{kind}_score"][theirs])


def _reference(g: Golden, kind: str):
    return g[f"{kind}_prior"], g[f"{kind}_class"]


def in_order(priors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The order of detections by anchor and class, which no two share."""
    return np.lexsort((classes, priors))


def _detections(network, found: dict, g: Golden, title: str) -> Iterator[Check]:
    named = _named(found, network.side)
    yield from _same(named, g, "fast", f"{title}: Fast NMS")
    ours, theirs = in_order(named["prior"], named["class"]), in_order(*_reference(g, "fast"))
    if len(ours) != len(theirs):
        return
    check = Check(f"{title}: coefficients", **FEATURES)
    yield check.add(found["coefficients"][ours], g["fast_coef"][theirs])
    exact = in_order(g["f64_fast_prior"], g["f64_fast_class"])
    check = Check(f"{title}: detections in float64", atol=SCORES)
    check.add(named["score"][ours], g["f64_fast_score"][exact])
    yield check.add(named["boxes"][ours], g.boxes("f64_fast_box")[exact])


def _masks(network, found, picture, g: Golden, image: str, title: str) -> Iterator[Check]:
    """Compares boxes in whole pixels and masks of the picture."""
    named = _named(found, network.side)
    ours, theirs = in_order(named["prior"], named["class"]), in_order(*_reference(g, "fast"))
    height, width = picture.shape[:2]
    canvas = (network.side, network.side)
    placement = Placement.of(picture.shape, canvas, canvas, network.config)
    boxes = placement.in_picture(found["boxes"])[ours]
    want = g.boxes("post_box_int")[theirs]
    proper = (want[:, :2] <= want[:, 2:]).all(1)  # the others are outside the picture
    whole = np.trunc(box_ops.clip(boxes, height, width))
    yield Check(f"{title}: boxes in whole pixels").add(whole[proper], want[proper])
    masks = detections_of(network.model, found, picture, placement).masks
    masks = masks[in_order(named["prior"], named["class"])]
    bits = g.bits("post_mask_bits", masks.shape)[theirs]
    allowed = network.pixels_near_half(image)
    check = Check(f"{title}: pixels of masks that differ", atol=allowed)
    check.add(np.sum(masks != bits), 0)
    check.values = bits.size
    yield check
    off = np.abs(masks.sum((1, 2)) - g["post_mask_area"][theirs])
    yield Check(f"{title}: areas of masks", atol=allowed).add(off, np.zeros(len(off)))
    yield _uncropped(network, found, ours, placement, g["post_mask_area_nocrop"][theirs], title)
    if "upsampled_prob_det0" not in g:
        return
    first = np.flatnonzero(theirs == 0)[0]
    everywhere = [0, 0, height, width]
    grid = found["masks"][ours[first]]
    probability, _, _ = paste_grid(grid, placement.frame, everywhere, height, width)
    check = Check(f"{title}: the first mask's probabilities", atol=MASKS)
    yield check.add(probability, g["upsampled_prob_det0"])


def _uncropped(network, found, ours, placement, areas, title: str) -> Check:
    """Compares how many pixels masks would have without the crop."""
    height, width = placement.shape
    drawn, own = found["prototypes"][None], found["coefficients"][ours][None]
    whole = np.tile(np.float32([0, 0, network.side, network.side]), (1, len(ours), 1))
    canvas = tf.zeros([1, network.side, network.side, 3])
    grids = network.model.masks(drawn, own, whole, canvas)[0].numpy()
    boxes = np.tile(np.float32([0, 0, height, width]), (len(ours), 1))
    masks = paste_grids(grids, placement.frame, boxes, height, width, 0.5)
    off = np.abs(masks.sum((1, 2)) - areas) / masks[0].size
    check = Check(f"{title}: share of pixels, masks not cropped", atol=1e-4)
    return check.add(off, np.zeros(len(off)))


def batch_of_two(network: ReferenceYolact, images: Golden, g: Golden) -> Iterator[Check]:
    """Compares detection in a batch of both images with the reference's."""
    batch, sizes = batch_of([images[name] for name in "AB"], network.config)
    result = network.model.detect_in_batch(batch, sizes)
    for i, name in enumerate("AB"):
        count = int(result["count"][i])
        found = {k: result[k].numpy()[i, :count] for k in ("classes", "scores", "boxes")}
        found = {
            "boxes": found["boxes"] / network.side,
            "classes": found["classes"] - 1,
            "scores": found["scores"],
        }
        want, title = g.boxes(f"{name}_box"), f"{network.name} batch {name}"
        ours = in_reference_order(found, want, g[f"{name}_class"])
        check = Check(f"{title}: classes").add(ours["count"], len(want))
        yield check.add(ours["classes"], g[f"{name}_class"])
        yield Check(f"{title}: boxes", atol=BOXES).add(ours["boxes"], want)
        check = Check(f"{title}: scores", atol=SCORES)
        yield check.add(ours["scores"], g[f"{name}_score"])
