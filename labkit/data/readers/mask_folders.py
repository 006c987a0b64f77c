"""One file for each mask: the layout of the 2018 Data Science Bowl and of many data sets since.

ROOT/<id>/images/<id>.png      the picture
ROOT/<id>/masks/<any>.png      an instance: all pixels that are not 0
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from labkit.data.readers.base import Instances, PictureDataset
from labkit.errors import LabkitError
from labkit.io.data_files import Unusable, image_files, quote, refuse_links_out, subfolders
from labkit.io.images import read_samples


class MaskFolderDataset(PictureDataset):
    """A folder with a folder for every picture. Masks may overlap; they are kept as they are.

    A picture's folder without `masks` is a problem; an empty `masks` means that the picture has no
    instances.

    Args:
        folder: the folder of the pictures' folders, or that of a single picture.
        class_name: the name of the one class.
        strict: raise at the first file that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such folder.
        LabkitError: no folder in it has `images` and `masks`, or (strict) a file is unusable.
    """

    def __init__(
        self, folder: str | os.PathLike, *, class_name: str = "object", strict: bool = False
    ) -> None:
        super().__init__(folder, folder, strict=strict)
        self.class_names, self.category_ids = (class_name,), (1,)
        self._masks: list[list[Path]] = []
        own = (self.folder / "images").is_dir() and (self.folder / "masks").is_dir()
        for path in [self.folder] if own else subfolders(self.folder):
            try:
                self._add(path)
            except Unusable as error:
                self._problem(f"{self.folder}: {quote(path.name)} {error}; it is left out.")
        if not self._pictures and not self.problems:
            raise LabkitError(f"{folder}: there is no folder with images and masks in it.")
        self._warn_of_problems()

    def _add(self, path: Path) -> None:
        for name in ("images", "masks"):
            if not (path / name).is_dir():
                raise Unusable(f'has no folder "{name}"')
        pictures = image_files(path / "images")
        if len(pictures) != 1:
            raise Unusable(f'has {len(pictures)} pictures in "images", not one')
        name = pictures[0].relative_to(self.folder).as_posix()
        self._pictures.append(self._find_picture(name, len(self) + 1))
        self._masks.append(image_files(path / "masks"))

    def instances(self, index: int) -> Instances:
        picture, kept = self._pictures[index], []
        masks = np.zeros((len(self._masks[index]), *picture.size), bool)
        for path in self._masks[index]:
            try:
                masks[len(kept)] = self._read_mask(path, picture.size)
                kept.append(path)
            except LabkitError as error:
                self._problem(f"{str(error).rstrip('.')}; the mask is left out.")
        return Instances(masks[: len(kept)], [1] * len(kept), [path.name for path in kept])

    def _read_mask(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        refuse_links_out(self.folder, path)
        samples = read_samples(path)
        if samples.shape[:2] != size:
            raise LabkitError(
                f"{path} has {samples.shape[0]} x {samples.shape[1]} pixels (height x width), its "
                f"picture {size[0]} x {size[1]}."
            )
        channels = samples.reshape(*size, -1)
        # An even number of channels ends with alpha, which is opaque also where the mask is black.
        return channels[..., : channels.shape[-1] - (channels.shape[-1] % 2 == 0)].any(-1)

    def instance_limit(self, index: int) -> int:
        return len(self._masks[index])
