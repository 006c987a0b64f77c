"""Data sets whose pictures are files: what the readers of all formats have in common.

A reader lists the pictures when it is created, and reads the pixels of pictures and masks when a
sample is requested. What is written oddly but has one meaning only is repaired and counted in
`repairs`. What it cannot use is left out and listed in `problems`, one sentence each; with
`strict=True` the first problem is an error instead.
"""

from __future__ import annotations

import os
import sys
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labkit.data.dataset import Dataset
from labkit.data.sample import Labels, Sample, make_sample
from labkit.errors import LabkitError, MissingFileError, printable
from labkit.io import images
from labkit.io.data_files import Unusable, quote, refuse_links_out
from labkit.io.picture_finder import FOUND, PictureFinder
from labkit.io.repairs import Repairs
from labkit.ops.mask_boxes import boxes_from_masks


@dataclass(frozen=True)
class Picture:
    """A picture of a data set.

    Attributes:
        number: its image id.
        name: what its annotations call it.
        path: its file.
        height, width: the size that the annotations are for, in pixels.
    """

    number: int
    name: str
    path: Path
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(eq=False)
class Instances:
    """The instances of one picture, before those without a pixel are left out.

    Formats that know the boxes without making the masks return a class of their own with the same
    attributes, whose `masks` are made on demand.

    Attributes:
        masks: bool `[N, H, W]`.
        class_ids: N numbers, 1 for the first class.
        places: what to call each instance in a message, e.g. "regions[3]".
        crowd: N booleans; empty if there are no crowds.
    """

    masks: np.ndarray
    class_ids: Sequence[int]
    places: Sequence[str]
    crowd: Sequence[bool] = ()

    @property
    def boxes(self) -> np.ndarray:
        """The tight boxes, float32 `[N, 4]`; zeros for an instance without a pixel."""
        return boxes_from_masks(self.masks)


