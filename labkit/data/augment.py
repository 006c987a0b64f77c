"""Random views of a training image: another scale or crop, mirrored or turned, lighter or darker.

A `View` says which part of the image the network's canvas shows; `render` then makes image, boxes
and mini-masks through it, so that the three always agree. Masks are kept as small patches cut to
the boxes: a picture with 300 nuclei stays small.

Why not a library: Albumentations, the usual choice, has had no release since June 2025, and its
successor AlbumentationsX is under the AGPL, which a package under the MIT licence cannot impose on
its users; others need PyTorch. None keeps masks as patches or counts what it drops, and for a
course a page of readable NumPy is better.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from labkit.data.colour import recolour
from labkit.data.sample import Cutouts, Sample
from labkit.frozen import Frozen
from labkit.models.resize import resize_image
from labkit.ops.mini_masks import mini_mask


@dataclass(frozen=True)
class Augment(Frozen):
    """What may happen to a training image. By default it is only mirrored."""

    mirror: bool = True  # left-right, half of the time; not for text or digits
    quarter_turns: bool = False  # by 0, 90, 180 or 270 degrees: for cells, or pictures from above
    scale: tuple[float, float] = (1.0, 1.0)  # smallest and largest factor, drawn log-uniformly
    brightness: float = 0.0  # adds up to ± this x 255, and multiplies by 1 ± up to this
    contrast: float = 0.0  # multiplies the distance from the mean by 1 ± up to this
    saturation: float = 0.0  # multiplies the distance from grey by 1 ± up to this
    hue: float = 0.0  # turns the colour circle by up to ± this part of it; at most 0.5
    copy_paste: float = 0.0  # probability that objects of another image are pasted in

    def _problems(self) -> Iterator[str]:
        if not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1]):
            yield f"'scale' must be 0 < low <= high, got {self.scale}"
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < 1:
                yield f"'{name}' must be in 0..1, got {getattr(self, name)}"
        for name, most in (("hue", 0.5), ("copy_paste", 1)):
            if not 0 <= getattr(self, name) <= most:
                yield f"'{name}' must be in 0..{most}, got {getattr(self, name)}"


NONE = Augment(mirror=False)
# Large-scale jitter (Ghiasi et al. 2021): from a tenth of the size, padded, to twice, cropped. The
# factor is drawn log-uniformly, so half the size is as frequent as double; with a uniform draw most
# images would be enlarged.
LARGE_SCALE_JITTER = Augment(scale=(0.1, 2.0))


@dataclass(eq=False)
class Example:
    """A sample as training keeps it: crowds left out, masks cut to their boxes.

    Attributes:
        image: uint8 [H, W, 3].
        boxes: int [N, 4], whole pixels.
        class_ids: int32 [N].
        patches: N arrays bool [h, w], each the mask inside its box.
        image_id: the data set's own number of the picture.
        crowds: int [K, 4], the boxes of the crowds that were left out.
        whole: mini-masks of instances that no view has cut, by (index, side): computed once.
    """

    image: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    patches: list[np.ndarray]
    image_id: int
    crowds: np.ndarray
    whole: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, sample: Sample) -> "Example":
        return cls.of_cutouts(Cutouts.of(sample))

    @classmethod
    def of_cutouts(cls, cut: Cutouts) -> "Example":
        keep = np.flatnonzero(~cut.crowd)
        return cls(
            cut.image,
            cut.boxes[keep],
            cut.class_ids[keep],
            [cut.patches[i] for i in keep],
            cut.image_id,
            cut.boxes[cut.crowd],
        )


@dataclass(frozen=True)
class View:
    """Which part of the image a canvas shows, in which size, orientation and colours.

    Attributes:
        top, left, bottom, right: the part, in whole pixels of the image.
        height, width: its size on the canvas, before the turn.
        turns: quarter turns, counter-clockwise.
        mirror: left-right, before the turn.
        gain, shift: every value is multiplied by `gain`, then `shift` is added.
        contrast, saturation, hue: as in `labkit.data.colour.recolour`.
    """

    top: int
    left: int
    bottom: int
    right: int
    height: int
    width: int
    turns: int = 0
    mirror: bool = False
    gain: float = 1.0
    shift: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0


def choose_view(shape, resized, canvas, augment: Augment, rng: np.random.Generator) -> View:
    """A random view of an image.

    Args:
        shape: (H, W) of the image.
        resized: (H, W) that the config resizes it to. Where this, times the random scale, is larger
            than the canvas, the view is a random window.
        canvas: (H, W) of the batch. If it is not square, the view is only turned by half a circle.
        augment: what may happen.
        rng: where the random numbers come from.
    """
    turns = int(rng.integers(4)) if augment.quarter_turns else 0
    if canvas[0] != canvas[1]:
        turns = turns // 2 * 2
    mirror = bool(augment.mirror and rng.random() < 0.5)
    factor = np.exp(rng.uniform(*np.log(augment.scale)))
    window, size = [], []
    for length, target, room in zip(shape, resized, canvas, strict=True):
        scale = target / length * factor
        shown = min(length, max(1, int(room / scale + 1e-6)))  # pixels of the image
        start = int(rng.integers(length - shown + 1))
        window.append((start, start + shown))
        size.append(min(room, max(1, round(shown * scale))))
    gain = 1.0 + augment.brightness * rng.uniform(-1, 1)
    shift = 255 * augment.brightness * rng.uniform(-1, 1)
    # Drawn only where it is switched on: an option that is off must not change the other draws.
    contrast, saturation = (
        1.0 + a * rng.uniform(-1, 1) if a else 1.0 for a in (augment.contrast, augment.saturation)
    )
    hue = augment.hue * rng.uniform(-1, 1) if augment.hue else 0.0
    (top, bottom), (left, right) = window
    return View(
        top, left, bottom, right, *size, turns, mirror, gain, shift, contrast, saturation, hue
    )


def render(example: Example, view: View, mini: int, resize_filter: str = "antialias"):
    """An example seen through a view, as the network gets it, before padding.

    Args:
        example: image, boxes and masks.
        view: what is shown of it.
        mini: side of the mini-masks; 0 for masks of the image's size.
        resize_filter: as in `resize_image`; the same as in detection.

    Returns:
        image uint8 [h, w, 3], boxes float32 [n, 4], class_ids int32 [n], masks uint8 [n, mini,
        mini] or [n, h, w] of 0 and 1, and how many instances vanished because less than a pixel of
        them is left.
    """
    image = example.image[view.top : view.bottom, view.left : view.right]
    image = resize_image(image, view.height, view.width, resize_filter)
    if image.dtype != np.uint8:  # the filter "bilinear" gives floats
        image = np.rint(image).astype(np.uint8)
    if view.gain != 1.0 or view.shift != 0.0:
        image = np.clip(image * view.gain + view.shift, 0, 255).astype(np.uint8)
    image = recolour(image, view.contrast, view.saturation, view.hue)
    boxes, classes, masks, vanished = [], [], [], 0
    for i in _touching(example.boxes, view):
        patch, box = _visible(example.patches[i], example.boxes[i], view)
        if patch is None:
            continue
        placed = _placed(box, view)
        if min(placed[2:] - placed[:2]) < 1.0:
            vanished += 1
            continue
        boxes.append(placed)
        classes.append(example.class_ids[i])
        masks.append(_mini(example, i, patch, mini) if mini else _on_view(patch, box, view))
    image, boxes = _turn(image, np.float32(boxes).reshape(-1, 4), view)
    shape = (mini, mini) if mini else image.shape[:2]
    masks = np.stack([_turn_grid(m, view) for m in masks]) if masks else np.zeros((0, *shape), bool)
    return image, boxes, np.int32(classes), masks.astype(np.uint8), vanished


def crowds_in(example: Example, view: View) -> np.ndarray:
    """The boxes of an example's crowds, cut to a view and placed as in `render`: float32 [k, 4]."""
    inside = example.crowds[_touching(example.crowds, view)]
    low, high = (view.top, view.left) * 2, (view.bottom, view.right) * 2
    return _turn_boxes(_placed(inside.clip(low, high), view), (view.height, view.width), view)


