"""Names that Keras 3 gives our own variables in a .weights.h5 file.

Keras counts: the third convolution of a part is `PART/layers/conv2d_2`, whatever its own name is.
"""

import re
from collections import Counter
from collections.abc import Iterator

from labkit.weights.pair import Pair

# Keras goes through a model's attributes by the alphabet, and between "h" and "m" through its list
# of layers, where the parts that it has not met yet are called by their place in that list.
PARTS = {
    "backbone": "backbone",
    "fpn": "fpn",
    "rpn_head": "layers/functional_2",
    "box_head": "box_head",
    "mask_head": "layers/functional_4",
}
PER_CLASS = {"box_head": ("logits", "deltas"), "mask_head": ("logits",)}


def pairs(model) -> Iterator[Pair]:
    """Every variable of the model with its path in the file, backbone first."""
    for part, path in PARTS.items():
        seen: Counter[str] = Counter()
        for layer in getattr(model, part).layers:
            kind = _snake_case(type(layer).__name__)
            name = f"{kind}_{seen[kind]}" if seen[kind] else kind
            seen[kind] += 1
            per_class = layer.name in PER_CLASS.get(part, ())
            for i, variable in enumerate(layer.weights):
                yield Pair(f"{path}/layers/{name}/vars/{i}", variable, per_class=per_class)


def _snake_case(name: str) -> str:
    """Conv2DTranspose is conv2d_transpose: the rule of Keras."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
