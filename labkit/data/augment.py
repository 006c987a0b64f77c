"""Views of an example: another scale, another window, mirrored or turned, lighter or darker.

A `View` says where the network's canvas looks at the image; `render` then draws image, boxes and
mini-masks through it, so that the three cannot fall apart. Masks are kept as small patches, one
an instance, cut to its box: a picture with 300 nuclei stays small.

Why not a library: Albumentations, which most would take, has had no release since June 2025, and
its successor AlbumentationsX is under the AGPL, which a package under the MIT licence cannot ask
of its users; others need PyTorch. None keeps masks as patches or counts what it drops, and the
course is better off with a page of NumPy that can be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from labkit.data.colour import recolour
from labkit.data.sample import Cutouts, Sample
from labkit.frozen import Frozen
from labkit.models.resize import resize_image
from labkit.ops.masks import mini_mask


@dataclass(frozen=True)
class Augment(Frozen):
    """What may happen to a training image. The defaults change nothing but left and right."""

    mirror: bool = True  # left-right, half of the time; not for text or digits
    quarter_turns: bool = False  # any of the four: for pictures that have no up (cells, aerial)
    scale: tuple[float, float] = (1.0, 1.0)  # factor drawn log-uniformly between the two
    brightness: float = 0.0  # up to this much of 255 added or taken, and as a factor
    contrast: float = 0.0  # factor on the distance from the mean, from 1 - this to 1 + this
    saturation: float = 0.0  # factor on the distance from grey, likewise
    hue: float = 0.0  # up to this part of the colour circle, either way; at most 0.5
    copy_paste: float = 0.0  # chance that objects of another image are pasted in

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
# factor is drawn log-uniformly: half the size is as frequent as double, where a uniform draw would
# show most images enlarged.
LARGE_SCALE_JITTER = Augment(scale=(0.1, 2.0))


@dataclass(eq=False)
class Example:
    """A sample as training keeps it: crowds left out, masks cut to their boxes.

    image uint8 [H, W, 3]; boxes int [N, 4] (whole pixels); class_ids int32 [N]; patches: N arrays
    bool [h, w], each the mask inside its box; image_id int; crowds: how many were left out.
    whole: mini-masks of instances that a view showed whole, kept for the next epoch.
    """

    image: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    patches: list[np.ndarray]
    image_id: int
    crowds: int
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
            int(cut.crowd.sum()),
        )


@dataclass(frozen=True)
class View:
    """Where a canvas looks: the part of the image it shows, that part's size there, and a turn.

    top, left, bottom, right: whole pixels of the image. height, width: what they become.
    turns: quarter turns, counter-clockwise. mirror: left-right, before the turn.
    gain, shift: what every value is multiplied by, and what is added. contrast, saturation, hue: as
    in `labkit.data.colour.recolour`.
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
    """A random view of an image of `shape` (H, W) for a canvas (H, W).

    resized: (H, W) that the image has for the network before augmentation. Where that is larger
    than the canvas, the view is a random window. A canvas that is not square is never turned
    sideways.
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
    # Drawn only where they are wanted: what is not asked for must not change other draws.
    contrast, saturation = (
        1.0 + a * rng.uniform(-1, 1) if a else 1.0 for a in (augment.contrast, augment.saturation)
    )
    hue = augment.hue * rng.uniform(-1, 1) if augment.hue else 0.0
    (top, bottom), (left, right) = window
    return View(
        top, left, bottom, right, *size, turns, mirror, gain, shift, contrast, saturation, hue
    )


def render(example: Example, view: View, mini: int, resize_filter: str = "antialias"):
    """What the network gets through a view, before padding.

    Returns image uint8 [h, w, 3], boxes float32 [n, 4], class_ids int32 [n], masks uint8 (0, 1),
    and how many instances of the window vanished because less than a pixel of them is left.
    masks: [n, mini, mini], or [n, h, w] where mini is 0. resize_filter: as in `resize_image`, and
    as detection will resize its images.
    """
    image = example.image[view.top : view.bottom, view.left : view.right]
    image = resize_image(image, view.height, view.width, resize_filter)
    if image.dtype != np.uint8:  # "bilinear" has parts of a value, a batch has not
        image = np.rint(image).astype(np.uint8)
    if view.gain != 1.0 or view.shift != 0.0:
        image = np.clip(image * view.gain + view.shift, 0, 255).astype(np.uint8)
    image = recolour(image, view.contrast, view.saturation, view.hue)
    scale = np.float32(
        [view.height / (view.bottom - view.top), view.width / (view.right - view.left)] * 2
    )
    origin = np.array([view.top, view.left] * 2)
    boxes, classes, masks, vanished = [], [], [], 0
    for i in _touching(example.boxes, view):
        patch, box = _visible(example.patches[i], example.boxes[i], view)
        if patch is None:
            continue
        placed = ((box - origin) * scale).astype(np.float32)
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


def _touching(boxes: np.ndarray, view: View) -> np.ndarray:
    """Indices of the boxes that share a pixel with the window."""
    low = (boxes[:, 0] < view.bottom) & (boxes[:, 1] < view.right)
    return np.flatnonzero(low & (boxes[:, 2] > view.top) & (boxes[:, 3] > view.left))


def _visible(patch: np.ndarray, box: np.ndarray, view: View):
    """The patch and box of what the window shows of an instance; (None, box) if that is nothing."""
    y1, x1, y2, x2 = box
    if y1 >= view.top and x1 >= view.left and y2 <= view.bottom and x2 <= view.right:
        return patch, box
    rows = slice(max(view.top - y1, 0), min(view.bottom, y2) - y1)
    columns = slice(max(view.left - x1, 0), min(view.right, x2) - x1)
    patch = patch[rows, columns]
    patch, tight_box = tight(patch, y1 + rows.start, x1 + columns.start)
    return patch, box if patch is None else tight_box


def tight(patch: np.ndarray, top: int, left: int):
    """A patch whose corner is at (top, left), cut to what is true in it, and its box int [4].

    (None, None) where nothing is.
    """
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    if not len(rows):
        return None, None
    a, b, c, d = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return patch[a:b, c:d], np.array([top + a, left + c, top + b, left + d])


def _mini(example: Example, index: int, patch: np.ndarray, side: int) -> np.ndarray:
    """The mini-mask bool [side, side] of a patch; computed once for one that is whole."""
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
    """Image and boxes after the view's mirror and quarter turns."""
    width = image.shape[1]
    if view.mirror:
        boxes = np.stack([boxes[:, 0], width - boxes[:, 3], boxes[:, 2], width - boxes[:, 1]], 1)
    height = image.shape[0]
    for _ in range(view.turns):  # a counter-clockwise turn: x becomes the distance from the bottom
        boxes = np.stack([width - boxes[:, 3], boxes[:, 0], width - boxes[:, 1], boxes[:, 2]], 1)
        height, width = width, height
    return np.ascontiguousarray(_turn_grid(image, view)), boxes
