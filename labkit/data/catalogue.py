"""The catalogue: data sets that labkit can download by name, and what they may be used for.

    labkit.data.catalogue.load("balloon", "val")

Nothing is downloaded until `obtain` or `load` asks for it, and then only once. The publishers give
no sizes and digests; those here were published by several independent users. Where none is known
the entry says None, and the download is not compared with anything.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.data.dataset import Dataset

# Of data sets that are drawn: training pictures, and validation pictures that training never sees.
# `labkit demo` uses the same ones, so a model of the demo can be evaluated again on pictures it has
# not seen.
GENERATED = {"train": {"count": 4000, "seed": 0}, "val": {"count": 100, "seed": 1_000_003}}
GENERATED_SIZE = 128  # pixels
COLLAGE_COUNT = 400  # training pictures: a large collection of one's own photographs


@dataclass(frozen=True)
class Archive:
    """A zip file of a data set.

    Attributes:
        address: where it is downloaded from.
        folder: what it is unpacked into, inside the data set's folder.
        size: in bytes; None if it has not been published.
        sha256: hexadecimal; None if it has not been published.
    """

    address: str
    folder: str
    size: int | None = None
    sha256: str | None = None

    @property
    def file_name(self) -> str:
        return self.address.partition("?")[0].rpartition("/")[2]


@dataclass(frozen=True)
class Split:
    """How to open a split.

    Attributes:
        annotations: path of the file or folder, inside the data set's folder.
        images: path of the pictures' folder, likewise; None where the format needs none.
        options: further arguments of the format's reader.
    """

    annotations: str
    images: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A data set of the catalogue.

    Attributes:
        name: what `load` calls it.
        title: one line about it.
        licence: of pictures and annotations, as their publisher states it.
        page: the publisher's page.
        folder: its name in `data_folder()`; data sets that share files share it.
        archives: the files to download.
        splits: how each split is opened; none for data sets that are drawn.
        pictures: if given, only this many pictures of the split, each downloaded by itself.
        by_hand: for data that needs a login: what the user has to do.
        photographic: whether the pictures are photographs of everyday things, which a backbone
            pretrained on ImageNet has seen the like of.
        side: of drawn pictures, in pixels, where no other is asked for.
    """

    name: str
    title: str
    licence: str
    page: str
    folder: str = ""
    archives: tuple[Archive, ...] = ()
    splits: dict[str, Split] = field(default_factory=dict)
    pictures: int | None = None
    by_hand: str | None = None
    photographic: bool = False
    side: int = GENERATED_SIZE

    @property
    def size(self) -> int | None:
        """Bytes to download; None if the size of a file is not known."""
        sizes = [archive.size for archive in self.archives]
        return None if None in sizes else sum(sizes)

    @property
    def path(self) -> Path:
        return data_folder() / self.folder


_COCO_LICENCE = (
    "annotations CC BY 4.0; the pictures are Flickr's, each under its own terms, which the "
    "annotation file names"
)
_COCO = "http://images.cocodataset.org/"  # https has a certificate of another name
_COCO_TRAIN = Archive(
    f"{_COCO}zips/train2017.zip",
    "train2017",
    19_336_861_798,
    "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
)
_COCO_VAL = Archive(
    f"{_COCO}zips/val2017.zip",
    "val2017",
    815_585_330,
    "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
)
_COCO_ANNOTATIONS = Archive(
    f"{_COCO}annotations/annotations_trainval2017.zip",
    "annotations",
    252_907_541,
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)
_COCO_STUFF = Archive(f"{_COCO}annotations/stuff_annotations_trainval2017.zip", "stuff")
_COCO_VAL_SPLIT = Split("annotations/instances_val2017.json", "val2017")

