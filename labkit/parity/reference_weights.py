"""The weights of the reference networks, drawn anew from the names of the tensors.

To avoid shipping 170 MB of random numbers, each tensor is drawn from a generator seeded with its
name, and a checksum beside the reference values shows whether the numbers are the same.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError


@dataclass(frozen=True)
class Recipe:
    """How the tensors of a network are drawn.

    Attributes:
        gains: factors of the standard deviation, by the beginning of a name; otherwise 1. The
            first that fits is taken.
        biases: by name, what is added to a bias; as an array that is broadcast to its values.
        last_norms: what the names of norms contain that end a residual branch; those are smaller.
    """

    gains: Mapping[str, float]
    biases: Mapping[str, np.ndarray]
    last_norms: tuple[str, ...] = (".bn3.",)


_TORCHVISION_GAINS = {
    "rpn.head.cls_logits.weight": 1.0,
    "rpn.head.bbox_pred.weight": 0.12,
    "roi_heads.box_predictor.cls_score.weight": 1.4,
    "roi_heads.box_predictor.bbox_pred.weight": 0.5,
    "roi_heads.mask_predictor.mask_fcn_logits.weight": 2.0,
    "backbone.fpn.": 0.7071067811865476,
}
# Without this bias most RoIs of a random network would be objects.
_TORCHVISION_BACKGROUND = {"v1": 9.0, "v2": 12.0}


def _background(amount: float, anchors: int, classes: int) -> np.ndarray:
    """What is added to a bias so that background is likelier, for each of so many anchors."""
    return np.tile(np.eye(1, 1 + classes)[0] * amount, anchors)


TORCHVISION = {
    version: Recipe(
        _TORCHVISION_GAINS,
        {"roi_heads.box_predictor.cls_score.bias": _background(amount, 1, 90)},
    )
    for version, amount in _TORCHVISION_BACKGROUND.items()
}

_YOLACT_GAINS = {
    "fpn.downsample_layers.0.": 0.75,
    "fpn.pred_layers.0.": 1.2,
    "fpn.pred_layers.1.": 0.9,
    "fpn.pred_layers.2.": 0.6,
    "prediction_layers.0.bbox_layer.weight": 0.5,
    "prediction_layers.0.conf_layer.weight": 1.2,
    "prediction_layers.0.mask_layer.weight": 0.3,
    "proto_net.10.": 0.4,
    "proto_net.": 0.9,
    "semantic_seg_conv.weight": 0.25,
}
_YOLACT_BACKGROUND = {
    "r50_550": 18.5,
    "r50_138": 14.5,
    "darknet53_550": 14.5,
    "darknet53_138": 11.5,
}
_LATERAL, _COEFFICIENT = {"r50": 1.0, "darknet53": 0.28}, {"r50": 0.1, "darknet53": 0.3}


def yolact_recipe(name: str) -> Recipe:
    """The recipe of one of YOLACT's reference networks, "r50_138" for instance.

    Raises:
        LabkitError: there is no such network.
    """
    if name not in _YOLACT_BACKGROUND:
        raise LabkitError(
            f"there is no recipe for the weights of '{name}'; there are: "
            f"{', '.join(_YOLACT_BACKGROUND)}."
        )
    backbone = name.partition("_")[0]
    return Recipe(
        {"fpn.lat_layers.": _LATERAL[backbone]} | _YOLACT_GAINS,
        {
            "prediction_layers.0.conf_layer.bias": _background(_YOLACT_BACKGROUND[name], 3, 80),
            "prediction_layers.0.mask_layer.bias": np.array(_COEFFICIENT[backbone]),
        },
        (".bn3.", ".conv2.1."),
    )


def parameters(path: Path, recipe: Recipe) -> dict[str, np.ndarray]:
    """Every tensor that a `*_params.json` lists, float32, in torch's layouts.

    Args:
        path: of the file.
        recipe: of the network.

    Raises:
        LabkitError: a checksum shows that the file was made with other numbers.
    """
    listed = json.loads(Path(path).read_text(encoding="utf-8"))
    tensors = {}
    for name, entry in listed.items():
        value = _draw(name, entry["shape"], entry["kind"], recipe)
        if value is None:
            continue
        if zlib.crc32(value.tobytes()) != entry["crc32"]:
            raise LabkitError(
                f"{path}: '{name}' has the checksum {entry['crc32']}, the recipe gives another: "
                "the reference values were made with other weights."
            )
        tensors[name] = value
    return tensors


def _draw(name: str, shape, kind: str, recipe: Recipe) -> np.ndarray | None:
    if kind == "skip":
        return None
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    gain = next((g for start, g in recipe.gains.items() if name.startswith(start)), 1.0)
    if kind in ("conv", "linear"):
        value = z * (gain * np.sqrt(2.0 / int(np.prod(shape[1:]))))
    elif kind == "deconv":
        value = z * (gain * np.sqrt(2.0 / shape[0]))
    elif kind == "bias":
        value = 0.05 * z + recipe.biases.get(name, 0.0)
    elif kind == "bn_weight":
        value = (0.25 if any(n in name for n in recipe.last_norms) else 1.0) * (1.0 + 0.1 * z)
    elif kind == "bn_var":
        value = np.abs(1.0 + 0.1 * z) + 0.05
    elif kind in ("bn_bias", "bn_mean"):
        value = 0.1 * z
    else:
        raise LabkitError(f"'{name}' is of the kind '{kind}', which the recipe does not know.")
    return value.astype(np.float32)
