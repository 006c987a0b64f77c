"""A data set as a clean COCO folder: what was repaired stays repaired, and every change is listed.

OUT/
annotations.json   COCO, with whole numbers for ids, sizes of the pictures and boxes that fit
images/            copies of the pictures, byte for byte, under their names
changes.txt        every repair, and everything that was left out, one a line
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from labkit.data.dataset import Dataset
from labkit.data.readers.coco_boxes import same_box
from labkit.errors import LabkitError
from labkit.io.coco_repair import DUPLICATES, Seen
from labkit.io.data_files import Unusable, path_inside, quote, write_json, write_text
from labkit.io.repairs import Repairs
from labkit.ops.coco_masks import decode_segmentation
from labkit.ops.mask_boxes import boxes_from_masks

MEASURED = "A bbox that is not the box of its mask was measured anew"


def save_repaired(dataset: Dataset, folder: str | os.PathLike) -> Path:
    """Write a data set with its repairs as COCO, its pictures, and a list of every change.

    Every picture is read, so broken ones are left out. Pictures are copied, not referred to: the
    folder is complete in itself, and the original may go.

    Args:
        dataset: any data set.
        folder: a new or an empty folder.

    Returns:
        `folder/annotations.json`. `load_dataset(folder)` finds nothing more to repair.

    Raises:
        LabkitError: the folder holds something, or no picture can be used.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabkitError(f"{folder} is not an empty folder; give a new one.")
    changes, left_out, seen = Repairs(), list(dataset.problems), Seen()
    images, annotations = [], []
    for index in range(len(dataset)):
        info = dataset.image_info(index)
        try:
            name = _save_picture(dataset, index, folder / "images")
        except LabkitError as error:
            left_out.append(f"{error} The picture is left out.")
            continue
        size = {"height": info["height"], "width": info["width"]}
        images.append({"id": info["id"], "file_name": name, **size})
        for entry in dataset.coco_annotations(index):
            fitting = _fitting(entry, info, changes)
            if fitting is None:
                continue
            if seen.is_duplicate(fitting):
                changes.note(DUPLICATES, f"an annotation of {quote(info['file_name'])}")
                continue
            annotations.append({**fitting, "id": len(annotations) + 1})
    if not images:
        raise LabkitError(f"No picture can be used, so nothing was written. {left_out[-1]}")
    # Entries without a pixel become problems when their picture is read, that is, above.
    left_out += [problem for problem in dataset.problems if problem not in left_out]
    categories = [
        {"id": number, "name": name}
        for number, name in zip(dataset.category_ids, dataset.class_names, strict=True)
    ]
    path = folder / "annotations.json"
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})
    repairs = getattr(dataset.repairs, "changes", lambda: list(dataset.repairs))()
    write_text(folder / "changes.txt", _listed(repairs + changes.changes(), left_out))
    return path


def _save_picture(dataset: Dataset, index: int, folder: Path) -> str:
    """Copy a picture, or write it as PNG where it has no file of its own; returns its name."""
    image = dataset.read(index).image  # raises if it is broken
    source, info = dataset.picture_file(index), dataset.image_info(index)
    try:
        path = path_inside(folder, info["file_name"])
    except Unusable:
        path = folder / f"{info['id']:06d}"
    if source is None:
        path = path.with_suffix(".png")
    while path.exists():  # two data sets may use one name
        path = path.with_name(f"{info['id']}-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if source is None:
        Image.fromarray(image).save(path)
    else:
        shutil.copyfile(source, path)
    return path.relative_to(folder).as_posix()


def _fitting(entry: dict[str, Any], info: dict[str, Any], changes: Repairs) -> dict | None:
    """An annotation whose bbox is that of its mask; None if it covers no pixel."""
    mask = decode_segmentation(entry["segmentation"], info["height"], info["width"])
    if not mask.any():
        return None
    y1, x1, y2, x2 = tight = boxes_from_masks(mask[None])[0].tolist()
    x, y, width, height = entry["bbox"]
    if same_box((y, x, y + height, x + width), tight):
        return entry
    changes.note(MEASURED, f"an annotation of {quote(info['file_name'])}: {entry['bbox']}")
    return {**entry, "bbox": [x1, y1, x2 - x1, y2 - y1]}


def _listed(repairs: list[str], left_out: list[str]) -> str:
    lines = [f"repaired: {change}" for change in repairs]
    lines += [f"problem: {problem}" for problem in left_out]
    return "".join(f"{line}\n" for line in lines or ["nothing had to be changed"])
