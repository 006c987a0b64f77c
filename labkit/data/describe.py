"""A report on any data set: what is in it, what is wrong with it, and whether the anchors suit it.

Ten minutes spent here save a night of training. Only the annotations are read, unless `check=True`
asks to read every picture too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from labkit.data.anchor_fit import POOR_IOU, AnchorFit, fit_of, resized, suggest_anchors
from labkit.data.classes import class_histogram
from labkit.data.dataset import Dataset
from labkit.data.picture_checks import copies
from labkit.models.config import Config
from labkit.models.registry import presets

LINES = 12  # classes and problems that are printed; to_dict has them all
QUANTILES = (5, 25, 50, 75, 95)
FEW = 10  # instances; a class with fewer can hardly be learnt or evaluated


@dataclass(frozen=True)
class ClassCount:
    """A class: in how many images it occurs, and how many instances it has, without crowds."""

    name: str
    images: int
    instances: int


@dataclass(frozen=True)
class Overlaps:
    """How crowded the pictures are: shares of the instances, by their boxes; NaN without any.

    Attributes:
        touching: those whose box overlaps another box.
        hidden_by_nms: those that overlap one of their own class with an IoU above the config's
            nms_iou, so that NMS leaves at best one of the two.
    """

    touching: float
    hidden_by_nms: float


@dataclass(frozen=True, eq=False)
class Description:
    """What `describe` found. Print it, or leave it as the last line of a notebook's cell.

    Attributes:
        title: the data set in one line.
        images, without_objects: numbers of images: all, and those with no object.
        instances, crowds: numbers of annotations.
        classes: most instances first.
        heights, widths: of the images, (smallest, median, largest).
        per_image: instances in an image, (fewest, median, most).
        box_sides: float32 [N, 2], height and width of every box in pixels of its image.
        resized_sides: the same after resizing, as the network sees them.
        config_name: what the anchors and the resizing are from.
        anchors: how the config's anchors fit.
        suggested: anchors that would fit better, or the same.
        overlaps: how crowded the pictures are.
        problems: what cannot be used, one sentence each.
        repairs: what was written oddly and could be repaired, one sentence for each kind.
        checked: whether the pictures were read.
        illustrate: see `describe`.
    """

    title: str
    images: int
    without_objects: int
    instances: int
    crowds: int
    classes: tuple[ClassCount, ...]
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]
    per_image: tuple[int, int, int]
    box_sides: np.ndarray
    resized_sides: np.ndarray
    config_name: str
    anchors: AnchorFit
    suggested: AnchorFit
    overlaps: Overlaps
    problems: tuple[str, ...]
    repairs: tuple[str, ...]
    checked: bool
    illustrate: Callable[[Description], str] | None = field(default=None, repr=False)

    # ---- numbers -------------------------------------------------------------------------------

    @property
    def size_quantiles(self) -> dict[int, tuple[float, float]]:
        """Percent -> sqrt(height x width) in pixels, (in the image, after resizing)."""
        if not len(self.box_sides):
            return {}
        sizes = [np.sqrt(sides.prod(axis=1)) for sides in (self.box_sides, self.resized_sides)]
        return {q: tuple(float(np.percentile(s, q)) for s in sizes) for q in QUANTILES}

    @property
    def rare_classes(self) -> int:
        """How many classes have fewer than ten instances."""
        return sum(c.instances < FEW for c in self.classes)

    @property
    def head_share(self) -> float:
        """The share of all instances that the most frequent tenth of the classes has."""
        head = self.classes[: max(1, len(self.classes) // 10)]
        return sum(c.instances for c in head) / self.instances if self.instances else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Everything except the single boxes, ready for JSON; NaN becomes None."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ("box_sides", "resized_sides", "illustrate"):
            del values[name]
        for name in ("anchors", "suggested", "overlaps"):
            values[name] = dataclasses.asdict(values[name])
        values["classes"] = [dataclasses.asdict(c) for c in self.classes]
        values["size_quantiles"] = {str(q): pair for q, pair in self.size_quantiles.items()}
        return _plain(values | {"rare_classes": self.rare_classes, "head_share": self.head_share})

    # ---- words ---------------------------------------------------------------------------------

    def rows(self) -> list[tuple[str, str]]:
        """The report's lines: (what, how much) in words."""
        rows = [("images", f"{self.images:,}, {self._sizes()}")]
        rows.append(
            (
                "instances",
                f"{self.instances:,}; {self.per_image[1]} in a typical image, "
                f"{self.per_image[2]} at most",
            )
        )
        rows.append(("images without objects", f"{self.without_objects:,}"))
        rows.append(("crowds", f"{self.crowds:,} (left out of training)"))
        tail = f"; {self.rare_classes} with fewer than {FEW} instances" if self.rare_classes else ""
        if len(self.classes) >= 10 and self.instances:
            tail += f"; the most frequent tenth has {self.head_share:.0%} of all instances"
        rows.append(("classes", f"{len(self.classes)}{tail}"))
        if self.instances:
            rows += [*self._box_rows(), *self._anchor_rows()]
        how = "every picture was read" if self.checked else "pictures were not read: check=True"
        rows.append(("problems", f"{len(self.problems)} ({how})"))
        if self.repairs:
            rows.append(("kinds of repairs", f"{len(self.repairs)}"))
        return rows

    def _sizes(self) -> str:
        if not self.images:
            return "nothing to see"
        (low_h, mid_h, high_h), (low_w, mid_w, high_w) = self.heights, self.widths
        if (low_h, low_w) == (high_h, high_w):
            return f"all {mid_h} x {mid_w} px (height x width)"
        return f"{low_h} to {high_h} px high and {low_w} to {high_w} px wide"

    def _box_rows(self) -> list[tuple[str, str]]:
        q = self.size_quantiles
        seen = ", ".join(f"{q[p][0]:.0f}" for p in QUANTILES)
        network = ", ".join(f"{q[p][1]:.0f}" for p in QUANTILES)
        percents = "/".join(map(str, QUANTILES))
        return [
            (f"box size, {percents} %", f"{seen} px in the image; {network} px for the network"),
            (
                "boxes that touch another",
                f"{self.overlaps.touching:.1%}; "
                f"{self.overlaps.hidden_by_nms:.1%} hide behind one of their class in NMS",
            ),
        ]

    def _anchor_rows(self) -> list[tuple[str, str]]:
        rows = [
            (
                f"anchors of {self.config_name}",
                f"{_numbers(self.anchors.sizes)} px, ratios {_numbers(self.anchors.ratios)}: "
                f"{self.anchors.uncovered:.1%} of the boxes have none with an IoU of {POOR_IOU}",
            )
        ]
        if self.suggested != self.anchors:
            rows.append(
                (
                    "suggested anchors",
                    f"{_numbers(self.suggested.sizes)} px, ratios "
                    f"{_numbers(self.suggested.ratios)}: {self.suggested.uncovered:.1%}",
                )
            )
        return rows

    def __str__(self) -> str:
        wide = max(len(what) for what, _ in self.rows())
        lines = [self.title, *(f"  {what:<{wide}}  {value}" for what, value in self.rows())]
        lines += [
            "",
            *(
                f"  {c.instances:>9,} in {c.images:>7,} images  {_line(c.name)}"
                for c in self.classes[:LINES]
            ),
        ]
        if len(self.classes) > LINES:
            lines.append(f"  … and {len(self.classes) - LINES} more classes")
        lines += [f"  problem: {_line(problem)}" for problem in self.problems[:LINES]]
        if len(self.problems) > LINES:
            lines.append(f"  … and {len(self.problems) - LINES} more problems")
        lines += [f"  repaired: {_line(repair)}" for repair in self.repairs]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._html()}

    def _html(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(what)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for what, value in self.rows()
        )
        problems = "".join(f"<li>{escape(problem)}</li>" for problem in self.problems[:LINES])
        repairs = "".join(f"<li>repaired: {escape(repair)}</li>" for repair in self.repairs)
        more = len(self.problems) - LINES
        problems += f"<li>… and {more} more</li>" if more > 0 else ""
        html = f"<p><b>{escape(self.title)}</b></p><table>{rows}</table>"
        html += f"<ul>{problems}{repairs}</ul>" if problems or repairs else ""
        return html + (self.illustrate(self) if self.illustrate else "")


