"""Weights into a model, and a report that says what went where.

Nothing is loaded in silence: every tensor of a file is either in `loaded` or in `skipped` with the
reason, every variable that the file had nothing for is in `missing`.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from labkit.errors import LabkitError, listed
from labkit.models.backbones import BACKBONES
from labkit.weights import labkit_layout, matterport, torchvision
from labkit.weights.pair import Pair

# What a file may hold beside a detector's weights, and why it is left out.
SKIPPED = {
    torchvision.COUNTER: "counters that nothing reads",
    r"fc\.(weight|bias)$": "ImageNet's classifier, which a detector has no use for",
    r"^(optimizer(_weights)?/|vars/|loss_trackers/)": (
        "an optimizer's or a metric's state, not the model's"
    ),
}


@dataclass
class LoadReport:
    """What became of the tensors of a file. Printing it tells the whole story in a few lines."""

    source: str
    loaded: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # tensor: why
    missing: list[str] = field(default_factory=list)  # tensors of the model that the file lacks

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.skipped)
        lines = [f"{self.source}: {len(self.loaded)} of {total} tensors loaded."]
        for reason in dict.fromkeys(self.skipped.values()):
            names = [n for n, why in self.skipped.items() if why == reason]
            lines.append(f"  skipped, {reason}: {listed(names, 4)}")
        if self.missing:
            lines.append(f"  not in the file, left as they were: {listed(self.missing, 4)}")
        return "\n".join(lines)


def load_tensors(model, tensors: dict[str, np.ndarray], source: str) -> LoadReport:
    """Give `model` the tensors of a file, by the names of torchvision, Matterport or Keras.

    Where the number of classes differs, the last layers keep their values and all else is loaded.
    source: what to call the file. Raises LabkitError, before anything is changed, if the file
    belongs to another network: a tensor has another shape, or one is missing.
    """
    tensors = {torchvision.present_name(name): value for name, value in tensors.items()}
    from_matterport = matterport.recognises(tensors)
    if from_matterport:
        tensors = matterport.folded(tensors, model.config.batch_norm_epsilon, source)
    wanted = _wanted(model, tensors, source)
    report, fitting, rest = LoadReport(source), [], dict(tensors)
    for pair in wanted:
        value = rest.pop(pair.name, None)
        if value is not None and value.shape == pair.outside().shape:
            fitting.append((pair, value))
            report.loaded.append(pair.name)
            continue
        if not pair.per_class:
            raise LabkitError(_another_network(pair, value, source))
        report.missing.append(pair.name)
        if value is not None:
            report.skipped[pair.name] = (
                f"made for other classes than the model's {len(model.class_names)} (these layers "
                "start anew)"
            )
    for name in rest:
        report.skipped[name] = _why(name)
    for pair, value in fitting:
        pair.variable.assign(pair.layout.inward(value))
    model.torchvision_rest = {} if from_matterport else torchvision.unread(fitting, tensors)
    return report


def _wanted(model, tensors, source: str) -> list[Pair]:
    """The pairs of the layout that the names of the tensors show."""
    if any(name.startswith("backbone.") for name in tensors):
        return list(torchvision.pairs(model))
    if matterport.CLASSES in tensors:
        return list(matterport.pairs(model))
    backbone = BACKBONES[model.config.backbone]
    if "layer1.0.conv1.weight" in tensors and backbone.torchvision_names:
        return list(torchvision.backbone_pairs(model.backbone))
    if any(name.startswith("backbone/layers/") for name in tensors):
        return list(labkit_layout.pairs(model))
    held = listed(tensors, 4) or "no tensors"
    raise LabkitError(
        f"{source} holds no weights of this network (it holds {held}): give a file "
        "of torchvision's Mask R-CNN or ResNet-50, of Matterport's Mask R-CNN, or one that labkit "
        "has saved."
    )


def _another_network(pair: Pair, value, source: str) -> str:
    wants = f"this model wants {list(pair.outside().shape)}"
    has = f"has the shape {list(value.shape)}, {wants}" if value is not None else "is missing"
    return (
        f"{source}: '{pair.name}' {has}; the file belongs to another network: choose the preset "
        "that it was made with (for torchvision's: torchvision_v1, torchvision_v2; for "
        "Matterport's: matterport)."
    )


def _why(name: str) -> str:
    for pattern, reason in SKIPPED.items():
        if re.search(pattern, name):
            return reason
    return "no such part in this model"
