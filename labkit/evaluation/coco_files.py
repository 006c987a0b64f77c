"""Reads and checks what COCO evaluation needs: the ground truth and the results.

pycocotools trusts its input: a wrong id becomes a bare `AssertionError`, a NaN score a number that
looks fine, a broken run length an endless loop. So everything is checked here first, and an error
message says in one sentence what is wrong: file, entry, field, remedy. What is written oddly but
has one meaning only is read, as the readers of data sets do (`labkit.io.coco_repair`), and noted.
The caller's data is not changed; pycocotools gets copies, with masks as compressed RLE.
"""

import functools
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError, opening
from labkit.evaluation.rle import check_texts, checked_rle
from labkit.io.coco_repair import (
    BOXES,
    DUPLICATES,
    Seen,
    image_side,
    note_numbered,
    place_of,
    repair_annotation,
)
from labkit.io.data_files import Unusable, shown
from labkit.io.ids import Ids, is_id
from labkit.io.repairs import Repairs


@dataclass
class GroundTruth:
    """A checked COCO ground truth.

    Attributes:
        source: its path, or its name in messages.
        images: id -> (height, width). Where the file has no size, and no mask needs it, the
            smallest that holds the boxes.
        categories: [{"id", "name"}] in the order of the file.
        annotations: id (1, 2, …), image_id, category_id, bbox, area, iscrowd, segmentation (RLE).
        maskless: why masks cannot be evaluated, e.g. "has no segmentations"; "" if they can.
        image_ids, category_ids: the numbers used here, and the ids as they came.
        repairs: what was written oddly and was read.
    """

    source: str
    images: dict[int, tuple[int, int]]
    categories: list[dict]
    annotations: list[dict]
    maskless: str
    image_ids: Ids
    category_ids: Ids
    repairs: Repairs

    @property
    def has_masks(self) -> bool:
        """Whether annotations have a segmentation that can be evaluated."""
        return not self.maskless

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
        entries: image_id, category_id, score, bbox and, with masks, segmentation (RLE); with the
            ground truth's numbers for ids.
        maskless: why masks cannot be evaluated, as in `GroundTruth`.
        notes: what the reader of the numbers should know.
        repairs: what was written oddly and was read.
    """

    source: str
    entries: list[dict]
    maskless: str
    notes: list[str] = field(default_factory=list)
    repairs: Repairs = field(default_factory=Repairs)

    @property
    def has_masks(self) -> bool:
        """Whether entries have a segmentation that can be evaluated."""
        return not self.maskless


def read_ground_truth(annotations: str | os.PathLike | dict) -> GroundTruth:
    """Reads and checks a COCO annotation file.

    A missing `iscrowd` counts as 0; a missing `area` or `bbox` is measured from the segmentation.
    Sizes of images are needed for masks only. Annotations are renumbered from 1: nothing depends on
    their ids, and COCOeval takes an object whose id is 0 for a missed one.

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
    repairs = Repairs()
    image_ids, category_ids = (_ids(data[key], key, repairs) for key in ("images", "categories"))
    sizes = _read_images(data["images"], source, image_ids, repairs)
    categories = _read_categories(data["categories"], source, category_ids)
    where = functools.partial(_where, source, "annotations")
    entries = []
    for i, entry in enumerate(data["annotations"]):
        ids = _checked_ids(entry, where(i), image_ids, category_ids, _OWN)
        entries.append(_repaired(entry, ids, where(i), place_of("annotations", i, entry), repairs))
    maskless = "" if _have_masks(entries) else NO_MASKS
    maskless = maskless or _missing_sizes(sizes, entries, image_ids)
    truth = GroundTruth(source, {}, categories, [], maskless, image_ids, category_ids, repairs)
    truth.images = _known_sizes(sizes, entries)
    kept, seen = [], Seen()
    for i, entry in enumerate(entries):
        if seen.is_duplicate(entry):
            repairs.note(DUPLICATES, place_of("annotations", i, entry))
            continue
        kept.append(i)
        truth.annotations.append(_read_annotation(entry, len(kept), where(i), truth))
    _check_texts(truth, truth.annotations, [entries[i] for i in kept], lambda n: where(kept[n]))
    return truth


