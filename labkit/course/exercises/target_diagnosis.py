"""The exercise of notebook 02a on broken rules: from counts of labels to the cause."""

from labkit.course.exercise import Case, Exercise, Mistake

NOTEBOOK = "02a_rpn_targets"


def _diagnose(positive, negative, objects, without, most_each=10, order=(1, 2, 3)):
    found = {
        1: positive > negative,
        2: without > 0,
        3: positive >= most_each * objects,
    }
    return next((cause for cause in order if found[cause]), 0)


def _runs(rng):
    yield Case("a run in which nothing is wrong", (4.7, 4006.0, 3.0, 0.0))
    yield Case("a run in which padding was matched", (4000.0, 40.0, 3.0, 0.0))
    yield Case("a run without the best-anchor rule", (1.0, 4006.0, 3.0, 2.0))
    yield Case("a run with one low threshold", (85.8, 4006.0, 3.0, 0.0))
    yield Case("a run with exactly ten positives an object", (30.0, 4000.0, 3.0, 0.0))
    yield Case("a run with two causes", (90.0, 4000.0, 3.0, 0.1))
    yield Case("a run with two causes", (4000.0, 40.0, 3.0, 1.0))
    yield Case("images with many objects", (120.0, 3900.0, 40.0, 0.0))


DIAGNOSE = Exercise(
    name="diagnose_targets",
    notebook=NOTEBOOK,
    title="Which rule is broken? Tell it from the labels",
    reference=_diagnose,
    cases=_runs,
    returns="one whole number from 0 to 3",
    kinds={
        "images with many objects": "120 anchors are not many for 40 objects: compare with the "
        "number of objects.",
        "a run with two causes": "several causes fit; the order in which you test them counts.",
    },
    mistakes=(
        Mistake(
            "40 objects may well have 120 positive anchors: what is the number compared with?",
            lambda positive, negative, objects, without: _diagnose(
                positive, negative, 3.0, without
            ),
        ),
        Mistake(
            "ten positive anchors for each object are enough for cause 3, not more than ten.",
            lambda *args: _diagnose(*args, most_each=10.001),
        ),
        Mistake(
            "where several causes fit, test for padding first and for the low threshold last.",
            lambda *args: _diagnose(*args, order=(3, 2, 1)),
        ),
        Mistake(
            "where some objects have no anchor and many anchors are positive, which comes first?",
            lambda *args: _diagnose(*args, order=(1, 3, 2)),
        ),
        Mistake(
            "a run can be right: then the answer is 0.",
            lambda *args: _diagnose(*args) or 3,
        ),
    ),
    hints=(
        "In the table of rules above, which column changes for which rule?",
        "Padding: more positive than negative anchors. No best-anchor rule: objects without an "
        "anchor. One low threshold: at least ten positive anchors for each object.",
    ),
)

EXERCISES = (DIAGNOSE,)
