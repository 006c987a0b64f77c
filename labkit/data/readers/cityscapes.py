"""Cityscapes: street scenes, with polygons or instance maps for eight classes of instances.

    ROOT/leftImg8bit/<split>/<city>/<name>_leftImg8bit.png
    ROOT/gtFine/<split>/<city>/<name>_gtFine_polygons.json and / or …_instanceIds.png

Class ids and the way polygons become maps are those of the official cityscapesScripts.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from labkit.data.readers.base import PictureDataset
from labkit.data.readers.label_maps import MapInstances, read_label_map, values_in
from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import (
    Unusable,
    image_files,
    is_number,
    quote,
    read_json,
    shown,
    subfolders,
    whole,
)

#: The classes that the benchmark evaluates as instances, and their official ids.
CLASSES = {
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}

# Labels that are drawn into the map too, and hide what is behind them. Caravans and trailers have
# instances, but the benchmark does not count them.
_DRAWN_TOO = {
    "caravan",
    "trailer",
    "unlabeled",
    "ego vehicle",
    "rectification border",
    "out of roi",
    "static",
    "dynamic",
    "ground",
    "road",
    "sidewalk",
    "parking",
    "rail track",
    "building",
    "wall",
    "fence",
    "guard rail",
    "bridge",
    "tunnel",
    "pole",
    "polegroup",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
}
_NOT_DRAWN = {"license plate"}

_PICTURE, _IDS, _POLYGONS = "_leftImg8bit.png", "_gtFine_instanceIds.png", "_gtFine_polygons.json"


class CityscapesDataset(PictureDataset):
    """One split of Cityscapes' fine annotations.

    If a picture has an instanceIds map, that is read; otherwise the polygons are drawn, later ones
    over earlier ones, which gives the same map. Groups ("cargroup") are crowds.

    Args:
        root: the folder that holds leftImg8bit and gtFine.
        split: "train", "val" or "test".
        images: the folder with the splits' pictures; by default leftImg8bit.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such folder or split.
        LabkitError: nothing can be used, or (strict) an entry cannot.
    """

    class_names = tuple(CLASSES)
    category_ids = tuple(CLASSES.values())

    def __init__(
        self,
        root: str | os.PathLike,
        split: str = "train",
        *,
        images: str | os.PathLike | None = None,
        strict: bool = False,
    ) -> None:
        root = Path(root)
        super().__init__(root, Path(images or root / "leftImg8bit") / split, strict=strict)
        self.truth = root / "gtFine" / split
        if not self.truth.is_dir():
            raise MissingFileError(f"{self.truth}: there is no such folder of annotations.")
        self._sources: list[Path] = []
        for city in subfolders(self.folder):
            for path in image_files(city):
                if path.name.endswith(_PICTURE):
                    self._add(city.name, path.name[: -len(_PICTURE)])
        if not self._pictures and not self.problems:
            raise LabkitError(f"{self.folder}: there is no picture CITY/NAME{_PICTURE}.")
        self._warn_of_problems()

    def _add(self, city: str, name: str) -> None:
        picture = f"{city}/{name}{_PICTURE}"
        ids, polygons = (self.truth / city / f"{name}{ending}" for ending in (_IDS, _POLYGONS))
        try:
            if ids.exists():
                found, source = self._find_fitting(picture, ids), ids
            elif polygons.exists():
                found, source = self._find_picture(picture, len(self) + 1), polygons
            else:
                raise Unusable(f"has neither {ids.name} nor {polygons.name} in {self.truth / city}")
        except Unusable as error:
            self._problem(f"{self.folder}: {quote(picture)} {error}", "the picture is left out")
            return
        self._pictures.append(found)
        self._sources.append(source)

    def instances(self, index: int) -> MapInstances:
        source = self._sources[index]
        ids = read_label_map(source) if source.suffix == ".png" else self._drawn(index)
        values, class_ids, crowd = [], [], []
        for value in values_in(ids):
            number = value if value < 1000 else value // 1000
            if number in self.category_ids:
                values.append(value)
                class_ids.append(self.category_ids.index(number) + 1)
                crowd.append(value < 1000)  # a class id alone: the instances are not separated
        return MapInstances(ids, values, class_ids, [f"id {v}" for v in values], crowd)

    # ---- polygons --------------------------------------------------------------------------------

    def _drawn(self, index: int) -> np.ndarray:
        """The instance map of a picture's polygons."""
        path, picture = self._sources[index], self._pictures[index]
        content = read_json(path)
        objects = content.get("objects") if isinstance(content, dict) else None
        if not isinstance(objects, list):
            raise LabkitError(f'{path} has no list "objects", as Cityscapes polygons have.')
        try:
            size = whole(content, "imgHeight"), whole(content, "imgWidth")
        except Unusable as error:
            raise LabkitError(f"{path}: {error}.") from None
        if size != picture.size:
            raise LabkitError(
                f"{path} is for {size[0]} x {size[1]} pixels (height x width), its picture has "
                f"{picture.height} x {picture.width}."
            )
        canvas = Image.new("I", (picture.width, picture.height), 0)
        pencil, seen = ImageDraw.Draw(canvas), Counter()
        for number, entry in enumerate(objects):
            try:
                _draw(pencil, entry, seen, picture.size)
            except Unusable as error:
                self._problem(f"{path}: objects[{number}] {error}", "it is left out")
        return np.array(canvas)


def _draw(pencil: ImageDraw.ImageDraw, entry: Any, seen: Counter, size: tuple[int, int]) -> None:
    """Draw one object with its id, counting the instances of every class in `seen`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("label"), str):
        raise Unusable('has no "label"')
    label = entry["label"]
    if entry.get("deleted") in (1, True) or label in _NOT_DRAWN:
        return
    group = label.removesuffix("group")
    if label in CLASSES:
        value = CLASSES[label] * 1000 + seen[label]
        seen[label] += 1
    elif label in _DRAWN_TOO or group in _DRAWN_TOO:
        value = 0
    elif group in CLASSES:
        value = CLASSES[group]
    else:
        raise Unusable(f"has the label {quote(label)}, which Cityscapes does not have")
    pencil.polygon(_corners(entry.get("polygon"), size), fill=value)


def _corners(polygon: Any, size: tuple[int, int]) -> list[tuple[float, float]]:
    reach = 4 * sum(size)
    if not isinstance(polygon, list) or len(polygon) < 3:
        raise Unusable(f'has a "polygon" of {shown(polygon)}, not of three corners at least')
    for point in polygon:
        if not (isinstance(point, list) and len(point) == 2 and all(map(is_number, point))):
            raise Unusable(f'has a corner {shown(point)} in "polygon", not [x, y]')
        if max(map(abs, point)) > reach:
            raise Unusable(f"has the corner {shown(point)}, far outside the picture")
    return [tuple(point) for point in polygon]
