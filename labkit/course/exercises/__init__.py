"""The exercises of the course, `EXERCISES` by name.

The files, and the notebook that each belongs to:

    tour                                00
    iou, box_design                     01a
    anchors, anchor_design,
    deltas_of_boxes                     01b
    anchor_labels, anchor_sampling,
    target_diagnosis                    02a
    proposals                           02b
    roialign_vs_roipool, roi_operators  03
    heads_and_losses, losses_of_rois    04
    training, training_steps,
    rate_design                         05
    pr_curves, average_precision        06
    photographs                         07
    nuclei                              08
    yolact                              09
"""

import difflib

from labkit.course.exercise import Task
from labkit.course.exercises import (
    anchor_design,
    anchor_labels,
    anchor_sampling,
    anchors,
    average_precision,
    box_design,
    deltas_of_boxes,
    heads_and_losses,
    iou,
    losses_of_rois,
    nuclei,
    photographs,
    pr_curves,
    proposals,
    rate_design,
    roi_operators,
    roialign_vs_roipool,
    target_diagnosis,
    tour,
    training,
    training_steps,
    yolact,
)
from labkit.errors import LabkitError

EXERCISES: dict[str, Task] = {
    e.name: e
    for module in (
        tour,
        iou,
        anchors,
        deltas_of_boxes,
        anchor_labels,
        anchor_sampling,
        target_diagnosis,
        proposals,
        roialign_vs_roipool,
        roi_operators,
        heads_and_losses,
        losses_of_rois,
        training,
        training_steps,
        pr_curves,
        average_precision,
        photographs,
        nuclei,
        yolact,
    )
    for e in module.EXERCISES
}
EXERCISES |= {
    d.name: d for module in (box_design, anchor_design, rate_design) for d in module.DESIGNS
}


def find(name: str) -> Task:
    """The exercise with that name; otherwise a LabkitError with similar names."""
    if name not in EXERCISES:
        near = difflib.get_close_matches(str(name), EXERCISES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(EXERCISES)}."
        raise LabkitError(f"check: there is no exercise {name!r}{hint}")
    return EXERCISES[name]