_ENTRIES = (
    Entry(
        "shapes",
        "rectangles, ellipses, triangles and stars, drawn from a seed",
        "labkit's own, MIT",
        "labkit.data.shapes",
    ),
    Entry(
        "digits",
        "scikit-learn's handwritten digits on cluttered ground",
        "BSD-3-Clause with scikit-learn; from the UCI repository, CC BY 4.0",
        "labkit.data.digits",
    ),
    Entry(
        "collage",
        "cats, coins, cups … cut out of photographs, pasted on others",
        "public domain and CC0 with scikit-image; two pictures with scikit-learn, CC BY 2.0",
        "labkit.data.collage",
        photographic=True,
        side=384,
    ),
    Entry(
        "nuclei",
        "670 microscope pictures of nuclei: training data of the 2018 Data Science Bowl",
        "CC0 1.0",
        "https://bbbc.broadinstitute.org/BBBC038",
        "nuclei",
        (Archive("https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip", "train"),),
        {"train": Split("train", options={"class_name": "nucleus"})},
    ),
    Entry(
        "balloon",
        "74 photos of balloons, Matterport's example",
        "none is stated with the data; the photos are from Flickr",
        "https://github.com/matterport/Mask_RCNN/releases/tag/v2.1",
        "balloon",
        (
            Archive(
                "https://github.com/matterport/Mask_RCNN/releases/download/v2.1/"
                "balloon_dataset.zip",
                "photos",
                38_741_381,
            ),
        ),
        {
            part: Split(f"photos/{part}", options={"class_names": ["balloon"]})
            for part in ("train", "val")
        },
        photographic=True,
    ),
    Entry(
        "penn-fudan",
        "170 street scenes with 345 pedestrians",
        "none is stated with the data; made for research",
        "https://www.cis.upenn.edu/~jshi/ped_html/",
        "penn-fudan",
        (
            Archive(
                "https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip",
                "PennFudanPed",
                53_723_336,
            ),
        ),
        {
            "train": Split(
                "PennFudanPed/PedMasks", "PennFudanPed/PNGImages", {"class_name": "pedestrian"}
            )
        },
        photographic=True,
    ),
    Entry(
        "coco",
        "COCO 2017: 118,287 training and 5,000 validation photos, 80 classes",
        _COCO_LICENCE,
        "https://cocodataset.org",
        "coco",
        (_COCO_ANNOTATIONS, _COCO_VAL, _COCO_TRAIN),
        {
            "train": Split("annotations/instances_train2017.json", "train2017"),
            "val": _COCO_VAL_SPLIT,
        },
        photographic=True,
    ),
    Entry(
        "coco-val",
        "the 5,000 validation photos of COCO 2017",
        _COCO_LICENCE,
        "https://cocodataset.org",
        "coco",
        (_COCO_ANNOTATIONS, _COCO_VAL),
        {"val": _COCO_VAL_SPLIT},
        photographic=True,
    ),
    Entry(
        "coco-val-100",
        "the first 100 validation photos of COCO 2017, by their number",
        _COCO_LICENCE,
        "https://cocodataset.org",
        "coco",
        (_COCO_ANNOTATIONS,),
        {"val": Split("annotations/instances_val2017.json", "val2017-100")},
        pictures=100,
        photographic=True,
    ),
    Entry(
        "coco-stuff",
        "COCO 2017's 91 classes of stuff (sky, grass, wall …) on the same photos",
        _COCO_LICENCE,
        "https://github.com/nightrome/cocostuff",
        "coco",
        (_COCO_STUFF, _COCO_VAL, _COCO_TRAIN),
        {part: Split(f"stuff/stuff_{part}2017.json", f"{part}2017") for part in ("train", "val")},
        photographic=True,
    ),
    Entry(
        "trashcan",
        "7,212 pictures of the sea floor with litter, plants and animals",
        "free for teaching and research; commercial use needs JAMSTEC's permission",
        "https://conservancy.umn.edu/handle/11299/214865",
        "trashcan",
        (
            Archive(
                "https://conservancy.umn.edu/bitstream/handle/11299/214865/dataset.zip"
                "?sequence=12&isAllowed=y",
                "dataset",
            ),
        ),
        {
            part: Split(
                f"dataset/instance_version/instances_{part}_trashcan.json",
                f"dataset/instance_version/{part}",
            )
            for part in ("train", "val")
        },
        photographic=True,
    ),
    Entry(
        "cityscapes",
        "5,000 street scenes of 50 cities, eight classes with instances",
        "free for non-commercial use, after registration; not to be passed on",
        "https://www.cityscapes-dataset.com",
        "cityscapes",
        splits={part: Split("", options={"split": part}) for part in ("train", "val")},
        by_hand="register at https://www.cityscapes-dataset.com, download "
        "leftImg8bit_trainvaltest.zip (11 GB) and gtFine_trainvaltest.zip (241 MB), and "
        "unpack both there, so that it holds leftImg8bit/ and gtFine/",
        photographic=True,
    ),
)

#: All data sets by name.
CATALOGUE = {entry.name: entry for entry in _ENTRIES}

#: Those that are drawn, not downloaded.
GENERATED_NAMES = tuple(entry.name for entry in _ENTRIES if not entry.splits)


