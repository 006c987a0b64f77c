"""Annotations of LabelMe: a json for every picture, beside it or with the picture inside."""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labkit.data.readers.base import Picture, check_size
from labkit.data.readers.outlines import (
    Outline,
    OutlineDataset,
    check_segmentation,
    class_text,
    ellipse,
    joined,
    rectangle,
)
from labkit.errors import LabkitError
from labkit.io.coco_repair import NAMES, SWAPPED, image_side
from labkit.io.data_files import (
    Unusable,
    is_number,
    list_folder,
    path_inside,
    read_json,
    read_text,
    shown,
)
from labkit.io.ids import is_id, whole_number
from labkit.io.images import image_size, read_image, read_samples
from labkit.io.picture_finder import base_name
from labkit.ops.coco_masks import encode_rle

#: Special labels at the top of a labels.txt; they are not classes.
NOT_CLASSES = ("__ignore__", "_background_")


class LabelmeDataset(OutlineDataset):
    """A folder of LabelMe's json files.

    Polygons, rectangles, circles and painted masks become instances; shapes with the same label and
    `group_id` are the parts of one instance. Lines and points have no area and are problems.
    Shapes may overlap: LabelMe does not say which is in front. Shapes labelled "__ignore__" or
    "_background_" are not instances; `ignored` counts them.

    If the json contains the picture (`imageData`), that one is used, since it was annotated;
    otherwise the file `imagePath`, or one of the same name in the folder of the pictures.

    Args:
        folder: the folder of the json files, or one json file.
        images: the folder of the pictures; by default that of the json files.
        class_names: the classes in their order; shapes of any other class are problems. By default
            the lines of labels.txt in the folder, or in the folder above if it has all the labels;
            otherwise the labels that occur, sorted.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such file or folder.
        LabkitError: there is no json of LabelMe's, or (strict) an entry cannot be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        images: str | os.PathLike | None = None,
        *,
        class_names: Sequence[str] | None = None,
        strict: bool = False,
    ) -> None:
        folder = Path(folder)
        files, folder = ([folder], folder.parent) if folder.is_file() else (None, folder)
        files = files or [p for p in list_folder(folder) if p.suffix.lower() == ".json"]
        if not files:
            raise LabkitError(f"{folder}: there is no json file of LabelMe's in this folder.")
        super().__init__(folder, images or folder, strict=strict)
        self.ignored = 0
        self._embedded: dict[int, Path] = {}  # the json of each picture that is inside its json
        for file in files:
            self._read_file(file)
        if class_names:
            self._set_classes(class_names, "class_names")
        else:
            self._set_classes(*self._labels(folder))
        self._warn_of_problems()

    def _labels(self, folder: Path) -> tuple[list[str], str]:
        """The names of the classes, and where they are from."""
        here, above = folder / "labels.txt", folder.parent / "labels.txt"
        if here.is_file():
            return read_labels(here), f"the lines of {here}"
        used = self.names_in_use()
        # The one above may belong to another data set: it must have every label.
        if above.is_file() and set(used) <= set(names := read_labels(above)):
            return names, f"the lines of {above}"
        return used, "the labels that occur"

    # ---- reading the json ----------------------------------------------------------------------

    def _read_file(self, file: Path) -> None:
        try:
            content = read_json(file)
            if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
                raise LabkitError(f'{file} is not LabelMe\'s: it has no list "shapes".')
            picture, embedded = self._picture_of(content, file)
        except (Unusable, LabkitError) as error:
            text = str(error).rstrip(".") if isinstance(error, LabkitError) else f"{file} {error}"
            self._problem(text, "the picture is left out")
            return
        if embedded:
            self._embedded[len(self)] = file
        self._add(picture, self._outlines_of(content["shapes"], picture.size, file))

    def _picture_of(self, content: dict[str, Any], file: Path) -> tuple[Picture, bool]:
        """The picture of a json, and whether it is inside the json."""
        name = content.get("imagePath")
        embedded = bool(content.get("imageData"))
        if embedded:
            image = _embedded_picture(content, file)
            name = name if isinstance(name, str) and name else file.name
            return Picture(len(self) + 1, name, file, *image.shape[:2]), True
        if not isinstance(name, str) or not name:
            raise Unusable('has neither "imageData" nor "imagePath"')
        picture = self._find_picture(self._name_inside(name), len(self) + 1)
        height, width = (
            image_side(content, field, str(file), self.repairs)
            for field in ("imageHeight", "imageWidth")
        )
        if height is None or width is None:
            return picture, False
        try:
            check_size(height, width)
        except LabkitError as error:
            raise Unusable(f'"imageHeight" and "imageWidth": {str(error).rstrip(".")}') from None
        if self._are_swapped(picture, height, width, content["shapes"]):
            sizes = f"the file says {height} x {width}, the picture has {width} x {height}"
            self.repairs.note(SWAPPED, f"{file}: {sizes}")
            return picture, False
        return Picture(picture.number, picture.name, picture.path, height, width), False

    def _are_swapped(self, picture: Picture, height: int, width: int, shapes: list[Any]) -> bool:
        """Whether a json has height for width, and its shapes are for the picture as it is."""
        if (height, width) != (picture.width, picture.height) or height == width:
            return False
        if image_size(picture.path, upright=False) != picture.size:  # EXIF data turn the photo
            return False
        corners = [
            corner
            for shape in shapes
            if isinstance(shape, dict) and isinstance(shape.get("points"), list)
            for corner in shape["points"]
            if isinstance(corner, list) and len(corner) == 2 and all(map(is_number, corner))
        ]
        return all(x <= picture.width + 1 and y <= picture.height + 1 for x, y in corners)

    def _name_inside(self, name: str) -> str:
        """`imagePath` as a name in the folder of pictures.

        LabelMe writes it relative to the json, as "../images/a.jpg" (with backslashes on Windows)
        if the json files have their own folder. Then only the file's name is used, if it is in the
        folder of the pictures.
        """
        try:
            if path_inside(self.folder, name).exists():
                return name
        except Unusable:
            pass
        base = base_name(name)
        return base if base and (self.folder / base).is_file() else name

    def _outlines_of(self, shapes: list[Any], size: tuple[int, int], file: Path) -> list[Outline]:
        groups: dict[Any, list[tuple[str, Any]]] = {}
        for number, shape in enumerate(shapes):
            place = f"shapes[{number}]"
            try:
                label = self._label(shape, f"{file}: {place}")
                if label in NOT_CLASSES:
                    self.ignored += 1
                    continue
                segmentation = shape_segmentation(shape, *size)
                check_segmentation(segmentation, *size)
                key = (label, place if shape.get("group_id") is None else _group(shape))
            except (Unusable, LabkitError) as error:
                text = str(error).rstrip(".")
                self._problem(f"{file}: {place}: {text}", "the shape is left out")
                continue
            groups.setdefault(key, []).append((place, segmentation))
        return [
            Outline(key[0], joined([part for _, part in parts], *size), parts[0][0])
            for key, parts in groups.items()
        ]

    def _label(self, shape: Any, place: str) -> str:
        label = shape.get("label") if isinstance(shape, dict) else None
        name = class_text(label)
        if name is None:
            raise Unusable('has no "label"')
        if isinstance(label, str):
            return label
        self.repairs.note(NAMES, f"{place}: {name}")
        return name

    # ---- pictures inside the json ----------------------------------------------------------------

    def picture_file(self, index: int) -> Path | None:
        return None if index in self._embedded else super().picture_file(index)

    def read_pixels(self, index: int) -> np.ndarray:
        if index not in self._embedded:
            return super().read_pixels(index)
        file = self._embedded[index]
        try:
            image = _embedded_picture(read_json(file), file)
        except Unusable as error:
            raise LabkitError(f"{file}: {error}; load the data set anew.") from None
        if image.shape[:2] != self._pictures[index].size:
            raise LabkitError(f"{file} has changed since the data set was made; load it anew.")
        return image


# ---- the parts of the json -----------------------------------------------------------------------


def read_labels(path: Path) -> list[str]:
    """The classes of a labels.txt, one per line, without the special labels."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    names = [line for line in lines if line and line not in NOT_CLASSES]
    if len(set(names)) != len(names):
        raise LabkitError(f"{path} names a class twice; give every class one line.")
    if not names:
        raise LabkitError(f"{path} names no class; write one a line.")
    return names


