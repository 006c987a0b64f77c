"""COCO average precision, by pycocotools.

`evaluate` runs a model over a data set; `evaluate_results` compares two files. Both end in
`run_coco`, whose arrays are turned into an `Evaluation`.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from labkit.errors import LabkitError, listed
from labkit.evaluation.coco_conventions import COCO_AREAS
from labkit.evaluation.coco_results import Results, read_results, why_maskless
from labkit.evaluation.coco_truth import GroundTruth, read_ground_truth
from labkit.evaluation.cocoeval import run_coco
from labkit.evaluation.detected import as_results
from labkit.evaluation.result import Evaluation
from labkit.io.progress import progress_bar
from labkit.models.class_names import places_by_name, unused_slots

IOU_TYPES = ("bbox", "segm")
AreaRanges = Mapping[str, tuple[float, float]]


def evaluate(
    model,
    dataset,
    *,
    max_dets: int = 100,
    iou_types: Sequence[str] | None = None,
    iou_thresholds: Sequence[float] | None = None,
    area_ranges: AreaRanges | None = None,
    score_threshold: float | None = None,
    images_at_a_time: int = 4,
    progress: bool | Callable[[int, int], None] = True,
) -> Evaluation:
    """COCO AP of a model on a data set, boxes and masks.

    Only a few images are in memory at a time, and the masks of the results as run lengths.

    Args:
        model: has `detect(list of images) -> list of Detections` and `class_names`.
        dataset: a `labkit.data.Dataset`. Its classes and the model's are matched by name, in
            capitals or not. Objects of classes that the model does not know count as missed;
            detections of classes that the data set does not have are left out.
        max_dets: detections that count per image and class. Above 100 the model is asked for that
            many per image, all classes together (`detect(…, max_detections=max_dets)`), unless its
            own limit (`model.config.detections`) is higher.
        iou_types: "bbox", "segm" or both (the default).
        iou_thresholds: as in `evaluate_results`.
        area_ranges: as in `evaluate_results`.
        score_threshold: the model's own by default. For AP it should be low (0.05 or less): a
            threshold cuts off the far end of the curve.
        images_at_a_time: how many images go to `detect` at once.
        progress: True shows a bar if it takes more than a second; or a function that gets
            (done, total).

    Returns:
        The numbers; `print` them.

    Raises:
        LabkitError: the data set is empty, or the model knows none of its classes, or an option is
            out of its range.
    """
    settings = _checked_settings(max_dets, iou_thresholds, area_ranges)
    if not hasattr(model, "detect"):
        raise LabkitError(
            f"evaluate: the model is a {type(model).__name__}; give one that can detect, e.g. "
            "labkit.load_model of a run's folder."
        )
    if len(dataset) == 0:
        raise LabkitError("evaluate: the data set has no images.")
    truth = read_ground_truth(dataset.to_coco())
    category_ids, notes = _match_classes(model.class_names, dataset)
    options = {} if score_threshold is None else {"score_threshold": score_threshold}
    if max_dets > 100:
        own = getattr(getattr(model, "config", None), "detections", 0)
        options["max_detections"] = max(max_dets, own)
    bar = progress_bar(
        total=len(dataset),
        desc="evaluating",
        unit="image",
        delay=1.0,
        shown=bool(progress) and not callable(progress),
    )

    found, unknown = [], 0
    with bar:
        for first in range(0, len(dataset), images_at_a_time):
            stop = min(first + images_at_a_time, len(dataset))
            samples = [dataset[i] for i in range(first, stop)]
            detections = model.detect([sample.image for sample in samples], **options)
            for sample, one in zip(samples, detections, strict=True):
                results = one.to_coco(sample.image_id, category_ids)
                unknown += len(one) - len(results)
                found += results
            bar.update(stop - first)
            if callable(progress):
                progress(stop, len(dataset))
    if unknown:
        notes.append(
            f"{unknown} detections of classes that the data set does not have were left out."
        )
    found = read_results(found, truth)
    return _evaluate(truth, found, iou_types, settings, notes, _original_ids(dataset))


def _original_ids(dataset) -> tuple[Mapping, Mapping]:
    """The ids of images and categories in the data set's file, where labkit uses numbers."""
    infos = (dataset.image_info(index) for index in range(len(dataset)))
    images = {info["id"]: info["original_id"] for info in infos if "original_id" in info}
    return images, getattr(dataset, "original_category_ids", {})


def evaluate_results(
    annotations: str | os.PathLike | dict,
    results: str | os.PathLike | list,
    *,
    max_dets: int = 100,
    iou_types: Sequence[str] | None = None,
    iou_thresholds: Sequence[float] | None = None,
    area_ranges: AreaRanges | None = None,
) -> Evaluation:
    """COCO AP of a results file against an annotation file; the images are not needed.

    Masks count as small, medium or large by their own area, not by that of a bbox that the entry
    may have beside its mask.

    Args:
        annotations: path of a COCO annotation file, or the dict it holds.
        results: path of a COCO results file, or the list it holds; it may be empty. Or what
            `labkit detect` wrote: its pictures and classes are found by their names.
        max_dets: detections that count per image and class.
        iou_types: "bbox", "segm" or both; by default what both files have.
        iou_thresholds: those that AP is the mean over; by default COCO's 0.50, 0.55, … 0.95.
        area_ranges: {name: (from, to)} in px², the object sizes to measure separately; by default
            COCO's small, medium and large, {"s": (0, 32²), "m": (32², 96²), "l": (96², 1e10)}.

    Returns:
        The numbers; `print` them.

    Raises:
        LabkitError: something in the files is wrong: which file and entry, and what to do.
    """
    settings = _checked_settings(max_dets, iou_thresholds, area_ranges)
    truth = read_ground_truth(annotations)
    results, notes = as_results(results, annotations)
    return _evaluate(truth, read_results(results, truth), iou_types, settings, notes)


