"""Label Studio's own JSON: a list of tasks, each with a picture and its regions.

Coordinates are percent of the picture's width and height. The export JSON-MIN has the same regions
under the names of the labelling tags; both are read.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labkit.data.readers.base import Picture, check_size
from labkit.data.readers.brush import decode_brush
from labkit.data.readers.outlines import (
    Outline,
    OutlineDataset,
    check_segmentation,
    ellipse,
    numbers,
)
from labkit.errors import LabkitError
from labkit.io.data_files import Unusable, is_number, quote, read_json, shown
from labkit.io.picture_finder import base_name
from labkit.ops.coco_masks import encode_rle

# The kinds of regions, and the field of "value" that has the labels of each.
_LABELS = {
    "polygonlabels": "polygon",
    "rectanglelabels": "rectangle",
    "ellipselabels": "ellipse",
    "brushlabels": "brush",
    "keypointlabels": "keypoint",
}
_UPLOAD = re.compile("^[0-9a-f]{8}-")  # what Label Studio puts before the name of an upload


class LabelStudioDataset(OutlineDataset):
    """A data set exported from Label Studio as JSON or JSON-MIN.

    Polygons, rectangles, ellipses and brush masks become instances. Keypoints have no area; they
    are counted and left out. Of several annotations of a task, the first that was not skipped is
    used. A picture is the file of its task's name in the folder, also without the eight digits and
    the hyphen that Label Studio puts before the names of uploads; a task without regions is a
    picture without objects.

    Args:
        annotations: the json file.
        images: the folder of the pictures; by default that of the json.
        class_names: the classes in their order; regions of any other class are problems. By default
            the labels that occur, sorted.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such file or folder.
        LabkitError: the file is not Label Studio's, or (strict) an entry cannot be used.
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
        self._left_out: Counter[str] = Counter()
        for number, task in enumerate(_tasks(read_json(annotations), self.label)):
            self._read_task(task, f"tasks[{number}]")
        for what, count in self._left_out.items():
            self._problem(f"{self.label}: {count} {what}", "they are left out")
        names = class_names or self.names_in_use()
        if not names and self.problems:
            raise LabkitError(f"{self.problems[0]} No object remains.")
        if not names:
            raise LabkitError(
                f"{self.label}: no region has a label, so there is no class; label the pictures, "
                "or give class_names."
            )
        self._set_classes(names, "class_names")
        self._warn_of_problems()

    def _read_task(self, task: Any, place: str) -> None:
        try:
            name = picture_of(task)
            regions = list(self._regions(task))
            picture = self._picture(name, regions)
        except (Unusable, LabkitError) as error:
            text = str(error).rstrip(".")
            self._problem(f"{self.label}: {place} {text}", "the picture is left out")
            return
        self._add(picture, list(self._outlines_of(regions, picture, place)))

    def _picture(self, name: str, regions: list[dict[str, Any]]) -> Picture:
        """The picture of a task, in the size that its regions were drawn on."""
        picture = self._find_upload(name)
        sizes = [(r.get("original_height"), r.get("original_width")) for r in regions]
        if not sizes or not all(map(is_number, sizes[0])) or sizes.count(sizes[0]) < len(sizes):
            return picture
        height, width = map(int, sizes[0])
        check_size(height, width)
        return Picture(picture.number, picture.name, picture.path, height, width)

    def _find_upload(self, name: str) -> Picture:
        """The picture of this name, or of the name that it had before the upload."""
        problem = None
        for candidate in possible_names(name):
            try:
                return self._find_picture(candidate, len(self) + 1)
            except Unusable as error:
                problem = problem or error
        raise problem

    def _regions(self, task: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The regions of a task, in the form of the JSON export."""
        annotations = task.get("annotations", task.get("completions"))
        if not isinstance(annotations, list) or "data" not in task:  # JSON-MIN
            for entries in task.values():
                for region in entries if isinstance(entries, list) else []:
                    if isinstance(region, dict) and _kind(region):
                        yield {**region, "value": region}
            return
        made = [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]
        if len(made) > 1:
            self._left_out["further annotations of a task that has several"] += len(made) - 1
        for region in made[0].get("result") or [] if made else []:
            if isinstance(region, dict) and isinstance(region.get("value"), dict):
                yield region

    def _outlines_of(
        self, regions: list[dict[str, Any]], picture: Picture, place: str
    ) -> Iterator[Outline]:
        for number, region in enumerate(regions):
            where, kind = f"region {number}", _kind(region["value"])
            if kind is None or kind == "keypoint":  # a choice for the whole picture, or a point
                self._left_out["keypoints" if kind else "results without a shape"] += 1
                continue
            try:
                name = _label(region["value"], kind)
                segmentation = region_segmentation(region, kind, *picture.size)
                check_segmentation(segmentation, *picture.size)
            except (Unusable, LabkitError) as error:
                where = f"{self.label}: {place} ({quote(picture.name)}): {where}"
                self._problem(f"{where} {str(error).rstrip('.')}", "it is left out")
                continue
            yield Outline(name, segmentation, where)


# ---- tasks ---------------------------------------------------------------------------------------


def _tasks(content: Any, label: str) -> list[Any]:
    if isinstance(content, dict) and isinstance(content.get("data"), dict):
        content = [content]  # one task, as the API gives it
    if not isinstance(content, list):
        raise LabkitError(f"{label} is not Label Studio's: it is no list of tasks.")
    return content


def picture_of(task: Any) -> str:
    """The path or address of the picture of a task; Unusable if it has none."""
    data = task.get("data", task) if isinstance(task, dict) else None
    if not isinstance(data, dict):
        raise Unusable('has no "data"')
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    for key in ("image", "img", "photo", "picture"):
        if key in texts:
            return texts[key]
    pictures = [text for text in texts.values() if re.search(r"\.\w{2,5}$", text.split("?")[0])]
    local = [text for text in texts.values() if "?d=" in text]
    if not pictures + local:
        raise Unusable('has no picture in its "data"')
    return (pictures + local)[0]


def possible_names(name: str) -> list[str]:
    """The names that the picture of a task may have in a folder, the best first."""
    local = name.partition("?d=")[2]  # a path in a folder that Label Studio was given
    base = base_name(name)
    names = [local, base, _UPLOAD.sub("", base, count=1), name]
    return list(dict.fromkeys(filter(None, names)))


def picture_names(path: str | os.PathLike) -> list[str]:
    """The base names of the pictures in a file of tasks, each as it may be in a folder."""
    content = read_json(path)
    names = []
    for task in _tasks(content, str(path)):
        try:
            names += possible_names(picture_of(task))[:-1] or [picture_of(task)]
        except Unusable:
            continue  # the reader says so
    return names


# ---- regions -------------------------------------------------------------------------------------


def _kind(value: dict[str, Any]) -> str | None:
    """What a region is by its fields, e.g. "polygon" or "brush"; None if it has no shape."""
    for field, kind in _LABELS.items():
        if field in value:
            return kind
    if isinstance(value.get("points"), list):
        return "polygon"
    if "rle" in value:
        return "brush"
    if "radiusX" in value:
        return "ellipse"
    if "width" in value and "height" in value and "x" in value:
        return "rectangle" if "labels" in value else None
    return None


def _label(value: dict[str, Any], kind: str) -> str:
    labels = value.get(f"{kind}labels", value.get("labels"))
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise Unusable(f"has the labels {shown(labels)}, not one")
    return labels[0].strip()


def region_segmentation(region: dict[str, Any], kind: str, height: int, width: int) -> Any:
    """A region of Label Studio as a COCO segmentation; Unusable if it is malformed."""
    if region.get("image_rotation"):
        raise Unusable("was drawn on a picture that was turned in Label Studio")
    value = region["value"]
    if kind == "polygon":
        return [_polygon(value.get("points"), height, width)]
    if kind == "rectangle":
        return _rectangle(value, height, width)
    if kind == "ellipse":
        cx, cy, rx, ry, turn = numbers(
            {"rotation": 0} | value, "x", "y", "radiusX", "radiusY", "rotation"
        )
        sizes = (cx * width, cy * height, rx * width, ry * height)
        return ellipse(*(size / 100 for size in sizes), math.radians(turn))
    return encode_rle(_painted(value, height, width))


def _polygon(points: Any, height: int, width: int) -> list[float]:
    if not isinstance(points, list) or not all(
        isinstance(p, list) and len(p) == 2 and all(map(is_number, p)) for p in points
    ):
        raise Unusable(f'has the "points" {shown(points)}, not a list of [x, y]')
    return [v for x, y in points for v in (x * width / 100, y * height / 100)]


def _rectangle(value: dict[str, Any], height: int, width: int) -> list[list[float]]:
    """A rectangle, which is turned about its top left corner, in degrees."""
    fields = ("x", "y", "width", "height", "rotation")
    x, y, across, down, degrees = numbers({"rotation": 0} | value, *fields)
    left, top = x * width / 100, y * height / 100
    across, down, angle = across * width / 100, down * height / 100, math.radians(degrees)
    if across <= 0 or down <= 0:
        raise Unusable("has no area")
    cos, sin = math.cos(angle), math.sin(angle)
    corners = ((0, 0), (across, 0), (across, down), (0, down))
    return [[v for a, d in corners for v in (left + a * cos - d * sin, top + a * sin + d * cos)]]


def _painted(value: dict[str, Any], height: int, width: int) -> np.ndarray:
    if value.get("format", "rle") != "rle" or not isinstance(value.get("rle"), list):
        raise Unusable(f'has the "format" {shown(value.get("format"))}, not "rle" with its numbers')
    return decode_brush(value["rle"], height, width)
