"""The exercises of notebook 06, second half: AP of a class and of a data set, and a threshold."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.course.exercises.pr_curves import NOTEBOOK
from labkit.evaluation.average_precision import (
    area_under_curve,
    coco_101_points,
    interpolated,
    precision_at,
    precision_recall,
    voc_11_points,
)

# --- ap_101: COCO's average precision at one IoU ----------------------------------------


def _curve_cases(rng):
    for objects in (7, 13, 30):
        hits = rng.uniform(size=2 * objects) < 0.45
        yield Case("a curve that ends before recall 1", precision_recall(hits, objects))
    yield Case(
        "the example of the notebook", precision_recall(np.array([1, 1, 1, 1, 0, 1], bool), 5)
    )
    yield Case(
        "recalls of exactly a quarter and a half",
        precision_recall(np.array([1, 0, 0, 1, 0], bool), 4),
    )
    yield Case("nothing is right", precision_recall(np.zeros(4, bool), 3))
    yield Case("no detections at all", (np.zeros(0), np.zeros(0)))


POINTS = np.linspace(0, 1, 101)


def _raw(precision, recall):
    padded = np.append(precision, 0.0)
    return float(padded[np.searchsorted(recall, POINTS)].mean())


def _beyond_only(precision, recall):
    padded = np.append(interpolated(precision), 0.0)
    return float(padded[np.searchsorted(recall, POINTS, side="right")].mean())


def _reached_only(precision, recall):
    values = precision_at(precision, recall, POINTS)
    reached = recall.max(initial=0) >= POINTS
    return float(values[reached].mean())


def _without_zero(precision, recall):
    return float(precision_at(precision, recall, POINTS[1:]).mean())


AP_101 = Exercise(
    name="ap_101",
    notebook=NOTEBOOK,
    title="COCO's 101 points",
    reference=coco_101_points,
    cases=_curve_cases,
    returns="one number from 0 to 1",
    kinds={
        "no detections at all": "without a point no recall is reached, not even 0: AP is 0.",
        "recalls of exactly a quarter and a half": "a point that lies exactly on one of the "
        "recalls reaches it.",
    },
    mistakes=(
        Mistake(
            "that is the exact area under the interpolated curve; COCO reads 101 points off it.",
            area_under_curve,
        ),
        Mistake("11 points were VOC's until 2009; COCO takes 101.", voc_11_points),
        Mistake("you read the raw curve, teeth and all: interpolate first.", _raw),
        Mistake("a recall that is reached exactly counts as reached.", _beyond_only),
        Mistake(
            "recalls that are never reached have precision 0, and count in the mean.", _reached_only
        ),
        Mistake(
            "from 0 to 1 in steps of a hundredth there are 101 points: one is missing, the first.",
            _without_zero,
        ),
    ),
    hints=(
        "Three steps: interpolate, look up the precision at each of 101 recalls, take the mean.",
        "At recall r it is the largest precision among all points whose recall is at least r, or "
        "0 if there is none. Then a loop over r does it.",
    ),
)


# --- pooled_ap: one curve for the whole data set ----------------------------------------


def _pooled_images(images):
    """The scores and hits of all images, concatenated, and the total number of objects."""
    scores = np.concatenate([np.zeros(0), *(scores for scores, _, _ in images)])
    hits = np.concatenate([np.zeros(0, bool), *(hits for _, hits, _ in images)])
    return scores, hits, sum(objects for _, _, objects in images)


def _exact(scores, hits, objects):
    order = np.argsort(-scores, kind="stable")
    return area_under_curve(*precision_recall(hits[order], objects))


def _pooled_ap(images):
    return _exact(*_pooled_images(images))


def _image(rng, detections, spare, low=0.1):
    hits = rng.uniform(size=detections) < 0.6
    scores = np.sort(rng.uniform(low, 1, detections))[::-1]
    return scores, hits, int(hits.sum()) + spare


def _image_cases(rng):
    for _ in range(3):
        images = [_image(rng, 6, 1), _image(rng, 3, 2), _image(rng, 9, 1)]
        yield Case("images with objects", (images,))
    unsure = (np.array([0.3, 0.2]), np.array([True, False]), 1)
    sure = (np.array([0.9, 0.8]), np.array([False, True]), 1)
    yield Case("an image whose scores are lower", ([unsure, sure],))
    nothing = (np.zeros(0), np.zeros(0, bool), 4)
    yield Case("an image in which nothing is found", ([_image(rng, 5, 1), nothing],))
    empty = (np.array([0.95, 0.6]), np.zeros(2, bool), 0)
    yield Case("an image without objects", ([_image(rng, 5, 1), empty],))


def _aps_of_images(images):
    return [(_exact(s, h, n), n) for s, h, n in images if n]


def _mean_of_images(images):
    return float(np.mean([ap for ap, _ in _aps_of_images(images)]))


def _weighted_mean(images):
    aps = _aps_of_images(images)
    return float(sum(ap * n for ap, n in aps) / sum(n for _, n in aps))


def _not_sorted(images):
    _, hits, objects = _pooled_images(images)
    return area_under_curve(*precision_recall(hits, objects))


def _worst_first(images):
    scores, hits, objects = _pooled_images(images)
    return _exact(-scores, hits, objects)


def _images_with_objects_only(images):
    return _pooled_ap([image for image in images if image[2]])


def _images_with_detections_only(images):
    return _pooled_ap([image for image in images if len(image[0])])


POOLED_AP = Exercise(
    name="pooled_ap",
    notebook=NOTEBOOK,
    title="One curve for all images",
    reference=_pooled_ap,
    cases=_image_cases,
    returns="one number from 0 to 1",
    mistakes=(
        Mistake(
            "that is the mean of the images' own APs, the very thing we want to get away from.",
            _mean_of_images,
        ),
        Mistake(
            "weighing the images' APs by their objects does not make one curve of them: "
            "detections of different images must compete with one another.",
            _weighted_mean,
        ),
        Mistake(
            "put together, but not ranked: the second image's best may come before the first "
            "image's worst.",
            _not_sorted,
        ),
        Mistake("ranked the wrong way round: the best score first.", _worst_first),
        Mistake(
            "what is found in images without objects is a false positive, and counts.",
            _images_with_objects_only,
        ),
        Mistake(
            "objects in images where nothing was found are missed, and count.",
            _images_with_detections_only,
        ),
    ),
    hints=(
        "First put all scores into one long array, all hits into another, and add up the objects.",
        "Sort both by falling score (argsort of the negative scores); then it is the area under "
        "one interpolated curve: each step in recall times the height there.",
    ),
)


# --- best_score: the threshold of the best F1 -------------------------------------------


def _f1s(scores, hits, objects):
    """Distinct scores, falling; F1, true positives and detections of that score or more."""
    levels = np.unique(scores)[::-1]
    shown = np.array([(scores >= s).sum() for s in levels])
    right = np.array([hits[scores >= s].sum() for s in levels])
    return levels, 2 * right / np.maximum(shown + objects, 1), right, shown


def _best_score(scores, hits, objects):
    levels, f1, _, _ = _f1s(scores, hits, objects)
    return float(levels[f1.argmax()])


def _score_cases(rng):
    for _ in range(3):
        scores = np.sort(rng.uniform(0.1, 1, 16))[::-1]
        hits = rng.uniform(size=16) < np.linspace(1.2, 0.1, 16)  # high scores are mostly right
        yield Case("scores of a class", (scores, hits, int(hits.sum()) + 3))
    tied = np.array([0.9, 0.7, 0.7, 0.7, 0.4])
    yield Case("equal scores", (tied, np.array([1, 1, 0, 0, 1], bool), 3))
    apart, hits = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([1, 0, 0, 0, 1], bool)
    yield Case("many objects that are never found", (apart, hits, 12))
    yield Case("two thresholds that are equally good", (apart, hits, 3))


def _best_precision(scores, hits, objects):
    levels, _, right, shown = _f1s(scores, hits, objects)
    return float(levels[(right / shown).argmax()])


def _best_recall(scores, hits, objects):
    levels, _, right, _ = _f1s(scores, hits, objects)
    return float(levels[right.argmax()])


def _lowest_of_equals(scores, hits, objects):
    levels, f1, _, _ = _f1s(scores, hits, objects)
    return float(levels[::-1][f1[::-1].argmax()])


def _splits_equal_scores(scores, hits, objects):
    right, rank = np.cumsum(hits), np.arange(1, len(hits) + 1)
    place = int((2 * right / (rank + objects)).argmax())
    return float(scores[min(place + 1, len(scores) - 1)]) if place else float(scores[0])


def _the_f1_itself(scores, hits, objects):
    return float(_f1s(scores, hits, objects)[1].max())


def _of_the_found(scores, hits, objects):
    return _best_score(scores, hits, int(hits.sum()))


BEST_SCORE = Exercise(
    name="best_score",
    notebook=NOTEBOOK,
    title="The score threshold of the best F1",
    reference=_best_score,
    cases=_score_cases,
    returns="one number, a score",
    kinds={
        "equal scores": "a threshold cannot part equal scores: it shows all of them or none.",
        "two thresholds that are equally good": "of equally good ones the highest is asked for.",
    },
    mistakes=(
        Mistake(
            "that is where precision is best; often that is the very first detection.",
            _best_precision,
        ),
        Mistake("that is where recall is best: it never falls when more is shown.", _best_recall),
        Mistake(
            "of equally good thresholds take the highest, which shows the least.", _lowest_of_equals
        ),
        Mistake(
            "that is one detection too many: the threshold is the score of the last one shown.",
            _splits_equal_scores,
        ),
        Mistake("that is the best F1; at which score is it reached?", _the_f1_itself),
        Mistake(
            "count the objects that are there, not those that were found: with fewer objects "
            "than there are, recall looks too good.",
            _of_the_found,
        ),
    ),
    hints=(
        "Try every score that occurs as a threshold: count what is shown and what of it is right.",
        "F1 is 2 × right / (shown + objects). numpy's argmax gives the first of equals; so go "
        "through the scores from the highest down.",
    ),
)

EXERCISES = (AP_101, POOLED_AP, BEST_SCORE)
