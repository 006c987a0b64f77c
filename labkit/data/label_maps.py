"""Label maps: a picture file of which every value is an instance, and 0 the background.

8 or 16 bits in a PNG, up to 32 in a TIFF. A label map knows no classes and no overlap; microscopy
tools write them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from labkit.data.files import Unusable, image_files, subfolders
from labkit.data.pictures import Instances, PictureDataset
from labkit.errors import LabkitError
from labkit.images import read_samples

#: What tools put behind a picture's name for its label map, and for the picture itself.
MAP_ENDINGS = (
    "_cp_masks", "_masks", "_mask", "_labels", "_label", "_labelmap", "_instances", "_seg",
)  # fmt: skip
PICTURE_ENDINGS = ("_img", "_image")


class LabelMapDataset(PictureDataset):
    """A folder of label maps, and the pictures of the same names.

    "a.png", "a_mask.tif" or "a_cp_masks.png" is the map of the picture "a.jpg" or "a_img.tif".
    Pictures and maps without a partner are problems.

    Args:
        maps: the folder of the label maps.
        images: the folder of the pictures; by default the same folder, if maps have an ending of
            their own there, or the one beside it that has pictures of the same names.
        class_name: the one class.
        strict: raise at the first file that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such folder.
        LabkitError: no map has a picture, or (strict) a file is unusable.
    """

    def __init__(
        self,
        maps: str | os.PathLike,
        images: str | os.PathLike | None = None,
        *,
        class_name: str = "object",
        strict: bool = False,
    ) -> None:
        folder = images or picture_folder(maps)
        if folder is None:
            raise LabkitError(
                f"{maps}: there are no pictures of the maps' names, neither here nor in a folder "
                "beside it; give images=FOLDER."
            )
        super().__init__(maps, folder, strict=strict)
        self.class_names, self.category_ids = (class_name,), (1,)
        self._maps: list[Path] = []
        pictures, found = split_pair(folder, maps)
        for key in sorted({*pictures, *found}):
            self._add_pair(pictures.get(key), found.get(key))
        if not self._pictures and not self.problems:
            raise LabkitError(f"{maps}: there is no label map in this folder.")
        self._warn_of_problems()

    def _add_pair(self, picture: Path | None, label_map: Path | None) -> None:
        if picture is None or label_map is None:
            kind = "label map" if label_map is None else "picture"
            self._problem(f"{picture or label_map} has no {kind} beside it; it is left out.")
            return
        try:
            self._pictures.append(self._find_fitting(picture.name, label_map))
            self._maps.append(label_map)
        except Unusable as error:
            self._problem(f"{label_map} {error}; it is left out.")

    def instances(self, index: int) -> Instances:
        label_map = read_label_map(self._maps[index])
        values = np.unique(label_map)
        values = values[values != 0]
        masks = separate(label_map, values)
        return Instances(masks, [1] * len(values), [f"the value {value}" for value in values])


# ---- maps ----------------------------------------------------------------------------------------


def read_label_map(path: str | os.PathLike) -> np.ndarray:
    """The values of a label map: int64 `[H, W]`, none negative.

    Raises:
        MissingFileError, LabkitError: the file is missing or broken, has colours, or values that
            are no whole numbers.
    """
    samples = read_samples(path)
    if samples.ndim != 2:
        raise LabkitError(
            f"{path} has {samples.shape[-1]} channels; a label map has one value a pixel."
        )
    if samples.dtype == np.int32:  # Pillow shows the 32 bits of an unsigned TIFF as signed
        samples = samples.view(np.uint32)
    values = samples.astype(np.float64) if samples.dtype.kind == "f" else samples
    if samples.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise LabkitError(f"{path} has values that are no whole numbers; it is not a label map.")
    if (values < 0).any() or (values > 2**32 - 1).any():
        raise LabkitError(f"{path} has values that are negative or above 32 bits.")
    return values.astype(np.int64)


def separate(label_map: np.ndarray, values: Iterable[int]) -> np.ndarray:
    """A mask for every value: bool `[N, H, W]`."""
    values = np.asarray(list(values), np.int64)
    masks = np.zeros((len(values), *label_map.shape), bool)
    for mask, value in zip(masks, values, strict=True):
        np.equal(label_map, value, out=mask)
    return masks


# ---- which map belongs to which picture ----------------------------------------------------------


def _key(stem: str, endings: Sequence[str]) -> str:
    for ending in endings:
        if stem.lower().endswith(ending) and len(stem) > len(ending):
            return stem[: -len(ending)]
    return stem


def split_pair(
    images: str | os.PathLike, maps: str | os.PathLike
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Pictures and label maps of two folders (or one) by what their names have in common."""
    files = image_files(maps)
    if Path(images).resolve() == Path(maps).resolve():
        found = {_key(path.stem, MAP_ENDINGS): path for path in files
                 if _key(path.stem, MAP_ENDINGS) != path.stem}  # fmt: skip
        others = [path for path in files if path not in set(found.values())]
        return {_key(path.stem, PICTURE_ENDINGS): path for path in others}, found
    pictures = image_files(images)
    by_name = {path.stem: path for path in pictures}
    found = {}
    for path in files:  # a picture may itself be called "a_mask": its whole name goes first
        found[path.stem if path.stem in by_name else _key(path.stem, MAP_ENDINGS)] = path
    keys = {path: path.stem if path.stem in found else _key(path.stem, PICTURE_ENDINGS)
            for path in pictures}  # fmt: skip
    return {key: path for path, key in keys.items()}, found


def picture_folder(maps: str | os.PathLike) -> Path | None:
    """The folder with the pictures of label maps: their own, or the best one beside it."""
    maps = Path(maps).resolve()
    if not image_files(maps):
        return None

    def partners(folder: Path) -> int:
        pictures, found = split_pair(folder, maps)
        return len(pictures.keys() & found.keys())

    beside = [folder for folder in subfolders(maps.parent) if folder.resolve() != maps]
    counts = {folder: partners(folder) for folder in [maps, *beside]}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None
