"""COCO's run lengths: checked, decoded from text, and counted in a mask.

Run lengths count the pixels of a mask column by column: so many zeros, then so many ones, and so
on by turns. The first run counts zeros and may be empty. A file holds them as
`{"size": [height, width], "counts": …}`, where counts are a list of numbers ("uncompressed") or a
text ("compressed", see `decode_texts`).

pycocotools trusts what it is given: where runs cover less or more than the image, or a text was cut
off, its IoU never returns. Hence the checks.
"""

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.errors import LabkitError

LONGEST = 2**35  # pixels, what seven digits of text can hold: sums of runs stay exact


def checked_runs(rle: dict[str, Any], height: int, width: int) -> np.ndarray:
    """The run lengths of an image of height x width pixels: int64 [R].

    Raises:
        LabkitError: a field is missing or malformed, or the runs do not cover the image exactly.
    """
    counts = checked_counts(rle, height, width)
    if isinstance(counts, str):
        runs, _ = decode_texts([counts])
    else:
        runs = np.array(counts, np.int64)
    if (runs < 0).any():
        raise LabkitError("segmentation has negative run lengths; write them anew from the mask.")
    if runs.sum() != height * width:
        raise LabkitError(
            f"segmentation has run lengths that add up to {runs.sum()}, not to the "
            f"{height * width} pixels of the image ({height} x {width}); write them anew from the "
            "mask."
        )
    return runs


def checked_counts(rle: dict[str, Any], height: int, width: int) -> str | list[int]:
    """The counts as they are written, after a check of everything but the numbers in a text.

    Raises:
        LabkitError: a field is missing or malformed, or the size is not that of the image.
    """
    if "counts" not in rle or "size" not in rle:
        raise LabkitError('segmentation lacks "size" or "counts"; run lengths need both.')
    size, counts = rle["size"], rle["counts"]
    if not isinstance(size, (list, tuple)) or list(size) != [height, width]:
        raise LabkitError(
            f"segmentation has size {reprlib.repr(size)} but the image is {[height, width]} "
            "(height, width); write the run lengths for this image."
        )
    if isinstance(counts, (str, bytes)):
        return counts if isinstance(counts, str) else counts.decode("latin-1")
    if isinstance(counts, (list, tuple)) and all(
        is_number(run) and abs(run) < LONGEST and run == int(run) for run in counts
    ):
        return [int(run) for run in counts]
    raise LabkitError("segmentation has counts that are neither text nor a list of whole numbers.")


def decode_texts(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Decodes compressed run lengths, as many texts at a time as there are.

    A number is written in digits of five bits, lowest digit first. The character of a digit is
    48 + digit, or 80 + digit if more digits follow. The top bit of the last digit is the sign. From
    its fourth run on, a text holds not the run but its difference from the run two before.

    Args:
        texts: N of them, at least one.

    Returns:
        The runs of all texts one after another, int64 [R], and the index in it of each text's first
        run, int64 [N].

    Raises:
        LabkitError: one of the texts is empty or not of this form.
    """
    # Of unsigned bytes: a character below 48 wraps around to a number above 200.
    digits = np.frombuffer("".join(texts).encode("utf-8", "surrogatepass"), np.uint8) - 48
    if not all(texts) or digits.max() > 63:
        raise LabkitError("segmentation has counts that are not COCO's compressed run lengths.")
    ends = np.cumsum([len(text) for text in texts])
    if digits[ends - 1].max() > 31:
        raise LabkitError("segmentation has counts that end in the middle of a number.")

    last = np.flatnonzero(digits < 32)  # the last digit of every number
    first = np.concatenate(([0], last[:-1] + 1))
    length = last - first + 1
    if length.max() > 7:
        raise LabkitError("segmentation has a run length that is far too large for an image.")
    place = np.arange(len(digits)) - first.repeat(length)
    runs = np.add.reduceat((digits & 31) << 5 * place, first)
    runs -= (digits[last] >> 4) << 5 * length  # two's complement

    stops = np.searchsorted(last, ends)
    start = 0
    for stop in stops.tolist():  # undo the differences, of odd and even runs apart
        for chain in (runs[start + 1 : stop : 2], runs[start + 2 : stop : 2]):
            chain.cumsum(out=chain)
        start = stop
    return runs, np.concatenate(([0], stops[:-1]))


def runs_of_window(window: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """The run lengths of a mask that is empty outside a window of it.

    They are counted in the window alone: most objects are far smaller than their picture.

    Args:
        window: bool `[h, w]`, the mask's rows from `top` and columns from `left` on.
        top: the window's first row.
        left: the window's first column.
        height: of the mask, in pixels.
        width: of the mask, in pixels.

    Returns:
        int64 `[R]`, the same as of the whole mask.
    """
    # With a zero before and after every column, its runs of ones begin and end where it changes.
    columns = np.zeros((window.shape[1], window.shape[0] + 2), np.int8)
    columns[:, 1:-1] = np.asarray(window, bool).T
    column, row = np.nonzero(columns[:, 1:] != columns[:, :-1])
    edges = (left + column) * height + top + row  # beginning, end, beginning, end, ...
    # A run to the bottom of one column goes on if the next column begins with ones.
    joined = 2 * np.flatnonzero(edges[1:-1:2] == edges[2::2]) + 1
    edges = np.delete(edges, np.concatenate((joined, joined + 1)))
    runs = np.diff(edges, prepend=0, append=height * width)
    return runs[:-1] if len(edges) and not runs[-1] else runs


def is_number(value: Any) -> bool:
    """Whether a value of a file is a number; bools are not."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
