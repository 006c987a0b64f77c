"""What a model, or a file of results, says of one picture of a data set, beside its truth."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from labkit.errors import LabkitError, listed
from labkit.evaluation.comparison import Comparison, ImagePairs, compare
from labkit.evaluation.result import Evaluation
from labkit.models.trace import Trace


@dataclass(frozen=True, eq=False)
class Heads:
    """What the network's heads said in one picture of D detections: see `heads_of`.

    class_names: of the network, background first. rois: float32 [P, 4], the proposals in pixels of
    the picture; probabilities: float32 [P, 1 + N]. roi_of: int [D], the RoI that each detection
    was made of. masks: float32 [D, 28, 28], probabilities.
    """

    class_names: tuple[str, ...]
    rois: np.ndarray
    probabilities: np.ndarray
    roi_of: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True, eq=False)
class Looked:
    """One picture: its sample's image and name, what was compared in it, and the heads' answers.

    heads is None where results come from a file, which keeps neither RoIs nor probabilities.
    """

    image: np.ndarray
    name: str
    comparison: Comparison
    pairs: ImagePairs
    heads: Heads | None


def from_model(model, dataset) -> Callable[[int], Looked]:
    """Looks at the picture of any place. Raises LabkitError where no class is known to both."""
    known = [name for name in model.class_names if name in dataset.class_names]
    if not known:
        raise LabkitError(
            "explore_detections: the model knows none of the data set's classes "
            f"({listed(dataset.class_names)}); it knows {listed(model.class_names)}. Give the data "
            "set that it was trained for."
        )

    def look(place: int) -> Looked:
        sample = dataset[place]
        trace = model.trace(sample.image)
        found = trace.detections
        found.image_id = sample.image_id
        # Classes that the data set does not have have no truth to be compared with.
        rows = np.flatnonzero(np.isin(found.names, known))
        comparison = compare(dataset.subset([place]), [found])
        pairs = comparison.images[0]
        heads = heads_of(trace, rows[pairs.detections], model.class_names)
        return Looked(sample.image, sample.name, comparison, pairs, heads)

    return look


def from_results(results, dataset) -> Callable[[int], Looked]:
    """The same from results. Raises LabkitError where they are of other pictures or classes."""
    own_truth = isinstance(results, (Comparison, Evaluation))  # of more pictures, it may be
    comparison = compare(results) if own_truth else compare(dataset, results)
    by_id = {pairs.image_id: pairs for pairs in comparison.images}
    missing = [number for number in dataset.image_ids if number not in by_id]
    if missing or comparison.class_names != tuple(dataset.class_names):
        what = f"no image {missing[0]}" if missing else "other classes than the data set"
        raise LabkitError(
            f"explore_detections: the results have {what}; give the data set that "
            "they were compared with."
        )

    def look(place: int) -> Looked:
        sample = dataset[place]
        return Looked(sample.image, sample.name, comparison, by_id[sample.image_id], None)

    return look


def heads_of(trace: Trace, rows: np.ndarray, class_names) -> Heads:
    """What the heads said of some of a trace's detections: rows int [D] of `trace.detections`.

    Detections are sorted, and some of what the network gave may be left out or rounded. So each
    is traced back to its row there, and that to its RoI, by its class, its box and its score.
    """
    found = trace.detections
    boxes, scores = trace.in_image(trace.boxes), trace.scores
    refined = trace.in_image(trace.refined)
    rois, masks = [], []
    for row in rows:
        box, score, class_id = found.boxes[row], found.scores[row], found.class_ids[row]
        same = np.where(trace.classes == class_id, scores, np.inf)
        masks.append(trace.masks[_nearest(boxes, same, box, score)])
        own = refined[:, 0 if refined.shape[1] == 1 else class_id - 1]
        rois.append(_nearest(own, trace.class_probabilities[:, class_id], box, score))
    grids = np.asarray(masks, np.float32).reshape(-1, *trace.masks.shape[1:])
    return Heads(
        ("background", *class_names),
        trace.in_image(trace.rois),
        trace.class_probabilities,
        np.array(rois, int),
        grids,
    )


def _nearest(boxes, scores, box, score) -> int:
    return int((np.abs(boxes - box).max(axis=1) + np.abs(scores - score)).argmin())


def only_classes(pairs: ImagePairs, class_ids) -> ImagePairs:
    """The objects and detections of some classes."""
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
