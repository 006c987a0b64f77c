"""The names of timm's Darknet-53, whose ImageNet weights fit our backbone."""

import re
from collections.abc import Iterator

from labkit.models.config import Config
from labkit.weights.pair import Format, Pair
from labkit.weights.torch_layer import CLASSIFIER, COUNTERS, check_backbone, pairs_of_layer

BACKBONE = "darknet53"

# Our names of layers -> theirs, up to the last number; that is 0 for a convolution, 1 for its norm.
_PLACES = (
    (r"preconv", lambda: "stem.conv1"),
    (r"layers_(\d)_0", lambda stage: f"stages.{stage}.conv_down"),
    (
        r"layers_(\d)_(\d)_conv(\d)",
        lambda stage, block, number: f"stages.{stage}.blocks.{int(block) - 1}.conv{number}",
    ),
)


def pairs(model) -> Iterator[Pair]:
    """The backbone's variables with their names in timm's `darknet53`.

    Raises:
        LabkitError: the model has another backbone.
    """
    check_backbone(model, BACKBONE, "a Darknet-53")
    for layer in model.backbone.layers:
        if layer.weights:
            yield from pairs_of_layer(_name(layer.name), layer)


def _name(ours: str) -> str:
    place, _, kind = ours.rpartition("_")
    found = ((re.fullmatch(pattern, place), theirs) for pattern, theirs in _PLACES)
    prefix = next(theirs(*match.groups()) for match, theirs in found if match)
    return f"{prefix}.{('conv', 'bn')[int(kind)]}"


FORMAT = Format(
    name="timm's Darknet-53",
    recognises=lambda tensors: "stages.0.conv_down.conv.weight" in tensors,
    pairs=pairs,
    config=lambda tensors: Config.preset("r50_fpn", backbone=BACKBONE),
    skipped=COUNTERS | {r"^head\.": CLASSIFIER},
)
