"""`load_dataset`: a data set from a path, whatever format it is in."""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.data.dataset import Dataset
from labkit.data.readers import cvat, label_studio
from labkit.data.readers.formats import (
    READERS,
    Found,
    colour_maps_in,
    file_format,
    found_in,
    split_of,
)
from labkit.data.readers.other_formats import other_format, other_format_in
from labkit.data.readers.yolo import read_settings
from labkit.errors import LabkitError, MissingFileError
from labkit.io.data_files import Unusable, list_folder, path_inside, quote, read_json, subfolders
from labkit.io.picture_finder import base_name
from labkit.io.xml_files import read_xml

# If there are several splits and none is named, the first of these that exists is taken. The names
# on one line mean the same.
_SPLITS = (
    {"train", "training"},
    {"trainval"},
    {"val", "valid", "validation", "dev"},
    {"test", "testing"},
)
_TOOLS = {"cvat": cvat, "label_studio": label_studio}  # one file, with names that a tool made
_ONE_JSON = ("coco", "panoptic", "via", "label_studio")  # formats of one json beside pictures
_VALIDATION = 2  # the place of "val" among them

_MOST_JSON = 5  # LabelMe json files that are opened to find the folder of the pictures
_MOST_NAMES = 50  # pictures that are looked for in every possible folder
_DEEPEST = 3  # levels of folders with only one folder in them that are opened


def load_dataset(
    path: str | os.PathLike,
    format: str | None = None,
    images: str | os.PathLike | None = None,
    annotations: str | os.PathLike | None = None,
    strict: bool = False,
    split: str | None = None,
    **options: Any,
) -> Dataset:
    """Load annotated pictures, in any of the formats labkit reads.

    The format is recognised by the content. These places are searched: the path itself (and
    `annotations/` in it); its folders named after splits; its only folder; and, for a folder that
    is a part of a data set (the pictures of COCO, VOC's JPEGImages), the one or two folders above.
    The first of them that holds a data set is taken.

    Args:
        path: the folder of the data set, or its annotation file.
        format: "coco", "panoptic", "via", "labelme", "voc", "cityscapes", "mask_folders",
            "label_maps", "yolo", "cvat", "label_studio" or "voc_boxes". Only needed if several fit.
        images: the folder of the pictures (or its name in `path`). By default it is searched
            beside the annotations, and below and beside their folder.
        annotations: the file or folder of the annotations (or its name in `path`), if `path` holds
            several.
        strict: raise at the first entry that cannot be used, instead of listing it in `.problems`.
        split: which of several splits, e.g. "val". By default "train", otherwise the first one,
            with a warning if they are not called train, val or test.
        options: further arguments of the format's reader, e.g. `class_names`, `class_attribute`.

    Raises:
        MissingFileError: there is no such file or folder.
        LabkitError: no format fits, or several do, or the reader finds the data unusable.
    """
    root = Path(path)
    _check_format(format)
    start = root if annotations is None else _given(annotations, root)
    if not start.exists():
        raise MissingFileError(f"{start}: there is no such file or folder; check the path.")
    found = _choose(_find(start, format), split, start)
    return _open(found, None if images is None else _given(images, root), strict, options)


def splits(path: str | os.PathLike, format: str | None = None) -> tuple[str, ...]:
    """The names that `load_dataset(path, split=…)` knows; empty if there is nothing to choose.

    Args:
        path: as in `load_dataset`.
        format: as in `load_dataset`.

    Raises:
        LabkitError: as `load_dataset`.
    """
    return _splits(_all_at(Path(path), format))


def validation_split(path: str | os.PathLike, format: str | None = None) -> str | None:
    """The name of the validation split, e.g. "val2017"; None if there is none."""
    return _validation(_all_at(Path(path), format))


