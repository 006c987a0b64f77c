"""Label maps: an image for each picture in which every value is an instance, and 0 the background.

8 or 16 bits in a PNG, up to 32 in a TIFF. Label maps cannot hold classes or overlapping instances;
microscopy tools write them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labkit.data.readers.base import PictureDataset
from labkit.data.readers.map_doubts import DOUBTS, connected_parts, doubts_about
from labkit.errors import LabkitError
from labkit.io.data_files import Unusable, image_files, quote, subfolders
from labkit.io.images import read_samples

#: What tools append to a picture's name for its label map, and for the picture itself.
MAP_ENDINGS = (
    "_cp_masks",
    "_masks",
    "_mask",
    "_labels",
    "_label",
    "_labelmap",
    "_instances",
    "_seg",
)
PICTURE_ENDINGS = ("_img", "_image")

_MOST_LOOKED_AT = 8  # maps of a data set that are looked at when it is created


class LabelMapDataset(PictureDataset):
    """A folder of label maps, and the pictures of the same names.

    "a.png", "a_mask.tif" or "a_cp_masks.png" is the map of the picture "a.jpg" or "a_img.tif".
    Pictures without a map, and maps without a picture, are problems.

    Args:
        maps: the folder of the label maps.
        images: the folder of the pictures; by default the same folder, if the maps' names have such
            endings, or the one beside it that has pictures of the same names.
        class_name: the one class.
        background: the value that is no object.
        void: further values that are no objects, such as marks of pixels that are not labelled.
        connected_components: every connected part of a value is an object of its own: for maps of
            foreground, or of classes. Of a smoothed map, the foreground is what has at least half
            of the highest value.
        colour_coded: every colour of a map with colours is an object. Its value is
            65536 red + 256 green + blue, and black is the background.
        strict: raise at the first file that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such folder.
        LabkitError: no map has a picture, the maps have colours, or (strict) a file is unusable.

    A few maps are looked at when the data set is created, and all of them by `check`: what may mean
    something else than "every value is an object" is a problem that names the option for it.
    """

    def __init__(
        self,
        maps: str | os.PathLike,
        images: str | os.PathLike | None = None,
        *,
        class_name: str = "object",
        background: int = 0,
        void: Sequence[int] = (),
        connected_components: bool = False,
        colour_coded: bool = False,
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
        self.background, self.void = background, tuple(void)
        self.connected_components, self.colour_coded = connected_components, colour_coded
        self._maps: list[Path] = []
        pictures, found = split_pair(folder, maps)
        for key in sorted({*pictures, *found}):
            self._add_pair(pictures.get(key), found.get(key))
        if not self._pictures and not self.problems:
            raise LabkitError(f"{maps}: there is no label map in this folder.")
        self._doubted: set[str] = set()
        self.problems += self._doubts(range(len(self))[:: max(1, len(self) // _MOST_LOOKED_AT)])
        self._warn_of_problems()

    def _add_pair(self, picture: Path | None, label_map: Path | None) -> None:
        if picture is None or label_map is None:
            kind = "label map" if label_map is None else "picture"
            self._problem(f"{picture or label_map} has no {kind} beside it", "it is left out")
            return
        try:
            self._pictures.append(self._find_fitting(picture.name, label_map))
            self._maps.append(label_map)
        except Unusable as error:
            self._problem(f"{label_map} {error}", "it is left out")

    def _doubts(self, indices: Sequence[int]) -> list[str]:
        """Sentences on maps that may mean something else, for kinds that were not named before."""
        found: dict[str, list[tuple[Path, int]]] = {}
        for index in indices:
            try:
                label_map = self._read_map(index)
            except ColoursError as error:
                raise LabkitError(
                    f"{str(error).rstrip('.')}; if every colour is an object: colour_coded=True "
                    "(on the command line --colour-coded)."
                ) from None
            except LabkitError:
                continue  # reading the picture says what is wrong
            for kind, value in doubts_about(label_map).items():
                found.setdefault(kind, []).append((self._maps[index], value))
        new = {kind: maps for kind, maps in found.items() if kind not in self._doubted}
        if self.connected_components:
            new.pop("parts", None)
        self._doubted |= new.keys()
        return [
            f"{self.label}: {_first_of(maps, indices)}: {DOUBTS[kind].format(value=maps[0][1])}."
            for kind, maps in new.items()
        ]

    def check(self) -> list[str]:
        """As `Dataset.check`; also looks whether all maps mean what they are taken for."""
        return [*super().check(), *self._doubts(range(len(self)))]

    def _read_map(self, index: int) -> np.ndarray:
        """The map with 0 where no object is."""
        label_map = read_label_map(self._maps[index], colours=self.colour_coded)
        if self.background:  # 0 is an object then, and gets a value that no other has
            label_map[label_map == 0] = label_map.max() + 1
            label_map[label_map == self.background] = 0
        if self.void:
            label_map[np.isin(label_map, self.void)] = 0
        return connected_parts(label_map) if self.connected_components else label_map

    def instances(self, index: int) -> MapInstances:
        label_map = self._read_map(index)
        values = values_in(label_map)
        places = [f"the value {value}" for value in values]
        return MapInstances(label_map, values, [1] * len(values), places)


def _first_of(maps: Sequence[tuple[Path, int]], looked_at: Sequence[int]) -> str:
    more = f" and {len(maps) - 1} more" if len(maps) > 1 else ""
    return f"{quote(maps[0][0].name)}{more} (of {len(looked_at)} label maps that were looked at)"


@dataclass(eq=False)
class MapInstances:
    """The instances of one picture, as `Instances`, from their values in a label map.

    `label_map` is int `[H, W]`, `values` N different numbers.
    """

    label_map: np.ndarray
    values: Sequence[int]
    class_ids: Sequence[int]
    places: Sequence[str]
    crowd: Sequence[bool] = ()

    @property
    def masks(self) -> np.ndarray:
        return separate(self.label_map, self.values)

    @property
    def boxes(self) -> np.ndarray:
        return boxes_of(self.label_map, self.values)


# ---- maps ----------------------------------------------------------------------------------------


class ColoursError(LabkitError):
    """The pixels of a label map are colours."""


def read_label_map(path: str | os.PathLike, *, colours: bool = False) -> np.ndarray:
    """The values of a label map: int64 `[H, W]`, not negative.

    Grey that was saved as RGB is one value a pixel; alpha is ignored.

    Args:
        path: the file.
        colours: take a colour as the value 65536 red + 256 green + blue.

    Raises:
        MissingFileError: there is no such file.
        ColoursError: it has colours.
        LabkitError: it is broken, or has values that are not whole numbers.
    """
    return map_values(read_samples(path), path, colours=colours)


def map_values(
    samples: np.ndarray, path: str | os.PathLike, *, colours: bool = False
) -> np.ndarray:
    """As `read_label_map`, for the samples of a file that was read."""
    if samples.ndim == 3:
        channels = samples[..., : samples.shape[-1] - (samples.shape[-1] % 2 == 0)]
        if (channels == channels[..., :1]).all():
            samples = channels[..., 0]
        elif colours and samples.dtype == np.uint8:
            samples = channels.astype(np.int64) @ [65536, 256, 1]
        else:
            raise ColoursError(
                f"{path} has colours, in {samples.shape[-1]} channels; a label map has one value "
                "a pixel."
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


def values_in(label_map: np.ndarray) -> list[int]:
    """The values of a map except 0, ascending."""
    # Counting is ten times faster than np.unique, which sorts, but needs memory for every value.
    few = label_map.max(initial=0) < 1 << 20
    found = np.flatnonzero(np.bincount(label_map.ravel())) if few else np.unique(label_map)
    return found[found != 0].tolist()


def boxes_of(label_map: np.ndarray, values: Iterable[int]) -> np.ndarray:
    """The tight box of every value: float32 `[N, 4]`, zeros for a value that does not occur.

    The same as `boxes_from_masks` of the masks, which needs a whole mask for each value.
    """
    values = np.asarray(list(values), np.int64)
    boxes = np.zeros((len(values), 4), np.float32)
    ys, xs = np.nonzero(np.isin(label_map, values))
    if not len(ys):
        return boxes
    by_value = np.argsort(values)
    place = np.searchsorted(values[by_value], label_map[ys, xs])
    # Up to 16 bits NumPy sorts in linear time.
    place = by_value[place].astype(np.uint16 if len(values) < 1 << 16 else np.int64)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    ys, xs, there = ys[order], xs[order], place[order][starts]
    boxes[there, 0], boxes[there, 2] = (f.reduceat(ys, starts) for f in (np.minimum, np.maximum))
    boxes[there, 1], boxes[there, 3] = (f.reduceat(xs, starts) for f in (np.minimum, np.maximum))
    boxes[there, 2:] += 1
    return boxes


# ---- which map belongs to which picture ----------------------------------------------------------


def _key(stem: str, endings: Sequence[str]) -> str:
    for ending in endings:
        if stem.lower().endswith(ending) and len(stem) > len(ending):
            return stem[: -len(ending)]
    return stem


def split_pair(
    images: str | os.PathLike, maps: str | os.PathLike
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Pictures and label maps in two folders (or one), both by their names without endings."""
    files = image_files(maps)
    if Path(images).resolve() == Path(maps).resolve():
        found = {
            _key(path.stem, MAP_ENDINGS): path
            for path in files
            if _key(path.stem, MAP_ENDINGS) != path.stem
        }
        others = [path for path in files if path not in set(found.values())]
        return {_key(path.stem, PICTURE_ENDINGS): path for path in others}, found
    pictures = image_files(images)
    by_name = {path.stem: path for path in pictures}
    found = {}
    for path in files:  # a picture may itself be called "a_mask": its whole name comes first
        found[path.stem if path.stem in by_name else _key(path.stem, MAP_ENDINGS)] = path
    keys = {
        path: path.stem if path.stem in found else _key(path.stem, PICTURE_ENDINGS)
        for path in pictures
    }
    return {key: path for path, key in keys.items()}, found


def picture_folder(maps: str | os.PathLike) -> Path | None:
    """The folder with the pictures of label maps: the same one, or the best one beside it."""
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
