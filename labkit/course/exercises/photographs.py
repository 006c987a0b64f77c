"""The exercises of notebook 07: AP of classes, near-duplicates, outlines, and rare classes."""

import numpy as np

from labkit.course.exercise import Case, Exercise, Mistake

NOTEBOOK = "07_photographs"

# --- class_mean: one AP from the AP of each class ----------------------------------------


def _class_mean(aps, objects):
    return float(aps[objects > 0].mean())


def _mean_cases(rng):
    for count in (4, 7):
        yield Case("classes of all sizes", (rng.uniform(0, 1, count), rng.integers(1, 60, count)))
    yield Case("a class without objects", (np.array([0.8, -1.0, 0.4]), np.array([30, 0, 5])))
    yield Case("a class that is never found", (np.array([0.6, 0.0, 0.9]), np.array([12, 4, 40])))


def _by_objects(aps, objects):
    return float((aps * objects).sum() / objects.sum())


def _of_all(aps, objects):
    return float(aps.mean())


def _never_found_left_out(aps, objects):
    return float(aps[aps > 0].mean())


def _empty_is_zero(aps, objects):
    return float(np.maximum(aps, 0).mean())


CLASS_MEAN = Exercise(
    name="class_mean",
    notebook=NOTEBOOK,
    title="One AP from the AP of each class",
    reference=_class_mean,
    cases=_mean_cases,
    returns="one number",
    mistakes=(
        Mistake(
            "every class counts once, however many objects it has: yours lets the common classes "
            "decide.",
            _by_objects,
        ),
        Mistake("-1 means that there was nothing to measure: such a class is left out.", _of_all),
        Mistake(
            "an AP of 0 is a result, the worst one. Only classes without objects are left out.",
            _never_found_left_out,
        ),
        Mistake(
            "a class without objects is neither good nor bad: leave it out instead of counting 0.",
            _empty_is_zero,
        ),
    ),
    hints=(
        "Which classes have objects? Only these count, and each of them once.",
        "`aps[objects > 0]`, and the mean of it.",
    ),
)

# --- difference_hash: 64 bits that survive small changes ----------------------------------


def _difference_hash(grey):
    return grey[:, 1:] > grey[:, :-1]


def _hash_cases(rng):
    for _ in range(2):
        yield Case("a small picture", (np.round(rng.uniform(0, 255, (8, 9)), 1),))
    ramp = np.tile(np.arange(9.0), (8, 1)) * 10
    yield Case("brighter to the right", (ramp,))
    yield Case("neighbours that are equal", (np.round(rng.uniform(0, 3, (8, 9))),))


def _darker(grey):
    return grey[:, 1:] < grey[:, :-1]


def _or_equal(grey):
    return grey[:, 1:] >= grey[:, :-1]


def _downwards(grey):
    return grey[1:] > grey[:-1]


def _above_the_mean(grey):
    return grey > grey.mean()


def _plain_differences(grey):
    return grey[:, 1:] - grey[:, :-1]


DIFFERENCE_HASH = Exercise(
    name="difference_hash",
    notebook=NOTEBOOK,
    title="A picture in 64 bits",
    reference=_difference_hash,
    cases=_hash_cases,
    returns="true and false, 8 rows of 8",
    kinds={"neighbours that are equal": "a pixel as bright as its neighbour is not brighter."},
    mistakes=(
        Mistake("the other way round: true where the pixel on the right is brighter.", _darker),
        Mistake("brighter, not at least as bright: equal neighbours give false.", _or_equal),
        Mistake("neighbours in a row, not in a column: nine columns give eight bits.", _downwards),
        Mistake(
            "that compares with the mean, which a lamp in one corner moves; compare neighbours.",
            _above_the_mean,
        ),
        Mistake("bits, not differences: only the sign is kept.", _plain_differences),
    ),
    hints=(
        "Two views of the array: all columns but the first, and all columns but the last.",
        "`grey[:, 1:]` are the pixels on the right, `grey[:, :-1]` those on the left.",
    ),
)

