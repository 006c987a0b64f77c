"""Annotations of the VGG Image Annotator (VIA), versions 1 and 2: one json, and its pictures.

VIA 1 writes the regions of a picture as an object {"0": …}, VIA 2 as a list; a VIA 2 project has
both the annotations and the program's settings in one file. All three are read. VIA 3 is another
format, which labkit does not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labkit.data.readers.outlines import (
    Outline,
    OutlineDataset,
    check_segmentation,
    class_text,
    coordinate,
    ellipse,
    numbers,
    rectangle,
)
from labkit.errors import LabkitError
from labkit.io.coco_repair import NAMES
from labkit.io.data_files import Unusable, quote, read_json, shown

#: The region attribute with which `save_via` marks a crowd; it is never used as the class.
CROWD = "iscrowd"

TEXTS = "Coordinates written as texts were read as numbers"


class ViaDataset(OutlineDataset):
    """A data set annotated with VIA.

    Coordinates are used as they are: continuous pixels from the picture's top left corner.
    Polygons, rectangles, circles and ellipses become masks; points and lines have no area and are
    problems. Regions may overlap: VIA does not say which is in front.

    Args:
        annotations: the json file.
        images: the folder of the pictures; by default that of the json.
        class_attribute: the region attribute that holds the class. Only needed if the file has
            several. If it has none, all regions are of one class, "object".
        class_names: the classes in their order, so that several files agree; regions of any other
            class are problems. By default the names that occur (and, in a project, those that it
            offers), sorted. For a file without a class attribute, the name of the one class.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such file or folder.
        LabkitError: the file is not VIA's, its class is not clear, or (strict) an entry cannot be
            used.
    """

    def __init__(
        self,
        annotations: str | os.PathLike,
        images: str | os.PathLike | None = None,
        *,
        class_attribute: str | None = None,
        class_names: Sequence[str] | None = None,
        strict: bool = False,
    ) -> None:
        super().__init__(annotations, images or Path(annotations).parent, strict=strict)
        content = read_json(annotations)
        entries = via_entries(content, self.label)
        self.class_attribute = _class_attribute(entries, class_attribute, self.label)
        if self.class_attribute is None and len(class_names or ["object"]) != 1:
            raise LabkitError(
                f"{self.label} has no region attribute, so all regions are of one class; give one "
                "name as class_names."
            )
        self._only_name = (class_names or ["object"])[0]
        self._read_entries(entries)
        offered = _offered_names(content, self.class_attribute)
        names = class_names or sorted({*self.names_in_use(), *offered}) or [self._only_name]
        self._set_classes(names, "class_names")
        self._warn_of_problems()

    def _read_entries(self, entries: dict[str, Any]) -> None:
        seen: set[str] = set()
        for key, entry in entries.items():
            place = f"{self.label}: {quote(key)}"
            try:
                if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
                    raise Unusable('has no "filename"')
                if not isinstance(entry.get("regions"), (list, dict)):
                    raise Unusable('has no "regions", neither a list nor an object')
                picture = self._find_picture(entry["filename"], len(self) + 1)
                if picture.name in seen:
                    raise Unusable(f"is {quote(picture.name)} for the second time")
            except Unusable as error:
                self._problem(f"{place} {error}", "the picture is left out")
                continue
            seen.add(picture.name)
            self._add(picture, list(self._outlines_of(entry["regions"], picture.size, place)))

    def _outlines_of(self, regions: Any, size: tuple[int, int], place: str) -> Iterator[Outline]:
        for number, region in _numbered(regions):
            try:
                region_place = f"regions[{number}]"
                yield self._outline(region, size, region_place, f"{place}: {region_place}")
            except Unusable as error:
                self._problem(f"{place}: regions[{number}]: {error}", "the region is left out")

    def _outline(self, region: Any, size: tuple[int, int], place: str, where: str) -> Outline:
        if not isinstance(region, dict) or not isinstance(region.get("shape_attributes"), dict):
            raise Unusable('has no "shape_attributes"')
        name = self._only_name
        attributes = region.get("region_attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        if self.class_attribute is not None:
            value = attributes.get(self.class_attribute)
            name = _chosen(value, self.class_attribute)
            if isinstance(value, (int, float)):
                self.repairs.note(NAMES, f"{where}: {name}")
        polygons = shape_polygons(region["shape_attributes"])
        if _text_numbers(region["shape_attributes"]):
            self.repairs.note(TEXTS, where)
        check_segmentation(polygons, *size)
        return Outline(name, polygons, place, crowd=attributes.get(CROWD) == "1")


# ---- the parts of the json -----------------------------------------------------------------------


def via_entries(content: Any, label: str) -> dict[str, Any]:
    """The entries of the pictures in a VIA 1 or 2 file, or a VIA 2 project."""
    if not isinstance(content, dict):
        raise LabkitError(f"{label} is not VIA's: it holds no object with an entry a picture.")
    if "_via_img_metadata" in content:
        content = content["_via_img_metadata"]
        if not isinstance(content, dict):
            raise LabkitError(f'{label}: "_via_img_metadata" is not an object; save it anew.')
    elif {"project", "file", "metadata"} <= content.keys():
        raise LabkitError(
            f"{label} is a project of VIA 3, which labkit does not read; annotate with VIA 2, or "
            "export it as COCO."
        )
    if not any(isinstance(entry, dict) and "regions" in entry for entry in content.values()):
        raise LabkitError(f'{label} is not VIA\'s: none of its entries has "regions".')
    return content


def _numbered(regions: list | dict) -> Iterator[tuple[Any, Any]]:
    if isinstance(regions, dict):
        return ((shown(key), region) for key, region in regions.items())
    return iter(enumerate(regions))


def _class_attribute(entries: dict[str, Any], wanted: str | None, label: str) -> str | None:
    """The region attribute that holds the class; None if the file has no region attribute."""
    found: set[str] = set()
    for entry in entries.values():
        regions = entry.get("regions") if isinstance(entry, dict) else None
        for _, region in _numbered(regions if isinstance(regions, (list, dict)) else []):
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            found.update(attributes if isinstance(attributes, dict) else ())
    found.discard(CROWD)
    listed = ", ".join(quote(name) for name in sorted(found)) or "none"
    if wanted is not None and wanted not in found:
        raise LabkitError(f"{label}: no region attribute {quote(wanted)}; there are: {listed}.")
    if wanted is None and len(found) > 1:
        raise LabkitError(
            f"{label}: several region attributes ({listed}) may hold the class; name one of them "
            "with class_attribute=NAME (--class-attribute NAME)."
        )
    return wanted or next(iter(found), None)


def _chosen(value: Any, attribute: str) -> str:
    """The class in an attribute: a text, or the one of several checkboxes that is ticked."""
    if isinstance(value, dict):
        ticked = [name for name, state in value.items() if state is True]
        value = ticked[0] if len(ticked) == 1 else value
    name = class_text(value)
    if name is None:
        raise Unusable(f"{quote(attribute)} is {shown(value)}, not one class")
    return name


def _text_numbers(shape: dict[str, Any]) -> bool:
    """Whether a shape has coordinates that are written as texts."""
    values = [value for field, value in shape.items() if field != "name"]
    return any(
        isinstance(number, str)
        for value in values
        for number in (value if isinstance(value, list) else [value])
    )


def _offered_names(content: dict[str, Any], attribute: str | None) -> list[str]:
    """The classes that a project offers for choice, used or not."""
    offered: Any = content
    for key in ("_via_attributes", "region", attribute, "options"):
        offered = offered.get(key) if isinstance(offered, dict) else None
    return [name.strip() for name in offered if name.strip()] if isinstance(offered, dict) else []


def shape_polygons(shape: dict[str, Any]) -> list[list[float]]:
    """A VIA shape as COCO polygons; Unusable if it has no area or is malformed."""
    kind = shape.get("name")
    if kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise Unusable('"all_points_x" and "all_points_y" are not two lists of one length')
        xs = [coordinate(x, "all_points_x") for x in xs]
        ys = [coordinate(y, "all_points_y") for y in ys]
        return [[value for point in zip(xs, ys, strict=True) for value in point]]
    if kind == "rect":
        x, y, width, height = numbers(shape, "x", "y", "width", "height")
        return rectangle(x, y, x + width, y + height)
    if kind == "circle":
        cx, cy, radius = numbers(shape, "cx", "cy", "r")
        return ellipse(cx, cy, radius, radius)
    if kind == "ellipse":
        # Files older than VIA 2.0.6 have no theta: their ellipses cannot be turned.
        return ellipse(*numbers({"theta": 0.0} | shape, "cx", "cy", "rx", "ry", "theta"))
    if kind in ("point", "polyline"):
        raise Unusable(f"is a {kind}, which has no area")
    raise Unusable(f'"name" is {shown(kind)}, not a shape of VIA')
