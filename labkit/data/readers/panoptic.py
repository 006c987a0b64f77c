"""COCO's panoptic format: one json, and for each picture a PNG whose colours are the segments.

A segment's number is `R + 256 G + 65536 B` of its pixels; 0 is unlabelled.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labkit.data.readers.base import PictureDataset
from labkit.data.readers.coco_entries import read_categories, read_images
from labkit.data.readers.label_maps import MapInstances, values_in
from labkit.errors import LabkitError, MissingFileError
from labkit.io.coco_repair import crowd_flag
from labkit.io.data_files import Unusable, path_inside, quote, read_json, shown
from labkit.io.ids import whole_number
from labkit.io.images import read_samples


@dataclass(frozen=True)
class Segment:
    """A segment of a picture: its number in the PNG, its class, and whether it is a crowd."""

    number: int
    class_id: int
    crowd: bool


class PanopticDataset(PictureDataset):
    """A data set in COCO's panoptic format.

    Args:
        annotations: the json file.
        images: the folder of the pictures.
        segments: the folder of the PNGs; by default the one beside the json with the same name.
        stuff: "instances" makes every segment of stuff (sky, grass) one instance; "skip" leaves
            stuff and its classes out, and counts the segments of each class in `skipped`.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such file or folder.
        LabkitError: the file is not panoptic, or (strict) an entry cannot be used.
    """

    def __init__(
        self,
        annotations: str | os.PathLike,
        images: str | os.PathLike,
        segments: str | os.PathLike | None = None,
        *,
        stuff: str = "instances",
        strict: bool = False,
    ) -> None:
        super().__init__(annotations, images, strict=strict)
        if stuff not in ("instances", "skip"):
            raise LabkitError(f'stuff is {stuff!r}; choose "instances" or "skip".')
        self.segments = Path(segments or Path(annotations).with_suffix(""))
        if not self.segments.is_dir():
            raise MissingFileError(
                f"{self.segments}: there is no such folder of segment PNGs; give segments=FOLDER."
            )
        content = _panoptic_parts(read_json(annotations), self.label)
        entries = content["categories"]
        self._categories, ids, names = read_categories(entries, self.label, self.repairs)
        self.original_category_ids = self._categories.originals
        names_of = dict(zip(ids, names, strict=True))
        self._stuff = {
            self._categories.find(entry["id"])
            for entry in entries
            if stuff == "skip" and not _is_thing(entry, self.label)
        }
        self._name_of = names_of
        self.category_ids = tuple(number for number in ids if number not in self._stuff)
        self.class_names = tuple(names_of[number] for number in self.category_ids)
        self.skipped: Counter[str] = Counter()
        self._segments: list[list[Segment]] = []
        self._pngs: list[Path] = []
        self._read_entries(content)
        self._warn_of_problems()

    # ---- reading the json ----------------------------------------------------------------------

    def _read_entries(self, content: dict[str, Any]) -> None:
        read = read_images(content["images"], self.folder, self.repairs)
        self._ids, images = read.ids, {image["id"]: image for image in read.images}
        for problem in read.problems:
            self._problem(f"{self.label}: {problem}", "the image is left out")
        for number, entry in enumerate(content["annotations"]):
            try:
                self._read_annotation(entry, images, f"annotations[{number}]")
            except Unusable as error:
                self._problem(
                    f"{self.label}: annotations[{number}] {error}", "its image is left out"
                )
        for image in images.values():
            self._problem(
                f"{self.label}: image {image['id']} ({quote(image['file_name'])}) has no entry in "
                '"annotations"; the image is left out.'
            )

    def _read_annotation(self, entry: Any, images: dict[int, dict], place: str) -> None:
        """Read the segments of one image, and remove it from `images`: it has one annotation."""
        if not isinstance(entry, dict):
            raise Unusable("is not an object {…}")
        image_id = entry.get("image_id")
        image = images.pop(self._ids.find(image_id), None)
        if image is None:
            raise Unusable(f"has the image_id {shown(image_id)}, which no image has any more")
        if not isinstance(entry.get("file_name"), str) or not entry["file_name"]:
            raise Unusable('has no "file_name"')
        if not isinstance(entry.get("segments_info"), list):
            raise Unusable('has no list "segments_info"')
        png = path_inside(self.segments, entry["file_name"])
        try:
            fitting = self._find_fitting(image["file_name"], png)
        except LabkitError as error:
            raise Unusable(f"cannot be used: {str(error).rstrip('.')}") from None
        self._segments.append(self._read_segments(entry["segments_info"], place))
        self._pngs.append(png)
        self._pictures.append(replace(fitting, number=image["id"]))

    def _read_segments(self, entries: list[Any], place: str) -> list[Segment]:
        segments: dict[int, Segment] = {}
        for number, entry in enumerate(entries):
            try:
                segment = self._segment(entry, f"{place}: segments_info[{number}]")
                if segment.number in segments:
                    raise Unusable(f"has the id {segment.number}, which an earlier one has")
            except Unusable as error:
                self._problem(
                    f"{self.label}: {place}: segments_info[{number}] {error}", "it is left out"
                )
                continue
            segments[segment.number] = segment
            if not segment.class_id:
                self.skipped[self._name_of[self._categories.find(entry["category_id"])]] += 1
        return list(segments.values())

    def _segment(self, entry: Any, place: str) -> Segment:
        if not isinstance(entry, dict):
            raise Unusable("is not an object {…}")
        number, category_id = whole_number(entry.get("id")), entry.get("category_id")
        category = self._categories.find(category_id)
        if number is None or not 0 < number < 256**3:
            raise Unusable(f"has the id {shown(entry.get('id'))}, which no colour can have")
        if category is None:
            raise Unusable(
                f"has the category_id {shown(category_id)}, which is not among the categories"
            )
        crowd = crowd_flag(entry.get("iscrowd", 0), functools.partial(str, place), self.repairs)
        # Class 0 means stuff that is skipped.
        skip = category in self._stuff
        class_id = 0 if skip else self.category_ids.index(category) + 1
        return Segment(number, class_id, bool(crowd))

    def image_info(self, index: int) -> dict[str, Any]:
        info = super().image_info(index)
        originals = self._ids.originals
        return info | ({"original_id": originals[info["id"]]} if info["id"] in originals else {})

    # ---- instances -------------------------------------------------------------------------------

    def instances(self, index: int) -> MapInstances:
        numbers = read_segment_numbers(self._pngs[index])
        segments = self._segments[index]
        listed = {segment.number for segment in segments}
        unlisted = sorted(set(values_in(numbers)) - listed)
        if unlisted:
            self._problem(
                f"{self._named(index)}: {self._pngs[index].name} has the segments "
                f"{shown(unlisted)}, which are not in segments_info",
                "they are left out",
            )
        kept = [segment for segment in segments if segment.class_id]
        return MapInstances(
            numbers,
            [segment.number for segment in kept],
            [segment.class_id for segment in kept],
            [f"segment {segment.number}" for segment in kept],
            [segment.crowd for segment in kept],
        )

    def instance_limit(self, index: int) -> int:
        return sum(segment.class_id > 0 for segment in self._segments[index])


def read_segment_numbers(path: str | os.PathLike) -> np.ndarray:
    """The number of every pixel's segment in a panoptic PNG: int64 `[H, W]`."""
    samples = read_samples(path)
    if samples.ndim != 3 or samples.shape[2] < 3 or samples.dtype != np.uint8:
        raise LabkitError(f"{path} is not a PNG of 8-bit colours, as panoptic segments are.")
    return samples[..., :3].astype(np.int64) @ np.array([1, 256, 65536])


def _panoptic_parts(content: Any, label: str) -> dict[str, Any]:
    for field in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise LabkitError(f'{label}: there is no list "{field}", as a panoptic json has.')
    return content


def _is_thing(entry: dict[str, Any], label: str) -> bool:
    if entry.get("isthing") not in (0, 1):
        raise LabkitError(
            f'{label}: the category {quote(entry["name"])} has no "isthing" of 0 or 1; without it '
            'stuff cannot be told, give stuff="instances".'
        )
    return entry["isthing"] == 1
