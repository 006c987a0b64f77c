"""COCO average precision, by pycocotools.

`evaluate` runs a model over a data set; `evaluate_results` compares two files. Both end in
`COCOeval`, whose arrays are turned into an `Evaluation`.

COCOeval's own `summarize` looks up the number 100 among its limits, so with any other limit of
detections (crowded microscopy needs 500) its AP becomes -1. The numbers are therefore averaged
here, from COCOeval's arrays, the way `summarize` does it; a test holds the two together.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from labkit.errors import LabkitError
from labkit.evaluation.inputs import GroundTruth, Results, read_ground_truth, read_results
from labkit.evaluation.report import limits
from labkit.evaluation.result import Evaluation, PrecisionRecall

IOU_TYPES = ("bbox", "segm")
SIZES = {"s": 1, "m": 2, "l": 3}  # places in COCOeval's list of area ranges; 0 is any size


def evaluate(
    model,
    dataset,
    *,
    max_dets: int = 100,
    iou_types: Sequence[str] | None = None,
    score_threshold: float | None = None,
    images_at_a_time: int = 4,
    progress: bool | Callable[[int, int], None] = True,
) -> Evaluation:
    """COCO AP of a model on a data set, boxes and masks.

    A few images are in memory at a time, and of the results only run lengths.

    Args:
        model: has `detect(list of images) -> list of Detections` and `class_names`.
        dataset: a `labkit.data.Dataset`. Classes are matched by name, in whatever order.
        max_dets: detections that count per image and class. Above 100 the model is asked for that
            many per image (`detect(…, max_detections=max_dets)`), or they could never be found.
        iou_types: "bbox", "segm" or both (the default).
        score_threshold: the model's own by default. AP wants it low (0.05 or less): a threshold
            cuts off the far end of the curve.
        images_at_a_time: how many images go to `detect` at once.
        progress: True writes a line to a terminal; or a function that gets (done, total).

    Raises:
        LabkitError: the data set is empty, or has classes that the model does not know.
    """
    if len(dataset) == 0:
        raise LabkitError("evaluate: the data set has no images.")
    truth = read_ground_truth(dataset.to_coco())
    category_ids, notes = _match_classes(model.class_names, dataset)
    options = {} if score_threshold is None else {"score_threshold": score_threshold}
    if max_dets > 100:
        options["max_detections"] = max_dets
    report_progress = _progress(progress)

    found, unknown = [], 0
    for first in range(0, len(dataset), images_at_a_time):
        stop = min(first + images_at_a_time, len(dataset))
        samples = [dataset[i] for i in range(first, stop)]
        detections = model.detect([sample.image for sample in samples], **options)
        for sample, one in zip(samples, detections, strict=True):
            results = one.to_coco(sample.image_id, category_ids)
            unknown += len(one) - len(results)
            found += results
        report_progress(stop, len(dataset))
    if unknown:
        notes.append(
            f"{unknown} detections of classes that the data set does not have were left out."
        )
    return _evaluate(truth, read_results(found, truth), max_dets, iou_types, notes)


def evaluate_results(
    annotations: str | os.PathLike | dict,
    results: str | os.PathLike | list,
    *,
    max_dets: int = 100,
    iou_types: Sequence[str] | None = None,
) -> Evaluation:
    """COCO AP of a results file against an annotation file; neither needs the pictures.

    Args:
        annotations: path of a COCO annotation file, or the dict it holds.
        results: path of a COCO results file, or the list it holds; it may be empty.
        max_dets: detections that count per image and class.
        iou_types: "bbox", "segm" or both; by default what both files have.

    Masks are sorted into small, medium and large by their own area, not by that of a bbox that
    the entry may have beside its mask.

    Raises:
        LabkitError: something in the files is wrong: which file and entry, and what to do.
    """
    truth = read_ground_truth(annotations)
    return _evaluate(truth, read_results(results, truth), max_dets, iou_types, [])


# -------------------------------------------------------------------------------- from a model


def _match_classes(names: Sequence[str], dataset) -> tuple[Sequence[int] | dict, list[str]]:
    """The data set's id of each class of the model: by order if the lists agree, else by name."""
    if tuple(names) == tuple(dataset.class_names):
        return tuple(dataset.category_ids), []
    missing = [name for name in dataset.class_names if name not in names]
    if missing:
        raise LabkitError(
            f"evaluate: the data set has classes that the model does not know ({_some(missing)}); "
            f"the model knows {_some(names)}. Evaluate on the classes it was trained on, or train "
            "it on these."
        )
    extra = [name for name in names if name not in dataset.class_names]
    note = f"The model also knows classes that the data set does not have ({_some(extra)})."
    mapping = dict(zip(dataset.class_names, dataset.category_ids, strict=True))
    return mapping, [note] if extra else []


