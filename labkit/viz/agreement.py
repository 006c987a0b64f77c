"""Ground truth against detections in one picture: what agrees, what is missed, what is false."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pycocotools import mask as coco_mask

from labkit.errors import LabkitError
from labkit.evaluation.comparison import Comparison
from labkit.evaluation.per_image import ImageScore, agreement
from labkit.viz.colors import TRUTH
from labkit.viz.instances import EMPTY_CANVAS, FEW_BOXES, draw_instances
from labkit.viz.labels import plain_text, shortened

# Okabe and Ito's blue, vermilion and reddish purple; the labels say the same in words.
AGREED, MISSED, FALSE_POSITIVE = TRUTH, "#D55E00", "#CC79A7"
PAGE_WIDTH = 13.0  # inches


def draw_agreement(
    comparison: Comparison,
    image_id: int,
    image: np.ndarray | None = None,
    ax: Axes | None = None,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    window: tuple[int, int, int, int] | None = None,
    labels: bool = True,
    font_size: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one image of a comparison.

    What agrees is blue, with its score and IoU; a missed object (false negative) is vermilion and
    dashed; a false positive is purple, with its score. Classes are matched as in AP: if an object
    is detected as another class, the object is missed and the detection is a false positive. If
    there are more than 20 of them and they have masks, only the outlines are drawn.

    Args:
        comparison: of the ground truth with the detections.
        image_id: of the image.
        image: uint8 [H, W, 3]; by default a grey canvas.
        ax: as in `draw_instances`.
        iou_threshold: smallest IoU of an object with its detection.
        score_threshold: weaker detections are left out.
        window: (y1, x1, y2, x2), the part of the image to show; by default all of it.
        labels: whether to write class, score and IoU; in a crowd they hide the objects.
        font_size: as in `draw_instances`.
        title: as in `draw_instances`.

    Raises:
        LabkitError: there is no such image.
    """
    pairs = comparison.image(image_id)
    if image is None:
        image = np.full((*pairs.size, 3), EMPTY_CANVAS, np.uint8)
    found = agreement(pairs, iou_threshold=iou_threshold, score_threshold=score_threshold)
    # short, so that what follows them is never cut off
    names = [shortened(name) for name in comparison.class_names]
    rows = []  # (COCO entry, label, colour, dashed)
    for g, d in found.agreed:
        name, iou = names[pairs.classes[d] - 1], pairs.overlaps[d, g]
        label = f"{name} {pairs.scores[d]:.2f}, IoU {iou:.2f}"
        rows.append((comparison.entries[pairs.detections[d]], label, AGREED, False))
    for g in found.missed:
        label = f"missed: {names[pairs.object_classes[g] - 1]}"
        rows.append((comparison.annotations[pairs.objects[g]], label, MISSED, True))
    for d in found.false_positives:
        label = f"false positive: {names[pairs.classes[d] - 1]} {pairs.scores[d]:.2f}"
        rows.append((comparison.entries[pairs.detections[d]], label, FALSE_POSITIVE, False))
    y1, x1, y2, x2 = (0, 0, *image.shape[:2]) if window is None else window
    rows = [row for row in rows if _reaches(_box(row[0]), (y1, x1, y2, x2))]
    entries = [entry for entry, *_ in rows]
    return draw_instances(
        image[y1:y2, x1:x2],
        np.array([_box(entry) for entry in entries]).reshape(-1, 4) - (y1, x1, y1, x1),
        (coco_mask.decode(entry["segmentation"])[y1:y2, x1:x2] for entry in entries)
        if comparison.iou_type == "segm"
        else None,
        [label for _, label, *_ in rows] if labels else None,
        None,
        ax,
        fill=False,  # the object itself must stay visible
        with_boxes=len(rows) <= FEW_BOXES,
        colors=[color for _, _, color, _ in rows],
        dashed=[dashed for *_, dashed in rows],
        font_size=font_size,
        line_width=1.4,
        title=title,
    )


def worst_gallery(
    comparison: Comparison,
    rows: Sequence[ImageScore],
    dataset=None,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
    labels: bool = True,
    crop: int | None = None,
    columns: int = 3,
    title: str | None = None,
) -> Figure:
    """The agreement of several images side by side, such as those of `worst_images`.

    Args:
        comparison: of the ground truth with the detections.
        rows: which images, and the counts for their titles.
        dataset: the `labkit.data.Dataset` that has the pictures; by default grey canvases.
        iou_threshold: as in `draw_agreement`.
        score_threshold: as in `draw_agreement`.
        labels: as in `draw_agreement`.
        crop: the side in pixels of a window to show of each image: the one with most false
            negatives and false positives. By default the whole image is shown.
        columns: images side by side.
        title: above all of them.

    Raises:
        LabkitError: there are no rows.
    """
    rows = list(rows)
    if not rows:
        raise LabkitError("worst_gallery: no images are chosen.")
    columns = min(columns, len(rows))
    lines = -(-len(rows) // columns)
    cell = PAGE_WIDTH / max(columns, 2)
    shapes = [comparison.image(row.image_id).size for row in rows]
    if crop is not None:
        shapes = [(min(height, crop), min(width, crop)) for height, width in shapes]
    height = cell * float(np.clip(max(h / w for h, w in shapes), 0.4, 1.5)) + 0.55
    figure = Figure(
        figsize=(cell * columns, height * lines + (0.4 if title else 0)), layout="constrained"
    )
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    places = {} if dataset is None else {id_: i for i, id_ in enumerate(dataset.image_ids)}
    for ax, row in zip(axes, rows, strict=False):
        image, name = None, f"image {row.image_id}"
        if row.image_id in places:
            place = places[row.image_id]
            image, name = dataset[place].image, dataset.image_info(place)["file_name"]
        window = None
        if crop is not None:
            pairs = comparison.image(row.image_id)
            found = agreement(pairs, iou_threshold=iou_threshold, score_threshold=score_threshold)
            window = _worst_window(comparison, pairs, found, crop)
        draw_agreement(
            comparison,
            row.image_id,
            image,
            ax,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            window=window,
            labels=labels,
            font_size=9,
        )
        words = f"{plain_text(name, 40, keep='end')}\n{row.in_words}, F1 {row.f1:.2f}"
        ax.set_title(words, fontsize=11, loc="left")
        ax.set_anchor("N")
    for ax in axes[len(rows) :]:
        ax.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def _box(entry: dict) -> tuple[float, float, float, float]:
    x, y, width, height = entry["bbox"]
    return y, x, y + height, x + width


def _reaches(box: tuple, window: tuple) -> bool:
    """Whether a box has something in a window, both (y1, x1, y2, x2)."""
    return box[0] < window[2] and box[2] > window[0] and box[1] < window[3] and box[3] > window[1]


def _worst_window(comparison, pairs, found, side: int) -> tuple[int, int, int, int]:
    """The window with most errors, (y1, x1, y2, x2), among those around each of the errors."""
    wrong = [
        *(comparison.annotations[pairs.objects[g]] for g in found.missed),
        *(comparison.entries[pairs.detections[d]] for d in found.false_positives),
    ]
    size = np.array(pairs.size)
    shown = np.minimum(size, side)
    boxes = np.array([_box(entry) for entry in wrong]).reshape(-1, 4)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    if not len(centres):
        centres = size[None] / 2
    corners = np.clip((centres - shown / 2).round().astype(int), 0, size - shown)
    inside = (centres >= corners[:, None]) & (centres < (corners + shown)[:, None])
    y, x = map(int, corners[inside.all(axis=2).sum(axis=1).argmax()])
    return y, x, y + int(shown[0]), x + int(shown[1])
