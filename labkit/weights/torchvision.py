"""torchvision's names and layouts for our variables, so that weights travel both ways.

torchvision stores a kernel as [out, in, height, width] and a box with x before y; Keras stores
[height, width, in, out], and labkit has y before x. torchvision's box and mask heads also have
outputs for the background class, which nothing ever reads: they are dropped when a file is loaded
and put back by `export`.
"""

import re
from collections.abc import Iterator

import numpy as np

from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.config import Config
from labkit.weights.pair import Format, Layout, Pair
from labkit.weights.torch_layer import (
    BOX_ROWS,
    CLASSIFIER,
    CONV,
    COUNTER,
    COUNTERS,
    DECONV,
    DENSE,
    flattened,
    pairs_of_layer,
    then,
)

_CLASS_BIAS = "roi_heads.box_predictor.cls_score.bias"

# --- layouts ----------------------------------------------------------------------------


def _no_background(rows: int) -> Layout:
    """The layout that drops the background's rows, the first `rows`, and puts zeros back."""
    return Layout(lambda a: a[rows:], lambda a: np.pad(a, [(rows, 0)] + [(0, 0)] * (a.ndim - 1)))


# --- names ------------------------------------------------------------------------------


def pairs(model) -> Iterator[Pair]:
    """Every variable of the model with torchvision's name for it, backbone first.

    Raises:
        LabkitError: torchvision has no counterpart of this model.
    """
    c = model.config
    if not BACKBONES[c.backbone].torchvision_names or c.class_agnostic:
        raise LabkitError(
            "torchvision has no such model: only the ResNet presets (torchvision_v1, "
            "torchvision_v2, r50_fpn) have a place for every weight."
        )
    for layer in model.backbone.layers:
        yield from pairs_of_layer("backbone.body." + layer.name.replace("_", "."), layer)
    for layer in model.fpn.layers:
        if found := re.fullmatch(r"(inner|layer)(\d)(_bn)?", layer.name):
            kind, level, norm = found.groups()
            place = f"{kind}_blocks.{int(level) - 2}.{1 if norm else 0}"
            yield from pairs_of_layer(f"backbone.fpn.{place}", layer)
    yield from _rpn(model.rpn_head)
    yield from _box_head(model.box_head, model.config)
    yield from _mask_head(model.mask_head)


def backbone_pairs(backbone) -> Iterator[Pair]:
    """The backbone's variables with their names in torchvision's `resnet50`, and its like."""
    for layer in backbone.layers:
        yield from pairs_of_layer(layer.name.replace("_", "."), layer)


def _rpn(head) -> Iterator[Pair]:
    for layer in head.layers:
        if layer.name.startswith("conv"):
            yield from pairs_of_layer(f"rpn.head.conv.{layer.name[4:]}.0", layer)
        elif layer.name == "objectness":
            yield from pairs_of_layer("rpn.head.cls_logits", layer)
        elif layer.name == "deltas":
            yield from pairs_of_layer("rpn.head.bbox_pred", layer, rows=BOX_ROWS)


def _box_head(head, config) -> Iterator[Pair]:
    for layer in head.layers:
        if layer.name.startswith("conv"):
            yield from _convolution("roi_heads.box_head", layer)
        elif layer.name.startswith("fc"):
            number = int(layer.name[2:])
            # v1 has fc6 and fc7; v2 continues to count after its convolutions and a flatten.
            after_convs = f"{len(config.box_convs) + 1 + 2 * number}"
            place = after_convs if config.box_convs else f"fc{6 + number}"
            kernel = DENSE if number else flattened(config.box_pool)
            yield from pairs_of_layer(f"roi_heads.box_head.{place}", layer, kernel)
        elif layer.name == "logits":
            yield from pairs_of_layer("roi_heads.box_predictor.cls_score", layer, DENSE)
        elif layer.name == "deltas":
            rows = then(_no_background(4), BOX_ROWS)
            yield from pairs_of_layer("roi_heads.box_predictor.bbox_pred", layer, DENSE, rows)


def _mask_head(head) -> Iterator[Pair]:
    for layer in head.layers:
        if layer.name.startswith("conv"):
            yield from _convolution("roi_heads.mask_head", layer)
        elif layer.name == "deconv":
            yield from pairs_of_layer("roi_heads.mask_predictor.conv5_mask", layer, DECONV)
        elif layer.name == "logits":
            name = "roi_heads.mask_predictor.mask_fcn_logits"
            yield from pairs_of_layer(name, layer, CONV, _no_background(1))


def _convolution(prefix: str, layer) -> Iterator[Pair]:
    number, _, norm = layer.name[4:].partition("_")
    yield from pairs_of_layer(f"{prefix}.{number}.{1 if norm else 0}", layer)


# --- what a file tells ------------------------------------------------------------------


def recognises(tensors) -> bool:
    """Whether the names are those of a torchvision detector."""
    return any(name.startswith("backbone.body.") for name in tensors)


def recognises_backbone(tensors) -> bool:
    """Whether the names are those of a torchvision ResNet alone."""
    return "layer1.0.conv1.weight" in tensors


