"""One picture with its instances: masks, boxes and labels."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from labkit.errors import LabkitError
from labkit.models.detections import Detections
from labkit.ops.mask_boxes import nearest_pixels, window_of
from labkit.viz.colors import ink_on, instance_color
from labkit.viz.labels import place_labels, plain_text

MASK_ALPHA = 0.45
EMPTY_CANVAS = 235  # the grey that replaces a missing picture
LONG_SIDE = 7.0  # inches of a figure for one picture
PAINTED = 1600  # pixels of the longer side that are painted: twice what a figure shows
LONGEST = 40  # characters of a label
FEW_BOXES = 20  # with more, only outlines are drawn, so that boxes do not hide small objects
SEVERAL = 12  # instances whose labels have room for large letters


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    masks: Iterable[np.ndarray] | None = None,
    labels: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
    ax: Axes | None = None,
    *,
    colors: Sequence | None = None,
    dashed: bool | Sequence[bool] = False,
    fill: bool = True,
    with_boxes: bool = True,
    font_size: float | None = None,
    line_width: float = 1.8,
    title: str | None = None,
) -> Figure:
    """Draw instances over their picture.

    Boxes, and outlines without boxes, have a white halo, so that they are visible on dark and
    bright backgrounds; labels avoid each other where there is room.

    Args:
        image: uint8 [H, W, 3] RGB.
        boxes: float32 [N, 4], (y1, x1, y2, x2) in pixels.
        masks: bool [N, H, W], or an iterable of N masks. They may be of a smaller copy of the
            picture: one with sides above `PAINTED` is painted in a copy, see `painted_size`.
        labels: N texts, such as class names.
        scores: N numbers, written after the labels.
        ax: where to draw; by default a new figure in the picture's proportions.
        colors: N colours; by default the ten instance colours in turn.
        dashed: True for the ground truth, False for detections; or one for each instance.
        fill: whether masks are filled with a translucent colour; if not, only outlined.
        with_boxes: whether boxes are drawn where there are masks; around many small objects they
            hide the outlines.
        font_size: in points; by default the more instances, the smaller.
        line_width: in points.
        title: above the picture.

    Returns:
        The Figure (that of `ax`, if given).
    """
    image = np.asarray(image)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    colors = [instance_color(i) for i in range(count)] if colors is None else list(colors)
    dashes = [dashed] * count if isinstance(dashed, (bool, np.bool_)) else list(dashed)
    ax = _new_axes(image, title) if ax is None else ax
    font_size = _font_size(count) if font_size is None else font_size

    height, width = image.shape[:2]
    small = _resized(image, painted_size(height, width))
    painted, outlines = _paint(small, [] if masks is None else masks, colors, MASK_ALPHA * fill)
    scale = np.divide((width, height), small.shape[1::-1])
    outlines = [[line * scale for line in lines] for lines in outlines]
    smooth = "nearest" if max(height, width) < 400 else "antialiased"
    ax.imshow(painted, extent=(0, width, height, 0), interpolation=smooth)
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    with_boxes = with_boxes or masks is None
    width, halo = (0.7 * line_width, 0) if with_boxes else (line_width, 0.9)
    _draw_outlines(ax, outlines, colors, dashes, width, halo)
    if count and with_boxes:
        _draw_boxes(ax, boxes, colors, dashes, line_width)
    texts = _texts(labels, scores, count)
    if texts:
        place_labels(ax, boxes, texts, colors, [ink_on(c) for c in colors], font_size)
    if title:
        ax.set_title(plain_text(title, 80), fontsize=font_size + 1, loc="left")
    return ax.figure


def draw_detections(
    detections: Detections,
    ax: Axes | None = None,
    *,
    color_by: str = "auto",
    names: bool | None = None,
    image: np.ndarray | None = None,
    **options,
) -> Figure:
    """Draw Detections over their picture.

    Args:
        detections: what to draw.
        ax: as in `draw_instances`.
        color_by: "class" gives each class a colour, "instance" each object; "auto" is by class if
            there are several.
        names: whether labels name the class before the score; by default unless there is only one
            class and more than 12 detections.
        image: the picture, if it is not in the detections; by default a grey canvas.
        **options: as in `draw_instances`.

    Raises:
        ValueError: `color_by` is something else.
    """
    image = _picture_of(detections) if image is None else image
    size = painted_size(*image.shape[:2])
    ids = detections.class_ids
    if color_by == "auto":
        color_by = "class" if len(detections.class_names) > 1 else "instance"
    if color_by not in ("class", "instance"):
        raise ValueError(f"color_by is {color_by!r}; it must be 'auto', 'class' or 'instance'.")
    if names is None:
        names = len(detections.class_names) > 1 or len(detections) <= SEVERAL
    numbers = ids - 1 if color_by == "class" else range(len(ids))
    options.setdefault("title", None if len(detections) else "no detections")
    return draw_instances(
        image,
        detections.boxes,
        detections.each_mask(size) if detections.has_masks else None,
        detections.names if names else None,
        detections.scores,
        ax,
        **{"colors": [instance_color(int(i)) for i in numbers], **options},
    )


def painted_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of the copy in which a picture is painted: its own up to `PAINTED` pixels."""
    scale = min(1, PAINTED / max(height, width))
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _picture_of(detections: Detections) -> np.ndarray:
    """The picture of the detections, or a grey canvas where there is none any more."""
    try:
        image = detections.image
    except LabkitError as error:
        warnings.warn(f"{error} The objects are drawn on grey.", stacklevel=4)
        image = None
    if image is None:
        image = np.full((*detections.image_size, 3), EMPTY_CANVAS, np.uint8)
    return image


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture, or a copy of another size in which every pixel is the mean of what it covers."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX))


