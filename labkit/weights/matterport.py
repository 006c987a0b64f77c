"""Weights of Matterport's Mask R-CNN (Keras 2, `mask_rcnn_coco.h5` and what was trained from it).

Its layers have more parameters than ours but compute the same function. When they are loaded they
are folded, exactly up to the last digits of a float32:

* a convolution with a bias b before a batch norm: the norm's mean becomes mean - b;
* a dense layer or convolution with a norm behind it, in the heads: both become one layer, because
  these norms use stored statistics in training too (TRAIN_BN is False) and so are just a scale and
  a shift;
* two logits per anchor, background and object, under a softmax: one logit, object minus background,
  under a sigmoid;
* the background's box and mask: left out, nothing reads them.

As here, a kernel is [height, width, in, out], a box is (y, x, h, w), and a class's row is its id.
"""

import re
from collections.abc import Iterator

import numpy as np

from labkit.errors import LabkitError
from labkit.models.backbones import BACKBONES
from labkit.models.config import Config
from labkit.weights.pair import PLAIN, Format, Layout, Pair

CLASSES = "mrcnn_class_logits/bias"
_STAGE = {1: 2, 2: 3, 3: 4, 4: 5}  # our layer1 is its stage 2
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_HEAD_NORMS = {  # a layer of the heads, and the norm behind it
    "mrcnn_class_conv1": "mrcnn_class_bn1",
    "mrcnn_class_conv2": "mrcnn_class_bn2",
    **{f"mrcnn_mask_conv{i}": f"mrcnn_mask_bn{i}" for i in (1, 2, 3, 4)},
}


def recognises(tensors) -> bool:
    """Whether names as `read_tensors` gives them are those of such a file."""
    return CLASSES in map(_short, tensors)


def outputs(tensors) -> int:
    """How many classes the tensors know, background included."""
    return next(len(v) for n, v in tensors.items() if _short(n) == CLASSES)


def config_of(tensors) -> Config:
    """The preset, with as many layers as the file has."""
    return Config.preset("matterport", backbone_blocks=blocks(tensors))


def blocks(tensors) -> tuple[int, ...]:
    """How many bottlenecks each stage of the backbone has: (3, 4, 23, 3) is ResNet-101."""
    found = {n[1] for n in (re.match(r"res(\d\w)_branch2a/", _short(n)) for n in tensors) if n}
    return tuple(sum(name[0] == str(stage) for name in found) for stage in (2, 3, 4, 5))


def _short(name: str) -> str:
    """layer/weight, of "bn_conv1/bn_conv1/gamma:0" or "model_weights/bn_conv1/bn_conv1/gamma:0"."""
    return "/".join(name.partition(":")[0].split("/")[-2:])


# --- fewer numbers, the same function ---------------------------------------------------


def folded(tensors, epsilon: float, source: str) -> dict[str, np.ndarray]:
    """Fold the layers of a file as described above, and shorten its names.

    Args:
        tensors: arrays by the names that the file gives them.
        epsilon: of its batch norms.
        source: what to call the file in a message.

    Returns:
        All tensors by short names, "layer/weight".

    Raises:
        LabkitError: a layer lacks the other one that it is folded with, or a name is there twice.
    """
    result: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        # an optimizer's variable may have the short name of a weight
        kept = name if name.startswith("optimizer") else _short(name)
        if kept in result:
            raise LabkitError(f"{source} holds '{kept}' twice: save the model's weights alone.")
        result[kept] = value
    for conv in [n.removesuffix("/bias") for n in result if n.endswith("/bias")]:
        norm = _norm_behind(conv)
        if norm is not None:
            wanted = (*(f"{norm}/{part}" for part in _NORM), f"{conv}/kernel")
            lacking = [name for name in wanted if name not in result]
            if lacking:
                raise LabkitError(f"{source} lacks '{lacking[0]}', which {conv} belongs with.")
            fold = _into_layer if conv in _HEAD_NORMS else _into_mean
            fold(result, conv, norm, epsilon)
    for part in ("kernel", "bias"):
        name = f"rpn_class_raw/{part}"
        if name in result:  # [..., anchor 0's two, anchor 1's two, ...]
            both = result[name].astype(np.float64)
            result[name] = np.float32(both[..., 1::2] - both[..., 0::2])
    return result


def _norm_behind(conv: str) -> str | None:
    if conv == "conv1":
        return "bn_conv1"
    return "bn" + conv[3:] if re.match(r"res\d", conv) else _HEAD_NORMS.get(conv)


def _into_mean(tensors, conv: str, norm: str, epsilon: float) -> None:
    bias = tensors.pop(f"{conv}/bias").astype(np.float64)
    tensors[f"{norm}/moving_mean"] = np.float32(tensors[f"{norm}/moving_mean"] - bias)


