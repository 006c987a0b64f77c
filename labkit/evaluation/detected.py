"""What `labkit detect` wrote, as results: its pictures and classes are found in the truth by name.

`labkit detect` numbers the pictures that it is given, and knows nothing of the ground truth that
they may later be compared with. Its file names every picture and every class, and that is enough.
"""

import itertools
import os
from pathlib import Path, PurePosixPath
from typing import Any

from labkit.errors import LabkitError, listed, opening
from labkit.io.data_files import quote, read_json
from labkit.models.class_names import places_by_name


def as_results(
    results: str | os.PathLike | list | dict, annotations: str | os.PathLike | dict
) -> tuple[Any, list[str]]:
    """COCO results with the ids of the ground truth, and notes for the reader of the numbers.

    Args:
        results: a file that `labkit detect` wrote, or the dict in it. Anything else comes back as
            it is.
        annotations: the ground truth, as in `evaluate_results`; it has been checked.

    Raises:
        LabkitError: a picture is not in the ground truth, or two may be meant.
    """
    source, found = "the results", results
    if isinstance(results, str | os.PathLike):
        source, found = str(results), read_json(results) if _is_object(results) else None
    if not _is_detected(found):
        return results, []
    truth = annotations if isinstance(annotations, dict) else read_json(annotations)
    images = _image_ids(found["images"], truth["images"], source)
    categories, notes = _category_ids(found["categories"], truth["categories"])
    entries = [
        {
            **{name: entry[name] for name in ("bbox", "segmentation", "score") if name in entry},
            "image_id": images[entry["image_id"]],
            "category_id": categories[entry["category_id"]],
        }
        for entry in found["annotations"]
        if entry["category_id"] in categories
    ]
    return entries, notes


def _is_object(path: str | os.PathLike) -> bool:
    """Whether a file of JSON begins with a brace: results are a list, and may be large."""
    with opening(path), Path(path).open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def _is_detected(content: Any) -> bool:
    """Whether this is a data set whose annotations have scores, and ids of its own entries."""
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(n), list) for n in lists):
        return False
    try:
        images = {image["id"] for image in content["images"] if image["file_name"]}
        categories = {category["id"] for category in content["categories"] if category["name"]}
        return all(
            "score" in entry and entry["image_id"] in images and entry["category_id"] in categories
            for entry in content["annotations"]
        )
    except (KeyError, TypeError):
        return False


def _image_ids(images: list[dict], truth: list[dict], source: str) -> dict[int, Any]:
    """The ground truth's id of each image, by the id that it has in the file of detections."""
    alike: dict[str, list[tuple[PurePosixPath, Any]]] = {}
    for image in truth:
        path = _path_of(image)
        alike.setdefault(path.name, []).append((path, image["id"]))
    ids = {}
    for image in images:
        path = _path_of(image)
        rest = [(_common_end(path, other), number) for other, number in alike.get(path.name, [])]
        best = [number for length, number in rest if length == max(rest)[0]]
        if len(best) != 1:
            what = "is not in the ground truth" if not best else "may be several of its images"
            raise LabkitError(
                f"{source}: {quote(image['file_name'])} {what}; give labkit detect the pictures of "
                "the ground truth, by the names that they have there."
            )
        ids[image["id"]] = best[0]
    return ids


def _path_of(image: dict) -> PurePosixPath:
    return PurePosixPath(str(image.get("file_name", "")).replace("\\", "/"))


def _common_end(path: PurePosixPath, other: PurePosixPath) -> int:
    """How many parts two paths have in common, from their ends."""
    pairs = zip(reversed(path.parts), reversed(other.parts), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _category_ids(categories: list[dict], truth: list[dict]) -> tuple[dict[int, Any], list[str]]:
    """The ground truth's id of each category, and a note of those that it does not have."""
    names = [str(category["name"]) for category in categories]
    places = places_by_name(names, [str(category["name"]) for category in truth])
    pairs = list(zip(categories, places, strict=True))
    ids = {category["id"]: truth[place]["id"] for category, place in pairs if place is not None}
    extra = [category["name"] for category, place in pairs if place is None]
    if not extra:
        return ids, []
    note = f"The ground truth does not have {listed(extra)}: these detections are not evaluated."
    return ids, [note]
