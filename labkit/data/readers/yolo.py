"""YOLO's segmentation format: a txt for each picture, a line for each object, and a data.yaml.

data.yaml                the names of the classes, and the folder of pictures of each split
images/train/a.jpg       or train/images/a.jpg, as Roboflow exports it
labels/train/a.txt       a line an object: class x y x y …, shares of the width and the height

A line of five numbers is a box without a mask: class, centre x, centre y, width, height.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from labkit.data.readers.labelme import read_labels
from labkit.data.readers.outlines import Outline, OutlineDataset, check_segmentation, rectangle
from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import (
    IMAGE_SUFFIXES,
    Unusable,
    image_files,
    list_folder,
    quote,
    read_text,
    shown,
    subfolders,
)

_NO_SPLITS = {"path", "names", "nc", "download", "roboflow"}
_CLASS_FILES = ("classes.txt", "labels.txt", "obj.names")
_OUTSIDE = 0.1  # shares: corners a little outside the picture are cut off, pixels are not shares
_MOST_TEXTS = 5  # files opened to see whether they are YOLO's


class YoloDataset(OutlineDataset):
    """A data set in YOLO's segmentation format.

    The classes are those of data.yaml, in its order. A picture without a txt, or with an empty one,
    has no objects. Without a data.yaml, the names are the lines of classes.txt, or numbers.

    Args:
        root: the folder with data.yaml, or data.yaml itself; or a folder with the folders images
            and labels; or one with pictures and their txt files side by side.
        split: which split, e.g. "train"; by default the first one.
        images: the folder of the pictures, if it is another one. Their txt files are in a folder
            "labels" beside it, or beside the pictures.
        class_names: the classes in their order, instead of those in the files.
        boxes_as_masks: take a box for a rectangular mask; by default boxes are left out.
        strict: raise at the first entry that cannot be used, instead of leaving it out.

    Raises:
        MissingFileError: there is no such folder or split.
        LabkitError: no class has a name, or (strict) an entry cannot be used.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        split: str | None = None,
        *,
        images: str | os.PathLike | None = None,
        class_names: Sequence[str] | None = None,
        boxes_as_masks: bool = False,
        strict: bool = False,
    ) -> None:
        root = Path(root)
        folder = root.parent if root.is_file() else root
        self.boxes_as_masks = boxes_as_masks
        self._boxes = 0
        settings = _settings_for(root)
        super().__init__(root, images or folder, strict=strict)
        places = [self.folder] if images else self._places(split)
        files = [path for place in places for path in pictures_at(place)]
        if not files:
            raise LabkitError(f"{root}: there is no picture in {', '.join(map(str, places))}.")
        self._names = list(class_names or []) or self._names_in(settings, folder, places)
        for path in files:
            self._read_picture(path)
        self._note_texts_without_picture(files)
        self._note_boxes(self._boxes)
        self._set_classes(self._names or self._numbered(), "the classes")
        self._warn_of_problems()

    def _places(self, split: str | None) -> list[Path]:
        found = splits_at(self.folder)
        if not found:
            raise MissingFileError(
                f"{self.folder}: there is neither a data.yaml nor folders images and labels."
            )
        if list(found) == [""]:  # a folder of one split, which may be called after it
            split = ""
        if split is not None and split not in found:
            raise MissingFileError(
                f"{self.label}: there is no split {quote(split)}; there are: {', '.join(found)}."
            )
        return found[next(iter(found)) if split is None else split]

    # ---- classes -------------------------------------------------------------------------------

    def _names_in(self, settings: dict, folder: Path, places: Sequence[Path]) -> list[str]:
        if "names" in settings:
            return _class_names(settings["names"], self.label)
        beside = [folder, *{labels_of(place) for place in places}]
        files = [place / name for place in beside for name in _CLASS_FILES]
        found = next((path for path in files if path.is_file()), None)
        return read_labels(found) if found else []

    def _numbered(self) -> list[str]:
        """The classes that occur, called by their numbers, where no file has their names."""
        names = [str(i) for i in range(1 + max(map(int, self.names_in_use()), default=0))]
        self._problem(
            f"{self.label}: no data.yaml or classes.txt has the names of the classes, so they are "
            f"called {names[0]} to {names[-1]}",
            remedy="Give class_names (--class-names).",
        )
        return names

    # ---- pictures and lines --------------------------------------------------------------------

    def _read_picture(self, path: Path) -> None:
        try:
            name = path.relative_to(self.folder).as_posix()
            picture = self._find_picture(name, len(self) + 1)
        except (Unusable, ValueError) as error:
            self._problem(f"{self.label}: {quote(path.name)} {error}", "the picture is left out")
            return
        self._add(picture, list(self._outlines_of(text_of(path), picture.size)))

    def _outlines_of(self, file: Path, size: tuple[int, int]) -> Iterator[Outline]:
        seen = set()
        for number, line in enumerate(_lines(file), 1):
            try:
                if not line.strip():
                    continue
                if line in seen:
                    raise Unusable("is the same as an earlier line")
                seen.add(line)
                yield self._outline(line, size, f"line {number}")
            except Unusable as error:
                self._problem(f"{file}: line {number} {error}", "it is left out")
            except _OnlyBox:
                self._boxes += 1

    def _outline(self, line: str, size: tuple[int, int], place: str) -> Outline:
        class_number, *shares = _numbers(line)
        name = self._name_of(class_number)
        if len(shares) == 4:
            if not self.boxes_as_masks:
                raise _OnlyBox
            x, y, width, height = shares
            shares = rectangle(x - width / 2, y - height / 2, x + width / 2, y + height / 2)[0]
        elif len(shares) % 2:
            raise Unusable(
                f"has {len(shares)} numbers after the class, and a polygon has two for each "
                "corner; if the last one is a score, it is a result and no annotation"
            )
        elif len(shares) < 6:
            raise Unusable(f"has {len(shares)} numbers after the class, too few for a polygon")
        if not all(-_OUTSIDE <= share <= 1 + _OUTSIDE for share in shares):
            raise Unusable(
                "has corners outside the picture: YOLO's are shares of width and height from 0 to "
                "1, not pixels"
            )
        height, width = size
        polygon = [s * (height if i % 2 else width) for i, s in enumerate(shares)]
        check_segmentation([polygon], *size)
        return Outline(name, [polygon], place)

    def _name_of(self, number: float) -> str:
        if number != int(number) or number < 0:
            raise Unusable(f"begins with {number:g}, not with the number of a class")
        if not self._names:
            return str(int(number))
        if number >= len(self._names):
            raise Unusable(
                f"has the class {number:g}, but there are {len(self._names)}: 0 to "
                f"{len(self._names) - 1}"
            )
        return self._names[int(number)]

    def _note_texts_without_picture(self, files: Sequence[Path]) -> None:
        wanted = {text_of(path) for path in files}
        for folder in sorted({path.parent for path in wanted}):
            if not folder.is_dir():
                continue
            for path in list_folder(folder):
                other = path.suffix.lower() != ".txt" or path.name in _CLASS_FILES
                if not other and path not in wanted and looks_like_yolo(path):
                    self._problem(f"{path} has no picture", "it is left out")