def is_training_part(
    path: str | os.PathLike, split: str | None = None, format: str | None = None
) -> bool:
    """Whether `split`, by default the validation split, is what `load_dataset(path)` trains on.

    "train" may stand for "train2017". Without splits this is always true.

    Raises:
        LabkitError: as `load_dataset`.
    """
    start = Path(path)
    found = _all_at(start, format)
    with warnings.catch_warnings(action="ignore"):  # `load_dataset` gives the warning
        measured = _choose(found, split or _validation(found), start)
        return measured == _choose(found, None, start)


def _given(name: str | os.PathLike, root: Path) -> Path:
    """The path, or the file or folder of that name in `root`."""
    return root / name if not Path(name).exists() and (root / name).exists() else Path(name)


# ---- what is there -------------------------------------------------------------------------------


def _find(start: Path, format: str | None) -> list[Found]:
    """The data sets of one format at a path: one, or the splits of one."""
    if start.is_file():
        return [_file(start, format)]
    for found in _places(start, format):
        if len({one.format for one in found}) > 1:
            fitting = ", ".join(str(one) for one in found)
            raise LabkitError(
                f'{start}: several formats fit: {fitting}; choose with format="{found[0].format}" '
                f"(--format {found[0].format}), or name the file or folder with annotations=PATH."
            )
        if found:
            return found
    return _last_resort(start, format)


def _places(start: Path, format: str | None, depth: int = 0) -> Iterable[list[Found]]:
    """The data sets in each place that a folder may stand for, the nearest first."""
    yield found_in(start, format)
    inside = subfolders(start)
    yield [
        Found(one.format, one.path, folder.name, one.parts)
        for folder in inside
        if _rank(folder.name) < len(_SPLITS)
        for one in found_in(folder, format)
    ]
    if len(inside) == 1 and depth < _DEEPEST:
        yield from _places(inside[0], format, depth + 1)
    if depth == 0:  # COCO's pictures are in images/train2017, two folders below the data set's
        here = start.resolve()
        for above in list(here.parents)[:2]:
            yield [one for one in found_in(above, format) if here in _folders_of(one)]


def _folders_of(found: Found) -> set[Path]:
    """The folders that a data set consists of."""
    folders = {part.resolve() for part in found.parts}
    if found.format in ("coco", "panoptic", "via"):
        try:
            content = read_json(found.path)
            pictures = _pictures(found, content).resolve()
        except LabkitError:
            return folders  # a file that cannot be read has no pictures here
        folders |= {pictures, *(pictures / Path(name).parent for name in _names(content))}
    if found.format in _TOOLS:
        try:
            folders |= {folder.resolve() for folder in [_tool_pictures(found)] if folder}
        except LabkitError:
            return folders
    return folders


def _file(path: Path, format: str | None) -> Found:
    name = format or file_format(path)
    if name is None:
        if other := other_format(path):
            raise LabkitError(f"{path} {other}.")
        if path.suffix.lower() in (".xml", ".yaml", ".yml"):
            (read_xml if path.suffix.lower() == ".xml" else read_settings)(path)  # says as much
            raise LabkitError(
                f"{path} is neither CVAT's or VOC's xml nor YOLO's data.yaml; give another file "
                "or folder, or name the format with --format NAME, in Python format=NAME."
            )
        read_json(path)  # says what is wrong with a file that is no json at all
        raise LabkitError(
            f"{path} is json, but neither COCO's (with images, annotations, categories) nor "
            "panoptic, VIA's, LabelMe's or Label Studio's; give another file or folder, or name "
            "the format with --format NAME, in Python format=NAME."
        )
    return Found(name, path, "" if name in ("yolo", "voc_boxes") else split_of(path))


