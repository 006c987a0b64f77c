"""Pascal VOC's segmentation: two palette PNGs for each picture, one of objects, one of classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labkit.data.readers.base import PictureDataset
from labkit.data.readers.label_maps import MapInstances, read_label_map, values_in
from labkit.data.readers.labelme import read_labels
from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import Unusable, image_files, path_inside, quote, read_text

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

#: The value of pixels that are not labelled: the borders of objects, and objects too small.
VOID = 255

CLASS_FILES = ("classes.txt", "class_names.txt", "labels.txt")


class VocDataset(PictureDataset):
    """A folder with JPEGImages, SegmentationObject and SegmentationClass (and ImageSets).

    Each value of SegmentationObject but 0 and 255 (void) is an instance; its class is the value
    that most of its pixels have in SegmentationClass.

    Args:
        root: the folder that holds these folders.
        split: a list in ImageSets/Segmentation, e.g. "train"; by default every picture that has a
            SegmentationObject.
        class_names: the names of the class values 1, 2, …; by default the lines of classes.txt,
            class_names.txt or labels.txt in `root`, otherwise VOC's twenty.
        images: the folder of the pictures; by default JPEGImages.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: one of the folders, or the list of the split, is missing.
        LabkitError: nothing can be used, or (strict) an entry cannot.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        split: str | None = None,
        *,
        class_names: Sequence[str] | None = None,
        images: str | os.PathLike | None = None,
        strict: bool = False,
    ) -> None:
        root = Path(root)
        super().__init__(root, images or root / "JPEGImages", strict=strict)
        for name in ("SegmentationObject", "SegmentationClass"):
            if not (root / name).is_dir():
                raise MissingFileError(f"{root / name}: there is no such folder of label maps.")
        self.root = root
        self.class_names = tuple(class_names or self._names_in_file() or VOC_CLASSES)
        self.category_ids = tuple(range(1, len(self.class_names) + 1))
        pictures = {path.stem: path.name for path in image_files(self.folder)}
        for name in self._listed(split):
            try:
                self._add(name, pictures)
            except Unusable as error:
                self._problem(f"{root}: {quote(name)} {error}", "the picture is left out")
        if not self._pictures and not self.problems:
            raise LabkitError(f"{root}: there is no picture with a SegmentationObject.")
        self._warn_of_problems()

    def _names_in_file(self) -> list[str]:
        files = [self.root / name for name in CLASS_FILES if (self.root / name).is_file()]
        return read_labels(files[0]) if files else []

    def _listed(self, split: str | None) -> list[str]:
        if split is None:
            return [path.stem for path in image_files(self.root / "SegmentationObject")]
        path = self.root / "ImageSets" / "Segmentation" / f"{split}.txt"
        return [line.split()[0] for line in read_text(path).splitlines() if line.strip()]

    def _add(self, name: str, pictures: dict[str, str]) -> None:
        if name not in pictures:
            path_inside(self.folder, name)  # says so if the name leads out of the folder
            raise Unusable(f"has no picture in {self.folder}")
        for path in self._maps(name):
            picture = self._find_fitting(pictures[name], path)
        self._pictures.append(picture)

    def _maps(self, name: str) -> tuple[Path, Path]:
        return tuple(
            self.root / part / f"{name}.png" for part in ("SegmentationObject", "SegmentationClass")
        )

    def instances(self, index: int) -> MapInstances:
        picture = self._pictures[index]
        objects, classes = map(read_label_map, self._maps(picture.path.stem))
        known = np.where((classes > 0) & (classes <= len(self.class_names)), classes, 0)
        values, class_ids = [], []
        for value in (value for value in values_in(objects) if value != VOID):
            counts = np.bincount(known[objects == value], minlength=2)
            if counts[1:].any():
                values.append(value)
                class_ids.append(int(counts[1:].argmax()) + 1)
            else:
                self._problem(
                    f"{self._named(index)}: object {value} of SegmentationObject has no class in "
                    f"1..{len(self.class_names)} in SegmentationClass",
                    "it is left out",
                )
        return MapInstances(objects, values, class_ids, [f"object {v}" for v in values])