def data_folder() -> Path:
    """Where data sets are kept: $LABKIT_DATA, or "data" in labkit's folder in the user's caches.

    Not the current folder: a notebook and the command line, started in different folders, would
    each download COCO.
    """
    chosen = os.environ.get("LABKIT_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from labkit.io.download import cache_folder

    return cache_folder() / "data"


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        LabkitError: there is none; the message suggests similar names.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise LabkitError(f"catalogue: there is no data set {name!r}; {hint(name)}")


def hint(name: str) -> str:
    """The end of a sentence about a name that is not in the catalogue."""
    near = difflib.get_close_matches(name, CATALOGUE, n=2, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(CATALOGUE)}."


def load(name: str, split: str | None = None, *, size: int | None = None) -> Dataset:
    """A data set by its name, downloaded if it is not there yet.

    Args:
        name: one of `CATALOGUE`.
        split: "train" or "val"; by default the first that the data set has.
        size: for data sets that are drawn, height and width of the pictures in pixels; by default
            the entry's `side`.

    Raises:
        LabkitError: no such name or split, no network, or files that cannot be used; the message
            says which file to put where by hand.
    """
    entry = find(name)
    if not entry.splits:
        return _drawn(name, _known_split(entry, split, list(GENERATED)), size or entry.side)
    split = _known_split(entry, split, list(entry.splits))
    folder, part = obtain(name), entry.splits[split]
    from labkit.data.load import load_dataset

    images = None if part.images is None else folder / part.images
    annotations = folder / part.annotations
    if entry.pictures is not None:
        annotations = images / "annotations.json"
    return load_dataset(annotations, images=images, **part.options)


def _drawn(name: str, split: str, size: int) -> Dataset:
    """A data set that is drawn; "train" and "val" have no picture in common."""
    from labkit.data.synthetic.collage import collage
    from labkit.data.synthetic.digits import digits
    from labkit.data.synthetic.shapes import shapes

    if name == "collage":  # its coins and backgrounds are split as well
        count = min(GENERATED[split]["count"], COLLAGE_COUNT)
        return collage(count, size, GENERATED[split]["seed"], split)
    if name == "digits":  # the handwritten originals are split as well, not only the seeds
        return digits(size=size, split=split, **GENERATED[split])
    return shapes(size=size, **GENERATED[split])


def _known_split(entry: Entry, split: str | None, there: list[str]) -> str:
    if split is not None and split not in there:
        raise LabkitError(f"catalogue: {entry.name} has no {split!r}, but {' and '.join(there)}.")
    return split or there[0]


def obtain(name: str, *, progress: bool = True) -> Path:
    """Download a data set, if it is not there yet, and return its folder.

    An archive is downloaded, unpacked and removed. One that is already unpacked is left alone.

    Raises:
        LabkitError: see `load`.
    """
    entry = find(name)
    if not entry.splits:
        raise LabkitError(
            f"catalogue: {name} is drawn, not downloaded: use catalogue.load({name!r})."
        )
    if entry.by_hand and not any(entry.path.glob("*/")):
        raise LabkitError(f"{entry.path} is empty: {entry.by_hand}.")
    for archive in entry.archives:
        _fetch_archive(archive, entry.path, progress)
    if entry.pictures is not None:
        _fetch_pictures(entry, progress)
    return entry.path


def _fetch_archive(archive: Archive, folder: Path, progress: bool) -> None:
    import filelock

    from labkit.io.download import fetch
    from labkit.io.unpack import unpack

    if (folder / archive.folder).exists():
        return
    file = folder / archive.file_name
    fetch(archive.address, file, sha256=archive.sha256, size=archive.size, progress=progress)
    with filelock.FileLock(folder / f".{archive.folder}.lock"):  # two notebooks may want it at once
        if not (folder / archive.folder).exists():
            unpack(file, folder / archive.folder)
    file.unlink(missing_ok=True)


def _fetch_pictures(entry: Entry, progress: bool) -> None:
    """Download the split's first pictures, by id, and write an annotation file of only these."""
    from labkit.io.data_files import read_json, write_json
    from labkit.io.download import fetch
    from labkit.io.progress import progress_bar

    (split,) = entry.splits.values()
    folder = entry.path / split.images
    written = folder / "annotations.json"
    if written.exists():  # written last
        return
    content = read_json(entry.path / split.annotations)
    images = sorted(content["images"], key=lambda image: image["id"])[: entry.pictures]
    ids = {image["id"] for image in images}
    content["images"] = images
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    with progress_bar(images, desc="downloading pictures", shown=progress) as bar:
        for image in bar:
            # The name is made of the number, not taken from the file: it becomes a path.
            name = f"{int(image['id']):012d}.jpg"
            fetch(f"{_COCO}val2017/{name}", folder / name, progress=False)
            image["file_name"] = name
    write_json(written, content)


def describe() -> str:
    """The catalogue as a table: name, download, licence, what it is."""
    rows = []
    for entry in CATALOGUE.values():
        size = "none" if not entry.splits else "by hand" if entry.by_hand else _amount(entry.size)
        rows.append(
            f"{entry.name:<13} {size:>9}  {entry.title}\n{'':<25}{entry.licence}; {entry.page}"
        )
    return "\n".join(rows)


def _amount(size: int | None) -> str:
    if size is None:
        return "unknown"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