# --- leaks: validation pictures that training has nearly seen -----------------------------


def _distances(train, val):
    return (val[:, None] != train[None]).sum(axis=2)


def _leaks(train, val, most):
    return np.flatnonzero(_distances(train, val).min(axis=1) <= most)


def _leak_cases(rng):
    for most in (6, 10):
        train = rng.integers(0, 2, (9, 64)).astype(bool)
        val = rng.integers(0, 2, (12, 64)).astype(bool)
        for place, flips in ((1, most), (4, most + 1), (7, 0), (10, most - 1)):
            copy = train[rng.integers(0, 9)].copy()
            copy[:flips] = ~copy[:flips]
            val[place] = copy
        yield Case("some are near", (train, val, most))
    same = rng.integers(0, 2, (3, 64)).astype(bool)
    yield Case("one is near two of them", (np.stack([same[0], same[0], same[1]]), same, 4))
    apart = np.eye(4, 64, dtype=bool)
    yield Case("none is near", (apart, ~apart, 5))


def _strictly(train, val, most):
    return np.flatnonzero(_distances(train, val).min(axis=1) < most)


def _of_training(train, val, most):
    return np.flatnonzero(_distances(train, val).min(axis=0) <= most)


def _near_all(train, val, most):
    return np.flatnonzero(_distances(train, val).mean(axis=1) <= most)


def _each_pair(train, val, most):
    return np.nonzero(_distances(train, val) <= most)[0]


def _agreeing(train, val, most):
    return np.flatnonzero((64 - _distances(train, val)).min(axis=1) <= most)


def _as_flags(train, val, most):
    return _distances(train, val).min(axis=1) <= most


LEAKS = Exercise(
    name="leaks",
    notebook=NOTEBOOK,
    title="Validation pictures that training has nearly seen",
    reference=_leaks,
    cases=_leak_cases,
    returns="the numbers of the validation pictures, ascending",
    kinds={"none is near": "no leak is an answer, too: an empty array."},
    mistakes=(
        Mistake("exactly `most` different bits still count as near.", _strictly),
        Mistake(
            "those are the numbers of the training pictures; asked for are the others.",
            _of_training,
        ),
        Mistake("one near training picture is enough: take the nearest, not the mean.", _near_all),
        Mistake(
            "a picture that is near two training pictures is still one picture: once each.",
            _each_pair,
        ),
        Mistake("count the bits that differ, not those that agree.", _agreeing),
        Mistake("their numbers are asked for, not true and false for each.", _as_flags),
    ),
    hints=(
        "`val[:, None] != train[None]` is [M, N, 64]. What is the number of different bits of each "
        "pair?",
        "Sum over the last axis, take the minimum over the training pictures, compare, and "
        "`np.flatnonzero` gives the numbers.",
    ),
)

# --- largest_shift: how far an outline may be off -----------------------------------------


def _largest_shift(side, iou):
    return side * (1 - iou) / (1 + iou)


def _shift_cases(rng):
    for iou in (0.5, 0.75, 0.9):
        yield Case("objects of some size", (float(rng.integers(20, 200)), iou))
    yield Case("a small object", (8.0, 0.5))


def _without_union(side, iou):
    return side * (1 - iou)


def _half_of_it(side, iou):
    return side * (1 - iou) / 2


def _diagonally(side, iou):
    return side * (1 - np.sqrt(2 * iou / (1 + iou)))


def _share_only(side, iou):
    return (1 - iou) / (1 + iou)


