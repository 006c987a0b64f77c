"""Reads and checks what COCO evaluation needs: the ground truth and the results.

pycocotools trusts its input: a wrong id becomes a bare `AssertionError`, a NaN score a number that
looks fine, a broken run length an endless loop. So everything is checked here first, and an error
message says in one sentence what is wrong: file, entry, field, remedy. The caller's data is not
changed; pycocotools gets copies, with masks as compressed RLE.
"""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError, opening
from labkit.evaluation.rle import check_texts, checked_rle


@dataclass
class GroundTruth:
    """A checked COCO ground truth.

    Attributes:
        source: its path, or its name in messages.
        images: id -> (height, width).
        categories: [{"id", "name"}] in the order of the file.
        annotations: id (1, 2, …), image_id, category_id, bbox, area, iscrowd, segmentation (RLE).
        has_masks: whether annotations have a segmentation.
    """

    source: str
    images: dict[int, tuple[int, int]]
    categories: list[dict]
    annotations: list[dict]
    has_masks: bool

    @property
    def names(self) -> list[str]:
        """The category names; the id is added to equal ones, so that each is unique."""
        names = [category["name"] for category in self.categories]
        return [
            f"{name} ({category['id']})" if names.count(name) > 1 else name
            for name, category in zip(names, self.categories, strict=True)
        ]

    def as_coco(self) -> dict:
        """A new dict for pycocotools, which writes into what it is given."""
        return {
            "images": [{"id": i, "height": h, "width": w} for i, (h, w) in self.images.items()],
            "categories": [dict(category) for category in self.categories],
            "annotations": [dict(annotation) for annotation in self.annotations],
        }


@dataclass
class Results:
    """Checked COCO results.

    Attributes:
        source: the path of the file, or its name in messages.
        entries: image_id, category_id, score, bbox and, with masks, segmentation (RLE).
        has_masks: whether entries have a segmentation.
        notes: what the reader of the numbers should know.
    """

    source: str
    entries: list[dict]
    has_masks: bool
    notes: list[str] = field(default_factory=list)