def _group(shape: dict[str, Any]) -> int | str:
    """A `group_id`: 1, 1.0 and "1" are the same group."""
    group = shape["group_id"]
    if not is_id(group):
        raise Unusable(f'"group_id" is {shown(group)}, neither a number nor a text')
    number = whole_number(group)
    return group if number is None else number


def _embedded_picture(content: Any, file: Path) -> np.ndarray:
    data = content.get("imageData") if isinstance(content, dict) else None
    return read_image(_bytes(data, "imageData"), name=f'{file}: "imageData"')


def _bytes(text: Any, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Unusable(f'"{field}" is not base64') from None


def shape_segmentation(shape: dict[str, Any], height: int, width: int) -> Any:
    """A LabelMe shape as a COCO segmentation; Unusable if it has no area or is malformed."""
    kind = shape.get("shape_type") or "polygon"  # LabelMe before 3.3 had nothing else
    if kind in ("point", "points", "line", "linestrip"):
        raise Unusable(f"is a {kind}, which has no area")
    points = _points(shape.get("points"))
    if kind == "mask":
        return _painted(shape, _corners(points, kind), height, width)
    if kind == "circle":
        (cx, cy), (x, y) = _two(points, kind)
        radius = math.hypot(x - cx, y - cy)
        return ellipse(cx, cy, radius, radius)
    if kind == "rectangle" and len(points) == 2:
        return rectangle(*points[0], *points[1])
    if kind in ("polygon", "rectangle", "oriented_rectangle"):
        return [[value for point in points for value in point]]
    raise Unusable(f'"shape_type" is {shown(kind)}, not a shape of LabelMe')


def _points(points: Any) -> list[list[float]]:
    if not isinstance(points, list) or not all(
        isinstance(point, list) and len(point) == 2 and all(map(is_number, point))
        for point in points
    ):
        raise Unusable('"points" is not a list of [x, y]')
    return points


def _two(points: list[list[float]], kind: str) -> list[list[float]]:
    if len(points) != 2:
        raise Unusable(f'a {kind} has two "points", not {len(points)}')
    return points


def _corners(points: list[list[float]], kind: str) -> tuple[int, int, int, int]:
    """The first row, first column, last row and last column of a painted mask."""
    (xa, ya), (xb, yb) = _two(points, kind)
    return int(min(ya, yb)), int(min(xa, xb)), int(max(ya, yb)), int(max(xa, xb))


def _painted(shape: dict[str, Any], corners: tuple[int, ...], height: int, width: int) -> dict:
    """A painted mask as run lengths: its png covers the pixels from corner to corner, inclusive."""
    top, left, bottom, right = corners
    png = read_samples(_bytes(shape.get("mask"), "mask"), name='"mask"')
    rows, columns = png.shape[:2]
    # LabelMe's own models wrote boxes that end on the mask's last pixel, or one pixel after it.
    if bottom - top not in (rows - 1, rows) or right - left not in (columns - 1, columns):
        raise Unusable(
            f'"mask" has {rows} x {columns} pixels, but "points" span '
            f"{bottom - top + 1} x {right - left + 1}"
        )
    if top < 0 or left < 0 or top + rows > height or left + columns > width:
        raise Unusable('"mask" reaches out of the picture')
    mask = np.zeros((height, width), bool)
    mask[top : top + rows, left : left + columns] = png.reshape(rows, columns, -1).any(-1)
    return encode_rle(mask)