def describe(
    dataset: Dataset,
    config: Config | None = None,
    *,
    check: bool = False,
    illustrate: Callable[[Description], str] | None = None,
) -> Description:
    """Look through a data set.

    Args:
        dataset: any data set, also a subset or one with changed classes.
        config: its resizing, anchors and NMS are compared with the data; by default the preset
            "tiny".
        check: also read every picture, to find missing and broken ones, and copies.
        illustrate: makes the pictures under the table that a notebook shows, as HTML. Nothing is
            drawn here; `Dataset.describe` gives `labkit.viz.dataset.description_html`.

    Returns:
        A Description. Boxes are those around the outlines as they are written; crowds are only
        counted.
    """
    config = Config.preset("tiny") if config is None else config
    infos = [dataset.image_info(index) for index in range(len(dataset))]
    labels = [dataset.labels(index) for index in range(len(dataset))]
    shapes = [(info["height"], info["width"]) for info in infos]
    objects = [one.boxes[~one.crowd] for one in labels]
    counts = [len(boxes) for boxes in objects]
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *objects])
    seen = resized(boxes, np.repeat(np.reshape(shapes, (-1, 2)), counts, axis=0), config)
    problems = [*dataset.check(), *copies(dataset)] if check else dataset.problems
    return Description(
        title=_line(repr(dataset)),
        images=len(dataset),
        without_objects=sum(len(one.class_ids) == 0 for one in labels),
        instances=len(boxes),
        crowds=sum(int(one.crowd.sum()) for one in labels),
        classes=_classes(dataset.class_names, labels),
        heights=_low_middle_high([h for h, _ in shapes]),
        widths=_low_middle_high([w for _, w in shapes]),
        per_image=_low_middle_high(counts),
        box_sides=boxes[:, 2:] - boxes[:, :2],
        resized_sides=seen[0][:, 2:] - seen[0][:, :2],
        config_name=next((n for n, c in presets().items() if c == config), "the given config"),
        anchors=fit_of(*seen, config),
        suggested=suggest_anchors(*seen, config),
        overlaps=_overlaps(labels, config.nms_iou),
        problems=tuple(problems),
        repairs=tuple(dataset.repairs),
        checked=check,
        illustrate=illustrate,
    )


