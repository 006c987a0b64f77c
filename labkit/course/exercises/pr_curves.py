"""The exercises of notebook 06, first half: matching, and the curve point by point."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.evaluation.average_precision import interpolated, match_detections, precision_recall

NOTEBOOK = "06_evaluation_with_pr_curves"


# --- match_image: which object each detection finds -------------------------------------


def _match_cases(rng):
    for _ in range(3):
        yield Case("a crowded picture", (rng.uniform(0, 1, (9, 5)), 0.3))
    yield Case("two detections on one object", (np.array([[0.9], [0.8]]), 0.5))
    yield Case("a best object that is taken", (np.array([[0.9, 0.2], [0.8, 0.6]]), 0.5))
    yield Case("an overlap of exactly the threshold", (np.array([[0.5, 0.1], [0.2, 0.75]]), 0.5))
    yield Case("nothing overlaps enough", (rng.uniform(0, 0.4, (3, 2)), 0.5))
    yield Case("a picture without objects", (np.zeros((3, 0)), 0.5))
    yield Case("a picture without detections", (np.zeros((0, 2)), 0.5))


def _greedy(overlaps, good, taken_too=False, once=True):
    """Each detection in turn takes its best object, with the mistakes named by the arguments."""
    matches, taken = np.full(len(overlaps), -1), np.zeros(overlaps.shape[1], bool)
    for d, row in enumerate(overlaps):
        row = row if taken_too else np.where(taken, -1.0, row)
        g = int(row.argmax()) if row.size else -1
        if g >= 0 and good(row[g]) and not taken[g]:
            matches[d], taken[g] = g, once
    return matches


def _above_only(overlaps, threshold):
    return _greedy(overlaps, lambda iou: iou > threshold)


def _several_times(overlaps, threshold):
    return _greedy(overlaps, lambda iou: iou >= threshold, once=False)


def _only_the_very_best(overlaps, threshold):
    return _greedy(overlaps, lambda iou: iou >= threshold, taken_too=True)


def _without_a_threshold(overlaps, threshold):
    return _greedy(overlaps, lambda iou: iou > 0)


def _objects_choose(overlaps, threshold):
    turned = match_detections(overlaps.T, threshold)
    matches = np.full(len(overlaps), -1)
    matches[turned[turned >= 0]] = np.flatnonzero(turned >= 0)
    return matches


def _first_that_is_good(overlaps, threshold):
    return match_detections((overlaps >= threshold) * np.linspace(1, 0.9, overlaps.shape[1]), 0.5)


def _worst_first(overlaps, threshold):
    return match_detections(overlaps[::-1], threshold)[::-1]


MATCH_IMAGE = Exercise(
    name="match_image",
    notebook=NOTEBOOK,
    title="Who finds what in one picture",
    reference=match_detections,
    cases=_match_cases,
    returns="a whole number for each detection, the object's place or -1",
    kinds={
        "a picture without objects": "where nothing is, everybody finds nothing: -1 for each.",
        "a picture without detections": "no detections have no answers: an empty array.",
    },
    mistakes=(
        Mistake("*at least* the threshold is not *more than* the threshold.", _above_only),
        Mistake("an object can be found once; what comes later is a duplicate.", _several_times),
        Mistake(
            "where the best object is taken, the next best may still be free, and overlap enough.",
            _only_the_very_best,
        ),
        Mistake(
            "everybody takes something, however small the overlap: who asks for the threshold?",
            _without_a_threshold,
        ),
        Mistake(
            "here the objects choose among the detections. It is the other way round: the "
            "detection with the best score chooses first.",
            _objects_choose,
        ),
        Mistake(
            "of several that overlap enough, the first one is taken: which should it be?",
            _first_that_is_good,
        ),
        Mistake(
            "rows are sorted by score, the best first; who chooses first with you?", _worst_first
        ),
    ),
    hints=(
        "Two nested questions: for each detection in turn, which objects are still free? Of "
        "those, which one does it overlap most?",
        "Keep an array of true and false, `free`, of one entry an object. For a row of overlaps, "
        "put -1 where an object is not free, take the largest, and ask for the threshold.",
    ),
)


# --- pr_points: the raw curve -----------------------------------------------------------


def _hits_cases(rng):
    for _ in range(3):
        hits = rng.uniform(size=11) < 0.6
        yield Case("hits and misses", (hits, int(hits.sum()) + 3))
    yield Case("the example of the notebook", (np.array([1, 1, 1, 1, 0, 1], bool), 5))
    yield Case("a false positive first", (np.array([False, True, True]), 2))
    yield Case("nothing is right", (np.zeros(4, bool), 3))
    yield Case("no detections at all", (np.zeros(0, bool), 3))


def _divided_by_all(hits, objects):
    return np.cumsum(hits) / max(len(hits), 1), np.cumsum(hits) / objects


def _recall_of_the_found(hits, objects):
    return precision_recall(hits, objects)[0], np.cumsum(hits) / max(hits.sum(), 1)


def _swapped(hits, objects):
    return precision_recall(hits, objects)[::-1]


def _not_accumulated(hits, objects):
    return hits / np.arange(1, len(hits) + 1), hits / objects


def _ranks_from_zero(hits, objects):
    with np.errstate(all="ignore"):
        return np.cumsum(hits) / np.arange(len(hits)), np.cumsum(hits) / objects


PR_POINTS = Exercise(
    name="pr_points",
    notebook=NOTEBOOK,
    title="Precision and recall after each detection",
    reference=precision_recall,
    cases=_hits_cases,
    returns="two arrays, precision and recall",
    kinds={"no detections at all": "without detections the curve has no points: two empty arrays."},
    mistakes=(
        Mistake(
            "recall is right; precision after the third detection is a share of three.",
            _divided_by_all,
        ),
        Mistake(
            "precision is right; recall is a share of the objects that are there, and not "
            "of those that were found in the end.",
            _recall_of_the_found,
        ),
        Mistake("both are right, in the other order: precision first.", _swapped),
        Mistake(
            "each point counts all detections down to this one, not this one alone.",
            _not_accumulated,
        ),
        Mistake(
            "recall is right; precision divides by one too few: the first detection is number 1.",
            _ranks_from_zero,
        ),
    ),
    hints=(
        "How many of the first n detections were right? numpy has a function for running sums.",
        "The running sum of hits, divided by 1, 2, 3, …, is precision; by the number of objects, "
        "recall.",
    ),
)


# --- envelope: the saw's teeth cut off --------------------------------------------------


def _precision_cases(rng):
    for _ in range(3):
        yield Case("a saw", (rng.uniform(0.2, 1, 9),))
    yield Case("the example of the notebook", (np.array([1, 1, 1, 1, 4 / 5, 5 / 6]),))
    yield Case("a curve that only rises", (np.array([0.0, 0.5, 2 / 3]),))
    yield Case("a curve that only falls", (np.array([1.0, 0.5, 1 / 3]),))
    yield Case("no points", (np.zeros(0),))


ENVELOPE = Exercise(
    name="envelope",
    notebook=NOTEBOOK,
    title="The best precision at this recall or beyond",
    reference=interpolated,
    cases=_precision_cases,
    returns="an array of the same length",
    kinds={"no points": "an empty curve stays empty; does your code look at its first point?"},
    mistakes=(
        Mistake(
            "that is the best so far; it should be the best *from here on*.", np.maximum.accumulate
        ),
        Mistake(
            "that looks at the next point only; a better one may come later.",
            lambda p: np.maximum(p, np.append(p[1:], 0)),
        ),
        Mistake(
            "one number for the whole curve: the best of all points also stands in front of "
            "points that it does not belong to.",
            lambda p: np.full(len(p), p.max(initial=0)),
        ),
        Mistake(
            "you cut off the tops; the valleys are to be filled.",
            lambda p: np.minimum.accumulate(p),
        ),
        Mistake(
            "the values are right, but in reversed order: turn them back.",
            lambda p: np.maximum.accumulate(p[::-1]),
        ),
        Mistake(
            "sorting gives a falling curve, but not this one: each value stays at its recall "
            "or moves to the left of it.",
            lambda p: np.sort(p)[::-1],
        ),
    ),
    hints=(
        "Walk from the last point to the first and remember the best you have met.",
        "numpy's running maximum, maximum.accumulate, walks from left to right; turn the array "
        "round before, and back afterwards.",
    ),
)

EXERCISES = (MATCH_IMAGE, PR_POINTS, ENVELOPE)