def _last_resort(start: Path, format: str | None) -> list[Found]:
    """Nothing was recognised: try the named format anyway; its reader says what is missing."""
    files = [path for path in list_folder(start) if path.suffix.lower() == ".json"]
    if format is None and (other := other_format_in(list_folder(start))):
        raise LabkitError(other)
    if format is None and len(files) == 1:
        return [_file(files[0], None)]
    if format in _ONE_JSON:
        if len(files) == 1:
            return [Found(format, files[0], split_of(files[0]))]
        raise LabkitError(
            f"{start}: no json file of the format {format} was found there; give it with "
            "annotations=FILE."
        )
    if format == "label_maps" and (maps := colour_maps_in(start)):
        return [Found(format, maps, maps.name)]
    if format is not None:
        return [Found(format, start)]
    if maps := colour_maps_in(start):
        raise LabkitError(
            f"{maps} looks like label maps with colours; if every colour is an object, load that "
            'folder with format="label_maps", colour_coded=True (on the command line --format '
            "label_maps --colour-coded)."
        )
    raise LabkitError(
        f"{start}: no data set was recognised there; labkit looked for {', '.join(READERS)}. Give "
        "the annotations' file or folder, or name the format with --format NAME, in Python "
        "format=NAME."
    )


# ---- which of several ----------------------------------------------------------------------------


def _all_at(start: Path, format: str | None) -> list[Found]:
    """`_find`, for a path that may not exist."""
    _check_format(format)
    if not start.exists():
        raise MissingFileError(f"{start}: there is no such file or folder; check the path.")
    return _find(start, format)


def _check_format(format: str | None) -> None:
    if format is not None and format not in READERS:
        raise LabkitError(f"There is no format {format!r}; choose one of {', '.join(READERS)}.")


def _splits(found: list[Found]) -> tuple[str, ...]:
    names = {one.split for one in found}
    return tuple(sorted(names, key=lambda name: (_rank(name), name))) if len(names) > 1 else ()


def _validation(found: list[Found]) -> str | None:
    return next((name for name in _splits(found) if _rank(name) == _VALIDATION), None)


def _rank(split: str) -> int:
    """The place of a split's name in `_SPLITS`: "train2017" and "stage1_train" are "train"."""
    words = set(re.findall("[a-z]+", split.lower()))
    return next((rank for rank, names in enumerate(_SPLITS) if names & words), len(_SPLITS))


def _choose(found: list[Found], split: str | None, start: Path) -> Found:
    names = sorted({one.split for one in found})
    if split is not None:
        same = [one for one in found if one.split == split]
        same = same or [one for one in found if _rank(split) == _rank(one.split) < len(_SPLITS)]
        if not same:
            listed = ", ".join(quote(name) for name in names if name) or "none"
            raise LabkitError(f"{start}: there is no split {quote(split)}; there are: {listed}.")
        found = same
    # COCO's own folder has several files for each split; person_keypoints holds only one class.
    first = min(
        found, key=lambda one: (_rank(one.split), one.path.name[:9] != "instances", one.split)
    )
    if split is None and len(names) > 1 and _rank(first.split) == len(_SPLITS):
        warnings.warn(
            f"{start} holds several data sets: {', '.join(map(quote, names))}. "
            f"{quote(first.split)} was taken; choose with split=NAME.",
            stacklevel=3,
        )
    return first


# ---- opening it ----------------------------------------------------------------------------------


def _open(found: Found, images: Path | None, strict: bool, options: dict[str, Any]) -> Dataset:
    reader = READERS[found.format]
    _check_options(reader, options, found.format)
    options = {**options, "strict": strict}
    if found.format in ("coco", "panoptic", "via"):
        content = read_json(found.path)
        folder = images or _pictures(found, content)
        if found.format == "coco" and isinstance(content, dict):  # large ones are not read twice
            return reader(content, folder, label=str(found.path), **options)
        return reader(found.path, folder, **options)
    if found.format in _TOOLS:
        return reader(found.path, images or _tool_pictures(found), **options)
    if found.format == "labelme":
        return reader(found.path, images or _labelme_pictures(found), **options)
    if found.format == "mask_folders":
        if images is not None:
            raise LabkitError(f"{found.path}: mask folders hold their pictures; leave images out.")
        return reader(found.path, **options)
    if found.format == "label_maps":
        return reader(found.path, images, **options)
    return reader(found.path, *([found.split] if found.split else []), images=images, **options)


