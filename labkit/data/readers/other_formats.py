"""Formats that labkit does not read: recognised, to say which export of the same tool it does."""

from __future__ import annotations

import csv
import mmap
import re
from collections.abc import Iterable
from pathlib import Path

# The keys of a json, and what to say about it. The first line of which all keys occur is taken.
_JSON = (
    (
        ("items", "annotations", "categories", "label_id"),
        "is Datumaro's json, which labkit does not read; export the project as COCO (in CVAT "
        '"COCO 1.0", on the command line `datum project export -f coco_instances`)',
    ),
    (
        ("annotations", "coordinates", "label"),
        "is CreateML's json, which holds boxes and no masks; export the outlines from the tool "
        "that drew them, as COCO",
    ),
    (
        ("image_id", "category_id", "score"),
        "is a file of results, not of annotations; give it to `labkit evaluate --results`, with "
        "the annotations beside it",
    ),
    (
        ("image_id", "caption"),
        "is COCO's file of captions, without objects; take instances_….json of the same data",
    ),
    (
        ("objects", "classTitle", "exterior"),
        "is Supervisely's json, which labkit does not read; export the project as COCO",
    ),
)
_VIA_CSV = {"filename", "region_shape_attributes", "region_attributes"}
_MOST_FILES = 50


def other_format(path: Path) -> str | None:
    """What to say about a file in a known format that is not read; the end of a sentence."""
    if path.suffix.lower() == ".csv":
        return _about_csv(path)
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return next((text for keys, text in _JSON if all(_has(m, key) for key in keys)), None)
    except (OSError, ValueError):  # unreadable, or empty
        return None


def other_format_in(files: Iterable[Path]) -> str | None:
    """A sentence about the first of these files that is in such a format."""
    files = [path for path in files if path.suffix.lower() in (".json", ".csv")]
    for path in files[:_MOST_FILES]:
        if text := other_format(path):
            return f"{path} {text}."
    return None


def _has(content: mmap.mmap, key: str) -> bool:
    return re.search(rf'"{key}"\s*:'.encode(), content) is not None


def _about_csv(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            columns = next(csv.reader(stream), [])
    except (OSError, csv.Error):
        return None
    if {column.lstrip("#").strip() for column in columns} >= _VIA_CSV:
        return (
            "is VIA's csv, which labkit does not read; in VIA choose Annotation, Export "
            "Annotations (as json)"
        )
    return None