LARGEST_SHIFT = Exercise(
    name="largest_shift",
    notebook=NOTEBOOK,
    title="How far an outline may be off",
    reference=_largest_shift,
    cases=_shift_cases,
    returns="one number, in pixels",
    mistakes=(
        Mistake(
            "that divides by the square alone; the union grows while the overlap shrinks.",
            _without_union,
        ),
        Mistake("half of it? Write down overlap and union, and divide.", _half_of_it),
        Mistake("the outline is moved sideways only, not along both axes.", _diagonally),
        Mistake("that is a share of the side; asked for are pixels.", _share_only),
    ),
    hints=(
        "Moved by d, the two squares share (side − d) · side pixels. How many are in either?",
        "The union is (side + d) · side. Set (side − d) / (side + d) equal to the IoU, and solve "
        "for d.",
    ),
)

# --- repeat_factors: how often to show the pictures of rare classes -----------------------


def _class_factors(shown, threshold):
    share = np.maximum(shown.mean(axis=0), 1e-9)
    return np.maximum(1.0, np.sqrt(threshold / share))


def _repeat_factors(shown, threshold):
    return np.where(shown, _class_factors(shown, threshold), 1.0).max(axis=1)


def _factor_cases(rng):
    shares = np.array([0.7, 0.3, 0.1, 0.05])
    for threshold in (0.2, 0.4):
        shown = rng.uniform(size=(60, 4)) < shares
        shown[0] = True  # no class is without a picture
        yield Case("common and rare classes", (shown, threshold))
    shown = np.array([[1, 0], [1, 1], [0, 0], [1, 0], [1, 0]], bool)
    yield Case("a picture without objects", (shown, 0.5))
    yield Case("no class is rare", (np.ones((4, 3), bool), 0.5))


def _no_root(shown, threshold):
    factors = np.maximum(1.0, threshold / np.maximum(shown.mean(axis=0), 1e-9))
    return np.where(shown, factors, 1.0).max(axis=1)


def _below_one(shown, threshold):
    factors = np.sqrt(threshold / np.maximum(shown.mean(axis=0), 1e-9))
    return np.where(shown, factors, 0.0).max(axis=1)


def _product(shown, threshold):
    return np.where(shown, _class_factors(shown, threshold), 1.0).prod(axis=1)


def _mean_of_classes(shown, threshold):
    total = (shown * _class_factors(shown, threshold)).sum(axis=1)
    return np.maximum(1.0, total / np.maximum(shown.sum(axis=1), 1))


def _of_classes(shown, threshold):
    return _class_factors(shown, threshold)


def _share_of_objects(shown, threshold):
    share = np.maximum(shown.sum(axis=0) / max(shown.sum(), 1), 1e-9)
    return np.where(shown, np.maximum(1.0, np.sqrt(threshold / share)), 1.0).max(axis=1)


REPEAT_FACTORS = Exercise(
    name="repeat_factors",
    notebook=NOTEBOOK,
    title="How often to show the pictures of rare classes",
    reference=_repeat_factors,
    cases=_factor_cases,
    returns="a number from 1 on for each picture",
    kinds={
        "a picture without objects": "a picture without objects is shown once.",
        "no class is rare": "a class that is in more pictures than the threshold has factor 1.",
    },
    mistakes=(
        Mistake("the root is missing: rare pictures would be repeated too often.", _no_root),
        Mistake("common classes are not shown less often: no factor is below 1.", _below_one),
        Mistake("the largest of the factors of its classes, not their product.", _product),
        Mistake("the largest of the factors of its classes, not their mean.", _mean_of_classes),
        Mistake(
            "those are the classes' factors; asked for are those of the pictures.", _of_classes
        ),
        Mistake(
            "the share of a class is of the pictures, not of everything that is shown in them.",
            _share_of_objects,
        ),
    ),
    hints=(
        "First a factor for each class: `shown.mean(axis=0)` is the share of pictures that show "
        "it. Then the largest for each picture.",
        "`np.where(shown, factors, 1)` puts the classes' factors where a picture shows them; the "
        "rest is a maximum along a row.",
    ),
)

EXERCISES = (CLASS_MEAN, DIFFERENCE_HASH, LEAKS, LARGEST_SHIFT, REPEAT_FACTORS)