_OWN = "the file's own images and categories"
NO_MASKS = "has no segmentations"


def _where(source: str, list_name: str, number: int) -> str:
    """How messages begin: file, list and number of an entry."""
    return f"{source}: {list_name}[{number}]"


def _ids(entries: list, key: str, repairs: Repairs) -> Ids:
    ids = Ids(entry.get("id") for entry in entries if isinstance(entry, dict))
    note_numbered(ids, {"images": "image", "categories": "category"}[key], repairs)
    return ids


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
    checked = Results(source, [], "" if _have_masks(data) else NO_MASKS)
    if not truth.has_masks and truth.maskless != NO_MASKS:
        checked.maskless = truth.maskless  # without sizes no mask can be checked
    entries = []
    for i, entry in enumerate(data):
        where = f"{source}: entry {i}"
        ids = _checked_ids(entry, where, truth.image_ids, truth.category_ids, truth.source)
        entries.append(_repaired(entry, ids, where, f"entry {i}", checked.repairs))
        checked.entries.append(_read_result(entries[-1], where, truth.images, checked.has_masks))
    _check_texts(checked, checked.entries, entries, lambda n: f"{source}: entry {n}")
    _note_repeats(checked)
    return checked


def why_maskless(truth: GroundTruth, results: Results) -> list[tuple[str, str]]:
    """Why masks cannot be evaluated: (source, reason) of each file; empty if they can be."""
    if truth.maskless not in ("", NO_MASKS):  # the same reason for both
        return [(truth.source, truth.maskless)]
    return [(file.source, file.maskless) for file in (truth, results) if file.maskless]


def _repaired(entry: dict, ids: tuple[int, int], where: str, place: str, repairs: Repairs) -> dict:
    """An entry with the numbers used here for its ids, and its mask as COCO writes it."""
    try:
        entry = repair_annotation(entry, lambda: place, repairs)
    except Unusable as error:
        raise LabkitError(f"{where}: {error}; remove it, or outline it again.") from None
    if (entry["image_id"], entry["category_id"]) == ids and type(entry["image_id"]) is int:
        return entry
    return {**entry, "image_id": ids[0], "category_id": ids[1]}


def _check_texts(file, entries: list[dict], given: list[dict], where) -> None:
    """Checks the masks that were given as a text; the others are checked already."""
    if file.has_masks:
        texts = [i for i, entry in enumerate(given) if _is_text(entry["segmentation"])]
        compressed = [entries[i]["segmentation"] for i in texts]
        check_texts(compressed, lambda i: where(texts[i]))


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


def _read_images(
    entries: list, source: str, ids: Ids, repairs: Repairs
) -> dict[int, tuple[int, int] | None]:
    """The size of each image by its number; None where the file does not know it."""
    images: dict[int, tuple[int, int] | None] = {}
    for i, entry in enumerate(entries):
        where = f"{source}: images[{i}]"
        image_id = ids.find(_identifier(entry, "id", where))
        if image_id in images:
            raise LabkitError(
                f"{where}: id {shown(entry['id'])} was used by an earlier image; give each image "
                "its own."
            )
        size = [image_side(entry, key, f"images[{i}]", repairs) for key in ("height", "width")]
        images[image_id] = None if None in size else (size[0], size[1])
    if not images:
        raise LabkitError(f"{source}: lists no images, so there is nothing to evaluate.")
    return images


def _missing_sizes(sizes: dict, entries: list[dict], ids: Ids) -> str:
    """Why masks cannot be evaluated: polygons of an image whose size the file does not know."""
    for entry in entries:
        number = entry["image_id"]
        if sizes[number] is None and isinstance(entry.get("segmentation"), list):
            return f"has no height and width of image {shown(ids.original(number))}"
    return ""


