"""The result of an evaluation: its numbers and curves."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labkit.errors import LabkitError
from labkit.evaluation import tables
from labkit.evaluation.coco_conventions import COCO_AREAS, ap_name


def mean_measured(values: np.ndarray) -> float:
    """The mean of the values that could be measured; -1, as in COCO, if none could."""
    values = values[values > -1]
    return float(values.mean()) if len(values) else -1.0


@dataclass
class PrecisionRecall:
    """Precision-recall curves of K classes at T IoU thresholds, by pycocotools.

    Attributes:
        precision: float64 [T, R, K], the best precision at that recall or beyond (hence monotone);
            0 where that recall is never reached, -1 for a class without ground truth.
        scores: float64 [T, R, K], the score of the detection at which the recall is reached.
        recall: float64 [T, K], the highest recall reached; -1 for a class without ground truth.
        iou_thresholds: float64 [T] (0.50, 0.55, … 0.95).
        recall_thresholds: float64 [R] (0, 0.01, … 1).
    """

    precision: np.ndarray
    scores: np.ndarray
    recall: np.ndarray
    iou_thresholds: np.ndarray
    recall_thresholds: np.ndarray

    def at(self, iou: float | None) -> np.ndarray:
        """The curves at one IoU threshold, or with None their mean over all: float64 [R, K].

        The mean of a column is that class's AP.

        Raises:
            LabkitError: the threshold was not evaluated.
        """
        if iou is None:
            return self.precision.mean(axis=0)
        return self.precision[self.index(iou)]

    def mean_at(self, iou: float | None) -> np.ndarray:
        """The mean of `at` over the classes with ground truth, float64 [R]; its mean is the AP."""
        curves = self.at(iou)
        present = self.precision[0, 0] > -1
        return curves[:, present].mean(axis=1) if present.any() else np.full(len(curves), -1.0)

    def ap_by_iou(self) -> dict[str, float]:
        """The AP at each threshold, {"AP50": …, … "AP95": …}; -1 without ground truth."""
        return {
            ap_name(iou): mean_measured(self.precision[t])
            for t, iou in enumerate(self.iou_thresholds)
        }

    def index(self, iou: float) -> int:
        """The index of an IoU threshold; LabkitError if it was not evaluated."""
        near = np.flatnonzero(np.isclose(self.iou_thresholds, iou))
        if not len(near):
            known = ", ".join(f"{t:g}" for t in self.iou_thresholds)
            raise LabkitError(f"There is no curve at IoU {iou}; the thresholds are {known}.")
        return int(near[0])


@dataclass(repr=False)
class Evaluation:
    """COCO numbers of one set of results. `print` it, or let a notebook show it.

    Attributes:
        class_names: unique names, in the data set's order.
        max_dets: detections per image and class.
        bbox: {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm",
            "ARl"}, the twelve COCO numbers for boxes; None if not evaluated. -1 means that there
            is no ground truth to measure it on. The name of the third AR follows max_dets; AP50
            and AP75 exist if those thresholds were evaluated; the sizes are those of area_ranges.
        segm: the same for masks.
        per_class: {name: {"objects": ground-truth objects without crowds, "bbox": {the same
            numbers of this class, and AP55, AP60, … AP95}, "segm": {…}}}, in the data set's order.
        curves: {"bbox": PrecisionRecall, "segm": PrecisionRecall}, at max_dets, for any size.
        coco_gt: the ground truth in COCO's form (masks as RLE), ready for `json.dump`.
        results: the detections in COCO's form, likewise.
        area_ranges: {name: (from, to)} in px²; the same for boxes and masks.
        notes: what the reader of the numbers should know.
        original_ids: the ids of images and of categories in the data set's file, by the numbers
            that coco_gt and results have in their place; see `labkit.io.ids`.
    """

    class_names: tuple[str, ...]
    max_dets: int
    bbox: dict[str, float] | None
    segm: dict[str, float] | None
    per_class: dict[str, dict]
    curves: dict[str, PrecisionRecall]
    coco_gt: dict
    results: list[dict]
    area_ranges: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(COCO_AREAS))
    notes: list[str] = field(default_factory=list)
    original_ids: tuple[Mapping[int, Any], Mapping[int, Any]] = ({}, {})

    @property
    def images(self) -> int:
        """The number of images evaluated, those without objects included."""
        return len(self.coco_gt["images"])

    @property
    def objects(self) -> int:
        """The number of ground-truth objects, without crowds."""
        return sum(not annotation["iscrowd"] for annotation in self.coco_gt["annotations"])

    @property
    def crowds(self) -> int:
        """The number of crowd regions: detections inside them are neither right nor wrong."""
        return len(self.coco_gt["annotations"]) - self.objects

    def results_for_file(self) -> list[dict]:
        """The results with the ids of the data set's file, for programs that read both."""
        images, categories = self.original_ids
        if not images and not categories:
            return self.results
        return [
            entry
            | {
                "image_id": images.get(entry["image_id"], entry["image_id"]),
                "category_id": categories.get(entry["category_id"], entry["category_id"]),
            }
            for entry in self.results
        ]

    def operating_point(self, name: str, iou: float = 0.5, kind: str = "segm") -> dict:
        """The score threshold with the best F1 of one class, as a threshold to start from.

        It is read off the evaluated curve (101 recalls, interpolated), so precision is the best
        at that recall or beyond.

        Args:
            name: of the class.
            iou: an IoU threshold that was evaluated.
            kind: "bbox" or "segm".

        Returns:
            {"score", "precision", "recall", "f1"}.

        Raises:
            LabkitError: unknown class or kind, or the class has no ground truth.
        """
        if name not in self.class_names or kind not in self.curves:
            raise LabkitError(
                f"There is no curve for {name!r} ({kind}); classes: {', '.join(self.class_names)}; "
                f"kinds: {', '.join(self.curves)}."
            )
        curves, k = self.curves[kind], self.class_names.index(name)
        precision = curves.at(iou)[:, k]
        if precision[0] < 0:
            raise LabkitError(f"{name!r} has no ground truth, so no threshold is best for it.")
        recall = curves.recall_thresholds
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(f1.argmax())
        return {
            "score": float(curves.scores[curves.index(iou), best, k]),
            "precision": float(precision[best]),
            "recall": float(recall[best]),
            "f1": float(f1[best]),
        }

    def to_dict(self) -> dict:
        """The numbers without curves and masks, ready for JSON."""
        return {
            "images": self.images,
            "objects": self.objects,
            "crowds": self.crowds,
            "detections": len(self.results),
            "max_dets": self.max_dets,
            "bbox": self.bbox,
            "segm": self.segm,
            "by_iou": {kind: curves.ap_by_iou() for kind, curves in self.curves.items()},
            "per_class": self.per_class,
            "notes": list(self.notes),
        }

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """`to_dict` as JSON text; also written to `path` if one is given."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def __str__(self) -> str:
        return tables.as_text(self)

    __repr__ = __str__  # a console should show the table, not ten megabytes of RLE

    def _repr_html_(self) -> str:
        return tables.as_html(self)
