"""Annotations in COCO's format: one json file, and a folder of pictures.

A file that is not COCO at all is an error. Single entries that cannot be used (no such category,
no area, an id that occurs twice, …) are left out and listed in `problems`; with `strict=True` the
first of them is an error. Nothing is left out silently.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labkit.data.dataset import Dataset
from labkit.data.picture_checks import readings
from labkit.data.readers.base import check_size, read_sized, warn_of_problems
from labkit.data.readers.outlines import check_segmentation
from labkit.data.sample import Cutouts, Labels, Sample, make_sample
from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import (
    Unusable,
    is_number,
    path_inside,
    quote,
    read_json,
    refuse_links_out,
    shown,
    whole,
)
from labkit.io.images import image_size
from labkit.ops.masks import boxes_from_masks, decode_segmentation, segmentation_box

# `check` reports a bbox if it differs from the box of its segmentation by more than both of these.
# COCO's own differ by some pixels: polygons have corners between pixels, and tips that cover none.
_SAME_BOX_PIXELS = 3
_SAME_BOX_IOU = 0.5


class CocoDataset(Dataset):
    """A data set in COCO's format.

    Classes are ordered by category id, so that two files with the same categories (training,
    validation) have the same class ids, even if they list them in another order. Pictures keep the
    file's order, and those without annotations are kept: they teach what is not an object.

    Args:
        annotations: the json file, or its content as a dictionary.
        images: the folder that `file_name` is relative to.
        strict: raise at the first entry that cannot be used, instead of leaving it out.
        label: what messages call the annotations; by default their file.

    Raises:
        MissingFileError: there is no such json file or folder.
        LabkitError: the file is not COCO, or (strict) an entry cannot be used.
    """

    def __init__(
        self,
        annotations: str | os.PathLike | dict[str, Any],
        images: str | os.PathLike,
        *,
        strict: bool = False,
        label: str | None = None,
    ) -> None:
        given = isinstance(annotations, dict)
        self.label = label or ("The given annotations" if given else str(annotations))
        self.folder = Path(images)
        self.strict = strict
        self.problems = []
        if not self.folder.is_dir():
            raise MissingFileError(f"{self.folder}: there is no such folder of images.")
        content = _load(annotations, self.label)
        self.category_ids, self.class_names = read_categories(content["categories"], self.label)
        self._class_of = {number: i + 1 for i, number in enumerate(self.category_ids)}
        self._note_repeated_names()
        self._images: list[dict[str, Any]] = []
        self._annotations: list[list[dict[str, Any]]] = []
        self._read_images(content["images"])
        self._read_annotations(content["annotations"])
        self._left_out_late: set[tuple[int, int]] = set()  # masks found empty when decoded
        warn_of_problems(self.label, self.problems)

    # ---- reading the json ----------------------------------------------------------------------

    def _note_repeated_names(self) -> None:
        for name, times in Counter(self.class_names).items():
            if times > 1:
                self._problem(
                    f"{self.label}: the category name {quote(name)} occurs {times} times; give "
                    "every category a name of its own, or results of these classes cannot be told "
                    "apart."
                )

    def _read_images(self, entries: list[Any]) -> None:
        index_of: dict[int, int] = {}
        for number, entry in enumerate(entries):
            try:
                image = checked_image(entry, self.folder)
                if image["id"] in index_of:
                    raise Unusable(f"has the id {image['id']}, which an earlier image has")
            except Unusable as error:
                self._problem(f"{self.label}: images[{number}] {error}; the image is left out.")
                continue
            index_of[image["id"]] = len(self._images)
            self._images.append(image)
            self._annotations.append([])
        if entries and not self._images:
            raise LabkitError(self.problems[-1] + " No image remains.")
        self._index_of = index_of

    def _read_annotations(self, entries: list[Any]) -> None:
        seen: set[int] = set()
        for number, entry in enumerate(entries):
            try:
                index = self._checked_annotation(entry, seen)
            except Unusable as error:
                place = f"annotations[{number}]{_id_text(entry)}"
                self._problem(f"{self.label}: {place}: {error}; the annotation is left out.")
                continue
            self._annotations[index].append(entry)

    def _checked_annotation(self, entry: Any, seen: set[int]) -> int:
        """The index of an annotation's picture; Unusable if the annotation cannot be used."""
        if not isinstance(entry, dict):
            raise Unusable("it is not an object {…}")
        if "id" in entry:
            if whole(entry, "id") in seen:
                raise Unusable(f"an earlier annotation has the id {entry['id']} too")
            seen.add(entry["id"])
        image_id, category_id = whole(entry, "image_id"), whole(entry, "category_id")
        if image_id not in self._index_of:
            raise Unusable(f"image_id {image_id} is not among the images")
        if category_id not in self._class_of:
            raise Unusable(f"category_id {category_id} is not among the categories")
        if entry.get("iscrowd", 0) not in (0, 1):
            raise Unusable(f"iscrowd is {shown(entry['iscrowd'])}, not 0 or 1")
        index = self._index_of[image_id]
        height, width = self._images[index]["height"], self._images[index]["width"]
        if entry.get("bbox") is not None:
            _check_bbox(entry["bbox"], height, width)
        check_segmentation(entry.get("segmentation"), height, width)
        return index

    def _problem(self, sentence: str) -> None:
        if self.strict:
            raise LabkitError(sentence)
        self.problems.append(sentence)

    # ---- a data set ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._images)

    def image_info(self, index: int) -> dict[str, Any]:
        return dict(self._images[self._check_index(index)])

    def picture_file(self, index: int) -> Path | None:
        return path_inside(self.folder, self._images[self._check_index(index)]["file_name"])

    def instance_limit(self, index: int) -> int:
        return len(self._annotations[index])

    def labels(self, index: int) -> Labels:
        info, annotations = self._images[index], self._annotations[index]
        boxes = [
            segmentation_box(a["segmentation"], info["height"], info["width"]) for a in annotations
        ]
        return Labels(
            np.array([self._class_of[a["category_id"]] for a in annotations], np.int32),
            np.array([a.get("iscrowd", 0) for a in annotations], bool),
            np.array(boxes, np.float32).reshape(-1, 4),
        )

    def read(self, index: int) -> Sample:
        """The sample at `index`.

        Raises:
            MissingFileError: the picture is missing.
            LabkitError: it is broken, or has another size than the json says.
        """
        info = self._images[index]
        image = self._read_picture(info)
        masks = np.zeros((len(self._annotations[index]), info["height"], info["width"]), bool)
        kept = []
        for annotation, mask in self._painted(index):
            masks[len(kept)] = mask
            kept.append(annotation)
        return make_sample(
            image,
            masks[: len(kept)],
            self._class_ids(kept),
            crowd=_crowd(kept),
            image_id=info["id"],
            name=info["file_name"],
        )

    def cutouts(self, index: int) -> Cutouts:
        info = self._images[index]
        boxes, patches, kept = [], [], []
        for annotation, mask in self._painted(index):
            y1, x1, y2, x2 = box = boxes_from_masks(mask[None])[0].astype(int)
            boxes.append(box)
            patches.append(mask[y1:y2, x1:x2].copy())  # a view would keep the whole mask in memory
            kept.append(annotation)
        return Cutouts(
            self._read_picture(info),
            np.array(boxes, int).reshape(-1, 4),
            patches,
            np.array(self._class_ids(kept), np.int32),
            np.array(_crowd(kept), bool),
            info["id"],
        )

    def _painted(self, index: int) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Each annotation of a picture with its mask, one at a time, except empty ones."""
        info = self._images[index]
        for position, annotation in enumerate(self._annotations[index]):
            mask = decode_segmentation(annotation["segmentation"], info["height"], info["width"])
            if mask.any():
                yield annotation, mask
            else:
                self._leave_out_late(index, position)

    def _class_ids(self, annotations: Iterable[dict[str, Any]]) -> list[int]:
        return [self._class_of[annotation["category_id"]] for annotation in annotations]

    def _read_picture(self, info: dict[str, Any]) -> np.ndarray:
        path = path_inside(self.folder, info["file_name"])
        return read_sized(self.folder, path, (info["height"], info["width"]), self.label)

    def _leave_out_late(self, index: int, position: int) -> None:
        if (index, position) in self._left_out_late:
            return
        self._left_out_late.add((index, position))
        info, annotation = self._images[index], self._annotations[index][position]
        self._problem(
            f"{self.label}: an annotation{_id_text(annotation)} of {quote(info['file_name'])}: "
            "segmentation covers no pixel of the image; the annotation is left out."
        )

    def coco_annotations(self, index: int) -> list[dict[str, Any]]:
        """The annotations as they are in the file; what pycocotools needs and they lack is added.

        COCO's sizes (small, medium, large) depend on the file's `area`, and its AP on the file's
        polygons, so these are not computed again: a published AP stays comparable.
        """
        return [self._completed(index, entry) for entry in self._annotations[index]]

    def _completed(self, index: int, entry: dict[str, Any]) -> dict[str, Any]:
        info, area = self._images[index], entry.get("area")
        annotation = {**entry, "iscrowd": int(entry.get("iscrowd", 0))}
        has_area = is_number(area) and area > 0
        if has_area and entry.get("bbox") is not None:
            return annotation
        mask = decode_segmentation(entry["segmentation"], info["height"], info["width"])
        if not has_area:
            annotation["area"] = int(mask.sum())
        if entry.get("bbox") is None:
            y1, x1, y2, x2 = boxes_from_masks(mask[None])[0].tolist()
            annotation["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        return annotation

    # ---- looking through everything ------------------------------------------------------------

    def check(self) -> list[str]:
        """Check every picture's header and every mask; returns all problems, one sentence each.

        The list begins with `problems`. It adds pictures that are missing, unreadable or of another
        size, boxes that do not fit their masks (for example a bbox that was written as two corners
        instead of `[x, y, width, height]`), and pictures with two readings.
        """
        found = []
        for index, info in enumerate(self._images):
            found.extend(self._check_picture(info))
            for position in range(len(self._annotations[index])):
                found.extend(self._check_mask(index, position))
        return [*self.problems, *found, *readings(self)]

    def _check_picture(self, info: dict[str, Any]) -> list[str]:
        path = path_inside(self.folder, info["file_name"])
        wanted = (info["height"], info["width"])
        try:
            refuse_links_out(self.folder, path)
            if wanted in (image_size(path), image_size(path, upright=False)):
                return []
            self._read_picture(info)
        except LabkitError as error:
            return [str(error)]
        return []

    def _check_mask(self, index: int, position: int) -> list[str]:
        info, entry = self._images[index], self._annotations[index][position]
        mask = decode_segmentation(entry["segmentation"], info["height"], info["width"])
        if not mask.any():
            self._leave_out_late(index, position)
            return []
        if entry.get("bbox") is None:
            return []
        x, y, width, height = (float(value) for value in entry["bbox"])
        tight = boxes_from_masks(mask[None])[0].tolist()
        if _same_box((y, x, y + height, x + width), tight):
            return []
        return [
            f"{self.label}: an annotation{_id_text(entry)} of {quote(info['file_name'])}: bbox "
            f"{entry['bbox']} is not the box [x, y, width, height] of its segmentation; labkit "
            "uses the segmentation, correct the bbox."
        ]


# ---- the parts of the json -----------------------------------------------------------------------


def _load(annotations: str | os.PathLike | dict[str, Any], label: str) -> dict[str, Any]:
    content = annotations if isinstance(annotations, dict) else read_json(annotations)
    if not isinstance(content, dict):
        raise LabkitError(
            f"{label} holds a {type(content).__name__}, not an object with images, annotations and "
            "categories; a list of results is not a data set."
        )
    for field in ("images", "annotations", "categories"):
        if not isinstance(content.get(field), list):
            state = "is not a list" if field in content else "is missing"
            raise LabkitError(f'{label}: "{field}" {state}; a COCO file has it as a list.')
    return content


def checked_image(entry: Any, folder: Path) -> dict[str, Any]:
    """The id, file_name, height and width of an entry of "images".

    If the json has no size, the picture's own is used.

    Raises:
        Unusable: the entry cannot be used.
    """
    if not isinstance(entry, dict):
        raise Unusable("is not an object {…}")
    number, name = whole(entry, "id"), entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise Unusable('has no "file_name"')
    path = path_inside(folder, name)
    try:
        if entry.get("height") is None or entry.get("width") is None:
            height, width = image_size(path)
        else:
            height, width = whole(entry, "height"), whole(entry, "width")
        check_size(height, width)
    except LabkitError as error:
        raise Unusable(f"has no usable size: {str(error).rstrip('.')}") from None
    return {"id": number, "file_name": name, "height": height, "width": width}


def read_categories(entries: list[Any], label: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Ids and names, ordered by id. Every error raises: all annotations depend on the classes."""
    names: dict[int, str] = {}
    for number, entry in enumerate(entries):
        place = f"{label}: categories[{number}]"
        try:
            category_id = whole(entry, "id") if isinstance(entry, dict) else None
        except Unusable as error:
            raise LabkitError(f"{place}: {error}.") from None
        if category_id is None or not isinstance(entry.get("name"), str):
            raise LabkitError(f'{place} is not {{"id": a whole number, "name": a text}}.')
        if category_id in names:
            raise LabkitError(f"{place} has the id {category_id}, which an earlier category has.")
        names[category_id] = entry["name"]
    if not names:
        raise LabkitError(f'{label}: "categories" is empty; name at least one class.')
    ordered = tuple(sorted(names))
    return ordered, tuple(names[category_id] for category_id in ordered)


def _crowd(annotations: Iterable[dict[str, Any]]) -> list[bool]:
    return [bool(annotation.get("iscrowd", 0)) for annotation in annotations]


def _check_bbox(bbox: Any, height: int, width: int) -> None:
    if (
        not isinstance(bbox, (list, tuple))
        or len(bbox) != 4
        or not all(is_number(value) for value in bbox)
    ):
        raise Unusable(f"bbox is {shown(bbox)}, not four numbers [x, y, width, height]")
    x, y, box_width, box_height = bbox
    if box_width <= 0 or box_height <= 0:
        raise Unusable(f"bbox {bbox} has no area")
    if x >= width or y >= height or x + box_width <= 0 or y + box_height <= 0:
        raise Unusable(f"bbox {bbox} lies outside the image of {height} x {width} pixels")


def _same_box(a: Sequence[float], b: Sequence[float]) -> bool:
    if max(abs(p - q) for p, q in zip(a, b, strict=True)) <= _SAME_BOX_PIXELS:
        return True
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - height * width
    return height * width >= _SAME_BOX_IOU * union


def _id_text(entry: Any) -> str:
    return f" (id {shown(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