def _classes(names, labels) -> tuple[ClassCount, ...]:
    histograms = [class_histogram(one, len(names)) for one in labels]
    images = sum((h > 0 for h in histograms), np.zeros(len(names), int))
    instances = sum(histograms, np.zeros(len(names), int))
    rows = [
        ClassCount(name, int(a), int(b))
        for name, a, b in zip(names, images, instances, strict=True)
    ]
    return tuple(sorted(rows, key=lambda c: -c.instances))


def _low_middle_high(values: list[int]) -> tuple[int, int, int]:
    if not values:
        return 0, 0, 0
    return min(values), int(np.median(values)), max(values)


def _overlaps(labels, nms_iou: float) -> Overlaps:
    touching = hidden = total = 0
    for one in labels:
        boxes, classes = one.boxes[~one.crowd], one.class_ids[~one.crowd]
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        shared = np.maximum(high - low, 0).prod(axis=2)
        areas = np.diagonal(shared).copy()
        np.fill_diagonal(shared, 0)
        iou = shared / np.maximum(areas[:, None] + areas - shared, 1e-9)
        touching += int((shared > 0).any(axis=1).sum())
        hidden += int(((iou > nms_iou) & (classes[:, None] == classes)).any(axis=1).sum())
        total += len(boxes)
    return Overlaps(touching / total, hidden / total) if total else Overlaps(math.nan, math.nan)


def _numbers(values) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _line(text: str) -> str:
    """A name or sentence from a file, on one line."""
    return " ".join(str(text).split())


def _plain(value: Any) -> Any:
    """Tuples as lists and NaN as None, since JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
