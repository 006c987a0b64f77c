"""The "images" and "categories" of a COCO file, of instances and panoptic alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.data.readers.base import check_size
from labkit.errors import LabkitError
from labkit.io.coco_repair import category_name, image_side, note_numbered, place_of
from labkit.io.data_files import Unusable, is_number, quote, shown
from labkit.io.ids import Ids, is_id
from labkit.io.images import image_size
from labkit.io.picture_finder import FOUND, Found, PictureFinder
from labkit.io.repairs import Repairs

_NAMES = ("file_name", "filename", "path", "coco_url")
_LOOKED_AT = 16  # headers that are read when a file is opened, to see whether its sizes are swapped

OTHER_FIELD = 'The name of a picture was read from another field than "file_name"'
UNKNOWN = "Sizes that the file does not know were read from the picture"


@dataclass
class ImageEntries:
    """The images that can be used, and what was found.

    Attributes:
        images: the id (labkit's number; the file's own as "original_id" where it is another),
            file_name, height and width of each.
        ids: of the whole file.
        problems: what is wrong with those that cannot be used, to follow the name of the file.
        missing: file names of images whose picture is not there.
    """

    images: list[dict[str, Any]]
    ids: Ids
    problems: list[str]
    missing: list[str]


def read_images(entries: list[Any], folder: Path, repairs: Repairs) -> ImageEntries:
    """Read the entries of "images"; an image without a size gets that of its picture."""
    read = ImageEntries([], Ids(e.get("id") for e in entries if isinstance(e, dict)), [], [])
    note_numbered(read.ids, "image", repairs)
    names = [_file_name(e, f"images[{i}]", repairs) for i, e in enumerate(entries)]
    found = iter(PictureFinder(folder).find_all([name for name in names if name]))
    files = [next(found) if name else Unusable('has no "file_name"') for name in names]
    taken: set[int] = set()
    for position, (entry, name, file) in enumerate(zip(entries, names, files, strict=True)):
        try:
            image = _image(entry, name, file, read.ids, f"images[{position}]", repairs)
            if image["id"] in taken:
                raise Unusable(f"has the id {shown(entry['id'])}, which an earlier image has")
        except Unusable as error:
            read.problems.append(f"images[{position}] {error}")
            continue
        if not file.exists:
            read.missing.append(image["file_name"])
        taken.add(image["id"])
        read.images.append(image)
    return read


def _file_name(entry: Any, place: str, repairs: Repairs) -> str:
    """The name of a picture; some programs write it in another field than "file_name"."""
    for field in _NAMES if isinstance(entry, dict) else ():
        name = entry.get(field)
        if isinstance(name, str) and name:
            if field != "file_name":
                repairs.note(OTHER_FIELD, f'{place}: "{field}"')
            return name
    return ""


def _image(
    entry: Any, name: str, file: Found | Unusable, ids: Ids, place: str, repairs: Repairs
) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise Unusable("is not an object {…}")
    number = ids.find(entry.get("id"))
    if number is None:
        raise Unusable(f'"id" is {shown(entry.get("id"))}, neither a whole number nor a text')
    if isinstance(file, Unusable):
        raise file
    if file.how:
        repairs.note(FOUND, f"{place}: {quote(name)} {file.how}")
    height, width = _size(entry, file.path, place, repairs)
    image = {"id": number, "file_name": file.name, "height": height, "width": width}
    return image | ({"original_id": ids.originals[number]} if number in ids.originals else {})


def _size(entry: dict[str, Any], path: Path, place: str, repairs: Repairs) -> tuple[int, int]:
    """The size in the file or, where it does not know it, of the picture."""
    try:
        height, width = (image_side(entry, side, place, repairs) for side in ("height", "width"))
        if height is None or width is None:
            height, width = image_size(path)
            written = [entry.get("height"), entry.get("width")]
            if written != [None, None]:
                repairs.note(UNKNOWN, f"{place}: {shown(written[0])} x {shown(written[1])}")
        check_size(height, width)
    except LabkitError as error:
        raise Unusable(f"has no usable size: {str(error).rstrip('.')}") from None
    return height, width


# ---- sizes that are swapped ----------------------------------------------------------------------


def swapped_sizes(images: list[dict[str, Any]], folder: Path) -> Iterator[int]:
    """The indices of images whose height is the picture's width, and the other way round.

    Reading every header would be slow for a large data set on a network. So a few are looked at,
    and all of them only if one of these is swapped: the program that wrote the file did it to all.
    A photo that its EXIF data turn is right in both ways.
    """
    some = range(0, len(images), math.ceil(len(images) / _LOOKED_AT)) if images else ()
    if any(_is_swapped(images[index], folder) for index in some):
        yield from (index for index, image in enumerate(images) if _is_swapped(image, folder))


def _is_swapped(image: dict[str, Any], folder: Path) -> bool:
    height, width = image["height"], image["width"]
    if height == width:
        return False
    path = folder / image["file_name"]
    try:
        sizes = {image_size(path), image_size(path, upright=False)}
    except LabkitError:
        return False
    return sizes == {(width, height)}


def outlines_fit(annotations: list[Any], height: int, width: int) -> bool:
    """Whether the boxes, polygons and run lengths of an image are for a picture of this size."""
    for annotation in annotations:
        bbox, segmentation = annotation.get("bbox"), annotation.get("segmentation")
        if isinstance(segmentation, dict):
            if segmentation.get("size") != [height, width]:
                return False
        corners = []
        if isinstance(bbox, list) and len(bbox) == 4 and all(map(is_number, bbox)):
            corners.append((bbox[0] + bbox[2], bbox[1] + bbox[3]))
        for part in segmentation if isinstance(segmentation, list) else []:
            if isinstance(part, list) and len(part) > 1 and all(map(is_number, part)):
                corners.append((max(part[0::2]), max(part[1::2])))
        if any(x > width + 1 or y > height + 1 for x, y in corners):
            return False
    return True


# ---- categories ----------------------------------------------------------------------------------


def read_categories(
    entries: list[Any], label: str, repairs: Repairs
) -> tuple[Ids, tuple[int, ...], tuple[str, ...]]:
    """The ids, then numbers and names ordered by number.

    Every error raises: all annotations depend on the classes.
    """
    ids = Ids(entry.get("id") for entry in entries if isinstance(entry, dict))
    note_numbered(ids, "category", repairs)
    names: dict[int, str] = {}
    for position, entry in enumerate(entries):
        place = place_of("categories", position)
        if not isinstance(entry, dict) or not is_id(entry.get("id")):
            raise LabkitError(f'{label}: {place} is not {{"id": a number, "name": a text}}.')
        name = category_name(entry, place, repairs)
        if name is None:
            raise LabkitError(f"{label}: {place} has no name; name every class.")
        number = ids.find(entry["id"])
        if number in names:
            raise LabkitError(
                f"{label}: {place} has the id {shown(entry['id'])}, which an earlier category has."
            )
        names[number] = name
    if not names:
        raise LabkitError(f'{label}: "categories" is empty; name at least one class.')
    ordered = tuple(sorted(names))
    return ids, ordered, tuple(names[number] for number in ordered)