def _new_axes(image: np.ndarray, title: str | None) -> Axes:
    height, width = image.shape[:2]
    scale = LONG_SIDE / max(height, width)
    # A very long picture is at least an inch and a half wide, so that there is room for labels.
    wide, high = max(width * scale, 1.5), max(height * scale, 1.5)
    head = 0.3 if title else 0.0
    figure = Figure(figsize=(wide, high + head))
    return figure.add_axes((0.01, 0.01, 0.98, (0.98 * high) / (high + head)))


def _font_size(count: int) -> float:
    return 10 if count <= SEVERAL else 8 if count <= 40 else 6


def _texts(labels, scores, count: int) -> list[str]:
    if labels is None and scores is None:
        return []
    labels = [""] * count if labels is None else [plain_text(label, LONGEST) for label in labels]
    if scores is None:
        return labels
    return [f"{a} {s:.2f}".strip() for a, s in zip(labels, scores, strict=True)]


def _paint(image: np.ndarray, masks: Iterable[np.ndarray], colors: Sequence, alpha: float):
    """The picture with translucent masks, and each mask's outline as a list of [P, 2] (x, y)."""
    painted = image[..., :3].astype(np.float32)
    outlines = []
    size = image.shape[:2]
    for mask, color in zip(masks, colors, strict=False):
        if mask.shape != size:
            mask = mask[np.ix_(*map(nearest_pixels, size, mask.shape))]
        inside, y, x = window_of(mask)
        if not inside.size:
            outlines.append([])
            continue
        window = painted[y : y + inside.shape[0], x : x + inside.shape[1]]
        tint = 255 * np.array(to_rgb(color), np.float32)
        window[inside] += alpha * (tint - window[inside])
        outlines.append(_outline(inside, y, x))
    return painted.round().clip(0, 255).astype(np.uint8), outlines


def _outline(inside: np.ndarray, y: int, x: int) -> list[np.ndarray]:
    """The contour of a mask, closed also at the window's edge."""
    padded = np.pad(inside, 1).astype(np.float32)
    lines = contour_generator(z=padded).lines(0.5)
    # Sample (row, column) of the padded window is the centre of pixel (row - 1, column - 1).
    return [line + (x - 0.5, y - 0.5) for line in lines]


def _dash(dashed: bool):
    return (0, (5, 2)) if dashed else "solid"


def _draw_outlines(ax: Axes, outlines, colors, dashes, width: float, halo: float) -> None:
    """Outlines in their colours, over white ones that are wider by `halo`, if it is not 0."""
    lines = [
        (line, c, d) for own, c, d in zip(outlines, colors, dashes, strict=False) for line in own
    ]
    if not lines:
        return
    lines, colors, dashes = zip(*lines, strict=True)
    styles = [_dash(dashed) for dashed in dashes]
    # One collection for all: matplotlib takes a millisecond for each thing that it draws.
    for edges, line_width, line_styles in (
        *([("white", width + halo, "solid")] if halo else []),
        (colors, width, styles),
    ):
        drawn = LineCollection(lines, colors=edges, linewidths=line_width, linestyles=line_styles)
        ax.add_collection(drawn, autolim=False)


def _draw_boxes(ax: Axes, boxes: np.ndarray, colors, dashes, width: float) -> None:
    """Boxes in their colours over wider white ones, which are also visible between the dashes."""
    corners = boxes[:, [[1, 0], [3, 0], [3, 2], [1, 2]]]  # (x, y)
    styles = [_dash(dashed) for dashed in dashes]
    for edges, line_width, line_styles in (
        ("white", width + 1.2, "solid"),
        (colors, width, styles),
    ):
        drawn = PolyCollection(
            corners,
            facecolors="none",
            edgecolors=edges,
            linewidths=line_width,
            linestyles=line_styles,
            joinstyle="miter",
        )
        ax.add_collection(drawn, autolim=False)