def pairs_of_backbone(model) -> Iterator[Pair]:
    """The pairs of a detector's backbone alone.

    Raises:
        LabkitError: torchvision has no counterpart of the backbone.
    """
    if not BACKBONES[model.config.backbone].torchvision_names:
        raise LabkitError(
            f"torchvision has no '{model.config.backbone}' backbone: make the model with one of "
            f"{', '.join(n for n, b in BACKBONES.items() if b.torchvision_names)}."
        )
    return backbone_pairs(model.backbone)


def config_of_backbone(tensors) -> Config:
    """The preset v1, with the file's backbone: as many blocks, and a ResNeXt's groups."""
    found = [re.fullmatch(r"layer(\d)\.\d+\.conv1\.weight", name) for name in tensors]
    stages = [int(name[1]) for name in found if name]
    blocks = [stages.count(s) for s in (1, 2, 3, 4)]
    backbone = _of_groups(np.shape(tensors.get("layer1.0.conv2.weight")))
    return Config.preset("torchvision_v1", backbone=backbone, backbone_blocks=blocks)


def _of_groups(kernel: tuple[int, ...]) -> str:
    """The first backbone whose 3x3 kernels are [out, in a group, 3, 3] like this, or ResNet-50."""
    if len(kernel) == 4 and kernel[0] != kernel[1]:
        options = dict(groups=kernel[0] // kernel[1], group_width=kernel[1])
        return next((n for n, b in BACKBONES.items() if b.options == options), "resnet50")
    return "resnet50"


def config_of(tensors) -> Config | None:
    """The preset that the tensors belong to, v1 or v2; None if it is neither."""
    if "roi_heads.box_head.0.0.weight" in tensors:
        return Config.preset("torchvision_v2")
    if "roi_heads.box_head.fc6.weight" in tensors:
        return Config.preset("torchvision_v1")
    return None


def outputs(tensors) -> int:
    """How many classes the tensors know, background included; 0 if they do not tell."""
    return len(tensors.get(_CLASS_BIAS, ()))


# Weights published before torchvision 0.13 have these names; torchvision renames them too.
_FORMER = (
    (r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)", r"\1.0.\2"),
    (r"rpn\.head\.conv\.(weight|bias)", r"rpn.head.conv.0.0.\1"),
    (r"roi_heads\.mask_head\.mask_fcn(\d)\.(weight|bias)", r"roi_heads.mask_head.#\1.0.\2"),
)


def present_name(name: str) -> str:
    """The name that today's torchvision has for a tensor of an older file."""
    for pattern, replacement in _FORMER:
        if re.fullmatch(pattern, name):
            name = re.sub(pattern, replacement, name)
    # mask_fcn1 was the first; today's numbers begin at 0
    return re.sub(r"#(\d)", lambda found: str(int(found[1]) - 1), name)


def renamed(tensors, config: Config, source: str) -> dict[str, np.ndarray]:
    """The tensors by the names that today's torchvision has for them."""
    return {present_name(name): value for name, value in tensors.items()}


# --- there and back ---------------------------------------------------------------------


def export(model) -> dict[str, np.ndarray]:
    """The model's weights as torchvision's state_dict: names, layouts, order of rows.

    A model that was loaded from a torchvision detector gives back exactly the same numbers,
    including those that nothing reads: the background's rows in the box and mask heads, and the
    norms' counters. Any other model has zeros there.

    Raises:
        LabkitError: torchvision has no counterpart of this model.
    """
    unread = getattr(model, "unread_tensors", None) or {}
    result: dict[str, np.ndarray] = {}
    for pair in pairs(model):
        values = pair.outside()
        if pair.name in unread:
            values[: len(unread[pair.name])] = unread[pair.name]
        result[pair.name] = values
        if not unread and pair.name.endswith("running_var"):
            result[pair.name.replace("running_var", COUNTER)] = np.zeros((), np.int64)
    return result | {name: value for name, value in unread.items() if name.endswith(COUNTER)}


def unread_tensors(loaded: list[tuple[Pair, np.ndarray]], tensors) -> dict[str, np.ndarray]:
    """What a state_dict holds that the model has no place for, kept for `export`.

    Args:
        loaded: the pairs that the model took from the file, each with its tensor.
        tensors: all tensors of the file.

    Returns:
        The background's rows of a tensor, by its name, and the counters.
    """
    rest = {name: np.array(value) for name, value in tensors.items() if name.endswith(COUNTER)}
    for pair, value in loaded:
        rows = len(pair.outside()) - pair.variable.shape[-1]
        if rows:
            rest[pair.name] = np.array(value[:rows])
    return rest


FORMAT = Format(
    name="torchvision's Mask R-CNN",
    recognises=recognises,
    pairs=pairs,
    prepared=renamed,
    config=config_of,
    outputs=outputs,
    unread=unread_tensors,
    export=export,
    presets=("torchvision_v1", "torchvision_v2"),
    skipped=COUNTERS,
)
BACKBONE_FORMAT = Format(
    name="torchvision's ResNet",
    recognises=recognises_backbone,
    pairs=pairs_of_backbone,
    config=config_of_backbone,
    presets=("torchvision_v1", "torchvision_v2"),
    skipped=COUNTERS | {r"fc\.(weight|bias)$": CLASSIFIER},
)