def _check_options(reader: type, options: dict[str, Any], format: str) -> None:
    known = set(inspect.signature(reader).parameters) - {"annotations", "images", "strict", "label"}
    for name in options:
        if name not in known:
            raise LabkitError(
                f"The format {format} has no option {name!r}; it has: "
                f"{', '.join(sorted(known)) or 'none'}."
            )


# ---- where the pictures are ----------------------------------------------------------------------


def _pictures(found: Found, content: Any) -> Path:
    """The folder of the pictures that a json names."""
    names = _names(content)
    folder = folder_with(names, found.path.parent, found.split)
    if folder is None and names:
        raise MissingFileError(
            f"{found.path}: its pictures (as {quote(names[0])}) were not found beside it, nor in a "
            "folder below or beside its own; give images=FOLDER."
        )
    return folder or found.path.parent


def _names(content: Any) -> list[str]:
    """The names of the pictures in a COCO, panoptic or VIA json; malformed entries are skipped."""
    entries = content
    for key in ("_via_img_metadata", "images"):
        entries = entries.get(key, entries) if isinstance(entries, dict) else entries
    entries = list(entries.values()) if isinstance(entries, dict) else entries
    names = [
        next((entry[f] for f in ("file_name", "filename", "path") if entry.get(f)), None)
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    ]
    return [name for name in names if isinstance(name, str) and name]


def _tool_pictures(found: Found) -> Path | None:
    """The folder of the pictures of Label Studio's or CVAT's file; None if none is beside it."""
    names = _TOOLS[found.format].picture_names(found.path)
    return folder_with(names, found.path.parent, "")


def _labelme_pictures(found: Found) -> Path | None:
    """The folder of LabelMe's pictures, if they are not beside the json files."""
    place = found.path if found.path.is_dir() else found.path.parent
    files = [path for path in list_folder(place) if path.suffix.lower() == ".json"]
    names = []
    for path in files[:_MOST_JSON]:
        try:
            content = read_json(path)
        except LabkitError:
            continue  # the reader will report it
        name = content.get("imagePath") if isinstance(content, dict) else None
        if isinstance(name, str) and not content.get("imageData"):
            names.append(name.replace("\\", "/").rsplit("/", 1)[-1])
    return folder_with(names, place, "")


def folder_with(names: list[str], near: Path, split: str) -> Path | None:
    """The folder that has the pictures of these names: `near`, one below it, or one beside it.

    This is the nearest folder with at least half of them, since there may be other data sets beside
    it; if there is none, the one with most. If several have equally many, one named after the
    split is taken, then one called "images".
    """
    near = near.resolve()
    above = near.parent
    beside = [folder for folder in subfolders(above) if folder != near]
    below_images = [
        folder
        for outer in (near / "images", above / "images")
        if outer.is_dir()
        for folder in subfolders(outer)
    ]
    some = names[:: max(1, len(names) // _MOST_NAMES)]
    bases = [base_name(name) for name in some]  # names may be another machine's paths

    def worth(folder: Path) -> tuple[int, int, bool, bool]:
        called = folder.name.lower()
        like = bool(split) and called in (split, split.rstrip("0123456789"))
        exact = sum(_has(folder, name) for name in some)
        anywhere = exact or sum(_has(folder, base) for base in bases)
        return anywhere, exact, like, called == "images"

    best = [
        max(places, key=worth)
        for places in ([near], subfolders(near), [above, *beside, *below_images])
        if places
    ]
    half = [folder for folder in best if worth(folder)[0] * 2 >= max(len(some), 1)]
    chosen = half[0] if half else max(best, key=worth)
    return chosen if worth(chosen)[0] else None


def _has(folder: Path, name: str) -> bool:
    try:
        return path_inside(folder, name).is_file()
    except (Unusable, OSError):
        return False
