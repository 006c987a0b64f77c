"""The names of YOLACT's own files, so that its published weights travel both ways.

The layouts are torch's, and boxes have x before y. A file may also hold tensors that nothing reads:
the norms' counters, and in the oldest ones the backbone and the coarsest levels a second time under
other names. They are kept for `export`.
"""

import re
from collections.abc import Iterator

import numpy as np

from labkit.errors import LabkitError
from labkit.models.yolact_config import YolactConfig
from labkit.weights.pair import Format, Pair
from labkit.weights.torch_layer import BOX_ROWS, COUNTER, COUNTERS, pairs_of_layer

_CLASS_BIAS = "prediction_layers.0.conf_layer.bias"
_DARKNET = "backbone._preconv.0.weight"
_AGAIN = "the same tensors under an older name"

# Our names of layers -> theirs; a number in [] is turned around, because theirs count from C5 down.
_PLACES = {
    "backbone": (
        (r"(conv|bn)1", r"backbone.\g<0>"),
        (r"layer(\d)_(\d+)_(conv\d|bn\d)", r"backbone.layers.[\1].\2.\3"),
        (r"layer(\d)_(\d+)_downsample_(\d)", r"backbone.layers.[\1].\2.downsample.\3"),
        (r"preconv_(\d)", r"backbone._preconv.\1"),
        (r"layers_(\d)_0_(\d)", r"backbone.layers.\1.0.\2"),
        (r"layers_(\d)_(\d)_(conv\d)_(\d)", r"backbone.layers.\1.\2.\3.\4"),
    ),
    "prototypes": ((r"conv([012])", r"proto_net.<\1>"), (r"conv3", "proto_net.8")),
}
_HEAD = {
    "conv": "upfeature.0",
    "deltas": "bbox_layer",
    "logits": "conf_layer",
    "coefficients": "mask_layer",
}


def pairs(model) -> Iterator[Pair]:
    """Every variable of the model with YOLACT's name for it, backbone first.

    Raises:
        LabkitError: YOLACT's code has no counterpart of this model.
    """
    c = model.config
    if c.backbone not in ("resnet50", "resnet101", "darknet53") or c.strides[0] != 8:
        raise LabkitError(
            "YOLACT's code has no such model: only the presets yolact_r50, yolact_darknet53, "
            "yolact_base and yolact_im700 have a place for every weight."
        )
    for part in model.parts().values():
        for layer in part.layers:
            if layer.weights:
                rows = BOX_ROWS if (part.name, layer.name) == ("head", "deltas") else None
                yield from pairs_of_layer(_name(part.name, layer.name), layer, rows=rows)


def _name(part: str, layer: str) -> str:
    """Their name of a layer of ours."""
    if part == "semantic":
        return "semantic_seg_conv"
    if part == "head":
        return f"prediction_layers.0.{_HEAD[layer]}"
    if part == "fpn":
        return _level(layer)
    if layer == "prototypes":
        return "proto_net.10"
    for pattern, theirs in _PLACES[part]:
        if found := re.fullmatch(pattern, layer):
            name = found.expand(theirs)
            name = re.sub(r"\[(\d)\]", lambda stage: str(int(stage[1]) - 1), name)
            return re.sub(r"<(\d)>", lambda number: str(2 * int(number[1])), name)
    raise LabkitError(f"YOLACT's code has no layer '{layer}'.")


def _level(layer: str) -> str:
    """Of a layer of the pyramid; there the first is C5's, and those beyond it count anew."""
    kind, level = layer[:-1], int(layer[-1])
    if level > 5:
        return f"fpn.downsample_layers.{level - 6}"
    return f"fpn.{'lat' if kind == 'lateral' else 'pred'}_layers.{5 - level}"


# --- what a file tells ------------------------------------------------------------------


def recognises(tensors) -> bool:
    """Whether the names are those of YOLACT's code."""
    return _CLASS_BIAS in tensors


def config_of(tensors) -> YolactConfig:
    """The preset of the same backbone; yolact_im700's network is yolact_base's."""
    if _DARKNET in tensors:
        return YolactConfig.preset("yolact_darknet53")
    deep = any(name.startswith("backbone.layers.2.22.") for name in tensors)
    return YolactConfig.preset("yolact_base" if deep else "yolact_r50")


def outputs(tensors) -> int:
    """How many classes the tensors know, background included."""
    anchors = len(tensors["prediction_layers.0.bbox_layer.bias"]) // 4
    return len(tensors[_CLASS_BIAS]) // anchors


# --- there and back ---------------------------------------------------------------------


def export(model) -> dict[str, np.ndarray]:
    """The model's weights as the state_dict of YOLACT's code.

    A model that was loaded from such a file gives back exactly the same numbers, those that nothing
    reads included; any other model has counters of zero.

    Raises:
        LabkitError: YOLACT's code has no counterpart of this model.
    """
    unread = getattr(model, "unread_tensors", None) or {}
    result = {pair.name: pair.outside() for pair in pairs(model)}
    if not unread:
        norms = [name for name in result if name.endswith("running_var")]
        unread = {n.replace("running_var", COUNTER): np.zeros((), np.int64) for n in norms}
    return result | unread


def unread_tensors(loaded: list[tuple[Pair, np.ndarray]], tensors) -> dict[str, np.ndarray]:
    """What a state_dict holds that the model has no place for, kept for `export`."""
    known = {pair.name for pair, _ in loaded}
    return {name: np.array(value) for name, value in tensors.items() if name not in known}


FORMAT = Format(
    name="YOLACT's",
    recognises=recognises,
    pairs=pairs,
    config=config_of,
    outputs=outputs,
    unread=unread_tensors,
    export=export,
    presets=("yolact_r50", "yolact_darknet53", "yolact_base", "yolact_im700"),
    skipped=COUNTERS | {r"^backbone\.layer\d\.": _AGAIN, r"^fpn\.downsample_layers\.[2-9]": _AGAIN},
)
