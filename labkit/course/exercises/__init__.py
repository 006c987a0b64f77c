"""The exercises of the course, one file a notebook."""

import difflib

from labkit.course.exercise import Exercise
from labkit.course.exercises import (
    anchors_and_iou,
    average_precision,
    deltas_of_boxes,
    heads_and_losses,
    losses_of_rois,
    own_data,
    pr_curves,
    proposals,
    roialign_vs_roipool,
    rpn_targets,
    tour,
    training,
    training_steps,
)
from labkit.errors import LabkitError

EXERCISES: dict[str, Exercise] = {
    e.name: e
    for module in (
        tour,
        anchors_and_iou,
        deltas_of_boxes,
        rpn_targets,
        proposals,
        roialign_vs_roipool,
        heads_and_losses,
        losses_of_rois,
        training,
        training_steps,
        pr_curves,
        average_precision,
        own_data,
    )
    for e in module.EXERCISES
}


def find(name: str) -> Exercise:
    """The exercise of that name. Raises LabkitError with the names that are near."""
    if name not in EXERCISES:
        near = difflib.get_close_matches(str(name), EXERCISES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(EXERCISES)}."
        raise LabkitError(f"check: there is no exercise {name!r}{hint}")
    return EXERCISES[name]
