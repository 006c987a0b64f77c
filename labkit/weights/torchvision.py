"""torchvision's names and layouts for our variables, so that weights travel both ways.

torchvision stores a kernel as [out, in, height, width] and a box as x before y; Keras stores
[height, width, in, out], and labkit has y before x. Its box and mask heads also have an output for
the background class, which nothing ever reads: it is left out here and put back on the way out.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from labkit.errors import LabkitError


@dataclass(frozen=True)
class Layout:
    """How the values of one variable are laid out here and there: two functions of an array."""

    to_keras: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pair:
    """A variable of the model and the tensor that torchvision keeps in its place.

    per_class: it has rows for each class, so that another number of classes has no use for it.
    """

    name: str
    variable: object
    layout: Layout
    per_class: bool = False

    def torch_values(self, values: np.ndarray | None = None) -> np.ndarray:
        """The variable's value, or others of its shape (its gradient, say), as torchvision has it.

        float32, C order. The rows of the background class, where there are some, are zero.
        """
        values = self.variable.numpy() if values is None else np.asarray(values)
        return np.ascontiguousarray(self.layout.to_torch(values))


# --- layouts ----------------------------------------------------------------------------

PLAIN = Layout(lambda a: a, lambda a: a)
CONV = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))
DECONV = Layout(lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1))
DENSE = Layout(np.transpose, np.transpose)


def _flattened(side: int) -> Layout:
    """A dense layer on a flattened map: torch flattens [C, H, W], Keras [H, W, C]."""

    def to_keras(a):
        return a.reshape(len(a), -1, side, side).transpose(2, 3, 1, 0).reshape(-1, len(a))

    def to_torch(a):
        units = a.shape[1]
        return a.reshape(side, side, -1, units).transpose(3, 2, 0, 1).reshape(units, -1)

    return Layout(to_keras, to_torch)


def _then(first: Layout, second: Layout) -> Layout:
    """On the way to Keras `first` is applied first, on the way back last."""
    return Layout(
        lambda a: second.to_keras(first.to_keras(a)), lambda a: first.to_torch(second.to_torch(a))
    )


def _swap_boxes(a: np.ndarray) -> np.ndarray:
    """Rows of (x, y, w, h) as rows of (y, x, h, w), and back."""
    return a.reshape(-1, 4, *a.shape[1:])[:, [1, 0, 3, 2]].reshape(a.shape)


def _no_background(rows: int) -> Layout:
    """Without the background's rows, of which there are `rows`, at the front."""
    return Layout(lambda a: a[rows:], lambda a: np.pad(a, [(rows, 0)] + [(0, 0)] * (a.ndim - 1)))


BOX_ROWS = Layout(_swap_boxes, _swap_boxes)


# --- names ------------------------------------------------------------------------------


def pairs(model) -> Iterator[Pair]:
    """Every variable of the model with torchvision's name for it, backbone first.

    Raises LabkitError for a model that torchvision has no counterpart of.
    """
    if model.config.backbone != "resnet50" or model.config.class_agnostic:
        raise LabkitError(
            "torchvision has no such model: only the ResNet presets (torchvision_v1, "
            "torchvision_v2, r50_fpn) have a place for every weight."
        )
    for layer in model.backbone.layers:
        yield from _layer("backbone.body." + layer.name.replace("_", "."), layer)
    for layer in model.fpn.layers:
        if found := re.fullmatch(r"(inner|layer)(\d)(_bn)?", layer.name):
            kind, level, norm = found.groups()
            place = f"{kind}_blocks.{int(level) - 2}.{1 if norm else 0}"
            yield from _layer(f"backbone.fpn.{place}", layer)
    yield from _rpn(model.rpn_head)
    yield from _box_head(model.box_head, model.config)
    yield from _mask_head(model.mask_head)


def backbone_pairs(backbone) -> Iterator[Pair]:
    """The backbone's variables with the names they have in torchvision's `resnet50`."""
    for layer in backbone.layers:
        yield from _layer(layer.name.replace("_", "."), layer)


def _layer(name: str, layer, kernel: Layout = CONV, rows: Layout | None = None, per_class=False):
    """The pairs of one layer. rows: a layout of its outputs, common to kernel and bias."""
    if hasattr(layer, "moving_mean"):
        yield Pair(f"{name}.weight", layer.gamma, PLAIN)
        yield Pair(f"{name}.bias", layer.beta, PLAIN)
        yield Pair(f"{name}.running_mean", layer.moving_mean, PLAIN)
        yield Pair(f"{name}.running_var", layer.moving_variance, PLAIN)
    elif layer.weights:
        yield Pair(f"{name}.weight", layer.kernel, _then(rows, kernel) if rows else kernel,
                   per_class)  # fmt: skip
        if layer.bias is not None:
            yield Pair(f"{name}.bias", layer.bias, rows or PLAIN, per_class)


def _rpn(head) -> Iterator[Pair]:
    for layer in head.layers:
        if layer.name.startswith("conv"):
            yield from _layer(f"rpn.head.conv.{layer.name[4:]}.0", layer)
        elif layer.name == "objectness":
            yield from _layer("rpn.head.cls_logits", layer)
        elif layer.name == "deltas":
            yield from _layer("rpn.head.bbox_pred", layer, rows=BOX_ROWS)


def _box_head(head, config) -> Iterator[Pair]:
    for layer in head.layers:
        if layer.name.startswith("conv"):
            yield from _convolution("roi_heads.box_head", layer)
        elif layer.name.startswith("fc"):
            number = int(layer.name[2:])
            # v1 has fc6 and fc7; v2 counts on after its convolutions and a flattening.
            place = f"{len(config.box_convs) + 1 + 2 * number}" if config.box_convs else (
                f"fc{6 + number}")  # fmt: skip
            kernel = DENSE if number else _flattened(config.box_pool)
            yield from _layer(f"roi_heads.box_head.{place}", layer, kernel)
        elif layer.name == "logits":
            yield from _layer("roi_heads.box_predictor.cls_score", layer, DENSE, per_class=True)
        elif layer.name == "deltas":
            rows = _then(_no_background(4), BOX_ROWS)
            yield from _layer("roi_heads.box_predictor.bbox_pred", layer, DENSE, rows, True)


def _mask_head(head) -> Iterator[Pair]:
    for layer in head.layers:
        if layer.name.startswith("conv"):
            yield from _convolution("roi_heads.mask_head", layer)
        elif layer.name == "deconv":
            yield from _layer("roi_heads.mask_predictor.conv5_mask", layer, DECONV)
        elif layer.name == "logits":
            name = "roi_heads.mask_predictor.mask_fcn_logits"
            yield from _layer(name, layer, CONV, _no_background(1), True)


def _convolution(prefix: str, layer) -> Iterator[Pair]:
    number, _, norm = layer.name[4:].partition("_")
    yield from _layer(f"{prefix}.{number}.{1 if norm else 0}", layer)


# --- files of other ages ----------------------------------------------------------------

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