def _some(names: Iterable[str], most: int = 8) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _progress(progress: bool | Callable[[int, int], None]) -> Callable[[int, int], None]:
    if callable(progress):
        return progress
    if not progress or not sys.stderr.isatty():  # a log file wants no line that rewrites itself
        return lambda done, total: None

    def line(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\revaluating: {done} of {total} images", end=end, file=sys.stderr, flush=True)

    return line


# -------------------------------------------------------------------------------- the numbers


def _evaluate(
    truth: GroundTruth,
    results: Results,
    max_dets: int,
    iou_types: Sequence[str] | None,
    notes: list[str],
) -> Evaluation:
    if not isinstance(max_dets, (int, np.integer)) or max_dets < 1:
        raise LabkitError(f"max_dets is {max_dets!r}; it must be a whole number of at least 1.")
    kinds, skipped = _kinds(truth, results, iou_types)
    numbers, curves = {}, {}
    for kind in kinds:
        numbers[kind], curves[kind] = _run(truth, results, kind, int(max_dets))
    objects = _objects(truth)
    per_class = {
        name: {"objects": objects[category["id"]]}
        | {kind: _class_numbers(curves[kind], k) for kind in kinds}
        for k, (name, category) in enumerate(zip(truth.names, truth.categories, strict=True))
    }
    return Evaluation(
        class_names=tuple(truth.names),
        max_dets=int(max_dets),
        bbox=numbers.get("bbox"),
        segm=numbers.get("segm"),
        per_class=per_class,
        curves=curves,
        coco_gt={**truth.as_coco(), "annotations": [_printable(a) for a in truth.annotations]},
        results=[_printable(entry) for entry in results.entries],
        notes=notes + results.notes + skipped,
    )


def _kinds(
    truth: GroundTruth, results: Results, iou_types: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """What to evaluate, and a note if masks had to be left out."""
    lacking = [file.source for file in (truth, results) if not file.has_masks]
    if iou_types is None:
        note = f"Masks were not evaluated: {' and '.join(lacking)} has no segmentations."
        return (["bbox"], [note]) if lacking else (list(IOU_TYPES), [])
    wanted = [iou_types] if isinstance(iou_types, str) else list(iou_types)
    if not wanted or any(kind not in IOU_TYPES for kind in wanted):
        raise LabkitError(f"iou_types is {iou_types!r}; it must name 'bbox', 'segm' or both.")
    if "segm" in wanted and lacking:
        raise LabkitError(
            f"{lacking[0]}: has no segmentations, so masks cannot be evaluated; ask for "
            "iou_types=('bbox',)."
        )
    return [kind for kind in IOU_TYPES if kind in wanted], []


def _run(
    truth: GroundTruth, results: Results, kind: str, max_dets: int
) -> tuple[dict[str, float], PrecisionRecall]:
    """COCOeval for boxes ("bbox") or masks ("segm")."""
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step in print
        gt = COCO()
        gt.dataset = truth.as_coco()
        gt.createIndex()
        run = COCOeval(gt, _load_results(gt, results, kind), kind)
        run.params.maxDets = list(limits(max_dets))
        run.evaluate()
        run.accumulate()
    precision, recall = run.eval["precision"], run.eval["recall"]  # [T,R,K,A,M] and [T,K,A,M]
    numbers = _numbers(precision, recall, limits(max_dets))
    # COCOeval goes through the categories by id; here they keep the order of the data set.
    by_id = {category: k for k, category in enumerate(run.params.catIds)}
    order = [by_id[category["id"]] for category in truth.categories]
    curves = PrecisionRecall(
        precision=precision[:, :, order, 0, -1],
        scores=run.eval["scores"][:, :, order, 0, -1],
        recall=recall[:, order, 0, -1],
        iou_thresholds=run.params.iouThrs,
        recall_thresholds=run.params.recThrs,
    )
    return numbers, curves


def _load_results(gt: COCO, results: Results, kind: str) -> COCO:
    """The results as pycocotools wants them: boxes only, or masks only.

    With both present it would size masks by their boxes. And it cannot load an empty list.
    """
    drop = "segmentation" if kind == "bbox" else "bbox"
    entries = [{k: v for k, v in entry.items() if k != drop} for entry in results.entries]
    if entries:
        return gt.loadRes(entries)
    nothing = COCO()
    nothing.dataset = {**gt.dataset, "annotations": []}
    nothing.createIndex()
    return nothing


def _numbers(precision: np.ndarray, recall: np.ndarray, allowed: Sequence[int]) -> dict[str, float]:
    """The COCO numbers: means over thresholds and over the classes that have ground truth."""
    numbers = {
        "AP": _mean(precision[..., 0, -1]),
        "AP50": _mean(precision[0, ..., 0, -1]),
        "AP75": _mean(precision[5, ..., 0, -1]),
    }
    numbers |= {f"AP{size}": _mean(precision[..., a, -1]) for size, a in SIZES.items()}
    numbers |= {f"AR{n}": _mean(recall[..., 0, m]) for m, n in enumerate(allowed)}
    numbers |= {f"AR{size}": _mean(recall[..., a, -1]) for size, a in SIZES.items()}
    return numbers


def _class_numbers(curves: PrecisionRecall, k: int) -> dict[str, float]:
    return {
        "AP": _mean(curves.precision[:, :, k]),
        "AP50": _mean(curves.at(0.5)[:, k]),
        "AP75": _mean(curves.at(0.75)[:, k]),
    }


def _mean(values: np.ndarray) -> float:
    """The mean of what could be measured; -1 if nothing could."""
    values = values[values > -1]
    return float(values.mean()) if len(values) else -1.0


def _objects(truth: GroundTruth) -> dict[int, int]:
    """Category id -> how many of its objects count."""
    counts = {category["id"]: 0 for category in truth.categories}
    for annotation in truth.annotations:
        counts[annotation["category_id"]] += not annotation["iscrowd"]
    return counts


def _printable(entry: dict) -> dict:
    """The entry with the counts of its mask as text, which json can write."""
    if "segmentation" not in entry:
        return entry
    rle = entry["segmentation"]
    return {**entry, "segmentation": {**rle, "counts": rle["counts"].decode("ascii")}}
