"""Which format is a data set in? Formats are recognised by the content of files and folders.

`found_in` looks at one folder and its conventional subfolders; `labkit.data.load` decides which
folders to search and which data set to take.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labkit.data.readers import yolo
from labkit.data.readers.cityscapes import CityscapesDataset
from labkit.data.readers.coco import CocoDataset
from labkit.data.readers.cvat import CvatDataset
from labkit.data.readers.label_maps import (
    LabelMapDataset,
    map_values,
    picture_folder,
    split_pair,
)
from labkit.data.readers.label_studio import LabelStudioDataset
from labkit.data.readers.labelme import LabelmeDataset
from labkit.data.readers.mask_folders import MaskFolderDataset
from labkit.data.readers.panoptic import PanopticDataset
from labkit.data.readers.via import ViaDataset
from labkit.data.readers.voc import VocDataset
from labkit.data.readers.voc_boxes import VocBoxDataset, box_files, is_box_file, split_names
from labkit.errors import LabkitError
from labkit.io.data_files import image_files, list_folder, subfolders
from labkit.io.images import read_samples

#: The formats by the names that `load_dataset(format=…)` takes.
READERS = {
    "coco": CocoDataset,
    "panoptic": PanopticDataset,
    "via": ViaDataset,
    "labelme": LabelmeDataset,
    "voc": VocDataset,
    "cityscapes": CityscapesDataset,
    "mask_folders": MaskFolderDataset,
    "label_maps": LabelMapDataset,
    "yolo": yolo.YoloDataset,
    "cvat": CvatDataset,
    "label_studio": LabelStudioDataset,
    "voc_boxes": VocBoxDataset,
}

# The keys by which a json is recognised. A file with all keys of a line has that format; the first
# line that fits is taken, so panoptic comes before COCO, whose keys it has too.
_KEYS = (
    ("panoptic", (b"images", b"annotations", b"categories", b"segments_info")),
    ("coco", (b"images", b"annotations", b"categories")),
    ("via", (b"regions", b"filename", b"file_attributes")),
    ("via", (b"regions", b"filename", b"shape_attributes")),
    ("labelme", (b"shapes", b"imagePath")),
    ("labelme", (b"shapes", b"imageData")),
    ("label_studio", (b"original_width", b"original_height")),
    ("label_studio", (b"annotations", b"result", b"data")),
)

_MOST_XML = 5
_MOST_JSON = 50  # files opened in a folder; LabelMe has one for every picture
_NEARLY = 24  # grey values that JPEG may change
_MOST_MAPS = 3  # files opened to see whether they are label maps
_PICTURES, _NO_MAPS = {"images", "image", "img", "imgs"}, ("SegmentationObject", "JPEGImages")


@dataclass(frozen=True)
class Found:
    """A data set that was recognised: its format, its file or folder, and its split's name."""

    format: str
    path: Path
    split: str = ""
    parts: tuple[Path, ...] = ()  # its folders: a user who names one of them means the data set

    def __str__(self) -> str:
        return f"{self.format} ({self.path.name})"


def json_format(path: Path) -> str | None:
    """The format of a json file by its keys, without parsing it: it may be half a gigabyte.

    The reader checks the file properly, and says what is wrong if it has another format after all.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            present = {
                key: re.search(b'"' + key + rb'"\s*:', m) is not None
                for key in {key for _, keys in _KEYS for key in keys}
            }
    except (OSError, ValueError):  # unreadable, or empty
        return None
    return next((name for name, keys in _KEYS if all(map(present.get, keys))), None)


def file_format(path: Path) -> str | None:
    """The format of a file of annotations by its content; None if it is none that is read."""
    kind = path.suffix.lower()
    if kind == ".xml":
        return "voc_boxes" if is_box_file(path) else "cvat" if _is_cvat(path) else None
    if kind in (".yaml", ".yml"):
        return "yolo" if yolo.is_yolo_yaml(path) else None
    return json_format(path)


def _is_cvat(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return b"<annotations>" in stream.read(4000)
    except OSError:
        return False


def found_in(folder: Path, format: str | None = None) -> list[Found]:
    """The data sets in a folder, of any format or of the one that is named.

    Tools write YOLO's files and VOC's boxes beside richer annotations of the same pictures. So
    these two count only where they are named, or there is nothing else.
    """
    if format == "yolo":
        return _yolo(folder)
    if format == "voc_boxes":
        return _voc_boxes(folder)
    found = [
        *_json_files(folder),
        *_cvat(folder),
        *_voc(folder),
        *_cityscapes(folder),
        *_mask_folders(folder),
        *_label_maps(folder),
    ]
    if format is not None:
        return [one for one in found if one.format == format]
    return found or _yolo(folder) or _voc_boxes(folder)


def split_of(path: Path) -> str:
    """The split in an annotation file's name: "val2017" of "instances_val2017.json"."""
    kinds = "instances|person_keypoints|panoptic|annotations|labels|coco"
    return re.sub(f"^_?({kinds})(_|-|$)", "", path.stem.lower().removesuffix(".coco"))


