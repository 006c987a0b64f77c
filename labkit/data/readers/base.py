"""Data sets whose pictures are files: what the readers of all formats have in common.

A reader lists the pictures when it is made and says what it cannot use; pixels, of pictures and
of masks, are read when a sample is asked for. Whatever is left out is in `problems`, one sentence
each; with `strict=True` the first of them is an error instead.
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
from labkit.io.data_files import Unusable, path_inside, quote, refuse_links_out
from labkit.ops.masks import boxes_from_masks


@dataclass(frozen=True)
class Picture:
    """A picture of a data set: its number, what its annotations call it, its file and its size.

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

    masks: bool `[N, H, W]`. class_ids: N numbers, 1 for the first class. places: what to call each
    in a sentence, e.g. "regions[3]". crowd: N truth values, or none for "no crowds".

    Formats that know the boxes without painting the masks give a class of their own with the same
    attributes, whose `masks` are made when they are asked for.
    """

    masks: np.ndarray
    class_ids: Sequence[int]
    places: Sequence[str]
    crowd: Sequence[bool] = ()

    @property
    def boxes(self) -> np.ndarray:
        """float32 `[N, 4]`; without area for an instance without a pixel."""
        return boxes_from_masks(self.masks)


class PictureDataset(Dataset):
    """Pictures in files, and the instances that a format keeps of each.

    A subclass lists the pictures in `self._pictures` when it is made, sets `class_names` (and
    `category_ids`, where the format has such), calls `self._warn_of_problems()`, and defines
    `instances`.

    Attributes:
        label: what sentences call the data set: its file or folder.
        folder: the folder that holds the pictures; no picture lies outside it.
    """

    def __init__(
        self, label: str | os.PathLike, folder: str | os.PathLike, *, strict: bool = False
    ) -> None:
        self.label = str(label)
        self.folder = Path(folder)
        self.strict = strict
        self.problems: list[str] = []
        self._said: set[str] = set()
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
        # A report, a threshold and a split each ask for all of them, and a map takes long to open.
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
        """The numbers of the instances that have a pixel; those that have none are problems."""
        for place in [place for place, keep in zip(places, visible, strict=True) if not keep]:
            self._problem(f"{self._named(index)}: {place} covers no pixel; it is left out.")
        return np.flatnonzero(visible)

    def _named(self, index: int) -> str:
        """How a sentence about one picture's annotations begins."""
        return f"{self.label}: {quote(self._pictures[index].name)}"

    def _problem(self, sentence: str) -> None:
        """Note a problem, once, however often the picture is read."""
        sentence = printable(sentence)
        if self.strict:
            raise LabkitError(sentence)
        if sentence not in self._said:
            self._said.add(sentence)
            self.problems.append(sentence)

    def _find_picture(self, name: str, number: int) -> Picture:
        """The picture of a name in `folder`, with the size in its header.

        Raises:
            Unusable: it is not inside the folder, is missing, or is no picture.
        """
        path = path_inside(self.folder, name)
        try:
            refuse_links_out(self.folder, path)
            height, width = images.image_size(path)
            check_size(height, width)
        except LabkitError as error:
            raise Unusable(f"cannot be used: {str(error).rstrip('.')}") from None
        return Picture(number, name, path, height, width)

    def _find_fitting(self, name: str, label_map: Path) -> Picture:
        """As `_find_picture`, for a picture whose annotations are a file of the same size."""
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
        """Say once, when the data set is made, that something was left out."""
        if self.problems and not self._pictures:
            raise LabkitError(self.problems[-1] + " No image remains.")
        warn_of_problems(self.label, self.problems)


def _crowd(found: Instances) -> Sequence[bool]:
    return found.crowd or [False] * len(found.class_ids)


def check_size(height: int, width: int) -> None:
    """Raise LabkitError for a size that is no picture, or beyond `labkit.io.images.MAX_PIXELS`."""
    if height < 1 or width < 1:
        raise LabkitError(f"the size {height} x {width} is no picture.")
    if height * width > images.MAX_PIXELS:
        raise LabkitError(
            f"{height} x {width} pixels are more than the limit of {images.MAX_PIXELS}; make the "
            "picture smaller, or set labkit.io.images.MAX_PIXELS if you trust it."
        )


def read_sized(folder: Path, path: Path, wanted: tuple[int, int], label: str) -> np.ndarray:
    """A picture in the size (height, width) that its annotations are for: uint8 `[H, W, 3]`.

    Some annotation tools show a photo upright, others as it is stored. The size tells which: the
    annotations belong to the pixels of the size that they give.

    Raises:
        MissingFileError, LabkitError: the file is missing, broken, of another size, or a link out
            of the folder.
    """
    refuse_links_out(folder, path)
    upright = images.image_size(path) == wanted
    image = images.read_image(path, upright=upright)
    if image.shape[:2] != wanted:
        found = images.image_size(path)
        raise LabkitError(
            f"{printable(path)} has {found[0]} x {found[1]} pixels (height x width) but {label} "
            f"says {wanted[0]} x {wanted[1]}; correct the annotations, or use the pictures they "
            "were made for."
        )
    return image


def warn_of_problems(label: str, problems: Sequence[str]) -> None:
    """Warn of the first problem and of how many there are; the line named is the caller's own.

    label: what the data set is called, its file mostly.
    """
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems, the first"
    first = problems[0].removeprefix(f"{label}: ")
    warnings.warn(
        f"{label}: {count}: {first} All are in the data set's .problems.", stacklevel=_outside()
    )


def _outside() -> int:
    """How many calls above `warnings.warn` labkit was called from."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("labkit."):
        level, frame = level + 1, frame.f_back
    return level
