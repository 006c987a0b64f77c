"""Weights into a model, and a report that says what went where.

Nothing is loaded in silence: every tensor of a file is either in `loaded` or in `skipped` with the
reason, every variable that the file had nothing for is in `missing`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from labkit.errors import LabkitError, listed
from labkit.weights.class_rows import ClassRows
from labkit.weights.formats import formats_of, recognised
from labkit.weights.pair import Format, Pair


@dataclass
class LoadReport:
    """What became of the tensors of a file. Printing it tells the whole story in a few lines.

    Attributes:
        source: the file or the published weights.
        loaded: names of the tensors that are now in the model, or of which the rows of some classes
            are.
        skipped: by name, why a tensor of the file is not.
        missing: names of the model's tensors that the file has nothing for.
        classes: which classes kept their rows and which start anew; "" if nothing changed.
        untouched: parts of the model that such a file says nothing about: all but the backbone,
            where it holds a classifier.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    classes: str = ""
    untouched: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.skipped)
        lines = [f"{self.source}: {len(self.loaded)} of {total} tensors loaded."]
        if self.classes:
            lines.append(f"  classes: {self.classes}")
        for reason in dict.fromkeys(self.skipped.values()):
            names = [n for n, why in self.skipped.items() if why == reason]
            lines.append(f"  skipped, {reason}: {listed(names, 4)}")
        if self.missing:
            lines.append(f"  not in the file, left as they were: {listed(self.missing, 4)}")
        if self.untouched:
            lines.append(f"  no part of these weights, left as it was: {listed(self.untouched)}")
        return "\n".join(lines)


def load_tensors(
    model,
    tensors: dict[str, np.ndarray],
    source: str,
    class_names: Sequence[str] | None = None,
) -> LoadReport:
    """Give `model` the tensors of a file in one of the formats of `labkit.weights.formats`.

    Layers with outputs for each class take over those of classes of the same name, and with them
    the background's; the other classes keep the values that they have in the model. Where the names
    are not known, as many classes as the model's are taken for these, and else none is.

    Args:
        model: the detector to change.
        tensors: arrays by the names that the file gives them.
        source: what to call the file in messages.
        class_names: of the weights, without the background, in their order; None if not known.

    Returns:
        What was loaded, what was skipped and why, and what the file lacks.

    Raises:
        LabkitError: the file belongs to another network, for a tensor has another shape or is
            missing. Nothing has been changed then.
    """
    format_ = _format_for(model, tensors, source)
    tensors = format_.prepared(tensors, model.config, source)
    report, rest, new = LoadReport(source), dict(tensors), []
    rows, pairs = ClassRows(model, class_names), list(format_.pairs(model))
    for pair in pairs:
        value, of_classes = rest.pop(pair.name, None), pair.variable in rows
        if not (rows.fit(pair, value) if of_classes else _fits(pair, value)):
            raise LabkitError(_another_network(format_, pair, value, source))
        values = rows.taken_over(pair, value) if of_classes else pair.layout.inward(value)
        if values is not None:
            new.append((pair, value, values))
            report.loaded.append(pair.name)
            continue
        report.missing.append(pair.name)
        if value is not None:
            report.skipped[pair.name] = "made for other classes (these layers start anew)"
    report.skipped |= {name: _why(format_, name) for name in rest}
    report.classes, report.untouched = rows.told(), _parts_without(model, pairs)
    for pair, _, values in new:
        pair.variable.assign(values)
    model.unread_tensors = format_.unread([(pair, value) for pair, value, _ in new], tensors)
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


def _fits(pair: Pair, value: np.ndarray | None) -> bool:
    return value is not None and value.shape == pair.outside().shape


def _parts_without(model, pairs: list[Pair]) -> list[str]:
    """The parts of the model that have weights, and none among the pairs."""
    paired = {id(pair.variable) for pair in pairs}
    parts = model.parts().items()
    return [
        name
        for name, part in parts
        if part.weights and not any(id(variable) in paired for variable in part.weights)
    ]


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
