"""Ground truth and detections side by side, image by image, with all their IoUs.

All analyses beyond COCO's numbers (confusion, error types, calibration, curves over the score)
start here, so that every file is read and checked, and every IoU computed, once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.evaluation.coco_results import read_results, why_maskless
from labkit.evaluation.coco_truth import GroundTruth, read_ground_truth
from labkit.evaluation.result import Evaluation
from labkit.models.detections import Detections

SHAPE_KEYS = {"segm": "segmentation", "bbox": "bbox"}


@dataclass(frozen=True, eq=False)
class ImagePairs:
    """One image: G objects in the order of the file, D detections, best score first.

    Attributes:
        image_id: the data set's.
        size: (height, width) in pixels.
        objects: int64 [G], indices into `Comparison.annotations`.
        object_classes: int64 [G], 1..K.
        crowd: bool [G].
        object_areas: float64 [G], px², as annotated.
        detections: int64 [D], indices into `Comparison.entries`.
        classes: int64 [D], 1..K.
        scores: float64 [D].
        areas: float64 [D], px².
        overlaps: float64 [D, G], the IoU; with a crowd, the share of the detection inside it.
    """

    image_id: int
    size: tuple[int, int]
    objects: np.ndarray
    object_classes: np.ndarray
    crowd: np.ndarray
    object_areas: np.ndarray
    detections: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    overlaps: np.ndarray


@dataclass(frozen=True, eq=False)
class Comparison:
    """All images of a data set, by ascending id; made by `compare`.

    Attributes:
        class_names: K unique names in the data set's order; class i is class_names[i - 1].
        iou_type: "segm" or "bbox", of which the IoUs are.
        images: one ImagePairs for each image, also without objects or detections.
        annotations: the checked ground truth, in COCO's form.
        entries: the checked results, in COCO's form.
    """

    class_names: tuple[str, ...]
    iou_type: str
    images: list[ImagePairs]
    annotations: list[dict]
    entries: list[dict]

    def image(self, image_id: int) -> ImagePairs:
        """The image with an id; LabkitError if it was not compared."""
        if image_id not in self._index_of_id:
            raise LabkitError(
                f"There is no image {image_id!r} among the {len(self.images)} that were compared."
            )
        return self.images[self._index_of_id[image_id]]

    @cached_property
    def _index_of_id(self) -> dict[int, int]:
        return {pairs.image_id: i for i, pairs in enumerate(self.images)}

    def images_with(self, class_id: int) -> list[ImagePairs]:
        """The images that hold an object or a detection of class 1..K."""
        return [self.images[i] for i in self._images_of_class[class_id]]

    @cached_property
    def _images_of_class(self) -> list[list[int]]:
        indices = [[] for _ in range(len(self.class_names) + 1)]
        for i, pairs in enumerate(self.images):
            for class_id in np.union1d(pairs.object_classes, pairs.classes):
                indices[class_id].append(i)
        return indices

    def object_counts(self) -> np.ndarray:
        """int64 [K + 1]: objects of each class, crowds left out; [0] is 0."""
        counts = np.zeros(len(self.class_names) + 1, np.int64)
        for pairs in self.images:
            np.add.at(counts, pairs.object_classes[~pairs.crowd], 1)
        return counts


def compare(truth, results=None, *, iou_type: str | None = None) -> Comparison:
    """Computes the IoU of every detection with every object of its image.

    Args:
        truth: an `Evaluation` (with its own results); a `labkit.data.Dataset`; a COCO annotation
            file or the dict it holds; or a Comparison, which is returned as it is.
        results: a COCO results file or list; or Detections, one per image, with image ids.
        iou_type: IoU of "segm" masks or of "bbox" boxes; by default masks if both have them.

    Raises:
        LabkitError: something in the input is wrong: which entry, and what to do.
    """
    if isinstance(truth, Comparison):
        return truth
    if isinstance(truth, Evaluation):
        if iou_type is None:
            iou_type = "segm" if truth.segm else "bbox"
        truth, results = truth.coco_gt, truth.results
    truth = read_ground_truth(truth.to_coco() if hasattr(truth, "to_coco") else truth)
    found = read_results(_as_results(results, truth), truth)
    iou_type = _checked_iou_type(iou_type, truth, found)
    class_of = {category["id"]: i + 1 for i, category in enumerate(truth.categories)}
    objects, detections = _by_image(truth.annotations), _by_image(found.entries)
    images = [
        _pairs(i, truth, found.entries, objects[i], detections[i], class_of, iou_type)
        for i in sorted(truth.images)
    ]
    return Comparison(tuple(truth.names), iou_type, images, truth.annotations, found.entries)


def _checked_iou_type(iou_type: str | None, truth: GroundTruth, found) -> str:
    maskless = why_maskless(truth, found)
    if iou_type is None:
        return "bbox" if maskless else "segm"
    if iou_type not in SHAPE_KEYS:
        raise LabkitError(f"iou_type is {iou_type!r}; it must be 'segm' or 'bbox'.")
    if iou_type == "segm" and maskless:
        raise LabkitError(
            f"{maskless[0][0]}: {maskless[0][1]}; compare boxes with iou_type='bbox'."
        )
    return iou_type


def _by_image(entries: Sequence[dict]) -> dict[int, list[int]]:
    indices = defaultdict(list)
    for i, entry in enumerate(entries):
        indices[entry["image_id"]].append(i)
    return indices


def _pairs(image_id, truth, entries, objects, detections, class_of, iou_type) -> ImagePairs:
    scores = np.array([entries[i]["score"] for i in detections], float)
    order = np.argsort(-scores, kind="stable")  # ties keep their order, as in COCOeval
    detections = np.array(detections, np.int64)[order]
    annotated = [truth.annotations[i] for i in objects]
    found = [entries[i] for i in detections]
    crowd = np.array([a["iscrowd"] for a in annotated], bool)
    return ImagePairs(
        image_id=image_id,
        size=truth.images[image_id],
        objects=np.array(objects, np.int64),
        object_classes=np.array([class_of[a["category_id"]] for a in annotated], np.int64),
        crowd=crowd,
        object_areas=np.array([a["area"] for a in annotated], float),
        detections=detections,
        classes=np.array([class_of[entry["category_id"]] for entry in found], np.int64),
        scores=scores[order],
        areas=shape_areas(found, iou_type),
        overlaps=overlaps(found, annotated, crowd, iou_type),
    )


def overlaps(
    entries: Sequence[dict], others: Sequence[dict], crowd: Iterable[bool], iou_type: str
) -> np.ndarray:
    """The IoUs of COCO entries, float64 [D, G]; with a crowd, the share of the entry inside it."""
    if not len(entries) or not len(others):
        return np.zeros((len(entries), len(others)))
    key = SHAPE_KEYS[iou_type]
    flags = [int(c) for c in crowd]
    return coco_mask.iou([e[key] for e in entries], [o[key] for o in others], flags)


def shape_areas(entries: Sequence[dict], iou_type: str) -> np.ndarray:
    """The areas of the masks or boxes of COCO entries, float64 [N], px²."""
    if iou_type == "segm" and entries:
        # One by one: for a list of 256 or more, pycocotools 2.0.11 raises OverflowError.
        return np.array([coco_mask.area(e["segmentation"]) for e in entries], float)
    return np.array([e["bbox"][2] * e["bbox"][3] for e in entries], float)


def _as_results(results, truth: GroundTruth):
    """Turns Detections into COCO result entries; anything else is returned as it is."""
    if isinstance(results, Detections):
        results = [results]
    if not (isinstance(results, Sequence) and results and isinstance(results[0], Detections)):
        return results
    return list(_entries(results, truth))


def _entries(results: Sequence[Detections], truth: GroundTruth) -> Iterator[dict]:
    seen = set()
    for detections in results:
        if detections.image_id in seen:
            raise LabkitError(
                f"compare: two Detections carry the image id {detections.image_id}; give one per "
                "image, each with its own id."
            )
        seen.add(detections.image_id)
        yield from detections.to_coco(category_ids=_ids_by_name(truth, detections))


def _ids_by_name(truth: GroundTruth, detections: Detections) -> dict[str, int]:
    ids = dict(zip(truth.names, (c["id"] for c in truth.categories), strict=True))
    unknown = [name for name in detections.class_names if name not in ids]
    if len(unknown) == len(detections.class_names):
        raise LabkitError(
            f"compare: no class of the detections ({', '.join(unknown[:8])}) is among "
            f"those of the ground truth ({', '.join(list(ids)[:8])})."
        )
    return ids