def _placed(boxes: np.ndarray, view: View) -> np.ndarray:
    """Boxes [..., 4] in pixels of the image, in those of the view before it is turned: float32."""
    scale = np.float32(
        [view.height / (view.bottom - view.top), view.width / (view.right - view.left)] * 2
    )
    return ((boxes - np.array([view.top, view.left] * 2)) * scale).astype(np.float32)


def _touching(boxes: np.ndarray, view: View) -> np.ndarray:
    """Indices of the boxes that overlap the window."""
    low = (boxes[:, 0] < view.bottom) & (boxes[:, 1] < view.right)
    return np.flatnonzero(low & (boxes[:, 2] > view.top) & (boxes[:, 3] > view.left))


def _visible(patch: np.ndarray, box: np.ndarray, view: View):
    """The part of an instance inside the window: its patch and box, or (None, box)."""
    y1, x1, y2, x2 = box
    if y1 >= view.top and x1 >= view.left and y2 <= view.bottom and x2 <= view.right:
        return patch, box
    rows = slice(max(view.top - y1, 0), min(view.bottom, y2) - y1)
    columns = slice(max(view.left - x1, 0), min(view.right, x2) - x1)
    patch = patch[rows, columns]
    patch, tight_box = tight(patch, y1 + rows.start, x1 + columns.start)
    return patch, box if patch is None else tight_box


