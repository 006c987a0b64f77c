"""Instances drawn as outlines: polygons, and the rectangles and ellipses of annotation tools.

An outline is kept as a COCO `segmentation` (polygons, or run lengths for a painted mask) in
continuous pixel coordinates, and filled when its picture is read.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.data.readers.base import Picture, PictureDataset
from labkit.errors import LabkitError
from labkit.io.data_files import Unusable, is_number, quote, shown
from labkit.ops.coco_masks import decode_segmentation, encode_rle, segmentation_box

# An ellipse becomes a polygon that differs from it by at most this, in pixels.
_ELLIPSE_ERROR = 0.02
_MOST_CORNERS = 720


@dataclass(frozen=True)
class Outline:
    """One instance: its class's name, its COCO segmentation, and what messages call it."""

    name: str
    segmentation: Any
    place: str
    crowd: bool = False


class OutlineDataset(PictureDataset):
    """Pictures with outlines. A subclass calls `_add` for every picture, then `_set_classes`."""

    def __init__(
        self, label: str | os.PathLike, folder: str | os.PathLike, *, strict: bool = False
    ) -> None:
        super().__init__(label, folder, strict=strict)
        self._outlines: list[list[Outline]] = []

    def _add(self, picture: Picture, outlines: Iterable[Outline]) -> None:
        self._pictures.append(picture)
        self._outlines.append(list(outlines))

    def _set_classes(self, names: Sequence[str], source: str) -> None:
        """Set the classes in this order; outlines of any other class are problems.

        Args:
            names: of the classes.
            source: where the names are from, for messages.
        """
        self.class_names = tuple(names)
        self.category_ids = tuple(range(1, len(names) + 1))
        self._class_of = {name: i + 1 for i, name in enumerate(names)}
        for index, outlines in enumerate(self._outlines):
            for outline in outlines:
                if outline.name not in self._class_of:
                    self._problem(
                        f"{self._named(index)}: {outline.place}: the class {quote(outline.name)} "
                        f"is not among {source}",
                        "it is left out",
                    )
            self._outlines[index] = [o for o in outlines if o.name in self._class_of]
        if self._outlines and not any(self._outlines):
            self.problems.append(
                f"{self.label}: there is no object in {len(self)} pictures, so there is nothing to "
                "learn but background."
            )

    def _note_boxes(self, boxes: int) -> None:
        """Say what it means that `boxes` objects had no mask and were left out.

        Raises:
            LabkitError: no object has a mask.
        """
        others = sum(map(len, self._outlines))
        if boxes and not others:
            raise LabkitError(
                f"{self.label}: all {boxes} objects are boxes without masks, from which no mask "
                "can be learnt; draw their outlines, or take each box for a rectangular mask: "
                "boxes_as_masks=True (on the command line --boxes-as-masks)."
            )
        if boxes:
            self._problem(
                f"{self.label}: {boxes} of {boxes + others} objects are boxes without masks",
                "they are left out, so a model learns that they are background",
                "To take each for a rectangular mask: boxes_as_masks=True (on the command line "
                "--boxes-as-masks).",
            )

    def names_in_use(self) -> list[str]:
        return sorted({outline.name for outlines in self._outlines for outline in outlines})

    def instances(self, index: int) -> OutlineInstances:
        outlines = self._outlines[index]
        return OutlineInstances(
            [outline.segmentation for outline in outlines],
            self._pictures[index].size,
            [self._class_of[outline.name] for outline in outlines],
            [outline.place for outline in outlines],
            [outline.crowd for outline in outlines],
        )

    def instance_limit(self, index: int) -> int:
        return len(self._outlines[index])


@dataclass(eq=False)
class OutlineInstances:
    """The instances of one picture, as `Instances`, from their COCO segmentations.

    The boxes are those of the outlines as they are written. `size` is (H, W) of the picture.
    """

    segmentations: Sequence[Any]
    size: tuple[int, int]
    class_ids: Sequence[int]
    places: Sequence[str]
    crowd: Sequence[bool]

    @property
    def masks(self) -> np.ndarray:
        masks = np.zeros((len(self.segmentations), *self.size), bool)
        for mask, segmentation in zip(masks, self.segmentations, strict=True):
            mask[:] = decode_segmentation(segmentation, *self.size)
        return masks

    @property
    def boxes(self) -> np.ndarray:
        boxes = [segmentation_box(segmentation, *self.size) for segmentation in self.segmentations]
        return np.array(boxes, np.float32).reshape(-1, 4)


def check_segmentation(segmentation: Any, height: int, width: int) -> None:
    """Raise Unusable if a COCO segmentation is malformed, or thin and covers no pixel.

    Filling every polygon here would take minutes for COCO; only thin ones are filled.
    """
    try:
        y1, x1, y2, x2 = segmentation_box(segmentation, height, width)
        thin = y2 - y1 < 2 or x2 - x1 < 2
        if thin and not decode_segmentation(segmentation, height, width).any():
            raise Unusable("segmentation covers no pixel of the image")
    except LabkitError as error:
        raise Unusable(str(error).rstrip(".")) from None


# ---- shapes as polygons --------------------------------------------------------------------------


def numbers(shape: dict[str, Any], *fields: str) -> list[float]:
    """The finite numbers in these fields of a shape; Unusable if one is not a number."""
    return [coordinate(shape.get(field), field) for field in fields]


def coordinate(value: Any, field: str) -> float:
    """A finite number, which may be written as a text; Unusable if it is none."""
    read = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            read = float(value)
    if not is_number(read):
        raise Unusable(f'"{field}" is {shown(value)}, not a number')
    return float(read)


def class_text(value: Any) -> str | None:
    """The name of a class; a number becomes a text. None for anything else, and for no text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def rectangle(x1: float, y1: float, x2: float, y2: float) -> list[list[float]]:
    """A rectangle by two opposite corners, as polygons."""
    if x1 == x2 or y1 == y2:
        raise Unusable("the rectangle has no area")
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def ellipse(cx: float, cy: float, rx: float, ry: float, theta: float = 0.0) -> list[list[float]]:
    """An ellipse by centre, half axes (pixels) and rotation (radians, clockwise as seen)."""
    radius = max(rx, ry)
    if not (rx > 0 and ry > 0):
        raise Unusable(f"the half axes {rx:g} and {ry:g} are not both positive")
    # A chord over the angle a leaves the circle by radius * (1 - cos(a / 2)).
    half_angle = math.acos(max(1 - _ELLIPSE_ERROR / radius, 0.0))
    corners = max(8, math.ceil(math.pi / max(half_angle, math.pi / _MOST_CORNERS)))
    angles = np.arange(corners) * (2 * math.pi / corners)
    along, across = rx * np.cos(angles), ry * np.sin(angles)
    xs = cx + along * math.cos(theta) - across * math.sin(theta)
    ys = cy + along * math.sin(theta) + across * math.cos(theta)
    return [np.stack([xs, ys], 1).ravel().tolist()]


def turned(polygons: list[list[float]], degrees: float) -> list[list[float]]:
    """Polygons turned about the middle of their box, clockwise as seen."""
    if not degrees:
        return polygons
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    middle, angle = (points.min(0) + points.max(0)) / 2, math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return [
        ((np.reshape(polygon, (-1, 2)) - middle) @ turn + middle).ravel().tolist()
        for polygon in polygons
    ]


def joined(parts: Sequence[Any], height: int, width: int) -> Any:
    """The union of segmentations; polygons stay polygons unless one is a painted mask."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, list) for part in parts):
        return [polygon for part in parts for polygon in part]
    return encode_rle(np.any([decode_segmentation(part, height, width) for part in parts], axis=0))
