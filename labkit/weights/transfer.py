"""Weights into a model, and a report that says what went where.

Nothing is loaded in silence: every tensor of a file is either in `loaded` or in `skipped` with the
reason, every variable that the file had nothing for is in `missing`.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from labkit.errors import LabkitError, listed
from labkit.weights.formats import formats_of, recognised
from labkit.weights.pair import Format, Pair


@dataclass
class LoadReport:
    """What became of the tensors of a file. Printing it tells the whole story in a few lines.

    Attributes:
        source: the file or the published weights.
        loaded: names of the tensors that are now in the model.
        skipped: by name, why a tensor of the file is not.
        missing: names of the model's tensors that the file lacks.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

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
    """Give `model` the tensors of a file in one of the formats of `labkit.weights.formats`.

    Where the number of classes differs, the last layers keep their values and all else is loaded.

    Args:
        model: the detector to change.
        tensors: arrays by the names that the file gives them.
        source: what to call the file in messages.

    Returns:
        What was loaded, what was skipped and why, and what the file lacks.

    Raises:
        LabkitError: the file belongs to another network, for a tensor has another shape or is
            missing. Nothing has been changed then.
    """
    format_ = _format_for(model, tensors, source)
    tensors = format_.prepared(tensors, model.config, source)
    report, fitting, rest = LoadReport(source), [], dict(tensors)
    per_class = _per_class(model)
    for pair in format_.pairs(model):
        value = rest.pop(pair.name, None)
        if value is not None and value.shape == pair.outside().shape:
            fitting.append((pair, value))
            report.loaded.append(pair.name)
            continue
        if id(pair.variable) not in per_class:
            raise LabkitError(_another_network(format_, pair, value, source))
        report.missing.append(pair.name)
        if value is not None:
            report.skipped[pair.name] = (
                f"made for other classes than the model's {len(model.class_names)} (these layers "
                "start anew)"
            )
    report.skipped |= {name: _why(format_, name) for name in rest}
    for pair, value in fitting:
        pair.variable.assign(pair.layout.inward(value))
    model.unread_tensors = format_.unread(fitting, tensors)
    return report


def _format_for(model, tensors, source: str) -> Format:
    formats = formats_of(model)
    found = recognised(tensors, formats)
    if found is None:
        raise LabkitError(
            f"{source} holds no weights of this network (it holds "
            f"{listed(tensors, 4) or 'no tensors'}): give a file of one of these: "
            f"{', '.join(f.name for f in formats)}."
        )
    return found


def _per_class(model) -> set[int]:
    """Ids of the variables with rows for each class, of no use to a model of other classes."""
    layers = (
        model.parts()[part].get_layer(name)
        for part, names in model.PER_CLASS.items()
        for name in names
    )
    return {id(variable) for layer in layers for variable in layer.weights}


def _another_network(format_: Format, pair: Pair, value, source: str) -> str:
    wants = f"this model wants {list(pair.outside().shape)}"
    has = f"has the shape {list(value.shape)}, {wants}" if value is not None else "is missing"
    made_with = f"preset ({', '.join(format_.presets)})" if format_.presets else "config"
    return (
        f"{source}: '{pair.name}' {has}; the file belongs to another network: choose the "
        f"{made_with} that it was made with."
    )


def _why(format_: Format, name: str) -> str:
    reasons = (why for pattern, why in format_.skipped.items() if re.search(pattern, name))
    return next(reasons, "no such part in this model")
