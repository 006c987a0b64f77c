"""One run of pycocotools' COCOeval, and the numbers computed from its arrays.

COCOeval's own `summarize` expects a limit of 100 detections: with any other (crowded microscopy
needs 500) its AP becomes -1, and it knows only its own area ranges. The numbers are therefore
averaged here, from COCOeval's arrays, the way `summarize` does it; a test compares the two.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from labkit.evaluation.coco_conventions import ap_name, detection_limits
from labkit.evaluation.coco_results import Results
from labkit.evaluation.coco_truth import GroundTruth
from labkit.evaluation.result import PrecisionRecall, mean_measured

ANY_AREA = (0.0, 1e10)  # COCO's own "all", which ends there


class SparseCOCOeval(COCOeval):
    """COCOeval that skips the matching where there are no objects to match.

    With many classes most pairs of image and class hold detections and no object, and pycocotools
    spends most of its time there. Each such detection is a false positive, or outside the area
    range, without any matching. Every pair with an object goes to pycocotools itself.

    (Libraries that do all of it in C++ are faster still, but not equal to the last bit:
    faster-coco-eval 1.8 leaves out the 2e-16 that pycocotools adds before it divides.)
    """

    def _prepare(self):
        super()._prepare()
        for found in self._dts.values():
            found.sort(key=lambda entry: -entry["score"])  # stable, like COCOeval's own
        self._shared = {}

    def computeIoU(self, imgId, catId):
        if (imgId, catId) in self._gts and (imgId, catId) in self._dts:
            return super().computeIoU(imgId, catId)
        return []

    def evaluateImg(self, imgId, catId, aRng, maxDet):
        pair = (imgId, catId)
        if pair in self._gts:
            return super().evaluateImg(imgId, catId, aRng, maxDet)
        if pair not in self._dts:
            return None
        found = self._dts[pair][:maxDet]
        low, high = aRng
        ignored = tuple([not low <= d["area"] <= high for d in found])
        # Only the part of COCOeval's own answer that `accumulate` reads.
        return {"dtScores": [d["score"] for d in found], **self._unmatched(ignored)}

    def _unmatched(self, ignored: tuple[bool, ...]) -> dict[str, np.ndarray]:
        """Matches and flags of such a pair; equal ones are shared, as there are millions."""
        if ignored not in self._shared:
            shape = (len(self.params.iouThrs), len(ignored))
            self._shared[ignored] = {
                "dtMatches": np.zeros(shape),
                "dtIgnore": np.broadcast_to(np.array(ignored), shape),
                "gtIgnore": np.zeros(0),
            }
        return self._shared[ignored]


def run_coco(
    truth: GroundTruth,
    results: Results,
    kind: str,
    max_dets: int,
    iou_thresholds: Sequence[float] | None,
    area_ranges: Mapping[str, tuple[float, float]],
) -> tuple[dict[str, float], PrecisionRecall, list[dict[str, float]]]:
    """Runs COCOeval.

    Args:
        truth: the ground truth.
        results: the detections.
        kind: "bbox" for boxes or "segm" for masks.
        max_dets: detections per image and class.
        iou_thresholds: None for COCO's own, 0.50, 0.55, … 0.95.
        area_ranges: name -> (from, to) in px².

    Returns:
        The numbers of all classes together, the curves, and the numbers of each class.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # COCOeval prints every step
        gt = COCO()
        gt.dataset = truth.as_coco()
        gt.createIndex()
        run = SparseCOCOeval(gt, _load_results(gt, results, kind), kind)
        run.params.maxDets = list(detection_limits(max_dets))
        run.params.areaRng = [list(ANY_AREA), *map(list, area_ranges.values())]
        run.params.areaRngLbl = ["all", *area_ranges]
        if iou_thresholds is not None:
            run.params.iouThrs = np.asarray(iou_thresholds, float)
        run.evaluate()
        precision, recall, scores = _accumulated(run)
    # COCOeval sorts the categories by id; here they are in the order of the data set.
    by_id = {category: k for k, category in enumerate(run.params.catIds)}
    order = [by_id[category["id"]] for category in truth.categories]
    precision, recall = precision[:, :, order], recall[:, order]
    curves = PrecisionRecall(
        precision=precision[..., 0],
        scores=scores[:, :, order, 0],
        recall=recall[..., 0, -1],
        iou_thresholds=run.params.iouThrs,
        recall_thresholds=run.params.recThrs,
    )
    axes = run.params.iouThrs, list(area_ranges), detection_limits(max_dets)
    numbers = _numbers(precision, recall, *axes)
    each = [
        _numbers(precision[:, :, [k]], recall[:, [k]], *axes, every_iou=True)
        for k in range(len(order))
    ]
    return numbers, curves, each


def _accumulated(run: COCOeval) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and scores [T, R, K, A] at the highest detection limit, and recall [T, K, A, M].

    At the lower limits COCO reports only the recall of objects of any size, so nothing else is
    accumulated there: the rest of recall is -1.
    """
    ranges, limits = run.params.areaRng, run.params.maxDets
    run.params.maxDets = limits[-1:]
    run.accumulate()
    precision, scores = run.eval["precision"][..., 0], run.eval["scores"][..., 0]
    recall = np.full((*run.eval["recall"].shape[:3], len(limits)), -1.0)
    recall[..., -1] = run.eval["recall"][..., 0]
    if limits[:-1]:
        run.params.areaRng, run.params.maxDets = ranges[:1], limits[:-1]
        run.accumulate()
        recall[:, :, 0, :-1] = run.eval["recall"][:, :, 0]
        run.params.areaRng = ranges
    run.params.maxDets = limits
    return precision, recall, scores


def _load_results(gt: COCO, results: Results, kind: str) -> COCO:
    """The results as pycocotools wants them: boxes only, or masks only.

    With both present it would measure masks by their boxes. And it cannot load an empty list.
    """
    drop = "segmentation" if kind == "bbox" else "bbox"
    entries = [{k: v for k, v in entry.items() if k != drop} for entry in results.entries]
    if entries:
        return gt.loadRes(entries)
    empty = COCO()
    empty.dataset = {**gt.dataset, "annotations": []}
    empty.createIndex()
    return empty


def _numbers(
    precision: np.ndarray,
    recall: np.ndarray,
    ious: np.ndarray,
    sizes: Sequence[str],
    limits: Sequence[int],
    every_iou: bool = False,
) -> dict[str, float]:
    """The COCO numbers: means over thresholds and over the classes that have ground truth.

    AP50 and AP75 are included where their thresholds are; with every_iou also AP55 … AP95.
    """
    numbers = {"AP": mean_measured(precision[..., 0])}
    for t, iou in enumerate(ious):
        if every_iou or np.isclose(iou, (0.5, 0.75)).any():
            numbers[ap_name(iou)] = mean_measured(precision[t, ..., 0])
    numbers |= {f"AP{s}": mean_measured(precision[..., a]) for a, s in enumerate(sizes, 1)}
    numbers |= {f"AR{n}": mean_measured(recall[..., 0, m]) for m, n in enumerate(limits)}
    numbers |= {f"AR{s}": mean_measured(recall[..., a, -1]) for a, s in enumerate(sizes, 1)}
    return numbers
