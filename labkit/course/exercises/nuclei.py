"""The exercises of notebook 08: label maps, anchors, limits, and counting."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake
from labkit.data.readers.label_maps import separate, values_in

NOTEBOOK = "08_nuclei"

# --- masks_of_map: the instances of a label map -----------------------------------------


def _masks_of_map(label_map):
    return separate(label_map, values_in(label_map))


def _drawn_map(rng, values, side=24):
    """A label map int64 [side, side] with a block of each value, later ones on top."""
    label_map = np.zeros((side, side), np.int64)
    for value in values:
        y, x = rng.integers(0, side - 7, 2)
        label_map[y : y + rng.integers(3, 7), x : x + rng.integers(3, 7)] = value
    return label_map


def _map_cases(rng):
    for count in (3, 5):
        yield Case("values one after the other", (_drawn_map(rng, range(1, count + 1)),))
    yield Case("values with gaps", (_drawn_map(rng, [2, 5, 31, 90]),))
    split = np.zeros((8, 12), np.int64)
    split[1:3, 1:4], split[5:7, 8:11], split[1:4, 8:10] = 3, 3, 1
    yield Case("an instance in two pieces", (split,))
    yield Case("a picture without instances", (np.zeros((6, 9), np.int64),))


def _with_background(label_map):
    return separate(label_map, np.unique(label_map))


def _all_in_one(label_map):
    return (label_map > 0)[None]


def _up_to_the_largest(label_map):
    return separate(label_map, range(1, int(label_map.max()) + 1))


def _one_to_count(label_map):
    return separate(label_map, range(1, len(values_in(label_map)) + 1))


def _from_there_on(label_map):
    return np.array([label_map >= v for v in values_in(label_map)], bool).reshape(
        -1, *label_map.shape
    )


def _last_axis(label_map):
    return np.moveaxis(_masks_of_map(label_map), 0, -1)


MASKS_OF_MAP = Exercise(
    name="masks_of_map",
    notebook=NOTEBOOK,
    title="Instances from a label map",
    reference=_masks_of_map,
    cases=_map_cases,
    returns="true and false, one mask for each value, the smallest value first",
    kinds={
        "a picture without instances": "no instance is an answer too: no masks, each as large as "
        "the picture, so the shape is (0, height, width).",
        "an instance in two pieces": "what has one value is one instance, even where something "
        "lies across it and only two pieces are seen.",
    },
    mistakes=(
        Mistake("0 is the background, not an instance: one mask too many.", _with_background),
        Mistake(
            "that is one mask of everything: it says where nuclei are, not which pixel is whose.",
            _all_in_one,
        ),
        Mistake(
            "values may have gaps: a value that no pixel has is no instance, and its mask is "
            "empty.",
            _up_to_the_largest,
        ),
        Mistake(
            "the values need not be 1, 2, 3, …: ask the map which ones it holds.", _one_to_count
        ),
        Mistake(
            "a mask is where the map is equal to its value, not where it is larger.", _from_there_on
        ),
        Mistake("the instances go along the first axis: (N, height, width).", _last_axis),
    ),
    hints=(
        "Which values occur? `np.unique` knows. One of them is the background.",
        "For each value but 0, `label_map == value` is its mask. Stack them along the first axis, "
        "and think of the map that holds nothing but 0.",
    ),
)

# --- anchor_sizes: five sizes for the pyramid, from the boxes ---------------------------


def _sides(boxes):
    return np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _doubling(first):
    return np.clip(np.round(first), 8, 24) * 2.0 ** np.arange(5)


def _anchor_sizes(boxes):
    return _doubling(np.quantile(_sides(boxes), 0.15))


def _box_cases(rng):
    def boxes(low, high, count=60):
        corner, size = rng.uniform(20, 200, (count, 2)), rng.uniform(low, high, (count, 2))
        size[:, 1] *= rng.uniform(1, 2.5, count)
        return np.concatenate([corner, corner + size], axis=1)

    for low, high in ((8, 20), (9, 26), (10, 30)):
        yield Case("boxes of many sizes", (boxes(low, high),))
    yield Case("very small boxes", (boxes(2, 6),))
    yield Case("very large boxes", (boxes(80, 300),))


def _areas(boxes):
    return _doubling(np.quantile(_sides(boxes) ** 2, 0.15))


def _longer_sides(boxes):
    return _doubling(np.quantile((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 0.15))


def _median_first(boxes):
    return _doubling(np.median(_sides(boxes)))


def _far_corners(boxes):
    return _doubling(np.quantile(np.sqrt(boxes[:, 2] * boxes[:, 3]), 0.15))


def _even_steps(boxes):
    return _anchor_sizes(boxes)[0] * np.arange(1, 6)


def _unlimited(boxes):
    return np.round(np.quantile(_sides(boxes), 0.15)) * 2.0 ** np.arange(5)


ANCHOR_SIZES = Exercise(
    name="anchor_sizes",
    notebook=NOTEBOOK,
    title="Five anchor sizes from the boxes",
    reference=_anchor_sizes,
    cases=_box_cases,
    returns="five numbers, each twice the one before",
    kinds={
        "very small boxes": "below 8 px the finest feature map has hardly a cell for an object: "
        "the first size stays at 8.",
        "very large boxes": "the first size is 24 at most: small objects may still come.",
    },
    mistakes=(
        Mistake("that is an area; an anchor's size is a length, the root of it.", _areas),
        Mistake(
            "the longer side makes long objects too large: size is the root of height times width.",
            _longer_sides,
        ),
        Mistake(
            "the first size is for the small objects, a quantile of 0.15; at the median half "
            "of them are smaller.",
            _median_first,
        ),
        Mistake(
            "boxes are (y1, x1, y2, x2): the last two are a corner, not height and width.",
            _far_corners,
        ),
        Mistake(
            "sizes double from level to level, as the strides do; yours grow by equal steps.",
            _even_steps,
        ),
        Mistake("right but for its limits: the first size must not leave 8 to 24.", _unlimited),
    ),
    hints=(
        "Size is the root of height times width. Take it of every box, then the 0.15 quantile.",
        "Round it, hold it between 8 and 24 (`np.clip`), and multiply by 1, 2, 4, 8 and 16.",
    ),
)

# --- recall_ceiling: what a limit of detections costs -----------------------------------


def _recall_ceiling(objects, limit):
    return float(np.minimum(objects, limit).sum() / objects.sum())


def _ceiling_cases(rng):
    for limit in (20, 50):
        yield Case("some pictures beyond the limit", (rng.integers(1, 120, 12), limit))
    yield Case("a picture without objects", (np.array([0, 30, 80, 260]), 100))
    yield Case("a picture exactly at the limit", (np.array([100, 7, 101]), 100))
    yield Case("no picture beyond the limit", (np.array([3, 40, 25]), 100))


def _mean_ceiling(objects, limit):
    some = objects[objects > 0]
    return float((np.minimum(some, limit) / some).mean())


def _pictures_within(objects, limit):
    return float((objects <= limit).mean())


def _crowded_left_out(objects, limit):
    return float(objects[objects <= limit].sum() / objects.sum())


def _limit_for_all(objects, limit):
    return float(min(objects.sum(), limit) / objects.sum())


def _of_the_worst(objects, limit):
    return float(min(1.0, limit / objects.max()))


RECALL_CEILING = Exercise(
    name="recall_ceiling",
    notebook=NOTEBOOK,
    title="The best recall under a limit of detections",
    reference=_recall_ceiling,
    cases=_ceiling_cases,
    returns="one number from 0 to 1",
    mistakes=(
        Mistake(
            "recall is of all objects together: the mean over pictures gives a nearly empty "
            "one the weight of a crowded one.",
            _mean_ceiling,
        ),
        Mistake(
            "that is the share of pictures within the limit; asked for is that of objects.",
            _pictures_within,
        ),
        Mistake(
            "a picture beyond the limit is not lost: as many as the limit can still be found "
            "in it.",
            _crowded_left_out,
        ),
        Mistake("the limit holds for each picture, not for all of them together.", _limit_for_all),
        Mistake("that is the ceiling of the most crowded picture alone.", _of_the_worst),
    ),
    hints=(
        "In a picture with n objects, a perfect model finds n of them, or as many as the limit.",
        "Add that up over all pictures (`np.minimum`), and divide by all objects.",
    ),
)

# --- count_errors: of the total, and of a picture ---------------------------------------


def _count_errors(found, objects):
    off = found - objects
    return float(off.sum() / objects.sum()), float(np.abs(off).mean())


def _count_cases(rng):
    for _ in range(2):
        objects = rng.integers(5, 90, 9)
        yield Case("pictures with objects", (objects + rng.integers(-6, 12, 9), objects))
    yield Case("errors that cancel", (np.array([12, 28, 41]), np.array([20, 20, 41])))
    yield Case("too few everywhere", (np.array([8, 15, 30]), np.array([10, 21, 33])))
    yield Case("a picture without objects", (np.array([4, 11]), np.array([0, 10])))


def _errors_cancel(found, objects):
    off = found - objects
    return float(off.sum() / objects.sum()), float(off.mean())


def _wrong_sign(found, objects):
    total, each = _count_errors(found, objects)
    return -total, each


def _of_found(found, objects):
    return float((found - objects).sum() / found.sum()), _count_errors(found, objects)[1]


def _without_sign(found, objects):
    total, each = _count_errors(found, objects)
    return abs(total), each


def _squares(found, objects):
    return _count_errors(found, objects)[0], float(np.sqrt(((found - objects) ** 2).mean()))


def _not_divided(found, objects):
    return float((found - objects).sum()), _count_errors(found, objects)[1]


COUNT_ERRORS = Exercise(
    name="count_errors",
    notebook=NOTEBOOK,
    title="The error of a count",
    reference=_count_errors,
    cases=_count_cases,
    returns="two numbers: the error of the total as a share, and the mean error of a picture",
    kinds={
        "a picture without objects": "no division by the objects of a single picture is needed, "
        "so a picture without objects is no trouble.",
    },
    mistakes=(
        Mistake(
            "the second number lets too many here and too few there cancel: take away the "
            "sign of each picture's error first.",
            _errors_cancel,
        ),
        Mistake("the sign is turned round: too many found is positive.", _wrong_sign),
        Mistake(
            "the share is of the objects that are there, not of those that were found.", _of_found
        ),
        Mistake(
            "the first number keeps its sign: too many, or too few, is what one wants to know.",
            _without_sign,
        ),
        Mistake(
            "that is the root of the mean square; asked for is the mean of the errors without "
            "their signs.",
            _squares,
        ),
        Mistake("the first number is a share: divide by the number of objects.", _not_divided),
    ),
    hints=(
        "Begin with each picture's error, found minus there. Both numbers come from it.",
        "The first adds the errors up as they are and divides by all objects; the second takes "
        "the mean of `np.abs` of them.",
    ),
)

# --- counting_threshold: the score from which on to count -------------------------------


def _levels(images):
    return np.unique(np.concatenate([scores for scores, _ in images]))[::-1]


def _errors_at(images, level):
    """The error of each image's count at a score threshold, int [P]."""
    return np.array([(scores >= level).sum() - objects for scores, objects in images])


