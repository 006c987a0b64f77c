"""Entries of a COCO file that are written oddly, as COCO writes them.

Each function takes a value from a file, returns it as COCO would have it, and notes what it
changed. What has one meaning only is repaired; everything else stays as it is, and the reader
refuses it. The reader of data sets and evaluation (ground truth and results) share these rules.

Polygons are repaired by their parts: a part without an area covers no pixel, so it is skipped, and
the rest of the object is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labkit.io.data_files import Unusable, is_number, quote, shown
from labkit.io.ids import Ids, is_id, whole_number
from labkit.io.repairs import Repairs

_PLAIN_NUMBERS = {int, float}
_FLAT = 1e-6  # px²: corners that span less than this lie on one line
_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1, "": 0}
_ROOTS = (None, "", "none")  # what Roboflow writes as the supercategory of the empty parent

NUMBERED = "Ids that are not whole numbers of 64 bits are numbered inside labkit"
READ_IDS = "Ids written as texts or with a decimal point were read as whole numbers"
SIZES = "Sizes that are texts, or numbers with a decimal point, were read as whole numbers"
SWAPPED = "Height and width that are swapped were taken from the picture"
FLAT = "A flat list of coordinates was read as one polygon"
POINTS = "Polygons written as lists of points were read"
LISTED = "Run lengths inside a list were read"
PARTS = "Parts of polygons that have no area were skipped and the rest kept"
CROWD = "An iscrowd that is not written as 0 or 1 was read"
BOXES = "A bbox that cannot be right was measured from the mask"
NAMES = "Class names that are numbers were read as texts"
PARENT = "A parent category that no annotation uses was left out"
REPEATED = "Annotation ids that occur several times were replaced"
ODD_IDS = "Annotation ids that are not whole numbers were replaced"
DUPLICATES = "Exact duplicates of an earlier annotation were left out"


def place_of(entries: str, number: int, entry: Any = None) -> str:
    """What messages call an entry: `annotations[3] (id 7)`."""
    named = f" (id {shown(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
    return f"{entries}[{number}]{named}"


# ---- categories ----------------------------------------------------------------------------------


def category_name(entry: dict[str, Any], place: str, repairs: Repairs) -> str | None:
    """The name of a category; a number becomes a text. None if it has no name."""
    name = entry.get("name")
    if isinstance(name, (int, float)) and not isinstance(name, bool):
        repairs.note(NAMES, f"{place}: {name}")
        return str(name)
    return name if isinstance(name, str) else None


def without_empty_parent(
    categories: Sequence[Any], annotations: Sequence[Any], repairs: Repairs
) -> list[Any]:
    """The categories without the parent that Roboflow's export puts above the classes.

    That is a category which others name as their supercategory, which has none itself, and which no
    annotation uses: a class without a single example would be learnt and evaluated in vain.
    """
    entries = [entry for entry in categories if isinstance(entry, dict)]
    named = {
        entry["supercategory"]
        for entry in entries
        if isinstance(entry.get("supercategory"), str)
        and entry["supercategory"] != entry.get("name")
    }
    suspects = [
        entry
        for entry in entries
        if entry.get("name") in named and entry.get("supercategory") in (*_ROOTS, entry["name"])
    ]
    if not suspects or not annotations:
        return list(categories)
    ids = Ids(entry.get("id") for entry in entries)
    used = {ids.find(a.get("category_id")) for a in annotations if isinstance(a, dict)}
    dropped = [entry for entry in suspects if ids.find(entry.get("id")) not in used]
    if len(dropped) == len(entries):
        return list(categories)
    for entry in dropped:
        repairs.note(PARENT, f"{quote(entry['name'])}, id {shown(entry.get('id'))}")
    return [entry for entry in categories if not any(entry is other for other in dropped)]


def note_numbered(ids: Ids, what: str, repairs: Repairs) -> None:
    """Note the ids of images or categories that are not the number they have inside labkit."""
    for number, value in ids.originals.items():
        kind = READ_IDS if whole_number(value) == number else NUMBERED
        repairs.note(kind, f"the {what} id {shown(value)} is {number}")


# ---- sizes ---------------------------------------------------------------------------------------


def image_side(entry: dict[str, Any], field: str, place: str, repairs: Repairs) -> int | None:
    """A picture's height or width, in pixels; None if the file does not know it.

    Programs that have not opened a picture write -1, 0, null or "unknown".
    """
    value = entry.get(field)
    if type(value) is int:
        return value if value > 0 else None
    number = whole_number(value) if is_id(value) else None
    if number is None or number < 1:
        return None
    repairs.note(SIZES, f"{place}: {field} {shown(value)}")
    return number


# ---- segmentations -------------------------------------------------------------------------------


def repair_segmentation(segmentation: Any, note: Callable[[str, str], None]) -> Any:
    """A segmentation as COCO writes it: polygons `[[x, y, …], …]`, or run lengths `{…}`.

    Args:
        segmentation: of an annotation or a result; it is not changed.
        note: is called with the kind of each repair and its details.

    Returns:
        The same object if there is nothing to repair. What is neither polygons nor run lengths
        stays as it is, for `labkit.ops.coco_masks` to name.

    Raises:
        Unusable: no part of it has an area.
    """
    if type(segmentation) is not list or not segmentation:
        return list(segmentation) if isinstance(segmentation, tuple) else segmentation
    if all(map(_is_whole, segmentation)):  # nearly always
        return segmentation
    if len(segmentation) == 1 and isinstance(segmentation[0], Mapping):
        note(LISTED, "")
        return segmentation[0]
    if all(map(is_number, segmentation)):
        if len(segmentation) >= 6 and len(segmentation) % 2 == 0:
            note(FLAT, "")
        return [segmentation]
    if len(segmentation) > 2 and all(_point(part) is not None for part in segmentation):
        note(POINTS, "")
        return [_flattened(segmentation)]
    return _whole_parts(segmentation, note)


def _whole_parts(parts: list[Any], note: Callable[[str, str], None]) -> list[Any]:
    """The parts that have an area, with lists of points made flat."""
    read, points = [], False
    for part in parts:
        is_list = isinstance(part, (list, tuple)) and len(part) > 0
        if is_list and all(_point(point) is not None for point in part):
            part, points = _flattened(part), True
        read.append(list(part) if isinstance(part, tuple) else part)
    whole = [part for part in read if _is_whole(part)]
    if points:
        note(POINTS, "")
    if not whole:
        return _only_degenerate(read)
    for number, part in enumerate(read):
        if not _is_whole(part):
            note(PARTS, f"part {number} {_why(part)}")
    return whole


def _only_degenerate(parts: list[Any]) -> list[Any]:
    """All parts lie on a line, and filling them tells whether they cover a pixel; or Unusable."""
    wrong = [part for part in parts if _why(part) != _ON_A_LINE]
    if not any(parts):
        raise Unusable("segmentation is an empty list; give at least one polygon")
    if wrong:
        raise Unusable(f"segmentation holds a polygon that {_why(wrong[0])}")
    return parts


def _is_whole(part: Any) -> bool:
    """Whether a part is a polygon: three corners or more, all finite, not on one line."""
    return (
        type(part) is list
        and len(part) >= 6
        and not len(part) % 2
        and set(map(type, part)) <= _PLAIN_NUMBERS
        and -1e300 < sum(part) < 1e300  # false for NaN
        and not _on_a_line(part)
    )


_ON_A_LINE = "has all its corners on one line"


def _why(part: Any) -> str:
    """Why a part is not a polygon, as the end of a sentence."""
    if not isinstance(part, list):
        return f"is {shown(part)}, not a list of numbers [x, y, x, y, …]"
    if not all(map(is_number, part)):
        return f"is {shown(part)}, not a list of finite numbers [x, y, x, y, …]"
    if len(part) < 6 or len(part) % 2:
        return (
            f"has {len(part)} numbers; it takes an even number, 6 at least (three corners), in the "
            "order [x, y, x, y, …]"
        )
    return _ON_A_LINE


def _on_a_line(polygon: list[float]) -> bool:
    x0, y0 = polygon[0], polygon[1]
    dx = dy = 0.0
    for i in range(2, len(polygon), 2):  # stops at the third corner of nearly every polygon
        x, y = polygon[i] - x0, polygon[i + 1] - y0
        if not dx and not dy:
            dx, dy = x, y
        elif abs(dx * y - dy * x) > _FLAT:
            return False
    return True


def _point(value: Any) -> tuple[Any, Any] | None:
    """A corner that is written as [x, y] or {"x": x, "y": y}; None for anything else."""
    if isinstance(value, Mapping) and value.keys() == {"x", "y"}:
        value = (value["x"], value["y"])
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(is_number, value)):
        return value[0], value[1]
    return None


def _flattened(points: Sequence[Any]) -> list[Any]:
    return [coordinate for point in points for coordinate in _point(point)]


# ---- annotations ---------------------------------------------------------------------------------


def repair_annotation(entry: dict[str, Any], place: Callable[[], str], repairs: Repairs) -> dict:
    """An annotation with its segmentation and iscrowd as COCO writes them.

    Args:
        entry: the annotation; it is not changed.
        place: what messages call it.
        repairs: what is changed is noted there.

    Returns:
        The same object if there is nothing to repair.

    Raises:
        Unusable: no part of its segmentation has an area, or its iscrowd means nothing.
    """
    changes = {}
    segmentation = entry.get("segmentation")
    repaired = repair_segmentation(segmentation, functools.partial(_note, repairs, place))
    if repaired is not segmentation:
        changes["segmentation"] = repaired
    crowd = entry.get("iscrowd", 0)
    if type(crowd) is not int or crowd not in (0, 1):
        changes["iscrowd"] = crowd_flag(crowd, place, repairs)
    return {**entry, **changes} if changes else entry


def _note(repairs: Repairs, place: Callable[[], str], kind: str, detail: str) -> None:
    repairs.note(kind, f"{place()}: {detail}" if detail else place())


def crowd_flag(value: Any, place: Callable[[], str], repairs: Repairs) -> int:
    """An `iscrowd` as 0 or 1: null, booleans and texts are read.

    Raises:
        Unusable: it means neither.
    """
    if isinstance(value, (bool, int)) and value in (0, 1):
        return int(value)
    key = "" if value is None else str(value).strip().lower()
    if isinstance(value, (list, dict)) or key not in _FLAGS:
        raise Unusable(f"iscrowd is {shown(value)}, not 0 or 1")
    repairs.note(CROWD, f"{place()}: {shown(value)} as {_FLAGS[key]}")
    return _FLAGS[key]


def has_mask(entry: dict[str, Any]) -> bool:
    """Whether an annotation has a segmentation; tools for boxes write [] or [[]], null or none."""
    segmentation = entry.get("segmentation")
    return bool(segmentation) and (
        not isinstance(segmentation, (list, tuple)) or any(part != [] for part in segmentation)
    )


class Seen:
    """The annotations so far, to find repeated ids and exact duplicates."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._alike: dict[Any, list[dict[str, Any]]] = {}

    def is_duplicate(self, entry: dict[str, Any]) -> bool:
        """Whether an earlier annotation has the same image, category, crowd and mask.

        Boxes count where there is no mask; beside a mask they follow from it.
        """
        segmentation = entry.get("segmentation")
        outline = segmentation[0] if type(segmentation) is list and segmentation else segmentation
        if type(outline) is dict:
            outline = outline.get("counts")
        start = tuple(outline[:8]) if type(outline) is list else outline
        key = (entry.get("image_id"), entry.get("category_id"), start)
        try:
            alike = self._alike.setdefault(key, [])
        except TypeError:  # it holds something that is no number, and is refused elsewhere
            return False
        if any(_same(entry, other) for other in alike):
            return True
        alike.append(entry)
        return False

    def with_own_id(
        self, entry: dict[str, Any], place: Callable[[], str], repairs: Repairs
    ) -> dict[str, Any]:
        """The annotation; without its id if that is no whole number, or an earlier one has it."""
        if "id" not in entry:
            return entry
        number = entry["id"]
        if type(number) is int and number not in self._ids:
            self._ids.add(number)
            return entry
        repairs.note(REPEATED if type(number) is int else ODD_IDS, place())
        return {key: value for key, value in entry.items() if key != "id"}


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    fields = ("segmentation", "iscrowd") if has_mask(a) else ("bbox", "iscrowd")
    return all(a.get(field, 0) == b.get(field, 0) for field in fields)
