"""One file for each mask: the layout of the 2018 Data Science Bowl and of many data sets since.

ROOT/<id>/images/<id>.png      the picture
ROOT/<id>/masks/<any>.png      an instance: all pixels that are not 0
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from labkit.data.readers.base import Instances, PictureDataset
from labkit.data.readers.label_maps import separate, values_in
from labkit.data.readers.map_doubts import connected_parts, covers_border, is_soft, part_count
from labkit.errors import LabkitError, listed
from labkit.io.data_files import Unusable, image_files, quote, refuse_links_out, subfolders
from labkit.io.images import read_samples

_MOST_LOOKED_AT = 8  # pictures whose masks are looked at when a data set is created

_DOUBTS = {
    "background": "the mask covers the border of the picture, as a background does; if it is one, "
    "invert the file, or remove it",
    "parts": "the only mask of its picture has several separate parts, and they are one object; if "
    "each part is an object of its own: connected_components=True (on the command line "
    "--connected-components)",
}


class MaskFolderDataset(PictureDataset):
    """A folder with a folder for every picture. Masks may overlap; they are kept as they are.

    Of a mask that was smoothed or saved as JPEG, the pixels with at least half of the highest value
    are the object.

    A picture's folder without `masks` is a problem; an empty `masks` means that the picture has no
    instances.

    Args:
        folder: the folder of the pictures' folders, or that of a single picture.
        class_name: the name of the one class.
        connected_components: every connected part of a mask is an object of its own.
        strict: raise at the first file that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such folder.
        LabkitError: no folder in it has `images` and `masks`, or (strict) a file is unusable.

    The masks of a few pictures are looked at when the data set is created, and all by `check`: what
    may be the background, or several objects in one mask, is a problem.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        class_name: str = "object",
        connected_components: bool = False,
        strict: bool = False,
    ) -> None:
        super().__init__(folder, folder, strict=strict)
        self.class_names, self.category_ids = (class_name,), (1,)
        self.connected_components = connected_components
        self._masks: list[list[Path]] = []
        own = (self.folder / "images").is_dir() and (self.folder / "masks").is_dir()
        for path in [self.folder] if own else subfolders(self.folder):
            try:
                self._add(path)
            except Unusable as error:
                self._problem(f"{self.folder}: {quote(path.name)} {error}", "it is left out")
        if not self._pictures and not self.problems:
            raise LabkitError(f"{folder}: there is no folder with images and masks in it.")
        self._doubted: set[str] = set()
        self.problems += self._doubts(range(len(self))[:: max(1, len(self) // _MOST_LOOKED_AT)])
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

    def _doubts(self, indices: Sequence[int]) -> list[str]:
        """Sentences on masks that may mean something else, for kinds not named before."""
        found: dict[str, list[str]] = {}
        for index in indices:
            alone = len(self._masks[index]) == 1 and not self.connected_components
            for path in self._masks[index]:
                try:
                    mask = self._read_mask(path, self._pictures[index].size)
                except LabkitError:
                    continue  # `instances` says what is wrong
                name = path.relative_to(self.folder).as_posix()
                if covers_border(mask):
                    found.setdefault("background", []).append(name)
                elif alone and part_count(mask) > 1:
                    found.setdefault("parts", []).append(name)
        new = {kind: names for kind, names in found.items() if kind not in self._doubted}
        self._doubted |= new.keys()
        return [
            f"{self.label}: {listed(names, 3)}: {_DOUBTS[kind]}." for kind, names in new.items()
        ]

    def check(self) -> list[str]:
        """As `Dataset.check`; also looks whether all masks mean what they are taken for."""
        return [*super().check(), *self._doubts(range(len(self)))]

    def instances(self, index: int) -> Instances:
        picture, masks, places = self._pictures[index], [], []
        for path in self._masks[index]:
            try:
                mask = self._read_mask(path, picture.size)
            except LabkitError as error:
                self._problem(f"{str(error).rstrip('.')}", "the mask is left out")
                continue
            parts = [mask]
            if self.connected_components and mask.any():
                numbered = connected_parts(mask.astype(np.int64))
                parts = separate(numbered, values_in(numbered))
            masks += list(parts)
            places += [path.name] * len(parts)
        stacked = np.array(masks, bool).reshape(-1, *picture.size)
        return Instances(stacked, [1] * len(masks), places)

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
        grey = channels[..., : channels.shape[-1] - (channels.shape[-1] % 2 == 0)].max(axis=-1)
        return grey >= grey.max() / 2 if is_soft(grey) else grey > 0

    def instance_limit(self, index: int) -> int:
        if self.connected_components:
            return super().instance_limit(index)
        return len(self._masks[index])
