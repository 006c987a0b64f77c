"""One run of pycocotools' COCOeval, and the numbers that are made of its arrays.

COCOeval's own `summarize` looks up the number 100 among its limits, so with any other limit of
detections (crowded microscopy needs 500) its AP becomes -1, and it knows its own area ranges only.
The numbers are therefore averaged here, from COCOeval's arrays, the way `summarize` does it; a test
holds the two together.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from labkit.evaluation.coco_conventions import ap_name, limits
from labkit.evaluation.coco_files import GroundTruth, Results
from labkit.evaluation.result import PrecisionRecall, mean_measured

ANY_AREA = (0.0, 1e10)  # COCO's own "all", which ends there


class SparseCOCOeval(COCOeval):
    """COCOeval that searches no matches where there are no objects to match.

    With many classes most pairs of image and class hold detections and no object, and there
    pycocotools spends most of its time. Each such detection is a false alarm, or out of the area
    range; nothing is to be searched. Every pair with an object goes to pycocotools itself.

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
        # Of what COCOeval returns, the part that `accumulate` reads.
        return {"dtScores": [d["score"] for d in found], **self._unmatched(ignored)}

    def _unmatched(self, ignored: tuple[bool, ...]) -> dict[str, np.ndarray]:
        """Matches and flags of such a pair; equal ones are one object, for there are millions."""
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
    """COCOeval for boxes ("bbox") or masks ("segm").

    iou_thresholds: None for COCO's own, 0.50, 0.55, … 0.95. area_ranges: name -> (from, to) px².

    Returns the numbers of all classes, the curves, and the numbers of each class.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step in print
        gt = COCO()
        gt.dataset = truth.as_coco()
        gt.createIndex()
        run = SparseCOCOeval(gt, _load_results(gt, results, kind), kind)
        run.params.maxDets = list(limits(max_dets))
        run.params.areaRng = [list(ANY_AREA), *map(list, area_ranges.values())]
        run.params.areaRngLbl = ["all", *area_ranges]
        if iou_thresholds is not None:
            run.params.iouThrs = np.asarray(iou_thresholds, float)
        run.evaluate()
        precision, recall, scores = _accumulated(run)
    # COCOeval goes through the categories by id; here they keep the order of the data set.
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
    names = run.params.iouThrs, list(area_ranges), limits(max_dets)
    numbers = _numbers(precision, recall, *names)
    each = [
        _numbers(precision[:, :, [k]], recall[:, [k]], *names, every_iou=True)
        for k in range(len(order))
    ]
    return numbers, curves, each


def _accumulated(run: COCOeval) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """precision [T, R, K, A] and scores at the highest limit, and recall [T, K, A, M].

    Of the lower limits COCO's numbers want the recall of objects of any size only, so nothing else
    is accumulated at them: the rest of recall is -1.
    """
    ranges, allowed = run.params.areaRng, run.params.maxDets
    run.params.maxDets = allowed[-1:]
    run.accumulate()
    precision, scores = run.eval["precision"][..., 0], run.eval["scores"][..., 0]
    recall = np.full((*run.eval["recall"].shape[:3], len(allowed)), -1.0)
    recall[..., -1] = run.eval["recall"][..., 0]
    if allowed[:-1]:
        run.params.areaRng, run.params.maxDets = ranges[:1], allowed[:-1]
        run.accumulate()
        recall[:, :, 0, :-1] = run.eval["recall"][:, :, 0]
        run.params.areaRng = ranges
    run.params.maxDets = allowed
    return precision, recall, scores


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


def _numbers(
    precision: np.ndarray,
    recall: np.ndarray,
    ious: np.ndarray,
    sizes: Sequence[str],
    allowed: Sequence[int],
    every_iou: bool = False,
) -> dict[str, float]:
    """The COCO numbers: means over thresholds and over the classes that have ground truth.

    AP50 and AP75 are there where their thresholds are; every_iou: AP55 … AP95 too.
    """
    numbers = {"AP": mean_measured(precision[..., 0])}
    for t, iou in enumerate(ious):
        if every_iou or np.isclose(iou, (0.5, 0.75)).any():
            numbers[ap_name(iou)] = mean_measured(precision[t, ..., 0])
    numbers |= {f"AP{s}": mean_measured(precision[..., a]) for a, s in enumerate(sizes, 1)}
    numbers |= {f"AR{n}": mean_measured(recall[..., 0, m]) for m, n in enumerate(allowed)}
    numbers |= {f"AR{s}": mean_measured(recall[..., a, -1]) for a, s in enumerate(sizes, 1)}
    return numbers
