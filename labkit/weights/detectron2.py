"""Detectron2's names and layouts for our variables: its Mask R-CNN with a ResNet and a pyramid.

Its pictures are BGR, so its first convolution is turned around. Its background is the last class
and ours the first; its boxes have x before y, and its heads nothing for the background. Of its
configurations the plain R50-FPN, R101-FPN and X101-FPN are read; the others are named.
"""

import re
from collections.abc import Iterator

import numpy as np

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.weights.pair import Format, Layout, Pair
from labkit.weights.torch_layer import (
    BOX_ROWS,
    CONV,
    DECONV,
    DENSE,
    flattened,
    pairs_of_layer,
    then,
)

_START = "backbone.bottom_up."
_CLASS_BIAS = "roi_heads.box_predictor.cls_score.bias"
_X101 = "resnext101_32x8d"

_BGR = Layout(lambda a: a[:, ::-1], lambda a: a[:, ::-1])
_BACKGROUND_LAST = Layout(lambda a: np.roll(a, 1, axis=0), lambda a: np.roll(a, -1, axis=0))

# What gives away a configuration that is not read: a part of a tensor's name, and what it is.
_UNREAD = (
    ("conv2_offset", "deformable convolutions"),
    ("roi_heads.res5", "a C4 network, without a pyramid"),
    ("sem_seg_head", "Panoptic FPN"),
    ("keypoint_head", "Keypoint R-CNN"),
    ("roi_heads.box_head.0.", "Cascade R-CNN"),
    ("fpn_lateral2.norm.", "the new baselines, with norms in pyramid and heads"),
    ("roi_heads.box_head.conv1.", "convolutions in the box head"),
    ("head.cls_subnet", "RetinaNet"),
)


# --- names ------------------------------------------------------------------------------


def pairs(model) -> Iterator[Pair]:
    """Every variable of the model with Detectron2's name for it, backbone first.

    Raises:
        LabkitError: Detectron2 has no counterpart of this model.
    """
    c = model.config
    if c.backbone not in ("resnet50", "resnet101", _X101) or c.class_agnostic:
        raise LabkitError(
            "Detectron2's weights are of ResNet-50, ResNet-101 and ResNeXt-101 32x8d with a "
            "pyramid: make the model with the preset detectron2."
        )
    for layer in model.backbone.layers:
        if layer.weights:
            yield from _backbone_layer(layer)
    for layer in model.fpn.layers:
        if found := re.fullmatch(r"(inner|layer)(\d)", layer.name):
            kind = {"inner": "lateral", "layer": "output"}[found[1]]
            yield from pairs_of_layer(f"backbone.fpn_{kind}{found[2]}", layer)
    yield from _heads(model)


def _backbone_layer(layer) -> Iterator[Pair]:
    if layer.name in ("conv1", "bn1"):
        norm = ".norm" if layer.name == "bn1" else ""
        kernel = CONV if norm else then(_BGR, CONV)
        yield from pairs_of_layer(f"{_START}stem.conv1{norm}", layer, kernel)
        return
    stage, block, rest = re.fullmatch(r"layer(\d)_(\d+)_(.+)", layer.name).groups()
    if rest.startswith("downsample"):
        place = "shortcut" + (".norm" if rest.endswith("1") else "")
    else:
        place = f"conv{rest[-1]}" + (".norm" if rest.startswith("bn") else "")
    yield from pairs_of_layer(f"{_START}res{int(stage) + 1}.{block}.{place}", layer)


def _heads(model) -> Iterator[Pair]:
    rpn, box, mask = (f"{n}." for n in ("proposal_generator.rpn_head", "roi_heads", "roi_heads"))
    yield from pairs_of_layer(f"{rpn}conv", model.rpn_head.get_layer("conv0"))
    yield from pairs_of_layer(f"{rpn}objectness_logits", model.rpn_head.get_layer("objectness"))
    deltas = model.rpn_head.get_layer("deltas")
    yield from pairs_of_layer(f"{rpn}anchor_deltas", deltas, rows=BOX_ROWS)
    for layer in model.box_head.layers:
        if layer.name.startswith("fc"):
            number = int(layer.name[2:])
            kernel = DENSE if number else flattened(model.config.box_pool)
            yield from pairs_of_layer(f"{box}box_head.fc{number + 1}", layer, kernel)
    logits, deltas = (model.box_head.get_layer(n) for n in ("logits", "deltas"))
    yield from pairs_of_layer(f"{box}box_predictor.cls_score", logits, DENSE, _BACKGROUND_LAST)
    yield from pairs_of_layer(f"{box}box_predictor.bbox_pred", deltas, DENSE, BOX_ROWS)
    for layer in model.mask_head.layers:
        if found := re.fullmatch(r"conv(\d)", layer.name):
            yield from pairs_of_layer(f"{mask}mask_head.mask_fcn{int(found[1]) + 1}", layer)
    deconv, logits = (model.mask_head.get_layer(n) for n in ("deconv", "logits"))
    yield from pairs_of_layer(f"{mask}mask_head.deconv", deconv, DECONV)
    yield from pairs_of_layer(f"{mask}mask_head.predictor", logits)


# --- what a file tells ------------------------------------------------------------------


def recognises(tensors) -> bool:
    """Whether the names are those of Detectron2's backbones, or of a network without one."""
    return any(name.startswith((_START, "backbone.res", "backbone.stem")) for name in tensors)


def config_of(tensors) -> Config:
    """The preset with the file's backbone."""
    deep = f"{_START}res4.22.conv1.weight" in tensors
    kernel = np.shape(tensors.get(f"{_START}res2.0.conv2.weight"))
    grouped = len(kernel) == 4 and kernel[0] != kernel[1]
    backbone = _X101 if grouped else "resnet101" if deep else "resnet50"
    return Config.preset("detectron2", backbone=backbone)


def outputs(tensors) -> int:
    """How many classes the tensors know, background included; 0 if they do not tell."""
    return len(tensors.get(_CLASS_BIAS, ()))


def checked(tensors, config: Config, source: str) -> dict[str, np.ndarray]:
    """The tensors, unless they are of a configuration that is not read.

    Raises:
        LabkitError: they are; the message names it.
    """
    for part, what in _UNREAD:
        if any(part in name for name in tensors):
            raise LabkitError(
                f"{source} is of a configuration of Detectron2 that labkit does not read: {what}; "
                "it reads Mask R-CNN with R50-FPN, R101-FPN and X101-FPN."
            )
    if "roi_heads.mask_head.predictor.weight" not in tensors:
        raise LabkitError(
            f"{source} is of a network of Detectron2 without a mask head; labkit reads Mask R-CNN "
            "with R50-FPN, R101-FPN and X101-FPN."
        )
    return dict(tensors)


FORMAT = Format(
    name="Detectron2's Mask R-CNN",
    recognises=recognises,
    pairs=pairs,
    prepared=checked,
    config=config_of,
    outputs=outputs,
    presets=("detectron2",),
    skipped={
        r"^pixel_(mean|std)$": "pixels' statistics, which the preset has",
        r"anchor_generator\.cell_anchors": "anchors, which the preset has",
    },
)
