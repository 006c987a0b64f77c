"""What the model found in one picture: boxes, scores, classes and masks, kept together.

`Detections` is what `Detector.detect` returns. A mask leaves the network as a small grid of
probabilities (28 x 28) inside its box. It is pasted only when it is used, and then only the window
of the picture that the box touches: 500 whole masks of a 12-megapixel photo need 6 GB.

This module does not import matplotlib, so that a server that only writes results can run without.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from labkit.errors import LabkitError
from labkit.io.images import read_image
from labkit.models.detections_coco import coco_results
from labkit.models.detections_text import sentence, table
from labkit.ops.coco_masks import encode_window
from labkit.ops.mask_boxes import nearest_pixels, window_of
from labkit.ops.pasting import paste_grid, paste_in_box, paste_window


class Detections:
    """The objects found in one picture, best score first.

    Args:
        boxes: float32 [N, 4], (y1, x1, y2, x2) in pixels of the picture, half-open.
        scores: float32 [N], in any order; the objects are sorted by score, ties keep their order.
        class_ids: int [N], 1..len(class_names); 0, which is background, is refused.
        class_names: the foreground classes; class id i is class_names[i - 1].
        image_size: (height, width) of the picture in pixels.
        masks: bool [N, height, width], already pasted; or
        mask_probs: float32 [N, m, m], the mask head's grid inside each box, pasted when needed; or
            [N, h, w], a grid over the whole picture, where paste is "whole".
        paste: "exact" (samples at pixel centres) or "integer" (torchvision's method), see
            `labkit.ops.pasting.paste_masks`; "in_box" (Matterport's), for boxes of whole pixels; or
            "whole" (YOLACT's), see `labkit.ops.pasting.paste_grid`.
        frame: float32 (y1, x1, y2, x2), what a grid over the whole picture spans, in pixels of the
            picture: more than this where the network saw it padded. By default the picture.
        mask_threshold: the lowest probability of a pixel that belongs to the object.
        image: uint8 [height, width, 3], or the path of its file, which is read whenever the picture
            is drawn; needed for nothing else.
        image_id: the data set's id of the picture, for `to_coco`.
        category_ids: the data set's id of each class, in the order of class_names, for `to_coco`;
            by default 1..len(class_names).
        rpn_boxes: float32 [R, 4], the proposals in pixels of the picture. `MaskRCNN.trace` gives
            them, `Detector.detect` does not.
        rpn_scores: float32 [R], their objectness.

    Raises:
        LabkitError: the arrays differ in N, or contain NaN, or a class id has no name.

    Indexing with an int, a slice, a bool mask or an int array gives `Detections` again, and so
    does iteration: `for found in detections: print(found.names[0], found.boxes[0])`.
    """

    def __init__(
        self,
        boxes,
        scores,
        class_ids,
        *,
        class_names: Sequence[str],
        image_size: tuple[int, int],
        masks=None,
        mask_probs=None,
        paste: str = "exact",
        frame=None,
        mask_threshold: float = 0.5,
        image: np.ndarray | str | os.PathLike | None = None,
        image_id: int | None = None,
        category_ids: Sequence[int] | None = None,
        rpn_boxes=None,
        rpn_scores=None,
    ):
        self.class_names = tuple(str(name) for name in class_names)
        self.image_size = (int(image_size[0]), int(image_size[1]))
        is_file = isinstance(image, (str, os.PathLike))
        self._image = os.path.abspath(image) if is_file else image
        self.image_id = image_id
        self.category_ids = self.checked_ids(category_ids)
        self.paste = paste
        self.frame = np.asarray((0, 0, *self.image_size) if frame is None else frame, np.float32)
        self.mask_threshold = mask_threshold
        self.rpn_boxes = _optional(rpn_boxes, (-1, 4))
        self.rpn_scores = _optional(rpn_scores, (-1,))

        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        scores = np.asarray(scores, np.float32).reshape(-1)
        class_ids = np.asarray(class_ids).astype(np.int32).reshape(-1)
        masks = None if masks is None else np.asarray(masks).astype(bool, copy=False)
        mask_probs = None if mask_probs is None else np.asarray(mask_probs, np.float32)
        self._check(boxes, scores, class_ids, masks, mask_probs)

        order = np.argsort(-scores, kind="stable")
        self.boxes = boxes[order]
        self.scores = scores[order]
        self.class_ids = class_ids[order]
        self._masks = None if masks is None else masks[order]
        self._probs = None if mask_probs is None else mask_probs[order]

    def _check(self, boxes, scores, class_ids, masks, mask_probs) -> None:
        count = len(boxes)
        for field, array in (
            ("scores", scores),
            ("class_ids", class_ids),
            ("masks", masks),
            ("mask_probs", mask_probs),
        ):
            if array is not None and len(array) != count:
                raise LabkitError(
                    f"Detections: {field} has {len(array)} entries and boxes has {count}; "
                    "give one of each for every object."
                )
        for field, array in (("boxes", boxes), ("scores", scores), ("mask_probs", mask_probs)):
            if array is not None and not np.isfinite(array).all():
                row = int(np.argwhere(~np.isfinite(array))[0][0])
                raise LabkitError(
                    f"Detections: {field}[{row}] is not a finite number; a model whose training "
                    "diverged gives this, so go back to an earlier checkpoint."
                )
        wrong = np.flatnonzero((class_ids < 1) | (class_ids > len(self.class_names)))
        if len(wrong):
            raise LabkitError(
                f"Detections: class_ids[{wrong[0]}] is {class_ids[wrong[0]]}, but there are "
                f"{len(self.class_names)} class names, so ids go from 1 to "
                f"{len(self.class_names)} (0 is background)."
            )
        if masks is not None and masks.shape != (count, *self.image_size):
            raise LabkitError(
                f"Detections: masks has shape {masks.shape} and image_size asks for "
                f"{(count, *self.image_size)}; paste the masks onto the whole picture, or give "
                "the small grids as mask_probs."
            )
        if not isinstance(self._image, str):  # a file is read when it is needed
            _ = self.image

    def checked_ids(self, category_ids: Sequence[int] | None) -> tuple[int, ...]:
        """One id per class, by default 1..len(class_names); another number is a `LabkitError`."""
        if category_ids is None:
            return tuple(range(1, len(self.class_names) + 1))
        if len(category_ids) != len(self.class_names):
            raise LabkitError(
                f"Detections: {len(category_ids)} category_ids for {len(self.class_names)} "
                "classes; give one for each, in the order of class_names."
            )
        return tuple(category_ids)

    # ---------------------------------------------------------------- the objects

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator["Detections"]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index) -> "Detections":
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} of {len(self)} detections")
            index = [int(index)]
        if not isinstance(index, slice):
            index = np.asarray(index)
            index = index if index.dtype == bool else index.astype(np.intp)
        return Detections(
            self.boxes[index],
            self.scores[index],
            self.class_ids[index],
            class_names=self.class_names,
            image_size=self.image_size,
            masks=None if self._masks is None else self._masks[index],
            mask_probs=None if self._probs is None else self._probs[index],
            paste=self.paste,
            frame=self.frame,
            mask_threshold=self.mask_threshold,
            image=self._image,
            image_id=self.image_id,
            category_ids=self.category_ids,
            rpn_boxes=self.rpn_boxes,
            rpn_scores=self.rpn_scores,
        )

    @property
    def image(self) -> np.ndarray | None:
        """The picture, uint8 [height, width, 3]; None if there is none.

        Raises:
            LabkitError: its file cannot be read any more, or it has another size than image_size.
        """
        if self._image is None:
            return None
        is_file = isinstance(self._image, str)
        image = read_image(self._image, warn=False) if is_file else np.asarray(self._image)
        if image.shape[:2] != self.image_size:
            raise LabkitError(
                f"Detections: the image is {image.shape[0]} x {image.shape[1]} pixels "
                f"and image_size says {self.image_size[0]} x {self.image_size[1]}; boxes, masks "
                "and image must be of the same picture."
            )
        return image

    @property
    def names(self) -> list[str]:
        """The class name of each object."""
        return [self.class_names[i - 1] for i in self.class_ids]

    @property
    def has_masks(self) -> bool:
        """False for a model without a mask head."""
        return self._masks is not None or self._probs is not None

    @property
    def masks(self) -> np.ndarray:
        """The masks on the whole picture, bool [N, height, width]: pasted once, then kept.

        Raises:
            LabkitError: there are no masks.
        """
        if self._masks is None:
            masks = np.zeros((len(self), *self.image_size), bool)
            for mask, window in zip(masks, self.each_window(), strict=True):
                _put(mask, *window)
            self._masks = masks
        return self._masks

    def each_mask(self, size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        """The masks, bool [height, width], one at a time, so that only one is in memory.

        Args:
            size: (height, width) that the picture is resized to; by default its own.

        Raises:
            LabkitError: there are no masks.
        """
        size = self.image_size if size is None else size
        if self._masks is not None and size == self.image_size:
            yield from self._masks
            return
        for window in self.each_window(size):
            mask = np.zeros(size, bool)
            _put(mask, *window)
            yield mask

    def each_window(
        self, size: tuple[int, int] | None = None
    ) -> Iterator[tuple[np.ndarray, int, int]]:
        """The masks one at a time, of each only the window that it is in.

        Args:
            size: (height, width) that the picture is resized to; by default its own.

        Yields:
            (window, top, left): bool [h, w], the mask's rows from `top` and columns from `left`;
            it is empty outside.

        Raises:
            LabkitError: there are no masks.
        """
        size = self.image_size if size is None else size
        if self._probs is not None:
            boxes = self.boxes * np.float32(np.tile(np.divide(size, self.image_size), 2))
            for prob, box in zip(self._probs, boxes, strict=True):
                yield self._paste(prob, box, *size)
        elif self._masks is not None:
            pixels = np.ix_(*map(nearest_pixels, size, self.image_size))
            for mask in self._masks:
                yield window_of(mask if size == self.image_size else mask[pixels])
        else:
            raise LabkitError(
                "These detections have no masks; give masks= or mask_probs= to Detections."
            )

    def _paste(self, prob, box, height: int, width: int) -> tuple[np.ndarray, int, int]:
        if self.paste == "whole":
            frame = self.frame * np.tile(np.divide((height, width), self.image_size), 2)
            window, top, left = paste_grid(prob, frame, box, height, width)
            return (window >= self.mask_threshold) & (window > 0), top, left
        paste = paste_in_box if self.paste == "in_box" else paste_window
        options = {} if self.paste == "in_box" else {"method": self.paste}
        return paste(prob, box, height, width, self.mask_threshold, **options)

    @property
    def areas(self) -> np.ndarray:
        """float32 [N]: the pixels of each mask, or of each box if there are no masks."""
        if self.has_masks:
            return np.array([window.sum() for window, *_ in self.each_window()], np.float32)
        height, width = self.boxes[:, 2] - self.boxes[:, 0], self.boxes[:, 3] - self.boxes[:, 1]
        return height * width

    def filter(
        self,
        min_score: float | None = None,
        classes: str | int | Iterable[str | int] | None = None,
        min_area: float | None = None,
    ) -> "Detections":
        """The detections that meet every given condition.

        Args:
            min_score: the lowest score to keep.
            classes: a class name or id, or several.
            min_area: the smallest mask (or box, if there are no masks) to keep, in pixels.

        Raises:
            LabkitError: a class is not among class_names.
        """
        keep = np.ones(len(self), bool)
        if min_score is not None:
            keep &= self.scores >= np.float32(min_score)
        if classes is not None:
            keep &= np.isin(self.class_ids, self._class_ids_of(classes))
        found = self[keep]
        if min_area is None:  # areas last, so that only the masks still left are pasted
            return found
        return found[found.areas >= min_area]

    def _class_ids_of(self, classes) -> list[int]:
        if isinstance(classes, (str, int, np.integer)):
            classes = [classes]
        ids = []
        for wanted in classes:
            if isinstance(wanted, str):
                same = [i + 1 for i, name in enumerate(self.class_names) if name == wanted]
            else:
                same = [int(wanted)] if 1 <= wanted <= len(self.class_names) else []
            if not same:
                raise LabkitError(
                    f"Detections.filter: there is no class {wanted!r}; the classes are "
                    f"{_listing(self.class_names)}, with ids from 1."
                )
            ids += same
        return ids

    # ---------------------------------------------------------------- conversions

    def rles(self) -> Iterator[dict]:
        """Each mask as COCO run-length encoding, pasted one at a time."""
        return (encode_window(*window, *self.image_size) for window in self.each_window())

    def to_coco(
        self,
        image_id: int | None = None,
        category_ids: Sequence[int] | Mapping[str, int] | None = None,
    ) -> list[dict]:
        """One COCO result dict per object: what `COCO.loadRes` and evaluation servers read.

        Args:
            image_id: the picture's id; by default that of the detections.
            category_ids: the data set's id of each class, in the order of class_names or as a
                mapping by name; by default those of the detections, which a model has from the
                data that it was trained on. Classes that are not in the mapping are left out.

        Returns:
            dicts with image_id, category_id, bbox [x, y, width, height], score and, if there are
            masks, segmentation (RLE whose counts are a string, so that json can write it).

        Raises:
            LabkitError: there is no image id, or not one category id per class.
        """
        return coco_results(self, image_id, category_ids)

    def to_dict(self) -> dict:
        """The dict that Matterport's `detect` returns: rois, class_ids, scores, masks [H, W, N].

        rpn_boxes and rpn_scores, the proposals, are added: arrays in `MaskRCNN.trace(...)`'s
        detections, None in those of `detect`.
        """
        empty = np.zeros((*self.image_size, 0), bool)
        return {
            "rois": self.boxes,
            "class_ids": self.class_ids,
            "scores": self.scores,
            "masks": np.moveaxis(self.masks, 0, -1) if self.has_masks else empty,
            "rpn_boxes": self.rpn_boxes,
            "rpn_scores": self.rpn_scores,
        }

    # ---------------------------------------------------------------- pictures and words

    def plot(self, ax=None, **options):
        """Draw the objects over the picture, or on an empty canvas if there is no image.

        Args:
            ax: matplotlib Axes to draw on; by default those of a new figure.
            **options: passed on to `labkit.viz.draw_instances`.

        Returns:
            The matplotlib Figure.
        """
        from labkit.viz.instances import draw_detections  # matplotlib, so only when needed

        return draw_detections(self, ax=ax, **options)

    def save(self, path, **options) -> None:
        """Write the picture of `plot` to a file; the suffix (.png, .pdf, .svg) sets the format."""
        from labkit.viz.show import save

        save(self.plot(**options), path)

    def describe(self) -> str:
        """One sentence with the number of objects and the best of them; also the alt text."""
        return sentence(self)

    def __repr__(self) -> str:
        return table(self)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """For Jupyter: the picture with alt text, and the table for a terminal."""
        plain = {"text/plain": repr(self)}
        try:
            from labkit.viz.show import show
        except ImportError:  # no matplotlib: show the table instead of a traceback
            return plain
        # The picture is in the HTML, which alone keeps its alternative text: once is enough.
        return {"text/html": show(self.plot(), alt=self.describe())._repr_html_(), **plain}


def _put(mask: np.ndarray, window: np.ndarray, top: int, left: int) -> None:
    """Write a window into its mask."""
    mask[top : top + window.shape[0], left : left + window.shape[1]] = window


def _optional(array, shape: tuple[int, ...]) -> np.ndarray | None:
    return None if array is None else np.asarray(array, np.float32).reshape(shape)


def _listing(names: Sequence[str], most: int = 12) -> str:
    """'a, b, c'; a long list is cut short and its length added."""
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
