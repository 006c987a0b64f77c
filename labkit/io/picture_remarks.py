"""Picture files that were read by a rule which may be wrong: pages, depths and turns.

`labkit.io.images` has one right answer for most files. For these it has only a likely one, so a
person should know that there was a choice. `remarks_on` says it about a whole list of files, one
sentence a kind: a camera or a microscope writes all its files in one way.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from labkit.errors import printable
from labkit.io import images
from labkit.io.images import TWELVE_BITS

# What follows "3 pictures, the first a.tif: ", for each kind in `_kinds`.
_REMARKS = {
    "pages": "a file of several pages or frames, of which the first is read; save the others as "
    "files of their own if they are pictures of the data",
    "channels": "more than 4 channels, of which the first three are read; save the three that show "
    "the objects best as an RGB file",
    "12 bits": f"16 bits with no value above {TWELVE_BITS}, read as the 12 bits of a camera: "
    f"{TWELVE_BITS} is white",
    "mixed": f"16 bits with no value above {TWELVE_BITS}, read as 12 bits, while other pictures "
    "have higher values and are read as 16 bits: their brightness does not agree; scale all of "
    "them alike, to 8 bits",
    "dark": "99.9 % of the values are in the lowest sixteenth of the range, so the picture is "
    "nearly black; scale all pictures alike, to 8 bits",
    "turn": "an EXIF turn that the size does not show (by 180 degrees, a mirror image, or of a "
    "square picture); it is shown upright. If its masks lie elsewhere in `labkit inspect --out`, "
    "they were drawn on the stored pixels: remove the EXIF orientation",
}


def remarks_on(paths: Iterable[Path]) -> list[str]:
    """One sentence for each kind of remark, with the number of files and the first one's name.

    Args:
        paths: picture files. Those that cannot be read are skipped: reading them says why.

    Returns:
        Sentences; an empty list if every file has one meaning only.
    """
    files: dict[str, list[Path]] = {}
    for path in paths:
        for kind in _kinds(path):
            files.setdefault(kind, []).append(path)
    if "12 bits" in files and "16 bits" in files:
        files["mixed"] = files.pop("12 bits")
    return [_sentence(files[kind], remark) for kind, remark in _REMARKS.items() if kind in files]


def _sentence(files: list[Path], remark: str) -> str:
    first = printable(files[0])
    return (f"{len(files)} pictures, the first {first}" if len(files) > 1 else first) + (
        f": {remark}."
    )


def _kinds(path: Path) -> list[str]:
    """The kinds of remarks on one file. Only files of 16 bits are unpacked."""
    try:
        with path.open("rb") as stream, images.open_picture(stream, str(path)) as picture:
            kinds = ["pages"] if images.page_count(picture) > 1 else []
            kinds += ["channels"] if _channels(picture) > 4 else []
            turned = images.exif_orientation(picture) != 1
            if turned and images.image_size(path) == picture.size[::-1]:
                kinds.append("turn")
            return kinds + _depth(picture)
    except (OSError, ValueError):  # of which LabkitError is one
        return []


def _channels(picture: Image.Image) -> int:
    """Of a TIFF whose colours Pillow reads, and whose further channels it does not."""
    return picture.tag_v2.get(images.TIFF_CHANNELS, 1) if picture.format == "TIFF" else 1


def _depth(picture: Image.Image) -> list[str]:
    deep = picture.mode == "I" or picture.mode.startswith("I;16")
    if not deep or picture.size[0] * picture.size[1] > images.MAX_PIXELS:
        return []
    try:
        samples = np.array(picture)
    except Exception:  # truncated; every decoder raises its own errors
        return []
    twelve = samples.max() <= TWELVE_BITS
    white = TWELVE_BITS if twelve else 65535
    dark = samples.any() and np.percentile(samples, 99.9) <= white // 16
    return ["12 bits" if twelve else "16 bits", *(["dark"] if dark else [])]
