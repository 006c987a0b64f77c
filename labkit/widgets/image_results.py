"""The detections of one image of a data set, from a model or a results file, with its objects."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from labkit.errors import LabkitError, listed
from labkit.evaluation.comparison import Comparison, ImagePairs, compare
from labkit.evaluation.result import Evaluation
from labkit.models.trace import Trace


@dataclass(frozen=True, eq=False)
class HeadOutputs:
    """The outputs of the network's heads for one image with D detections: see `head_outputs`.

    Attributes:
        class_names: of the network, background first.
        rois: float32 [P, 4], the proposals in pixels of the image.
        probabilities: float32 [P, 1 + N], of each RoI's classes.
        roi_of: int [D], the RoI that each detection comes from.
        masks: float32 [D, 28, 28], probabilities.
    """

    class_names: tuple[str, ...]
    rois: np.ndarray
    probabilities: np.ndarray
    roi_of: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True, eq=False)
class ImageResult:
    """One image with its objects and detections.

    Attributes:
        image: uint8 [H, W, 3].
        name: of the sample.
        comparison: that `pairs` belongs to.
        pairs: the objects and detections of the image.
        heads: None for results of a file, which has neither RoIs nor probabilities.
    """

    image: np.ndarray
    name: str
    comparison: Comparison
    pairs: ImagePairs
    heads: HeadOutputs | None


def from_model(model, dataset) -> Callable[[int], ImageResult]:
    """A function from an index of the data set to the model's detections in that image.

    Args:
        model: with `class_names` and `trace(image)`.
        dataset: of the images.

    Raises:
        LabkitError: the model and the data set have no class in common.
    """
    known = [name for name in model.class_names if name in dataset.class_names]
    if not known:
        raise LabkitError(
            "explore_detections: the model knows none of the data set's classes "
            f"({listed(dataset.class_names)}); it knows {listed(model.class_names)}. Give the data "
            "set that it was trained for."
        )

    def result(index: int) -> ImageResult:
        sample = dataset[index]
        trace = model.trace(sample.image)
        found = trace.detections
        found.image_id = sample.image_id
        # For classes that the data set does not have there is no ground truth to compare with.
        rows = np.flatnonzero(np.isin(found.names, known))
        comparison = compare(dataset.subset([index]), [found])
        pairs = comparison.images[0]
        heads = head_outputs(trace, rows[pairs.detections], model.class_names)
        return ImageResult(sample.image, sample.name, comparison, pairs, heads)

    return result


def from_results(results, dataset) -> Callable[[int], ImageResult]:
    """A function from an index of the data set to the detections that results have in that image.

    Args:
        results: as `labkit.evaluation.compare` takes them.
        dataset: of the images.

    Raises:
        LabkitError: the results are of other images or classes.
    """
    with_truth = isinstance(results, (Comparison, Evaluation))  # perhaps with more images
    comparison = compare(results) if with_truth else compare(dataset, results)
    by_id = {pairs.image_id: pairs for pairs in comparison.images}
    missing = [number for number in dataset.image_ids if number not in by_id]
    if missing or comparison.class_names != tuple(dataset.class_names):
        what = f"no image {missing[0]}" if missing else "other classes than the data set"
        raise LabkitError(
            f"explore_detections: the results have {what}; give the data set that "
            "they were compared with."
        )

    def result(index: int) -> ImageResult:
        sample = dataset[index]
        return ImageResult(sample.image, sample.name, comparison, by_id[sample.image_id], None)

    return result


def head_outputs(trace: Trace, rows: np.ndarray, class_names) -> HeadOutputs:
    """The outputs of the heads for some of a trace's detections.

    Detections are sorted, and some of the network's may be left out or rounded. So each is traced
    back to its row in the network's output, and that to its RoI, by class, box and score.

    Args:
        trace: of the image.
        rows: int [D], indices into `trace.detections`.
        class_names: of the network, without background.
    """
    found = trace.detections
    boxes, scores = trace.in_image(trace.boxes), trace.scores
    refined = trace.in_image(trace.refined)
    rois, masks = [], []
    for row in rows:
        box, score, class_id = found.boxes[row], found.scores[row], found.class_ids[row]
        same = np.where(trace.classes == class_id, scores, np.inf)
        masks.append(trace.masks[_nearest(boxes, same, box, score)])
        class_boxes = refined[:, 0 if refined.shape[1] == 1 else class_id - 1]
        rois.append(_nearest(class_boxes, trace.class_probabilities[:, class_id], box, score))
    grids = np.asarray(masks, np.float32).reshape(-1, *trace.masks.shape[1:])
    return HeadOutputs(
        ("background", *class_names),
        trace.in_image(trace.rois),
        trace.class_probabilities,
        np.array(rois, int),
        grids,
    )


def _nearest(boxes, scores, box, score) -> int:
    return int((np.abs(boxes - box).max(axis=1) + np.abs(scores - score)).argmin())


def only_classes(pairs: ImagePairs, class_ids) -> ImagePairs:
    """Only the objects and detections of some classes."""
    g, d = np.isin(pairs.object_classes, class_ids), np.isin(pairs.classes, class_ids)
    return replace(
        pairs,
        objects=pairs.objects[g],
        object_classes=pairs.object_classes[g],
        crowd=pairs.crowd[g],
        object_areas=pairs.object_areas[g],
        detections=pairs.detections[d],
        classes=pairs.classes[d],
        scores=pairs.scores[d],
        areas=pairs.areas[d],
        overlaps=pairs.overlaps[np.ix_(d, g)],
    )
