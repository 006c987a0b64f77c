"""Weights into a model and out of it, and a report that says what went where.

Nothing is loaded in silence: every tensor of a file is either in `loaded` or in `skipped` with the
reason, every variable that the file had nothing for is in `missing`.
"""

from dataclasses import dataclass, field

import numpy as np

from labkit.errors import LabkitError
from labkit.weights.torchvision import Pair, backbone_pairs, pairs, present_name

COUNTER = "num_batches_tracked"  # torch counts the batches a norm has seen; nothing reads it here
CLASSIFIER = ("fc.weight", "fc.bias")  # of an ImageNet classifier: no part of a detector


@dataclass
class LoadReport:
    """What became of the tensors of a file. Printing it tells the whole story in a few lines."""

    source: str
    loaded: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # tensor: why
    missing: list[str] = field(default_factory=list)  # variables that keep their values

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.skipped)
        lines = [f"{self.source}: {len(self.loaded)} of {total} tensors loaded."]
        for reason in dict.fromkeys(self.skipped.values()):
            names = [n for n, why in self.skipped.items() if why == reason]
            lines.append(f"  skipped, {reason}: {_some(names)}")
        if self.missing:
            lines.append(f"  not in the file, left as they were: {_some(self.missing)}")
        return "\n".join(lines)


def load_torchvision(model, tensors: dict[str, np.ndarray], source: str) -> LoadReport:
    """Give `model` the weights of a state_dict of torchvision's: a detector's or a classifier's.

    Where the number of classes differs, the last layers keep their values and all else is loaded.
    Raises LabkitError, before anything is changed, if no tensor fits or a shape other than those
    of the last layers is wrong: then the file belongs to another network.
    """
    report = LoadReport(source)
    tensors = {present_name(name): value for name, value in tensors.items()}
    is_detector = any(name.startswith("backbone.") for name in tensors)
    wanted = list(pairs(model) if is_detector else backbone_pairs(model.backbone))
    new_values, rest = [], dict(tensors)
    for pair in wanted:
        value = rest.pop(pair.name, None)
        if value is None:
            report.missing.append(pair.name)
        elif value.shape == pair.torch_values().shape:
            new_values.append((pair, value))
            report.loaded.append(pair.name)
        else:
            report.skipped[pair.name] = _why_not(pair, value, wanted, tensors, source)
            report.missing.append(pair.name)
    if not new_values:
        example = _some(list(tensors)) or "no tensors at all"
        raise LabkitError(
            f"{source} holds no weights of this network (it holds {example}): give a file of "
            "torchvision's Mask R-CNN or ResNet-50."
        )
    for name in rest:
        report.skipped[name] = _what_else(name)
    for pair, value in new_values:
        pair.variable.assign(pair.layout.to_keras(value))
    if is_detector:
        counters = {n: v for n, v in tensors.items() if n.endswith(COUNTER)}
        model.torchvision_rest = _background(new_values) | counters
    return report


def export_torchvision(model) -> dict[str, np.ndarray]:
    """The model's weights as torchvision's state_dict: names, layouts and order of rows.

    A model that was loaded from a file of torchvision's gives back the very same numbers, bit for
    bit: also those that nothing reads, the background's rows in the box and mask heads and the
    norms' counters. Other models have zeros there.
    """
    rest = getattr(model, "torchvision_rest", None)
    result: dict[str, np.ndarray] = {}
    for pair in pairs(model):
        values = pair.torch_values()
        if rest and pair.name in rest:
            values[: len(rest[pair.name])] = rest[pair.name]
        result[pair.name] = values
        if rest is None and pair.name.endswith("running_var"):
            result[pair.name.replace("running_var", COUNTER)] = np.zeros((), np.int64)
    counters = {n: v for n, v in (rest or {}).items() if n.endswith(COUNTER)}
    return result | counters


def _background(values: list[tuple[Pair, np.ndarray]]) -> dict[str, np.ndarray]:
    """The rows that the layouts leave out, by tensor."""
    found = {}
    for pair, value in values:
        rows = len(value) - pair.variable.shape[-1] if pair.per_class else 0
        if rows:
            found[pair.name] = np.array(value[:rows])
    return found


def _why_not(pair: Pair, value, wanted: list[Pair], tensors, source: str) -> str:
    """The reason for skipping a per-class tensor; an error for any other."""
    if pair.per_class:
        theirs = tensors["roi_heads.box_predictor.cls_score.bias"].shape[0] - 1
        ours = next(p for p in wanted if p.name.endswith("cls_score.bias")).variable.shape[0] - 1
        return f"made for {theirs} classes, the model has {ours} (its last layers start anew)"
    raise LabkitError(
        f"{source}: {pair.name} has the shape {list(value.shape)}, this model wants "
        f"{list(pair.torch_values().shape)}: the file belongs to another network, choose the "
        "preset that fits (torchvision_v1, torchvision_v2)."
    )


def _what_else(name: str) -> str:
    if name.endswith(COUNTER):
        return "a counter that nothing reads"
    if name in CLASSIFIER:
        return "ImageNet's classifier, which a detector has no use for"
    return "no such part in this model"


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
