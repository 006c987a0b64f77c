"""What ground truth and results of COCO have in common: ids, numbers, boxes and masks, checked.

pycocotools trusts its input: a wrong id becomes a bare `AssertionError`, a NaN score a number that
looks fine, a broken run length an endless loop. So everything is checked here first, and an error
message says in one sentence what is wrong: file, entry, field, remedy. What is written oddly but
has one meaning only is read, as the readers of data sets do (`labkit.io.coco_repair`), and noted.
The caller's data is not changed; pycocotools gets copies, with masks as compressed RLE.
"""

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError, opening
from labkit.evaluation.rle import check_texts
from labkit.io.coco_repair import repair_annotation
from labkit.io.data_files import Unusable, shown
from labkit.io.ids import Ids, is_id
from labkit.io.repairs import Repairs

NO_MASKS = "has no segmentations"


def load(source: Any, what: str) -> tuple[Any, str]:
    """The data of a JSON file, or data as they are, and their name in messages.

    Raises:
        LabkitError: the file cannot be read, or is not JSON.
    """
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


def have_masks(entries: list) -> bool:
    """Whether any entry has a mask; box annotation tools write an empty segmentation into each."""
    return not entries or any(isinstance(e, dict) and e.get("segmentation") for e in entries)


def checked_ids(
    entry: Any, where: str, images: Ids, categories: Ids, truth: str
) -> tuple[int, int]:
    """The numbers of the image and category of an entry.

    Raises:
        LabkitError: a field is missing, or its id is not among the ground truth's.
    """
    image_id = identifier(entry, "image_id", where)
    image = images.find(image_id)
    if image is None:
        raise LabkitError(
            f"{where}: image_id {shown(image_id)} is not among the {len(images)} images of "
            f"{truth}; take the annotation file that belongs to these pictures."
        )
    category_id = identifier(entry, "category_id", where)
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


def identifier(entry: Any, key: str, where: str) -> int | str:
    """A field of an entry that must hold an id: a whole number or a text."""
    if not isinstance(entry, dict):
        raise LabkitError(f"{where}: is {type(entry).__name__}, but must be an object with {key}.")
    if key not in entry:
        raise LabkitError(f"{where}: has no {key}; add it.")
    value = entry[key]
    if type(value) is not int and not is_id(value):
        raise LabkitError(f"{where}: {key} is {shown(value)}; it must be a whole number or a text.")
    return value


def with_numbers(
    entry: dict, ids: tuple[int, int], where: str, place: str, repairs: Repairs
) -> dict:
    """An entry with the numbers used here for its ids, and its mask as COCO writes it."""
    try:
        entry = repair_annotation(entry, lambda: place, repairs)
    except Unusable as error:
        raise LabkitError(f"{where}: {error}; remove it, or outline it again.") from None
    if (entry["image_id"], entry["category_id"]) == ids and type(entry["image_id"]) is int:
        return entry
    return {**entry, "image_id": ids[0], "category_id": ids[1]}


def check_given_texts(entries: list[dict], given: list[dict], where: Callable[[int], str]) -> None:
    """Checks the masks that were given as a text; the others are checked already.

    Args:
        entries: as they are handed to pycocotools.
        given: the same entries as they came.
        where: how a message about an entry begins, from its number.

    Raises:
        LabkitError: a text is broken, or does not fit its image.
    """
    texts = [i for i, entry in enumerate(given) if _is_text(entry["segmentation"])]
    check_texts([entries[i]["segmentation"] for i in texts], lambda i: where(texts[i]))


def _is_text(segmentation: list | dict) -> bool:
    return isinstance(segmentation, dict) and isinstance(segmentation["counts"], (str, bytes))


def finite_number(entry: dict, key: str, where: str) -> float:
    """A field of an entry that must hold a number."""
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


def checked_bbox(entry: dict, checked: dict, where: str) -> list[float]:
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


def wrong_box(bbox: Any) -> str:
    """What is wrong with a bbox, as a part of a sentence; "" if nothing is."""
    try:
        values = [float(value) for value in bbox]
    except (TypeError, ValueError):
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)):
        return f"bbox is {shown(bbox)}, not four numbers"
    return f"bbox {shown(bbox)} has no area" if values[2] <= 0 or values[3] <= 0 else ""