def _lowest(images, badness, levels=None):
    levels = _levels(images) if levels is None else levels
    return float(levels[int(np.argmin([badness(_errors_at(images, level)) for level in levels]))])


def _mean_size(off):
    return np.abs(off).mean()


def _counting_threshold(images):
    return _lowest(images, _mean_size)


def _scored(*pairs):
    return [(np.array(scores, float), objects) for scores, objects in pairs]


def _counted_cases(rng):
    for _ in range(3):
        images = []
        for _ in range(6):
            scores = np.round(np.sort(rng.uniform(0.05, 1, rng.integers(8, 25)))[::-1], 2)
            images.append((scores, int((scores > 0.4).sum() + rng.integers(-3, 6))))
        yield Case("several pictures", (images,))
    cancel = _scored(([0.9, 0.8, 0.7, 0.6, 0.5], 1), ([0.45, 0.4, 0.3], 4))
    yield Case("errors that cancel", (cancel,))
    far = _scored(([0.8, 0.7, 0.6, 0.5, 0.1], 3), ([0.3], 3), ([0.7, 0.3], 0))
    yield Case("one picture far off", (far,))
    yield Case("equally good thresholds", (_scored(([0.9, 0.6, 0.3], 1), ([0.8, 0.5, 0.2], 2)),))
    yield Case("a picture in which nothing is found", (_scored(([0.9, 0.4], 1), ([], 2)),))


