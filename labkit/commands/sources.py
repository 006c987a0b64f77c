"""Where a command's pictures come from: the catalogue, files on disk, or a json and a folder.

A "choice" is a dict of the options that say which data, by name: data, annotations, images, split,
image_size, reader (see `labkit.commands.reader_options`), and in a training val_annotations and
val_images. What is missing was not given.
"""

import glob
import os
import sys
from pathlib import Path

from labkit.errors import LabkitError, MissingFileError, listed


def chosen_data(choice: dict, part: str):
    """The data set that a choice names: by "data", or by "annotations" and "images".

    Args:
        choice: see above.
        part: "train" or "val": which part, where the data have both and no split is chosen.

    Returns:
        A `labkit.data.Dataset`.

    Raises:
        LabkitError: none is named, or two are, or one is incomplete or cannot be opened.
    """
    name, annotations, images = (choice.get(k) for k in ("data", "annotations", "images"))
    if name and (annotations or images):
        raise LabkitError("give either --data PATH or --annotations FILE --images DIR, not both.")
    if choice.get("split") and not name:
        raise LabkitError("--split goes with --data: --annotations names one file, without splits.")
    if name:
        return load_by_name(
            name,
            part,
            size=choice.get("image_size"),
            split=choice.get("split"),
            reader=choice.get("reader"),
        )
    if not annotations and not images:
        raise LabkitError(
            "say on which data: --data PATH, --data shapes (or another name of the catalogue), or "
            "--annotations FILE --images DIR."
        )
    return load_annotations(
        annotations, images, "--annotations", "--images", reader=choice.get("reader")
    )


def training_data(choice: dict):
    """The data to train on, and the data to measure AP on: None where there are none."""
    dataset = chosen_data(choice, "train")
    annotations, images = choice.get("val_annotations"), choice.get("val_images")
    if choice.get("data"):
        if annotations or images:
            raise LabkitError(
                "--val-annotations and --val-images go with --annotations; --data brings its own "
                "validation pictures."
            )
        validation = validation_data(choice)
    elif annotations or images:
        validation = load_annotations(
            annotations, images, "--val-annotations", "--val-images", reader=choice.get("reader")
        )
    else:
        return dataset, None
    if validation is not None:
        note_if_shared(dataset, validation)
    return dataset, validation


def note_if_shared(dataset, validation) -> None:
    """Print a note where pictures of the training are in the validation, too."""
    from labkit.data.picture_checks import shared_pictures

    if names := shared_pictures(dataset, validation):
        print(
            f"note: {len(names)} of {len(validation)} validation pictures have the same content as "
            f"one of the training ({listed(names, 3)}), so the AP says too much; keep them apart.",
            file=sys.stderr,
        )


def validation_data(choice: dict):
    """The validation part of --data, or None where it has none."""
    name = choice["data"]
    if Path(name).exists():
        from labkit.data.load import validation_split

        reader = choice.get("reader") or {}
        split = validation_split(name, reader.get("format"))
        return None if split is None else load_by_name(name, "val", split=split, reader=reader)
    entry = catalogue_entry(name)
    return None if entry.splits and "val" not in entry.splits else chosen_data(choice, "val")


def is_drawn(name: str | None) -> bool:
    """Whether --data names a data set that labkit draws, and no file or folder of that name."""
    from labkit.data.catalogue import GENERATED_NAMES

    return name in GENERATED_NAMES and not Path(name).exists()


def suits_photographs(name: str | None) -> bool:
    """Whether --data names photographs, or files of one's own, which are taken for photographs."""
    from labkit.data.catalogue import CATALOGUE

    if name is None or Path(name).exists() or name not in CATALOGUE:
        return True
    return CATALOGUE[name].photographic


def preset_for(name: str | None) -> str:
    """The preset for the data that --data names, where nobody chose one.

    Drawn data are learnt from noise in minutes. Photographs get the pretrained network.
    """
    return "lite0_fpn" if suits_photographs(name) else "tiny"


def load_by_name(
    name: str,
    part: str,
    *,
    size: int | None = None,
    split: str | None = None,
    reader: dict | None = None,
):
    """The data set at a path or, where nothing is there, the catalogue's of that name.

    Args:
        name: a path, or a name of the catalogue.
        part: "train" or "val", where there is a choice.
        size: side of drawn pictures, in pixels.
        split: the split by its own name, instead of `part`.
        reader: further arguments of `load_dataset`, for files.

    Raises:
        LabkitError: there is neither such a path nor such a name, or no such part.
    """
    reader = reader or {}
    if not Path(name).exists():
        from labkit.data import catalogue

        entry = catalogue_entry(name)
        if reader:
            option = next(iter(reader)).replace("_", "-")
            raise LabkitError(f"--{option} goes with files of your own, not with {name}.")
        if split is None and (not entry.splits or part in entry.splits):
            split = part
        return catalogue.load(name, split, size=size)
    from labkit.data.load import load_dataset, splits, validation_split

    format = reader.get("format")
    if part == "val" and split is None and (available := splits(name, format)):
        split = validation_split(name, format)
        if split is None:  # measuring on the training pictures would flatter
            raise LabkitError(
                f"{name} has the splits {', '.join(available)}, of which none is for validation; "
                "choose with --split."
            )
    return load_dataset(name, split=split, **reader)


def catalogue_entry(name: str):
    """The entry of that name. Raises LabkitError, with similar names, where there is none."""
    from labkit.data import catalogue

    if name not in catalogue.CATALOGUE:
        raise MissingFileError(
            f"{name}: there is no such file or folder, and no data set of that name; "
            f"{catalogue.hint(name)}"
        )
    return catalogue.CATALOGUE[name]


def load_annotations(
    annotations: str | None, images: str | None, *options: str, reader: dict | None = None
):
    """The data set of annotations, in any format, and the folder of their pictures.

    Args:
        annotations: a file or folder.
        images: a folder.
        *options: the names of these two options, for the error when one of them is missing.
        reader: further arguments of `load_dataset`.
    """
    if not annotations or not images:
        missing, given = options if not annotations else options[::-1]
        raise LabkitError(f"{given} needs {missing} beside it: the json and its pictures.")
    from labkit.data import load_dataset

    return load_dataset(annotations, images=images, **(reader or {}))


def image_files(sources: list[str]) -> list[Path]:
    """The pictures named, and those in the folders named, in order. Raises LabkitError if none.

    A name that is no file but has a wildcard stands for the files that fit it: the command line of
    Windows leaves that to the program.
    """
    from labkit.io import data_files

    found = []
    for source in [Path(path) for name in sources for path in expanded(name)]:
        if source.is_dir():
            found += data_files.image_files(source)
        elif source.exists():
            found.append(source)
        else:
            raise LabkitError(f"{source}: there is no such file or folder.")
    if not found:
        suffixes = " ".join(sorted(data_files.IMAGE_SUFFIXES))
        raise LabkitError(f"{', '.join(sources)}: no pictures there; these count: {suffixes}.")
    return found


def expanded(name: str) -> list[str]:
    """The files that fit a name with wildcards, sorted; the name itself where none does."""
    return [name] if os.path.exists(name) else sorted(glob.glob(name)) or [name]
