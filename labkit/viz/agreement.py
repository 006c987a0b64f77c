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
from labkit.viz.instances import EMPTY_CANVAS, draw_instances
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
    labels: bool = True,
    font_size: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one image of a comparison.

    What agrees is blue, with its score and IoU; a missed object (false negative) is vermilion and
    dashed; a false positive is purple, with its score. Classes are matched as in AP: if an object
    is detected as another class, the object is missed and the detection is a false positive.

    Args:
        comparison: of the ground truth with the detections.
        image_id: of the image.
        image: uint8 [H, W, 3]; by default a grey canvas.
        ax: as in `draw_instances`.
        iou_threshold: smallest IoU of an object with its detection.
        score_threshold: weaker detections are left out.
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
    entries = [entry for entry, *_ in rows]
    return draw_instances(
        image,
        np.array([_box(entry) for entry in entries]),
        (coco_mask.decode(entry["segmentation"]) for entry in entries)
        if comparison.iou_type == "segm"
        else None,
        [label for _, label, *_ in rows] if labels else None,
        None,
        ax,
        fill=False,  # the object itself must stay visible
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
    height = cell * float(np.clip(max(h / w for h, w in shapes), 0.4, 1.5)) + 0.35
    figure = Figure(
        figsize=(cell * columns, height * lines + (0.4 if title else 0)), layout="constrained"
    )
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    places = {} if dataset is None else {id_: i for i, id_ in enumerate(dataset.image_ids)}
    for ax, row in zip(axes, rows, strict=False):
        image = dataset[places[row.image_id]].image if row.image_id in places else None
        draw_agreement(
            comparison,
            row.image_id,
            image,
            ax,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            labels=labels,
            font_size=6.5,
        )
        ax.set_title(plain_text(_words(row), 70), fontsize=9, loc="left")
        ax.set_anchor("N")
    for ax in axes[len(rows) :]:
        ax.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def _words(row: ImageScore) -> str:
    return (
        f"image {row.image_id}: {row.found} of {row.objects} found, "
        f"{row.false_positives} false positives, F1 {row.f1:.2f}"
    )


def _box(entry: dict) -> tuple[float, float, float, float]:
    x, y, width, height = entry["bbox"]
    return y, x, y + height, x + width
