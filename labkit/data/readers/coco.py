"""Annotations in COCO's format: one json file, and a folder of pictures.

A file that is not COCO at all is an error. Entries that are written oddly but have one meaning only
are repaired and counted in `repairs` (see `labkit.io.coco_repair`). Single entries that cannot be
used (no such category, no area, …) are left out and listed in `problems`; with `strict=True` the
first of them is an error. Nothing is left out silently.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labkit.data.dataset import Dataset
from labkit.data.picture_checks import readings
from labkit.data.readers.base import problem_sentence, read_sized, warn_of_problems
from labkit.data.readers.coco_boxes import same_box, wrong_bbox
from labkit.data.readers.coco_entries import (
    outlines_fit,
    read_categories,
    read_images,
    swapped_sizes,
)
from labkit.data.readers.outlines import check_segmentation, rectangle
from labkit.data.sample import Cutouts, Labels, Sample, make_sample
from labkit.errors import LabkitError, MissingFileError, listed
from labkit.io.coco_repair import (
    BOXES,
    DUPLICATES,
    SWAPPED,
    Seen,
    has_mask,
    place_of,
    repair_annotation,
    without_empty_parent,
)
from labkit.io.data_files import (
    Unusable,
    is_number,
    path_inside,
    quote,
    read_json,
    refuse_links_out,
    shown,
)
from labkit.io.many_objects import making_many_objects
from labkit.io.repairs import Repairs
from labkit.ops.coco_masks import decode_segmentation, segmentation_box
from labkit.ops.mask_boxes import boxes_from_masks

_NEARLY_ALL = 0.9  # of the objects: if so many are crowds, the mark does not mean what it should


class CocoDataset(Dataset):
    """A data set in COCO's format.

    Classes are ordered by category id, so that two files with the same categories (training,
    validation) have the same class ids, even if they list them in another order. Pictures keep the
    file's order, and those without annotations are kept: they teach what is not an object.

    Args:
        annotations: the json file, or its content as a dictionary.
        images: the folder that `file_name` is relative to. A picture that is not there under its
            very name is the one file of that name in the folder, if there is exactly one.
        crowds_as_instances: take what is marked as a crowd for one object, as in files of tools
            that mark every painted mask so.
        boxes_as_masks: take a box without a mask for a rectangular mask; by default such
            annotations are left out.
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
        crowds_as_instances: bool = False,
        boxes_as_masks: bool = False,
        strict: bool = False,
        label: str | None = None,
    ) -> None:
        given = isinstance(annotations, dict)
        self.label = label or ("The given annotations" if given else str(annotations))
        self.folder = Path(images)
        self.strict = strict
        self.crowds_as_instances, self.boxes_as_masks = crowds_as_instances, boxes_as_masks
        self.problems = []
        self.repairs = Repairs()
        if not self.folder.is_dir():
            raise MissingFileError(f"{self.folder}: there is no such folder of images.")
        with making_many_objects():
            self._read(annotations)
        warn_of_problems(self.label, self.problems, self.repairs)

    # ---- reading the json ----------------------------------------------------------------------

    def _read(self, annotations: str | os.PathLike | dict[str, Any]) -> None:
        content = _load(annotations, self.label)
        entries = content["annotations"]
        self._categories, self.category_ids, self.class_names = read_categories(
            without_empty_parent(content["categories"], entries, self.repairs),
            self.label,
            self.repairs,
        )
        self.original_category_ids = self._categories.originals
        self._class_of = {number: i + 1 for i, number in enumerate(self.category_ids)}
        self._note_repeated_names()
        self._read_images(content["images"])
        self._take_swapped_sizes(entries)
        self._annotations: list[list[dict[str, Any]]] = [[] for _ in self._images]
        self._read_annotations(entries)
        self._remark_on_objects(len(entries))
        self._left_out_late: set[tuple[int, int]] = set()  # masks found empty when decoded

    def _note_repeated_names(self) -> None:
        for name, times in Counter(self.class_names).items():
            if times > 1:
                self._problem(
                    f"{self.label}: the category name {quote(name)} occurs {times} times",
                    remedy="Give every category a name of its own, or results of these classes "
                    "cannot be told apart.",
                )

    def _read_images(self, entries: list[Any]) -> None:
        read = read_images(entries, self.folder, self.repairs)
        for problem in read.problems:
            self._problem(f"{self.label}: {problem}", "the image is left out")
        if entries and not read.images:
            raise LabkitError(self.problems[-1] + " No image remains.")
        self._images, self._ids = read.images, read.ids
        self._index_of = {image["id"]: index for index, image in enumerate(read.images)}
        self._missing = ""
        if read.missing:
            are = "is" if len(read.missing) == 1 else "are"
            self._missing = (
                f"{self.label}: {len(read.missing)} of {len(read.images)} pictures {are} not in "
                f"{self.folder} ({listed(map(quote, read.missing), 3)}); put them there, or give "
                "the folder that they are in."
            )
            self.problems.append(self._missing)

    def _take_swapped_sizes(self, entries: list[Any]) -> None:
        swapped = {self._images[i]["id"]: i for i in swapped_sizes(self._images, self.folder)}
        if not swapped:
            return
        own: dict[int, list[Any]] = {number: [] for number in swapped}
        for entry in entries:
            if isinstance(entry, dict) and (n := self._ids.find(entry.get("image_id"))) in own:
                own[n].append(entry)
        for number, index in swapped.items():
            image = self._images[index]
            height, width = image["height"], image["width"]
            sizes = f"the file says {height} x {width}, the picture has {width} x {height}"
            if outlines_fit(own[number], width, height):
                self.repairs.note(SWAPPED, f"{quote(image['file_name'])}: {sizes}")
                image["height"], image["width"] = width, height
            else:
                self.problems.append(
                    f"{self.label}: height and width of {quote(image['file_name'])} are swapped "
                    f"({sizes}), and its outlines do not fit the picture; correct the file."
                )

    def _read_annotations(self, entries: list[Any]) -> None:
        seen, only_boxes = Seen(), []
        for number, entry in enumerate(entries):
            place = functools.partial(place_of, "annotations", number, entry)
            try:
                index, entry = self._checked_annotation(entry, place)
            except _OnlyBox:
                only_boxes.append(place())
                if self.strict:
                    break
                continue
            except Unusable as error:
                self._problem(f"{self.label}: {place()}: {error}", "the annotation is left out")
                continue
            if seen.is_duplicate(entry):
                self.repairs.note(DUPLICATES, place())
                continue
            self._annotations[index].append(seen.with_own_id(entry, place, self.repairs))
        if only_boxes:
            self._problem(
                f"{self.label}: {len(only_boxes)} of {len(entries)} annotations have a box but no "
                f"mask (segmentation is missing), the first is {only_boxes[0]}",
                "they are left out, so training would learn their objects as background",
                "Draw masks, or take the boxes as rectangular masks with boxes_as_masks=True "
                "(--boxes-as-masks).",
            )

    def _checked_annotation(
        self, entry: Any, place: Callable[[], str]
    ) -> tuple[int, dict[str, Any]]:
        """The index of an annotation's picture, and the annotation in COCO's form.

        Raises:
            Unusable: the annotation cannot be used.
        """
        if not isinstance(entry, dict):
            raise Unusable("it is not an object {…}")
        image_id, category_id = entry.get("image_id"), entry.get("category_id")
        image, category = self._ids.find(image_id), self._categories.find(category_id)
        if image not in self._index_of:
            raise Unusable(f"image_id {shown(image_id)} is not among the images")
        if category not in self._class_of:
            raise Unusable(f"category_id {shown(category_id)} is not among the categories")
        index = self._index_of[image]
        height, width = self._images[index]["height"], self._images[index]["width"]
        bbox = entry.get("bbox")
        wrong_box = bbox is not None and wrong_bbox(bbox, height, width)
        if bbox is not None and not has_mask(entry):
            if wrong_box:
                raise Unusable(wrong_box)
            if not self.boxes_as_masks:
                raise _OnlyBox()
            x, y, w, h = bbox
            entry = {**entry, "segmentation": rectangle(x, y, x + w, y + h)}
        entry = repair_annotation(entry, place, self.repairs)
        check_segmentation(entry.get("segmentation"), height, width)
        if wrong_box:
            self.repairs.note(BOXES, f"{place()}: {wrong_box}")
            entry = {key: value for key, value in entry.items() if key != "bbox"}
        plain = type(image_id) is type(category_id) is int
        if not plain or image != image_id or category != category_id:
            entry = {**entry, "image_id": image, "category_id": category}
        if self.crowds_as_instances and entry.get("iscrowd"):
            entry = {**entry, "iscrowd": 0}
        return index, entry

    def _remark_on_objects(self, given: int) -> None:
        """Problems of the data set as a whole: without objects there is nothing to learn."""
        crowds = sum(bool(a.get("iscrowd", 0)) for own in self._annotations for a in own)
        if not any(self._annotations) and self._images:
            listed_there = "none can be used" if given else "the file has none"
            self.problems.append(
                f"{self.label}: there is no object ({listed_there}), so there is nothing to learn "
                "but background."
            )
        elif given and crowds >= _NEARLY_ALL * given:
            self.problems.append(
                f"{self.label}: {crowds} of {given} annotations are marked as crowds "
                "(iscrowd 1), which training leaves out. If each is one object, as those painted "
                "with CVAT's brush are, load them with crowds_as_instances=True "
                "(--crowds-as-instances)."
            )

    def _problem(self, what: str, fate: str = "", remedy: str = "") -> None:
        self.problems.append(problem_sentence(what, fate, remedy, strict=self.strict))

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
            "segmentation covers no pixel of the image",
            "the annotation is left out",
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
        """Read every picture and check every mask; returns all problems, one sentence each.

        The list begins with `problems`. It adds pictures that are missing, unreadable or of another
        size, boxes that do not fit their masks (for example a bbox that was written as two corners
        instead of `[x, y, width, height]`), and pictures with two readings.
        """
        found = []
        for index, info in enumerate(self._images):
            found.extend(self._check_picture(info))
            for position in range(len(self._annotations[index])):
                found.extend(self._check_mask(index, position))
        # Every picture that is missing has a sentence of its own now.
        known = [problem for problem in self.problems if problem != self._missing]
        return [*known, *found, *readings(self)]

    def _check_picture(self, info: dict[str, Any]) -> list[str]:
        try:
            self._read_picture(info)  # the whole of it: a truncated file has a good header
        except LabkitError as error:
            return [str(error)]
        return []

    def check_picture(self, index: int) -> str:
        try:
            refuse_links_out(self.folder, self.picture_file(index))
        except LabkitError as error:
            return str(error)
        return super().check_picture(index)

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
        if same_box((y, x, y + height, x + width), tight):
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


def _crowd(annotations: Iterable[dict[str, Any]]) -> list[bool]:
    return [bool(annotation.get("iscrowd", 0)) for annotation in annotations]


class _OnlyBox(Unusable):
    """An annotation has a usable bbox and no mask."""


def _id_text(entry: Any) -> str:
    return f" (id {shown(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