def _total_only(images):
    return _lowest(images, lambda off: abs(off.sum()))


def _squared(images):
    return _lowest(images, lambda off: (off**2).mean())


def _lowest_of_equals(images):
    return _lowest(images, _mean_size, _levels(images)[::-1])


def _one_below(images):
    levels = _levels(images)
    place = int(np.flatnonzero(levels == _counting_threshold(images))[0])
    return float(levels[min(place + 1, len(levels) - 1)])


def _the_error_itself(images):
    return float(min(_mean_size(_errors_at(images, level)) for level in _levels(images)))


def _always_a_half(images):
    return 0.5


COUNTING_THRESHOLD = Exercise(
    name="counting_threshold",
    notebook=NOTEBOOK,
    title="The score from which on to count",
    reference=_counting_threshold,
    cases=_counted_cases,
    returns="one number, a score that occurs",
    kinds={
        "equally good thresholds": "of equally good ones the highest is asked for.",
        "a picture in which nothing is found": "a picture without detections counts 0, and what is "
        "missed in it is an error like any other.",
    },
    mistakes=(
        Mistake(
            "that is the threshold of the right total: too many in one picture pays for too "
            "few in another.",
            _total_only,
        ),
        Mistake("squares let one bad picture decide; asked for is the mean error.", _squared),
        Mistake("of equally good thresholds take the highest.", _lowest_of_equals),
        Mistake(
            "one detection too many: what has exactly the threshold is counted, too.", _one_below
        ),
        Mistake(
            "that is the error at the best threshold; at which score is it?", _the_error_itself
        ),
        Mistake("0.5 is a habit, not an answer: try every score that occurs.", _always_a_half),
    ),
    hints=(
        "Try every score that occurs in any picture. At each, count in every picture what has "
        "that score or more, and take the mean of the errors without their signs.",
        "`np.unique` of all scores together, turned round, has the highest first; `np.argmin` "
        "gives the first of equals.",
    ),
)

EXERCISES = (MASKS_OF_MAP, ANCHOR_SIZES, RECALL_CEILING, COUNT_ERRORS, COUNTING_THRESHOLD)
