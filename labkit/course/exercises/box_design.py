"""A design task of notebook 01a: three different errors with the same IoU."""

import numpy as np

from labkit.course.design import Design, Judgement
from labkit.ops.boxes import iou

NOTEBOOK = "01a_boxes_and_iou"
OBJECT = (40.0, 40.0, 80.0, 100.0)
WANTED, TOLERANCE = 0.5, 0.01


def judge(answer) -> Judgement:
    """Whether the three boxes are wrong in the ways that their names say, and equally much."""
    boxes = _boxes_of(answer)
    found = iou(boxes, np.float32([OBJECT])).numpy()[:, 0]
    each = ", ".join(f"{name} {value:.2f}" for name, value in zip(WAYS, found, strict=True))
    message = f"IoU with the object: {each}"
    for (name, (is_so, what)), box in zip(WAYS.items(), boxes, strict=True):
        if not is_so(box):
            return Judgement(False, f"{message}.", f"the {name} box should {what}.")
    off = np.abs(found - WANTED)
    if (off <= TOLERANCE).all():
        return Judgement(True, f"{message}: one number, and three different errors.")
    worst = int(off.argmax())
    return Judgement(
        False,
        f"{message}; all three should be {WANTED}.",
        f"begin with the {list(WAYS)[worst]} box: {HINTS[worst]}",
    )


def _boxes_of(answer) -> np.ndarray:
    """The three boxes, float32 [3, 4]."""
    try:
        boxes = np.array([[float(v) for v in box] for box in answer], np.float32)
    except (TypeError, ValueError):
        boxes = np.zeros(0)
    if boxes.shape != (3, 4) or not np.isfinite(boxes).all():
        raise ValueError("give three boxes (y1, x1, y2, x2): shifted, larger, smaller")
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        raise ValueError("a box without area has no IoU; y2 must exceed y1, and x2 must exceed x1")
    return boxes


def _shifted(box) -> bool:
    size = box[2:] - box[:2]
    return np.allclose(size, np.subtract(OBJECT[2:], OBJECT[:2]), atol=0.01)


def _larger(box) -> bool:
    return bool((box[:2] <= OBJECT[:2]).all() and (box[2:] >= OBJECT[2:]).all())


def _smaller(box) -> bool:
    return bool((box[:2] >= OBJECT[:2]).all() and (box[2:] <= OBJECT[2:]).all())


WAYS = {
    "shifted": (_shifted, "be 40 pixels high and 60 wide, like the object"),
    "larger": (_larger, "contain the whole object"),
    "smaller": (_smaller, "lie within the object"),
}
HINTS = (
    "shifted by s along a side of w, it shares w − s with the object, and together they cover "
    "w + s.",
    "it covers the whole object, so the intersection is the object. What is the union?",
    "it lies within the object, so the union is the object. What is the intersection?",
)

EQUAL_IOU = Design(
    name="equal_iou",
    notebook=NOTEBOOK,
    title="Design: three errors, one IoU",
    judge=judge,
    hints=(
        "The larger box contains the object: its IoU is the object's area divided by its own.",
        "The smaller box lies within the object: its IoU is its own area divided by the object's.",
        "Shifted by s along the side w: (w − s) / (w + s) = 1/2, so s is a third of w.",
    ),
)

DESIGNS = (EQUAL_IOU,)
