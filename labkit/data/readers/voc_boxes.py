"""Pascal VOC's boxes: an xml for each picture, as LabelImg and many converters write them.

Annotations/a.xml and JPEGImages/a.jpg, or both side by side. There are no masks in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from labkit.data.readers.outlines import Outline, OutlineDataset, check_segmentation, rectangle
from labkit.errors import LabkitError
from labkit.io.data_files import Unusable, image_files, list_folder, read_text, shown
from labkit.io.xml_files import read_xml

_SPLITS = ("train", "val", "trainval", "test")  # the other lists of ImageSets/Main are of classes
_MOST_OPENED = 3


class VocBoxDataset(OutlineDataset):
    """A folder with an xml of boxes for every picture.

    A model of labkit learns masks, so boxes alone are refused, unless `boxes_as_masks` takes them
    for rectangular ones. Coordinates are used as they are written.

    Args:
        folder: the folder with Annotations (and JPEGImages, ImageSets), or that of the xml files.
        split: a list in ImageSets/Main, e.g. "train"; by default every picture that has an xml.
        images: the folder of the pictures; by default JPEGImages or images, otherwise that of the
            xml files.
        class_names: the classes in their order; boxes of any other class are problems. By default
            the names that occur, sorted.
        boxes_as_masks: take a box for a rectangular mask.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such folder.
        LabkitError: there are only boxes and they are not taken for masks, there is no xml, or
            (strict) an entry cannot be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        split: str | None = None,
        *,
        images: str | os.PathLike | None = None,
        class_names: Sequence[str] | None = None,
        boxes_as_masks: bool = False,
        strict: bool = False,
    ) -> None:
        root = Path(folder)
        files, root = ([root], root.parent) if root.is_file() else (box_files(root), root)
        if split is not None and split_names(root):
            listed = read_text(root / "ImageSets" / "Main" / f"{split}.txt").split()
            files = [path for path in files if path.stem in set(listed)]
        if not files:
            raise LabkitError(f"{folder}: there is no xml of boxes in this folder.")
        super().__init__(folder, images or _pictures_of(root, files[0].parent), strict=strict)
        self.boxes_as_masks = boxes_as_masks
        self._boxes = 0
        self._by_stem = {path.stem: path.name for path in image_files(self.folder)}
        for file in files:
            self._read_file(file)
        self._note_boxes(self._boxes)
        names = class_names or self.names_in_use()
        self._set_classes(names, "class_names")
        self._warn_of_problems()

    def _read_file(self, file: Path) -> None:
        try:
            root = read_xml(file)
            if root.tag != "annotation":
                raise LabkitError(f"{file} is not VOC's: it begins with <{root.tag}>.")
            name = self._by_stem.get(file.stem) or _text(root, "filename")
            picture = self._find_picture(name, len(self) + 1)
        except (Unusable, LabkitError) as error:
            text = str(error).rstrip(".")
            text = text if isinstance(error, LabkitError) else f"{file} {text}"
            self._problem(text, "the picture is left out")
            return
        self._add(picture, list(self._outlines_of(root, picture.size, file)))

    def _outlines_of(self, root: Element, size: tuple[int, int], file: Path) -> Iterator[Outline]:
        for number, entry in enumerate(root.iter("object")):
            place = f"object {number}"
            try:
                name, polygons = _text(entry, "name"), rectangle(*_corners(entry))
                check_segmentation(polygons, *size)
            except Unusable as error:
                self._problem(f"{file}: {place} {error}", "it is left out")
                continue
            if self.boxes_as_masks:
                yield Outline(name, polygons, place)
            else:
                self._boxes += 1


def box_files(folder: Path) -> list[Path]:
    """VOC's xml files in a folder or its Annotations: those that begin with <annotation>."""
    for place in (folder / "Annotations", folder / "annotations", folder):
        if place.is_dir():
            files = [path for path in list_folder(place) if path.suffix.lower() == ".xml"]
            if files and any(is_box_file(path) for path in files[:_MOST_OPENED]):
                return files
    return []


def is_box_file(path: Path) -> bool:
    """Whether an xml is one of VOC's, by its beginning."""
    try:
        with path.open("rb") as stream:
            start = stream.read(4000)
    except OSError:
        return False
    return b"<annotation>" in start or b"<annotation " in start


def split_names(folder: Path) -> list[str]:
    """The splits in ImageSets/Main."""
    lists = folder / "ImageSets" / "Main"
    return [name for name in _SPLITS if (lists / f"{name}.txt").is_file()]


def _pictures_of(root: Path, beside: Path) -> Path:
    folders = (root / name for name in ("JPEGImages", "images", "Images"))
    return next((folder for folder in folders if folder.is_dir()), beside)


def _text(entry: Element, field: str) -> str:
    text = (entry.findtext(field) or "").strip()
    if not text:
        raise Unusable(f"has no <{field}>")
    return text


def _corners(entry: Element) -> list[float]:
    corners = []
    for field in ("xmin", "ymin", "xmax", "ymax"):
        text = entry.findtext(f"bndbox/{field}")
        try:
            corners.append(float(text or ""))
        except ValueError:
            raise Unusable(f"has the {field} {shown(text)}, not a number") from None
    return corners
