"""What is wrong with a sample of one's own, in one sentence that names the sample and the field.

labkit's readers make samples with `make_sample`, which cannot go wrong. A `Dataset` of one's own
fills in the fields itself, and a class id that is one too high, or a box as (x, y, w, h), would
train without a word.
"""

from collections.abc import Iterator

import numpy as np

from labkit.data.sample import Sample
from labkit.errors import LabkitError, printable
from labkit.ops.mask_boxes import boxes_from_masks

SLACK = 1.0  # pixels that a box may be larger or smaller than its mask, on each side


def checked_sample(sample: Sample, class_names: tuple[str, ...], index: int) -> Sample:
    """The sample, if it is as `Sample` says.

    Args:
        sample: what `Dataset.read` returned.
        class_names: of the data set.
        index: of the sample, to name it.

    Raises:
        LabkitError: it is no Sample, or a field has another type, shape or value.
    """
    if not isinstance(sample, Sample):
        raise LabkitError(
            f"Dataset.read({index}) returned a {type(sample).__name__}; return a Sample, which "
            "labkit.data.make_sample makes of a picture, its masks and class ids."
        )
    for problem in _problems(sample, class_names):
        raise LabkitError(f"sample {index} ({printable(sample.name)}): {problem}.")
    return sample


def _problems(sample: Sample, class_names: tuple[str, ...]) -> Iterator[str]:
    """Sentences without a full stop; each is right only if the ones before it did not apply."""
    image = sample.image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
        yield f"image is {_kind(image)}; give uint8 [H, W, 3] (labkit.io.images.read_image does)"
    if image.shape[2] != 3 or 0 in image.shape:
        yield f"image has shape {image.shape}; give [H, W, 3], RGB"
    count = len(sample.class_ids)
    shapes = {
        "class_ids": (count,),
        "boxes": (count, 4),
        "masks": (count, *image.shape[:2]),
        "crowd": (count,),
    }
    for field, shape in shapes.items():
        array = getattr(sample, field)
        if not isinstance(array, np.ndarray) or array.shape != shape:
            yield f"{field} is {_kind(array)}; it must be an array of shape {shape}"
    for field, kind, wanted in (
        ("class_ids", np.integer, "int32"),
        ("boxes", np.floating, "float32"),
        ("masks", np.bool_, "bool"),
        ("crowd", np.bool_, "bool"),
    ):
        if not np.issubdtype(getattr(sample, field).dtype, kind):
            given = getattr(sample, field).dtype
            yield f"{field} holds {given}; make it {wanted} (array.astype({_literal(wanted)}))"
    yield from _wrong_classes(sample.class_ids, class_names)
    yield from _wrong_boxes(sample.boxes, sample.masks)


def _wrong_classes(class_ids: np.ndarray, class_names: tuple[str, ...]) -> Iterator[str]:
    for row in np.flatnonzero((class_ids < 1) | (class_ids > len(class_names))):
        yield (
            f"class_ids[{row}] is {class_ids[row]}; with {len(class_names)} class names ids go "
            f"from 1 to {len(class_names)} (0 is background)"
        )


def _wrong_boxes(boxes: np.ndarray, masks: np.ndarray) -> Iterator[str]:
    tight = boxes_from_masks(masks)
    for row, (box, own, mask) in enumerate(zip(boxes, tight, masks, strict=True)):
        if not mask.any():
            yield f"masks[{row}] is empty; leave the object out"
        if not (np.abs(box - own) <= SLACK).all():  # NaN is never close
            given, needed = (f"({', '.join(f'{v:g}' for v in b)})" for b in (box, own))
            yield (
                f"boxes[{row}] is {given}, but masks[{row}] fills {needed}; a box is "
                "(y1, x1, y2, x2) around its mask: labkit.ops.mask_boxes.boxes_from_masks gives it"
            )


def _kind(value) -> str:
    """What a value is, in a few words: "a list", "float32 of shape (3, 60, 80)"."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}"


def _literal(dtype: str) -> str:
    return dtype if dtype == "bool" else f"np.{dtype}"