def read_ground_truth(annotations: str | os.PathLike | dict) -> GroundTruth:
    """Reads and checks a COCO annotation file.

    A missing `iscrowd` counts as 0; a missing `area` or `bbox` is measured from the segmentation.
    Annotations are renumbered from 1: nothing depends on their ids, and COCOeval takes an object
    whose id is 0 for a missed one.

    Args:
        annotations: path of the file, or the dict it holds.

    Raises:
        LabkitError: the file cannot be read, or an entry is wrong (which one, and what to do).
    """
    data, source = _load(annotations, "the ground truth")
    if not isinstance(data, dict):
        raise LabkitError(
            f"{source}: holds a {type(data).__name__}, but a COCO annotation file is an object "
            "with images, annotations and categories; results go into the other argument."
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(data.get(key), list):
            raise LabkitError(
                f"{source}: the list {key!r} is missing; a COCO annotation file has images, "
                "annotations and categories (a captions or panoptic file will not do)."
            )
    images = _read_images(data["images"], source)
    categories = _read_categories(data["categories"], source)
    known = {category["id"] for category in categories}
    has_masks = _have_masks(data["annotations"])
    truth = GroundTruth(source, images, categories, [], has_masks)
    for i, entry in enumerate(data["annotations"]):
        where = f"{source}: annotations[{i}]"
        _check_ids(entry, where, images, known, "the file's own images and categories")
        truth.annotations.append(_read_annotation(entry, i + 1, where, images, has_masks))
    _check_texts(truth, truth.annotations, data["annotations"], "annotations[{}]")
    return truth


def read_results(results: str | os.PathLike | list, truth: GroundTruth) -> Results:
    """Reads a COCO results file and checks it against the ground truth.

    Args:
        results: path of the file, or the list it holds.
        truth: the ground truth, whose ids the results must use.

    Raises:
        LabkitError: the file cannot be read, or an entry is wrong (which one, and what to do).
    """
    data, source = _load(results, "the results")
    if not isinstance(data, list):
        raise LabkitError(
            f"{source}: holds a {type(data).__name__}, but COCO results are a list of entries with "
            "image_id, category_id, score and bbox or segmentation."
        )
    known = {category["id"] for category in truth.categories}
    has_masks = _have_masks(data)
    checked = Results(source, [], has_masks)
    for i, entry in enumerate(data):
        where = f"{source}: entry {i}"
        _check_ids(entry, where, truth.images, known, truth.source)
        checked.entries.append(_read_result(entry, where, truth.images, has_masks))
    _check_texts(checked, checked.entries, data, "entry {}")
    _note_repeats(checked)
    return checked


def _check_texts(file, entries: list[dict], given: list[dict], name: str) -> None:
    """Checks the masks that were given as a text; the others are checked already."""
    if file.has_masks:
        texts = [i for i, entry in enumerate(given) if _is_text(entry["segmentation"])]
        compressed = [entries[i]["segmentation"] for i in texts]
        check_texts(compressed, lambda i: f"{file.source}: {name.format(texts[i])}")


def _is_text(segmentation: list | dict) -> bool:
    return isinstance(segmentation, dict) and isinstance(segmentation["counts"], (str, bytes))


# -------------------------------------------------------------------------------- the files


def _load(source, what: str):
    """The data, and its name in messages."""
    if not isinstance(source, (str, os.PathLike)):
        return source, what
    path = Path(source)
    try:
        with opening(path), open(path, encoding="utf-8-sig") as file:
            return json.load(file), str(path)
    except json.JSONDecodeError as error:
        raise LabkitError(
            f"{path}: is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
            "was it cut off while being written?"
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise LabkitError(f"{path}: is not a JSON text file.") from None


def _read_images(entries: list, source: str) -> dict:
    images: dict[int, tuple[int, int]] = {}
    for i, entry in enumerate(entries):
        where = f"{source}: images[{i}]"
        image_id = _identifier(entry, "id", where)
        if image_id in images:
            raise LabkitError(
                f"{where}: id {image_id} was used by an earlier image; give each image its own."
            )
        size = []
        for key in ("height", "width"):
            value = _number(entry, key, where)
            if value < 1 or value != int(value):
                raise LabkitError(f"{where}: {key} is {value}; it must be a whole number of pixels")
            size.append(int(value))
        images[image_id] = (size[0], size[1])
    if not images:
        raise LabkitError(f"{source}: lists no images, so there is nothing to evaluate.")
    return images


def _read_categories(entries: list, source: str) -> list[dict]:
    categories: list[dict] = []
    for i, entry in enumerate(entries):
        where = f"{source}: categories[{i}]"
        category_id = _identifier(entry, "id", where)
        if any(category_id == other["id"] for other in categories):
            raise LabkitError(f"{where}: id {category_id} was used by an earlier category.")
        categories.append({"id": category_id, "name": str(entry.get("name", category_id))})
    if not categories:
        raise LabkitError(f"{source}: lists no categories; add one entry per class.")
    return categories


# -------------------------------------------------------------------------------- the entries


def _have_masks(entries: list) -> bool:
    """Whether any entry has a mask; box annotation tools write an empty segmentation into each."""
    return not entries or any(isinstance(e, dict) and e.get("segmentation") for e in entries)


def _read_annotation(entry: dict, number: int, where: str, images: dict, has_masks: bool) -> dict:
    height, width = images[entry["image_id"]]
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise LabkitError(f"{where}: iscrowd is {crowd!r}; it must be 0 or 1.")
    annotation = {
        "id": number,
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "iscrowd": int(crowd),
    }
    if has_masks:
        remedy = "remove it, or outline it again"
        annotation["segmentation"] = checked_rle(entry, where, height, width, remedy)
    annotation["bbox"] = _bbox(entry, annotation, where)
    if "area" in entry:
        annotation["area"] = _number(entry, "area", where)
    elif has_masks:
        annotation["area"] = float(coco_mask.area(annotation["segmentation"]))
    else:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    return annotation


def _read_result(entry: dict, where: str, images: dict, has_masks: bool) -> dict:
    height, width = images[entry["image_id"]]
    result = {
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "score": _number(entry, "score", where),
    }
    if has_masks:
        remedy = "give every entry a mask, or none (then only boxes are evaluated)"
        result["segmentation"] = checked_rle(entry, where, height, width, remedy)
    result["bbox"] = _bbox(entry, result, where)
    return result


def _check_ids(entry, where: str, images: dict, categories: set, truth: str) -> None:
    """Checks that image_id and category_id are present and known."""
    image_id = _identifier(entry, "image_id", where)
    if image_id not in images:
        raise LabkitError(
            f"{where}: image_id {image_id!r} is not among the {len(images)} images of {truth}; "
            "take the annotation file that belongs to these pictures."
        )
    category_id = _identifier(entry, "category_id", where)
    if category_id not in categories:
        some = ", ".join(str(c) for c in sorted(categories, key=str)[:12])
        raise LabkitError(
            f"{where}: category_id {category_id!r} is not among the categories of {truth} "
            f"({some}{', …' if len(categories) > 12 else ''}); write the data set's own ids, not "
            "the model's class numbers."
        )


def _identifier(entry, key: str, where: str) -> int | str:
    if not isinstance(entry, dict):
        raise LabkitError(f"{where}: is {type(entry).__name__}, but must be an object with {key}.")
    if key not in entry:
        raise LabkitError(f"{where}: has no {key}; add it.")
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise LabkitError(f"{where}: {key} is {value!r}; it must be a whole number.")
    return value


def _number(entry: dict, key: str, where: str) -> float:
    value = entry.get(key)
    if value is None:
        raise LabkitError(f"{where}: has no {key}; add it.")
    number = isinstance(value, (int, float, np.integer, np.floating))
    if isinstance(value, bool) or not number:
        raise LabkitError(f"{where}: {key} is {value!r}; it must be a number.")
    if not math.isfinite(value):
        raise LabkitError(
            f"{where}: {key} is {value}, which cannot be ranked; leave such entries out (a model "
            "whose training diverged writes them)."
        )
    return float(value)


def _bbox(entry: dict, checked: dict, where: str) -> list[float]:
    """[x, y, width, height]; measured from the mask where the entry has none."""
    box = entry.get("bbox")
    if box is None:
        if "segmentation" not in checked:
            raise LabkitError(f"{where}: has neither bbox nor segmentation; add one of them.")
        return coco_mask.toBbox(checked["segmentation"]).tolist()
    try:
        box = [float(value) for value in box]
    except (TypeError, ValueError):
        box = []
    if len(box) != 4 or not all(map(math.isfinite, box)):
        raise LabkitError(
            f"{where}: bbox is {entry['bbox']!r}; it must be four numbers x, y, width, height."
        )
    if box[2] < 0 or box[3] < 0:
        raise LabkitError(
            f"{where}: bbox {box} has a negative size; COCO boxes are x, y, width, height, not two "
            "corners."
        )
    return box


def _note_repeats(results: Results) -> None:
    """Notes exact repeats: they are legal, but nearly always a file that was appended to twice."""
    seen, repeats, first = set(), 0, None
    for i, entry in enumerate(results.entries):
        key = (entry["image_id"], entry["category_id"], entry["score"], *entry["bbox"])
        key += (entry.get("segmentation", {}).get("counts"),)
        if key in seen:
            repeats += 1
            first = i if first is None else first
        seen.add(key)
    if repeats:
        results.notes.append(
            f"{repeats} of {len(results.entries)} results repeat an earlier one exactly (the first "
            f"is entry {first}); each counts as a false positive, so write every detection once."
        )