def _known_sizes(sizes: dict, entries: list[dict]) -> dict[int, tuple[int, int]]:
    """The sizes; where the file has none, those of run lengths, or what holds the boxes."""
    found: dict[int, tuple[int, int]] = {n: size for n, size in sizes.items() if size}
    for entry in entries:
        segmentation, number = entry.get("segmentation"), entry["image_id"]
        size = segmentation.get("size") if isinstance(segmentation, dict) else None
        if isinstance(size, (list, tuple)) and len(size) == 2 and all(map(is_id, size)):
            found.setdefault(number, (int(size[0]), int(size[1])))
    held = {number: (1, 1) for number in sizes}
    for entry in entries:
        if not _wrong_box(entry.get("bbox")):
            (x, y, width, height), number = entry["bbox"], entry["image_id"]
            high, wide = held[number]
            held[number] = max(high, math.ceil(y + height)), max(wide, math.ceil(x + width))
    return held | found


def _read_categories(entries: list, source: str, ids: Ids) -> list[dict]:
    categories: list[dict] = []
    for i, entry in enumerate(entries):
        where = f"{source}: categories[{i}]"
        given = _identifier(entry, "id", where)
        category_id = ids.find(given)
        if any(category_id == other["id"] for other in categories):
            raise LabkitError(f"{where}: id {shown(given)} was used by an earlier category.")
        categories.append({"id": category_id, "name": str(entry.get("name", given))})
    if not categories:
        raise LabkitError(f"{source}: lists no categories; add one entry per class.")
    return categories


# -------------------------------------------------------------------------------- the entries


def _have_masks(entries: list) -> bool:
    """Whether any entry has a mask; box annotation tools write an empty segmentation into each."""
    return not entries or any(isinstance(e, dict) and e.get("segmentation") for e in entries)


def _read_annotation(entry: dict, number: int, where: str, truth: GroundTruth) -> dict:
    height, width = truth.images[entry["image_id"]]
    annotation = {
        "id": number,
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "iscrowd": int(entry.get("iscrowd", 0)),
    }
    if truth.has_masks:
        remedy = "remove it, or outline it again"
        annotation["segmentation"] = checked_rle(entry, where, height, width, remedy)
        if entry.get("bbox") is not None and (wrong := _wrong_box(entry["bbox"])):
            truth.repairs.note(BOXES, f"{place_of('annotations', number - 1, entry)}: {wrong}")
            entry = {key: value for key, value in entry.items() if key != "bbox"}
    annotation["bbox"] = _bbox(entry, annotation, where)
    if entry.get("area") is not None:
        annotation["area"] = _number(entry, "area", where)
    elif truth.has_masks:
        annotation["area"] = float(coco_mask.area(annotation["segmentation"]))
    else:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    return annotation


def _wrong_box(bbox: Any) -> str:
    """What is wrong with a bbox, as a part of a sentence; "" if nothing is."""
    try:
        values = [float(value) for value in bbox]
    except (TypeError, ValueError):
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)):
        return f"bbox is {shown(bbox)}, not four numbers"
    return f"bbox {shown(bbox)} has no area" if values[2] <= 0 or values[3] <= 0 else ""


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


def _checked_ids(
    entry: Any, where: str, images: Ids, categories: Ids, truth: str
) -> tuple[int, int]:
    """The numbers of the image and category of an entry, which must be known."""
    image_id = _identifier(entry, "image_id", where)
    image = images.find(image_id)
    if image is None:
        raise LabkitError(
            f"{where}: image_id {shown(image_id)} is not among the {len(images)} images of "
            f"{truth}; take the annotation file that belongs to these pictures."
        )
    category_id = _identifier(entry, "category_id", where)
    category = categories.find(category_id)
    if category is None:
        known = _some(categories)
        raise LabkitError(
            f"{where}: category_id {shown(category_id)} is not among the categories of {truth} "
            f"({known}); write the data set's own ids, not the model's class numbers."
        )
    return image, category


def _some(ids: Iterable, most: int = 12) -> str:
    """The first ids for a message."""
    ids = sorted(ids, key=str)
    return ", ".join(map(shown, ids[:most])) + (", …" if len(ids) > most else "")


def _identifier(entry, key: str, where: str) -> int | str:
    if not isinstance(entry, dict):
        raise LabkitError(f"{where}: is {type(entry).__name__}, but must be an object with {key}.")
    if key not in entry:
        raise LabkitError(f"{where}: has no {key}; add it.")
    value = entry[key]
    if type(value) is not int and not is_id(value):
        raise LabkitError(f"{where}: {key} is {shown(value)}; it must be a whole number or a text.")
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