def _json_files(folder: Path) -> list[Found]:
    found, beside = [], folder / "annotations"
    for place in [folder, *([beside] if beside.is_dir() else [])]:
        files = [path for path in list_folder(place) if path.suffix.lower() == ".json"]
        for path in files[:_MOST_JSON]:
            name = json_format(path)
            if name == "labelme":
                path = place  # the folder is the data set, and one is enough
            if name and not any(other.path == path for other in found):
                found.append(Found(name, path, split_of(path) if path.is_file() else ""))
    return found


def _cvat(folder: Path) -> list[Found]:
    files = [path for path in list_folder(folder) if path.suffix.lower() == ".xml"]
    return [Found("cvat", path) for path in files[:_MOST_XML] if _is_cvat(path)]


def _yolo(root: Path) -> list[Found]:
    splits = yolo.splits_at(root)
    several = len(splits) > 1
    return [
        Found("yolo", root, split if several else "", (*places, *map(yolo.labels_of, places)))
        for split, places in splits.items()
    ]


def _voc(root: Path) -> list[Found]:
    if not all((root / name).is_dir() for name in ("SegmentationObject", "SegmentationClass")):
        return []
    names = ("SegmentationObject", "SegmentationClass", "JPEGImages", "Annotations", "ImageSets")
    parts = tuple(root / name for name in names)
    lists = root / "ImageSets" / "Segmentation"
    splits = [path.stem for path in list_folder(lists)] if lists.is_dir() else [""]
    return [Found("voc", root, split, parts) for split in splits]


def _voc_boxes(root: Path) -> list[Found]:
    if not box_files(root):
        return []
    parts = tuple(root / name for name in ("Annotations", "JPEGImages", "images"))
    return [Found("voc_boxes", root, split, parts) for split in split_names(root) or [""]]


def _cityscapes(root: Path) -> list[Found]:
    truth, pictures = root / "gtFine", root / "leftImg8bit"
    if not truth.is_dir() or not pictures.is_dir():
        return []
    return [
        Found("cityscapes", root, path.name, (truth, pictures))
        for path in subfolders(truth)
        if (pictures / path.name).is_dir()
    ]


def _mask_folders(folder: Path) -> list[Found]:
    def whole(path: Path) -> bool:
        return (path / "images").is_dir() and (path / "masks").is_dir()

    if whole(folder):
        pictures, masks = image_files(folder / "images"), image_files(folder / "masks")
        # A folder "masks" may hold label maps instead: one for each picture, with the same name.
        if len(pictures) == 1 and pictures[0].stem not in {path.stem for path in masks}:
            return [Found("mask_folders", folder, "", (folder / "images", folder / "masks"))]
        return []
    if any(whole(path) for path in subfolders(folder)):
        return [Found("mask_folders", folder, folder.name)]
    return []


def _label_maps(folder: Path) -> list[Found]:
    """Label maps in the folder itself, or in a folder of it beside its folder of pictures."""
    if any((folder.parent / name).is_dir() and folder.name.startswith("Segm") for name in _NO_MAPS):
        return []  # a part of VOC, whose values are also classes and void
    if looks_like_maps(folder, picture_folder(folder)):
        return [Found("label_maps", folder, folder.name)]
    inside = subfolders(folder)
    pictures = [path for path in inside if path.name.lower() in _PICTURES]
    return [
        Found("label_maps", path, path.name, (images, path))
        for images in pictures
        for path in inside
        if path != images and looks_like_maps(path, images)
    ]


def looks_like_maps(maps: Path, images: Path | None, *, colours: bool = False) -> bool:
    """Whether the files of a folder are label maps of the pictures in another one.

    Args:
        maps: a folder.
        images: the folder of the pictures.
        colours: look for maps that are saved with colours, and for no others.
    """
    if images is None:
        return False
    pictures, found = split_pair(images, maps)
    keys = sorted(pictures.keys() & found.keys())[:_MOST_MAPS]
    return bool(keys) and all(_is_map(found[key], colours) for key in keys)


def colour_maps_in(folder: Path) -> Path | None:
    """A folder of maps with colours beside a folder of pictures; None if there is none.

    Pictures drawn for people to look at have colours too, so this is no format of its own: it helps
    to say what to do where nothing else was recognised.
    """
    inside = subfolders(folder)
    images = [path for path in inside if path.name.lower() in _PICTURES] or inside
    return next(
        (m for p in images for m in inside if m != p and looks_like_maps(m, p, colours=True)), None
    )


def _is_map(path: Path, colours: bool) -> bool:
    """Whether a file is a map: black and white, or most neighbours in the foreground are equal."""
    try:
        samples = read_samples(path)
        if (samples.ndim == 3) != colours:
            return False
        values = map_values(samples, path, colours=colours)
    except LabkitError:
        return False
    highest = values.max(initial=0)
    if highest == 255 and np.mean((values < _NEARLY) | (values > highest - _NEARLY)) > 0.97:
        return True  # also in a JPEG, where hardly two neighbours are equal
    left, right = values[:, :-1], values[:, 1:]
    foreground = (left > 0) & (right > 0)
    return bool(np.mean((left == right)[foreground]) > 0.7) if foreground.any() else True