def _into_layer(tensors, conv: str, norm: str, epsilon: float) -> None:
    gamma, beta, mean, variance = (tensors.pop(f"{norm}/{p}").astype(np.float64) for p in _NORM)
    scale = gamma / np.sqrt(variance + epsilon)
    kernel, bias = tensors[f"{conv}/kernel"], tensors[f"{conv}/bias"]
    tensors[f"{conv}/kernel"] = np.float32(kernel * scale)
    tensors[f"{conv}/bias"] = np.float32((bias - mean) * scale + beta)


# --- names ------------------------------------------------------------------------------


def _without_background(rows: int) -> Layout:
    """Without the first `rows` of the last axis, those of the background."""
    return Layout(
        lambda a: a[..., rows:], lambda a: np.pad(a, [(0, 0)] * (a.ndim - 1) + [(rows, 0)])
    )


# Dense layers are convolutions there: [7, 7, in, out] and [1, 1, in, out]
def _as_convolution(side: int) -> Layout:
    return Layout(
        lambda a: a.reshape(-1, a.shape[-1]), lambda a: a.reshape(side, side, -1, a.shape[-1])
    )


def pairs(model) -> Iterator[Pair]:
    """Every variable of the model with Matterport's name for it, backbone first.

    Raises:
        LabkitError: Matterport has no counterpart of this model.
    """
    c = model.config
    plain = not (c.class_agnostic or c.fpn_batch_norm or c.heads_batch_norm or c.box_convs)
    plain = plain and BACKBONES[c.backbone].torchvision_names
    if not plain or len(c.box_dense) != 2 or c.rpn_convs != 1:
        raise LabkitError(
            "Matterport's Mask R-CNN has other layers than this model: make one with "
            'Config.preset("matterport").'
        )
    for layer in model.backbone.layers:
        yield from _layer(_backbone_name(layer.name), layer)
    for level in (5, 4, 3, 2):
        yield from _layer(f"fpn_c{level}p{level}", model.fpn.get_layer(f"inner{level}"))
        yield from _layer(f"fpn_p{level}", model.fpn.get_layer(f"layer{level}"))
    for name, ours in (
        ("rpn_conv_shared", "conv0"),
        ("rpn_class_raw", "objectness"),
        ("rpn_bbox_pred", "deltas"),
    ):
        yield from _layer(name, model.rpn_head.get_layer(ours))
    head = model.box_head.get_layer
    yield from _layer("mrcnn_class_conv1", head("fc0"), _as_convolution(c.box_pool))
    yield from _layer("mrcnn_class_conv2", head("fc1"), _as_convolution(1))
    yield from _layer("mrcnn_class_logits", head("logits"))
    rows = _without_background(4)
    yield from _layer("mrcnn_bbox_fc", head("deltas"), rows, rows)
    head = model.mask_head.get_layer
    for i in range(len(c.mask_convs)):
        yield from _layer(f"mrcnn_mask_conv{i + 1}", head(f"conv{i}"))
    yield from _layer("mrcnn_mask_deconv", head("deconv"))
    row = _without_background(1)
    yield from _layer("mrcnn_mask", head("logits"), row, row)


def _backbone_name(name: str) -> str:
    """Matterport's name of our layer: res4w_branch2b for layer3_22_conv2, bn4w_... for its norm."""
    if found := re.fullmatch(r"layer(\d)_(\d+)_(conv|bn|downsample_)(\d)", name):
        stage, block, kind, number = found.groups()
        norm = kind == "bn" or (kind == "downsample_" and number == "1")
        branch = "1" if kind == "downsample_" else "2" + "abc"[int(number) - 1]
        place = f"{_STAGE[int(stage)]}{chr(ord('a') + int(block))}"
        return f"{'bn' if norm else 'res'}{place}_branch{branch}"
    return "bn_conv1" if name == "bn1" else name


def _layer(name: str, layer, kernel: Layout = PLAIN, bias: Layout = PLAIN):
    """The pairs of one layer; a layer without weights has none."""
    layouts = {"kernel": kernel, "bias": bias}
    for variable in layer.weights:
        part = variable.name
        yield Pair(f"{name}/{part}", variable, layouts.get(part, PLAIN))


FORMAT = Format(
    name="Matterport's Mask R-CNN",
    recognises=recognises,
    pairs=pairs,
    prepared=lambda tensors, config, source: folded(tensors, config.batch_norm_epsilon, source),
    config=config_of,
    outputs=outputs,
    presets=("matterport",),
    skipped={r"^optimizer(_weights)?/": "an optimizer's state, not the model's"},
)