# -------------------------------------------------------------------------------- from a model


def _match_classes(names: Sequence[str], dataset) -> tuple[dict[str, int], list[str]]:
    """The data set's category id of each class of the model that it has, by the model's name.

    And a sentence for the data set's classes that the model does not know, and one for the model's
    that the data set does not have.
    """
    places, notes = places_by_name(dataset.class_names, names), []
    ids = {
        names[place]: number
        for place, number in zip(places, dataset.category_ids, strict=True)
        if place is not None
    }
    missing = [n for n, place in zip(dataset.class_names, places, strict=True) if place is None]
    if not ids:
        raise LabkitError(
            f"evaluate: the model knows none of the data set's classes ({listed(missing)}); it "
            f"knows {listed(names)}. Evaluate on the classes it was trained on, or train it on "
            "these."
        )
    if missing:
        notes.append(
            f"The model does not know {listed(missing)}: objects of these classes count as missed."
        )
    unused = unused_slots(names)
    extra = [n for i, n in enumerate(names, 1) if n not in ids and i not in unused]
    if extra:
        notes.append(
            f"The model also knows classes that the data set does not have ({listed(extra)}), "
            "which are not evaluated."
        )
    return ids, notes


# -------------------------------------------------------------------------------- the numbers


def _checked_settings(
    max_dets: int, iou_thresholds: Sequence[float] | None, area_ranges: AreaRanges | None
) -> dict:
    """The checked options, as keyword arguments of `run_coco`."""
    if not isinstance(max_dets, (int, np.integer)) or max_dets < 1:
        raise LabkitError(f"max_dets is {max_dets!r}; it must be a whole number of at least 1.")
    if iou_thresholds is not None:
        iou_thresholds = [float(iou) for iou in iou_thresholds]
        if not iou_thresholds or not all(0 < iou <= 1 for iou in iou_thresholds):
            raise LabkitError(
                f"iou_thresholds is {iou_thresholds}; give at least one, above 0 and up to 1."
            )
    ranges = {}
    for name, (low, high) in (COCO_AREAS if area_ranges is None else area_ranges).items():
        if not (0 <= low < high and math.isfinite(low)):
            raise LabkitError(
                f"area_ranges: {name!r} goes from {low} to {high}; give areas in pixels, the "
                "smaller first."
            )
        if not name or name[0].isdigit():  # AP is all areas, AP50 an IoU of 0.5
            raise LabkitError(
                f"area_ranges: {name!r} stands after AP, so it must begin with a letter."
            )
        ranges[name] = (float(low), float(high))
    return {"max_dets": int(max_dets), "iou_thresholds": iou_thresholds, "area_ranges": ranges}


def _evaluate(
    truth: GroundTruth,
    results: Results,
    iou_types: Sequence[str] | None,
    settings: dict,
    notes: list[str],
    originals: tuple[Mapping, Mapping] | None = None,
) -> Evaluation:
    kinds, skipped = _kinds(truth, results, iou_types)
    objects = _objects_by_category(truth)
    per_class = {
        name: {"objects": objects[category["id"]]}
        for name, category in zip(truth.names, truth.categories, strict=True)
    }
    numbers, curves = {}, {}
    for kind in kinds:
        numbers[kind], curves[kind], each = run_coco(truth, results, kind, **settings)
        for row, class_numbers in zip(per_class.values(), each, strict=True):
            row[kind] = class_numbers
    return Evaluation(
        class_names=tuple(truth.names),
        max_dets=settings["max_dets"],
        bbox=numbers.get("bbox"),
        segm=numbers.get("segm"),
        per_class=per_class,
        curves=curves,
        coco_gt=truth.as_coco(),
        results=list(results.entries),
        area_ranges=settings["area_ranges"],
        notes=notes + results.notes + skipped + _repairs(truth, results),
        original_ids=originals or (truth.image_ids.originals, truth.category_ids.originals),
    )


def _repairs(truth: GroundTruth, results: Results) -> list[str]:
    return [f"{file.source}: {repair}" for file in (truth, results) for repair in file.repairs]


def _kinds(
    truth: GroundTruth, results: Results, iou_types: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """The iou_types to evaluate, and a note if masks had to be left out."""
    maskless = why_maskless(truth, results)
    if iou_types is None:
        why = " and ".join(f"{source} {reason}" for source, reason in maskless)
        note = f"Masks were not evaluated: {why}."
        return (["bbox"], [note]) if maskless else (list(IOU_TYPES), [])
    wanted = [iou_types] if isinstance(iou_types, str) else list(iou_types)
    if not wanted or any(kind not in IOU_TYPES for kind in wanted):
        raise LabkitError(f"iou_types is {iou_types!r}; it must name 'bbox', 'segm' or both.")
    if "segm" in wanted and maskless:
        raise LabkitError(
            f"{maskless[0][0]}: {maskless[0][1]}, so masks cannot be evaluated; ask for "
            "iou_types=('bbox',)."
        )
    return [kind for kind in IOU_TYPES if kind in wanted], []


def _objects_by_category(truth: GroundTruth) -> dict[int, int]:
    """Category id -> its number of objects, crowds left out."""
    counts = {category["id"]: 0 for category in truth.categories}
    for annotation in truth.annotations:
        counts[annotation["category_id"]] += not annotation["iscrowd"]
    return counts
