"""Detections in words: the sentence of the alternative text, and the table of a terminal."""

from typing import TYPE_CHECKING

from labkit.errors import counted, printable

if TYPE_CHECKING:
    from labkit.models.detections import Detections

ROWS_PRINTED = 12  # so that the table of a crowded picture fits on one screen


def sentence(detections: "Detections") -> str:
    """'2 objects in image 7 (480 × 640 pixels): cat 0.98, dog 0.71'."""
    head = _head(detections)
    if not len(detections):
        return head
    names = map(printable, detections.names)  # they come from files
    each = [f"{n} {s:.2f}" for n, s in zip(names, detections.scores, strict=True)]
    more = f", and {len(each) - ROWS_PRINTED} more" if len(each) > ROWS_PRINTED else ""
    return f"{head}: {', '.join(each[:ROWS_PRINTED])}{more}"


def table(detections: "Detections") -> str:
    """One line per object: score, class and box, under a line that counts them."""
    lines = [f"Detections: {_head(detections)}"]
    first = detections[:ROWS_PRINTED]
    names = [printable(name) for name in first.names]
    wide = max([5, *map(len, names)])
    if len(first):
        lines.append(f"   score  {'class':<{wide}}       y1       x1       y2       x2")
    for score, name, box in zip(first.scores, names, first.boxes, strict=True):
        lines.append(f"   {score:5.3f}  {name:<{wide}}" + "".join(f" {v:8.1f}" for v in box))
    if len(detections) > ROWS_PRINTED:
        lines.append(f"   … and {len(detections) - ROWS_PRINTED} more")
    return "\n".join(lines)


def _head(detections: "Detections") -> str:
    """'2 objects in image 7 (480 × 640 pixels)'."""
    height, width = detections.image_size
    where = "" if detections.image_id is None else f" in image {detections.image_id}"
    return f"{counted(len(detections), 'object')}{where} ({height} × {width} pixels)"
