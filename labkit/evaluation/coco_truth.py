"""The ground truth of a COCO evaluation, read and checked."""

import functools
import math
import os
from dataclasses import dataclass

from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.evaluation.coco_entries import (
    NO_MASKS,
    check_given_texts,
    checked_bbox,
    checked_ids,
    finite_number,
    have_masks,
    identifier,
    load,
    with_numbers,
    wrong_box,
)
from labkit.evaluation.rle import checked_rle
from labkit.io.coco_repair import (
    BOXES,
    DUPLICATES,
    Seen,
    image_side,
    note_numbered,
    place_of,
)
from labkit.io.data_files import shown
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


_OWN = "the file's own images and categories"


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
    data, source = load(annotations, "the ground truth")
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
        ids = checked_ids(entry, where(i), image_ids, category_ids, _OWN)
        entries.append(
            with_numbers(entry, ids, where(i), place_of("annotations", i, entry), repairs)
        )
    maskless = "" if have_masks(entries) else NO_MASKS
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
    if truth.has_masks:
        check_given_texts(truth.annotations, [entries[i] for i in kept], lambda n: where(kept[n]))
    return truth


def _where(source: str, list_name: str, number: int) -> str:
    """How messages begin: file, list and number of an entry."""
    return f"{source}: {list_name}[{number}]"


def _ids(entries: list, key: str, repairs: Repairs) -> Ids:
    ids = Ids(entry.get("id") for entry in entries if isinstance(entry, dict))
    note_numbered(ids, {"images": "image", "categories": "category"}[key], repairs)
    return ids


def _read_images(
    entries: list, source: str, ids: Ids, repairs: Repairs
) -> dict[int, tuple[int, int] | None]:
    """The size of each image by its number; None where the file does not know it."""
    images: dict[int, tuple[int, int] | None] = {}
    for i, entry in enumerate(entries):
        where = f"{source}: images[{i}]"
        image_id = ids.find(identifier(entry, "id", where))
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
        if not wrong_box(entry.get("bbox")):
            (x, y, width, height), number = entry["bbox"], entry["image_id"]
            high, wide = held[number]
            held[number] = max(high, math.ceil(y + height)), max(wide, math.ceil(x + width))
    return held | found


def _read_categories(entries: list, source: str, ids: Ids) -> list[dict]:
    categories: list[dict] = []
    for i, entry in enumerate(entries):
        where = f"{source}: categories[{i}]"
        given = identifier(entry, "id", where)
        category_id = ids.find(given)
        if any(category_id == other["id"] for other in categories):
            raise LabkitError(f"{where}: id {shown(given)} was used by an earlier category.")
        categories.append({"id": category_id, "name": str(entry.get("name", given))})
    if not categories:
        raise LabkitError(f"{source}: lists no categories; add one entry per class.")
    return categories


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
        if entry.get("bbox") is not None and (wrong := wrong_box(entry["bbox"])):
            truth.repairs.note(BOXES, f"{place_of('annotations', number - 1, entry)}: {wrong}")
            entry = {key: value for key, value in entry.items() if key != "bbox"}
    annotation["bbox"] = checked_bbox(entry, annotation, where)
    if entry.get("area") is not None:
        annotation["area"] = finite_number(entry, "area", where)
    elif truth.has_masks:
        annotation["area"] = float(coco_mask.area(annotation["segmentation"]))
    else:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    return annotation
