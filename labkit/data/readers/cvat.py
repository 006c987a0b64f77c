"""CVAT's own XML, "CVAT for images 1.1": one file with the shapes of all pictures."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from labkit.data.readers.base import Picture, check_size
from labkit.data.readers.outlines import (
    Outline,
    OutlineDataset,
    check_segmentation,
    ellipse,
    joined,
    rectangle,
    turned,
)
from labkit.errors import LabkitError
from labkit.io.data_files import Unusable, quote, shown
from labkit.io.xml_files import read_xml
from labkit.ops.coco_masks import encode_rle

_WITHOUT_AREA = {"polyline": "polylines", "points": "points", "skeleton": "skeletons"}
_SHAPES = ("polygon", "box", "ellipse", "mask", "cuboid", *_WITHOUT_AREA)


class CvatDataset(OutlineDataset):
    """A data set exported from CVAT as "CVAT for images 1.1".

    Polygons, boxes, ellipses and painted masks become instances; shapes with the same label and
    `group_id` are the parts of one instance. Polylines, points and skeletons have no area, cuboids
    no outline: they are counted, and left out. Boxes are rectangles that a person drew, and become
    rectangular masks.

    Args:
        annotations: the xml file.
        images: the folder of the pictures; by default that of the xml.
        class_names: the classes in their order; shapes of any other class are problems. By default
            the labels of the task, in its order.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such file or folder.
        LabkitError: the file is not CVAT's, or (strict) an entry cannot be used.
    """

    def __init__(
        self,
        annotations: str | os.PathLike,
        images: str | os.PathLike | None = None,
        *,
        class_names: Sequence[str] | None = None,
        strict: bool = False,
    ) -> None:
        super().__init__(annotations, images or Path(annotations).parent, strict=strict)
        root = _checked_root(read_xml(annotations), self.label)
        self._left_out: Counter[str] = Counter()
        for entry in root.iter("image"):
            self._read_image(entry)
        for kind, count in self._left_out.items():
            self._problem(f"{self.label}: {count} {kind} have no area", "they are left out")
        listed = [name for name in map(_text, root.iterfind("meta//labels/label/name")) if name]
        names = class_names or list(dict.fromkeys(listed)) or self.names_in_use()
        self._set_classes(names, "class_names" if class_names else "the task's labels")
        self._warn_of_problems()

    def _read_image(self, entry: Element) -> None:
        place = f"{self.label}: image {shown(entry.get('id'))}"
        try:
            picture = self._picture_of(entry)
        except (Unusable, LabkitError) as error:
            self._problem(f"{place} {str(error).rstrip('.')}", "the picture is left out")
            return
        groups: dict[Any, list[tuple[str, Any]]] = {}
        numbers: Counter[str] = Counter()
        for shape in entry:
            if shape.tag not in _SHAPES:  # tags of whole pictures
                continue
            where = f"{shape.tag} {numbers[shape.tag]}"
            numbers[shape.tag] += 1
            if shape.tag in _WITHOUT_AREA:
                self._left_out[_WITHOUT_AREA[shape.tag]] += 1
                continue
            try:
                segmentation = _segmentation(shape, *picture.size)
                check_segmentation(segmentation, *picture.size)
            except (Unusable, LabkitError) as error:
                text = str(error).rstrip(".")
                self._problem(f"{place} ({quote(picture.name)}): {where} {text}", "it is left out")
                continue
            alone = shape.get("group_id") in (None, "", "0")
            key = (shape.get("label") or "", where if alone else shape.get("group_id"))
            groups.setdefault(key, []).append((where, segmentation))
        outlines = [
            Outline(name, joined([s for _, s in parts], *picture.size), parts[0][0])
            for (name, _), parts in groups.items()
        ]
        self._add(picture, outlines)

    def _picture_of(self, entry: Element) -> Picture:
        name = entry.get("name")
        if not name:
            raise Unusable("has no name")
        picture = self._find_picture(name, len(self) + 1)
        if entry.get("height") is None or entry.get("width") is None:
            return picture
        height, width = (int(value) for value in _numbers(entry, "height", "width"))
        check_size(height, width)
        return Picture(picture.number, picture.name, picture.path, height, width)


# ---- the parts of the xml ------------------------------------------------------------------------


def _checked_root(root: Element, label: str) -> Element:
    if root.tag != "annotations":
        raise LabkitError(f"{label} is not CVAT's: it begins with <{root.tag}>, not <annotations>.")
    if root.find("track") is not None:
        raise LabkitError(
            f'{label} is "CVAT for video", whose tracks name no pictures; export the task as "CVAT '
            'for images 1.1" or as "COCO 1.0".'
        )
    if root.find("image") is None:
        raise LabkitError(f"{label} is not CVAT's: there is no <image> in it.")
    return root


def picture_names(path: str | os.PathLike) -> list[str]:
    """The names of the pictures in an annotations.xml."""
    names = (entry.get("name") for entry in read_xml(path).iter("image"))
    return [name for name in names if name]


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _numbers(element: Element, *fields: str) -> list[float]:
    values = []
    for field in fields:
        try:
            values.append(float(element.get(field, "")))
        except ValueError:
            raise Unusable(f"has the {field} {shown(element.get(field))}, not a number") from None
        if not math.isfinite(values[-1]):
            raise Unusable(f"has the {field} {values[-1]}")
    return values


def _segmentation(shape: Element, height: int, width: int) -> Any:
    """A shape as a COCO segmentation; Unusable if it is malformed."""
    if shape.tag == "polygon":
        return [_points(shape.get("points", ""))]
    if shape.tag == "box":
        x1, y1, x2, y2 = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
        return turned(rectangle(x1, y1, x2, y2), _rotation(shape))
    if shape.tag == "ellipse":
        cx, cy, rx, ry = _numbers(shape, "cx", "cy", "rx", "ry")
        return ellipse(cx, cy, rx, ry, math.radians(_rotation(shape)))
    if shape.tag == "mask":
        return _painted(shape, height, width)
    raise Unusable("is a cuboid, which is the outline of no mask")


def _rotation(shape: Element) -> float:
    """Degrees, clockwise as seen."""
    return _numbers(shape, "rotation")[0] if shape.get("rotation") else 0.0


def _points(text: str) -> list[float]:
    """The corners in "x,y;x,y;…" as a polygon."""
    try:
        pairs = [[float(value) for value in pair.split(",")] for pair in text.split(";") if pair]
    except ValueError:
        pairs = [[]]
    if not all(len(pair) == 2 for pair in pairs):
        raise Unusable(f'has the points {shown(text)}, not "x,y;x,y;…"')
    return [value for pair in pairs for value in pair]


def _painted(shape: Element, height: int, width: int) -> dict:
    """A painted mask: run lengths in a box, row by row, the first of them background."""
    numbers = [int(value) for value in _numbers(shape, "left", "top", "width", "height")]
    left, top, columns, rows = numbers
    if columns < 1 or rows < 1 or left < 0 or top < 0 or left + columns > width:
        raise Unusable("reaches out of the picture")
    if top + rows > height:
        raise Unusable("reaches out of the picture")
    try:
        runs = np.array([int(run) for run in shape.get("rle", "").split(",")], np.int64)
    except (ValueError, OverflowError):
        raise Unusable(f'has the rle {shown(shape.get("rle"))}, not "1, 2, 3"') from None
    if (runs < 0).any() or (runs > rows * columns).any() or runs.sum() != rows * columns:
        raise Unusable(f"has run lengths that do not add up to its {rows} x {columns} pixels")
    mask = np.zeros((height, width), bool)
    values = np.arange(len(runs)) % 2 == 1
    mask[top : top + rows, left : left + columns] = values.repeat(runs).reshape(rows, columns)
    return encode_rle(mask)
