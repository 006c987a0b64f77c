"""The results of a COCO evaluation, read and checked against the ground truth."""

import os
from dataclasses import dataclass, field

from labkit.errors import LabkitError
from labkit.evaluation.coco_entries import (
    NO_MASKS,
    check_given_texts,
    checked_bbox,
    checked_ids,
    finite_number,
    have_masks,
    load,
    with_numbers,
)
from labkit.evaluation.coco_truth import GroundTruth
from labkit.evaluation.rle import checked_rle
from labkit.io.repairs import Repairs


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


def read_results(results: str | os.PathLike | list, truth: GroundTruth) -> Results:
    """Reads a COCO results file and checks it against the ground truth.

    Args:
        results: path of the file, or the list it holds.
        truth: the ground truth, whose ids the results must use.

    Raises:
        LabkitError: the file cannot be read, or an entry is wrong (which one, and what to do).
    """
    data, source = load(results, "the results")
    if not isinstance(data, list):
        raise LabkitError(
            f"{source}: holds a {type(data).__name__}, but COCO results are a list of entries with "
            "image_id, category_id, score and bbox or segmentation."
        )
    checked = Results(source, [], "" if have_masks(data) else NO_MASKS)
    if not truth.has_masks and truth.maskless != NO_MASKS:
        checked.maskless = truth.maskless  # without sizes no mask can be checked
    entries = []
    for i, entry in enumerate(data):
        where = f"{source}: entry {i}"
        ids = checked_ids(entry, where, truth.image_ids, truth.category_ids, truth.source)
        entries.append(with_numbers(entry, ids, where, f"entry {i}", checked.repairs))
        checked.entries.append(_read_result(entries[-1], where, truth.images, checked.has_masks))
    if checked.has_masks:
        check_given_texts(checked.entries, entries, lambda n: f"{source}: entry {n}")
    _note_repeats(checked)
    return checked


def why_maskless(truth: GroundTruth, results: Results) -> list[tuple[str, str]]:
    """Why masks cannot be evaluated: (source, reason) of each file; empty if they can be."""
    if truth.maskless not in ("", NO_MASKS):  # the same reason for both
        return [(truth.source, truth.maskless)]
    return [(file.source, file.maskless) for file in (truth, results) if file.maskless]


def _read_result(entry: dict, where: str, images: dict, has_masks: bool) -> dict:
    height, width = images[entry["image_id"]]
    result = {
        "image_id": entry["image_id"],
        "category_id": entry["category_id"],
        "score": finite_number(entry, "score", where),
    }
    if has_masks:
        remedy = "give every entry a mask, or none (then only boxes are evaluated)"
        result["segmentation"] = checked_rle(entry, where, height, width, remedy)
    result["bbox"] = checked_bbox(entry, result, where)
    return result


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
