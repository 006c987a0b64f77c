"""The weights of the reference networks, drawn anew from the names of the tensors.

To avoid shipping 170 MB of random numbers, each tensor is drawn from a generator seeded with its
name, and a checksum beside the reference values shows whether the numbers are the same.
"""

import json
import zlib
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError

GAINS = {  # factors of the standard deviation, by the beginning of a name; otherwise 1
    "rpn.head.cls_logits.weight": 1.0,
    "rpn.head.bbox_pred.weight": 0.12,
    "roi_heads.box_predictor.cls_score.weight": 1.4,
    "roi_heads.box_predictor.bbox_pred.weight": 0.5,
    "roi_heads.mask_predictor.mask_fcn_logits.weight": 2.0,
    "backbone.fpn.": 0.7071067811865476,
}
# Without this bias most RoIs of a random network would be objects.
BACKGROUND_BIAS = {"v1": 9.0, "v2": 12.0}


def parameters(path: Path, version: str) -> dict[str, np.ndarray]:
    """Every tensor that a `maskrcnn_*_params.json` lists, float32, in torchvision's layouts.

    Args:
        path: of the file.
        version: "v1" or "v2".

    Raises:
        LabkitError: a checksum shows that the file was made with other numbers.
    """
    listed = json.loads(Path(path).read_text(encoding="utf-8"))
    tensors = {}
    for name, entry in listed.items():
        value = _draw(name, entry["shape"], entry["kind"], version)
        if value is None:
            continue
        if zlib.crc32(value.tobytes()) != entry["crc32"]:
            raise LabkitError(
                f"{path}: '{name}' has the checksum {entry['crc32']}, the recipe gives another: "
                "the reference values were made with other weights."
            )
        tensors[name] = value
    return tensors


def _draw(name: str, shape, kind: str, version: str) -> np.ndarray | None:
    if kind == "skip":
        return None
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    gain = next((g for start, g in GAINS.items() if name.startswith(start)), 1.0)
    if kind in ("conv", "linear"):
        value = z * (gain * np.sqrt(2.0 / int(np.prod(shape[1:]))))
    elif kind == "deconv":
        value = z * (gain * np.sqrt(2.0 / shape[0]))
    elif kind == "bias":
        value = 0.05 * z
        if name == "roi_heads.box_predictor.cls_score.bias":
            value[0] += BACKGROUND_BIAS[version]
    elif kind == "bn_weight":
        value = (0.25 if ".bn3." in name else 1.0) * (1.0 + 0.1 * z)
    elif kind == "bn_var":
        value = np.abs(1.0 + 0.1 * z) + 0.05
    elif kind in ("bn_bias", "bn_mean"):
        value = 0.1 * z
    else:
        raise LabkitError(f"'{name}' is of the kind '{kind}', which the recipe does not know.")
    return value.astype(np.float32)