class PictureDataset(Dataset):
    """Base class of data sets with picture files.

    A subclass fills `self._pictures` when it is created, sets `class_names` (and `category_ids`, if
    the format has them), calls `self._warn_of_problems()`, and defines `instances`.

    Attributes:
        label: what messages call the data set: its file or folder.
        folder: the folder of the pictures; no picture lies outside it.
        strict: whether a problem is an error.
    """

    def __init__(
        self, label: str | os.PathLike, folder: str | os.PathLike, *, strict: bool = False
    ) -> None:
        self.label = str(label)
        self.folder = Path(folder)
        self.strict = strict
        self.problems: list[str] = []
        self.repairs = Repairs()
        self._finder = PictureFinder(self.folder)
        self._reported: set[str] = set()
        self._pictures: list[Picture] = []
        self._known_labels: dict[int, Labels] = {}
        if not self.folder.is_dir():
            raise MissingFileError(f"{self.folder}: there is no such folder of images.")

    @abstractmethod
    def instances(self, index: int) -> Instances:
        """The instances of one picture, without reading the picture itself."""

    # ---- a data set ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._pictures)

    def image_info(self, index: int) -> dict[str, Any]:
        picture = self._pictures[self._check_index(index)]
        return {
            "id": picture.number,
            "file_name": picture.name,
            "height": picture.height,
            "width": picture.width,
        }

    def picture_file(self, index: int) -> Path | None:
        return self._pictures[self._check_index(index)].path

    def read(self, index: int) -> Sample:
        """The sample at `index`.

        Raises:
            MissingFileError, LabkitError: the picture or its mask file is missing or broken, or has
                another size than its annotations.
        """
        picture, found = self._pictures[index], self.instances(index)
        masks = found.masks
        kept = self._kept(index, found.places, masks.any(axis=(1, 2)))
        return make_sample(
            self.read_pixels(index),
            masks if len(kept) == len(masks) else masks[kept],
            np.asarray(found.class_ids)[kept],
            crowd=np.asarray(_crowd(found))[kept],
            image_id=picture.number,
            name=picture.name,
        )

    def read_pixels(self, index: int) -> np.ndarray:
        """The picture alone: uint8 `[H, W, 3]`."""
        picture = self._pictures[index]
        return read_sized(self.folder, picture.path, picture.size, self.label)

    def instance_limit(self, index: int) -> int:
        return len(self.labels(index).class_ids)

    def labels(self, index: int) -> Labels:
        # A report, a threshold and a split each need all labels, and a label map opens slowly.
        known = self._known_labels.get(index)
        if known is None:
            found = self.instances(index)
            boxes = found.boxes
            kept = self._kept(index, found.places, (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
            class_ids, crowd = np.array(found.class_ids, np.int32), np.array(_crowd(found), bool)
            known = self._known_labels[index] = Labels(class_ids[kept], crowd[kept], boxes[kept])
        return Labels(*(values.copy() for values in known))

    # ---- for subclasses --------------------------------------------------------------------------

    def _kept(self, index: int, places: Sequence[str], visible: np.ndarray) -> np.ndarray:
        """The indices of the instances with at least one pixel; the others are problems."""
        for place in [place for place, keep in zip(places, visible, strict=True) if not keep]:
            self._problem(f"{self._named(index)}: {place} covers no pixel", "it is left out")
        return np.flatnonzero(visible)

    def _named(self, index: int) -> str:
        """The beginning of a message about one picture's annotations."""
        return f"{self.label}: {quote(self._pictures[index].name)}"

    def _problem(self, what: str, fate: str = "", remedy: str = "") -> None:
        """Add a problem to the list, once, even if the picture is read again.

        Args:
            what: what is wrong, and where; no full stop.
            fate: what becomes of the entry, e.g. "the picture is left out".
            remedy: a sentence on what to do; may be empty.

        Raises:
            LabkitError: the data set is strict.
        """
        sentence = problem_sentence(what, fate, remedy, strict=self.strict)
        if sentence not in self._reported:
            self._reported.add(sentence)
            self.problems.append(sentence)

    def _find_picture(self, name: str, number: int) -> Picture:
        """The picture of a name in `folder`, with the size in its header.

        Raises:
            Unusable: it is outside the folder, missing, or not a picture.
        """
        found = self._finder.find(name)
        try:
            refuse_links_out(self.folder, found.path)
            height, width = images.image_size(found.path)
            check_size(height, width)
        except LabkitError as error:
            raise Unusable(f"cannot be used: {str(error).rstrip('.')}") from None
        if found.how:
            self.repairs.note(FOUND, f"{quote(name)} {found.how}")
        return Picture(number, found.name, found.path, height, width)

    def _find_fitting(self, name: str, label_map: Path) -> Picture:
        """As `_find_picture`, for a picture whose annotations are an image of the same size."""
        try:
            refuse_links_out(label_map.parent, label_map)
            height, width = images.image_size(label_map, upright=False)
            check_size(height, width)
        except LabkitError as error:
            raise Unusable(f"cannot be used: {str(error).rstrip('.')}") from None
        picture = self._find_picture(name, len(self) + 1)
        stored = images.image_size(picture.path, upright=False)
        if (height, width) not in (picture.size, stored):
            raise Unusable(
                f"has {height} x {width} pixels (height x width) but its picture "
                f"{quote(name)} has {picture.height} x {picture.width}"
            )
        return Picture(picture.number, picture.name, picture.path, height, width)

    def _warn_of_problems(self) -> None:
        """Warn, when the data set is created, that something was left out."""
        if self.problems and not self._pictures:
            raise LabkitError(self.problems[-1] + " No image remains.")
        warn_of_problems(self.label, self.problems, self.repairs)


def _crowd(found: Instances) -> Sequence[bool]:
    return found.crowd or [False] * len(found.class_ids)


def check_size(height: int, width: int) -> None:
    """Raise LabkitError for an empty picture, or one above `labkit.io.images.MAX_PIXELS`."""
    if height < 1 or width < 1:
        raise LabkitError(f"the size {height} x {width} is no picture.")
    if height * width > images.MAX_PIXELS:
        raise LabkitError(
            f"{height} x {width} pixels are more than the limit of {images.MAX_PIXELS}; "
            f"{images.ENLARGE}."
        )


def read_sized(folder: Path, path: Path, wanted: tuple[int, int], label: str) -> np.ndarray:
    """Read a picture in the size that its annotations are for.

    Some annotation tools show a photo upright, others as it is stored. The size in the annotations
    tells which.

    Args:
        folder: the folder that the picture must lie in.
        path: the picture.
        wanted: (height, width) in the annotations.
        label: what messages call the annotations.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        MissingFileError: there is no such file.
        LabkitError: it is broken, of another size, or a link out of the folder.
    """
    refuse_links_out(folder, path)
    upright = images.image_size(path) == wanted
    image = images.read_image(path, upright=upright, warn=False)  # `check` says it
    if image.shape[:2] != wanted:
        raise LabkitError(images.size_problem(path, wanted, label))
    return image


def problem_sentence(what: str, fate: str = "", remedy: str = "", *, strict: bool = False) -> str:
    """The sentence of a problem, from the parts that `PictureDataset._problem` explains.

    Raises:
        LabkitError: `strict`. It says nothing of the fate: loading stops, and leaves nothing out.
    """
    remedy = f" {remedy}" if remedy else ""
    if strict:
        raise LabkitError(printable(f"{what}.{remedy}"))
    return printable(f"{what}; {fate}.{remedy}" if fate else f"{what}.{remedy}")


def warn_of_problems(label: str, problems: Sequence[str], repairs: Sequence[str] = ()) -> None:
    """Warn once, at the line that called labkit: of the first problem, and of what was repaired.

    Args:
        label: what to call the data set; usually its file.
        problems: one sentence each; without any problem or repair there is no warning.
        repairs: one sentence for each kind.
    """
    said = []
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems, the first"
        first = problems[0].removeprefix(f"{label}: ")
        said.append(f"{count}: {first} All are in the data set's .problems.")
    if repairs:
        kinds = len(repairs) - 1
        more = f" And {kinds} more {'kind' if kinds == 1 else 'kinds'} of repairs." if kinds else ""
        said.append(f"repaired: {repairs[0]}{more} All are in the data set's .repairs.")
    if said:
        warnings.warn(f"{label}: {' '.join(said)}", stacklevel=_outside())


def _outside() -> int:
    """The `stacklevel` of the call that came from outside labkit."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("labkit."):
        level, frame = level + 1, frame.f_back
    return level