def tight(patch: np.ndarray, top: int, left: int):
    """A patch with its corner at (top, left), cut to its true pixels, and its box int [4].

    (None, None) if no pixel is true.
    """
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    if not len(rows):
        return None, None
    a, b, c, d = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return patch[a:b, c:d], np.array([top + a, left + c, top + b, left + d])


def _mini(example: Example, index: int, patch: np.ndarray, side: int) -> np.ndarray:
    """The mini-mask bool [side, side] of a patch; kept for the next epoch if it is not cut."""
    if patch is not example.patches[index]:
        return mini_mask(patch, [0, 0, *patch.shape], (side, side))
    if (index, side) not in example.whole:
        grid = mini_mask(patch, [0, 0, *patch.shape], (side, side))
        example.whole[index, side] = grid
    return example.whole[index, side]


def _on_view(patch: np.ndarray, box: np.ndarray, view: View) -> np.ndarray:
    """The mask of a patch on the whole view: bool [view.height, view.width]."""
    whole = np.zeros((view.bottom - view.top, view.right - view.left), bool)
    y, x = box[0] - view.top, box[1] - view.left
    whole[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return mini_mask(whole, [0, 0, *whole.shape], (view.height, view.width))


def _turn_grid(grid: np.ndarray, view: View) -> np.ndarray:
    return np.rot90(grid[:, ::-1] if view.mirror else grid, view.turns)


def _turn(image: np.ndarray, boxes: np.ndarray, view: View):
    """Image and boxes, mirrored and turned as the view says."""
    boxes = _turn_boxes(boxes, image.shape[:2], view)
    return np.ascontiguousarray(_turn_grid(image, view)), boxes


def _turn_boxes(boxes: np.ndarray, shape: tuple[int, int], view: View) -> np.ndarray:
    """Boxes [N, 4] in an image of a shape (H, W) that is mirrored and turned as the view says."""
    height, width = shape
    if view.mirror:
        boxes = np.stack([boxes[:, 0], width - boxes[:, 3], boxes[:, 2], width - boxes[:, 1]], 1)
    for _ in range(view.turns):  # a counter-clockwise turn: x becomes the distance from the bottom
        boxes = np.stack([width - boxes[:, 3], boxes[:, 0], width - boxes[:, 1], boxes[:, 2]], 1)
        height, width = width, height
    return boxes
