"""One picture with its instances, in the three forms that a data set gives it in.

`Sample` is the picture with whole masks, `Cutouts` the same with every mask cut to its box, and
`Labels` what is known without looking at a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from labkit.ops.mask_boxes import boxes_from_masks


@dataclass(eq=False)
class Sample:
    """One picture and its instances. Boxes are `(y1, x1, y2, x2)` pixels, half-open.

    Attributes:
        image: uint8 `[H, W, 3]` RGB.
        boxes: float32 `[N, 4]`, the tight boxes of the masks.
        class_ids: int32 `[N]`, 1 for the data set's first class; 0 (background) never occurs.
        masks: bool `[N, H, W]`, what is visible of each instance.
        crowd: bool `[N]`, true for a region of many instances that are not separated.
        image_id: the data set's own number for the picture.
        name: what to call the picture: its file name, or e.g. "shapes/12".
    """

    image: np.ndarray
    boxes: np.ndarray
    class_ids: np.ndarray
    masks: np.ndarray
    crowd: np.ndarray
    image_id: int
    name: str

    def __len__(self) -> int:
        return len(self.class_ids)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Sample({self.name!r}, {height} x {width}, {len(self)} instances)"


class Cutouts(NamedTuple):
    """A sample whose masks are cut to their boxes: what training keeps of one.

    200 whole masks of 1024 x 1024 pixels are 200 MB; cut out, they are a few.

    Attributes:
        image: uint8 `[H, W, 3]` RGB.
        boxes: int `[N, 4]`, whole pixels.
        patches: N arrays bool `[h, w]`, the mask inside each box.
        class_ids, crowd, image_id: as in `Sample`.
    """

    image: np.ndarray
    boxes: np.ndarray
    patches: list[np.ndarray]
    class_ids: np.ndarray
    crowd: np.ndarray
    image_id: int

    @classmethod
    def of(cls, sample: Sample) -> Cutouts:
        boxes = np.round(sample.boxes).astype(int)
        patches = [
            m[y1:y2, x1:x2].copy() for m, (y1, x1, y2, x2) in zip(sample.masks, boxes, strict=True)
        ]
        return cls(sample.image, boxes, patches, sample.class_ids, sample.crowd, sample.image_id)


class Labels(NamedTuple):
    """What is known of one picture's instances without reading its pixels.

    Attributes:
        class_ids: int32 `[n]`.
        crowd: bool `[n]`.
        boxes: float32 `[n, 4]`, around the outlines as they are written in the file, so up to a
            pixel larger than the tight boxes of the masks.
    """

    class_ids: np.ndarray
    crowd: np.ndarray
    boxes: np.ndarray


def make_sample(
    image: np.ndarray,
    masks: np.ndarray,
    class_ids: Any,
    *,
    image_id: int,
    name: str,
    crowd: Any = None,
) -> Sample:
    """A sample whose boxes are the tight boxes of its masks (bool `[N, H, W]`, none empty)."""
    masks = np.asarray(masks, bool).reshape(-1, *image.shape[:2])
    count = len(masks)
    return Sample(
        image=image,
        boxes=boxes_from_masks(masks),
        class_ids=np.asarray(class_ids, np.int32).reshape(count),
        masks=masks,
        crowd=np.zeros(count, bool) if crowd is None else np.asarray(crowd, bool).reshape(count),
        image_id=int(image_id),
        name=name,
    )