class _OnlyBox(Exception):
    """A line is a box, and boxes are not taken for masks."""


# ---- data.yaml -----------------------------------------------------------------------------------


def is_yolo_yaml(path: Path) -> bool:
    """Whether a file has the names of classes, and a split of pictures, as YOLO's data.yaml."""
    try:
        settings = read_settings(path)
    except LabkitError:
        return False
    return "names" in settings and bool(settings.keys() & {"train", "val", "valid", "test"})


def read_settings(path: Path) -> dict[str, Any]:
    """The content of a data.yaml; LabkitError if it is no yaml, or another one."""
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise LabkitError(f"{path} is not yaml ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise LabkitError(f"{path} is not YOLO's: it holds no names of classes.")
    return content


def yaml_in(folder: Path) -> Path | None:
    """YOLO's data.yaml in a folder, whatever it is called."""
    files = [p for p in list_folder(folder) if p.suffix.lower() in (".yaml", ".yml")]
    files.sort(key=lambda path: path.stem != "data")
    return next((path for path in files if path.is_file() and is_yolo_yaml(path)), None)


def _settings_for(root: Path) -> dict[str, Any]:
    """The data.yaml of a folder, of the file itself, or of the folder above that has this part."""
    if root.is_file():
        return read_settings(root)
    for folder in (root, *list(root.resolve().parents)[:2]):
        path = yaml_in(folder)
        inside = root.resolve()
        if path and (
            folder == root
            or any(inside in (p, *p.parents) for ps in splits_at(folder).values() for p in ps)
        ):
            return read_settings(path)
    broken = root / "data.yaml"
    return read_settings(broken) if broken.is_file() else {}  # the first says what is wrong


def _class_names(names: Any, label: str) -> list[str]:
    """The classes of a data.yaml in the order of their numbers."""
    if isinstance(names, dict):
        if not all(isinstance(key, int) or str(key).isdecimal() for key in names):
            raise LabkitError(f'{label}: "names" is {shown(names)}; its keys are no numbers.')
        by_number = {int(key): name for key, name in names.items()}
        names = [by_number.get(i, f"class {i}") for i in range(max(by_number, default=-1) + 1)]
    if not isinstance(names, list) or not names:
        raise LabkitError(f'{label}: "names" is {shown(names)}, not a list of names.')
    names = [str(name).strip() for name in names]
    if len(set(names)) != len(names):
        raise LabkitError(f'{label}: "names" has a name twice; give every class its own.')
    return names


# ---- which folders -------------------------------------------------------------------------------


def splits_at(root: Path) -> dict[str, list[Path]]:
    """The folders (or lists) of pictures of each split in a folder; "" if there are no splits."""
    path = yaml_in(root)
    named = _splits_in(read_settings(path), root) if path else {}
    if named:
        return named
    images = root / "images"
    if images.is_dir() and (root / "labels").is_dir():
        parts = {p.name: [p] for p in subfolders(images) if (root / "labels" / p.name).is_dir()}
        parts = {name: places for name, places in parts.items() if _is_yolo(places[0])}
        return parts or ({"": [images]} if _is_yolo(images) else {})
    return {"": [root]} if _is_yolo(root) else {}


def _splits_in(settings: dict[str, Any], root: Path) -> dict[str, list[Path]]:
    """The splits of a data.yaml. Paths of another machine mean the folder of that name here."""
    base = settings.get("path")
    found = {}
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        if name in _NO_SPLITS or not all(isinstance(text, str) for text in values):
            continue
        places = [place for text in values if (place := _place(text, base, root))]
        if places:
            found[str(name)] = places
    return found


def _place(text: str, base: Any, root: Path) -> Path | None:
    """The folder or list inside `root` that a path in a data.yaml means, however it begins."""
    parts = [part for part in re.split(r"[/\\]", text) if part not in ("", ".", "..")]
    first = [p for p in re.split(r"[/\\]", base) if p] if isinstance(base, str) else []
    candidates = [root.joinpath(*first[-1:], *parts)] if first[-1:] and ".." not in first else []
    candidates += [root.joinpath(*parts[start:]) for start in range(len(parts))]
    inside = root.resolve()
    return next(
        (p for p in candidates if p.exists() and inside in (p.resolve(), *p.resolve().parents)),
        None,
    )


def pictures_at(place: Path) -> list[Path]:
    """The pictures in a folder and the folders in it, or those that a list (train.txt) names."""
    if place.is_file():
        names = [line.strip() for line in read_text(place).splitlines() if line.strip()]
        paths = [_place(name, None, place.parent) for name in names]
        return [path for path in paths if path and path.suffix.lower() in IMAGE_SUFFIXES]
    inner = [path for folder in subfolders(place) for path in pictures_at(folder)]
    return [*image_files(place), *inner]


def labels_of(place: Path) -> Path:
    """The folder of the txt files of a folder of pictures."""
    parts = list(place.parts)
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        folder = Path(*parts[:last], "labels", *parts[last + 1 :])
        if folder.is_dir():
            return folder
    return place


def text_of(picture: Path) -> Path:
    """The txt of a picture."""
    return labels_of(picture.parent) / f"{picture.stem}.txt"


# ---- lines ---------------------------------------------------------------------------------------


def _lines(file: Path) -> list[str]:
    return read_text(file).splitlines() if file.is_file() else []


def _numbers(line: str) -> list[float]:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        raise Unusable(f"is {shown(line)}, not numbers") from None
    if not all(abs(number) < 1e300 for number in numbers):  # NaN, infinity
        raise Unusable("has a number that is not finite")
    return numbers


def _is_yolo(place: Path) -> bool:
    """Whether the first txt files with content in a folder are of pictures, and YOLO's."""
    files = list_folder(labels_of(place))
    texts = (p for p in files if p.suffix.lower() == ".txt" and p.name not in _CLASS_FILES)
    texts = list(itertools.islice((p for p in texts if p.stat().st_size), _MOST_TEXTS))
    if not any(map(looks_like_yolo, texts)):
        return False
    stems = {path.stem for path in image_files(place)}
    return any(path.stem in stems and looks_like_yolo(path) for path in texts)


def looks_like_yolo(path: Path) -> bool:
    """Whether a txt begins with a class and an even number of shares."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            words = stream.readline(100_000).split()
        numbers = [float(word) for word in words]
        shares = all(-_OUTSIDE <= number <= 1 + _OUTSIDE for number in numbers[1:])
        return len(numbers) >= 5 and numbers[0] == int(numbers[0]) >= 0 and shares
    except (OSError, ValueError, OverflowError):
        return False
