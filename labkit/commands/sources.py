"""Where a command's pictures come from: the catalogue, anything on disk, or a json and a folder."""

from pathlib import Path

from labkit.data import catalogue as datasets
from labkit.errors import LabkitError, MissingFileError


def chosen_data(choice: dict, part: str):
    """The data set that options name: by "data", or by "annotations" and "images".

    part: "train" or "val". Raises LabkitError unless exactly one is named, and whole.
    """
    name, annotations, images = (choice.get(k) for k in ("data", "annotations", "images"))
    if name and (annotations or images):
        raise LabkitError("give either --data PATH or --annotations FILE --images DIR, not both.")
    if choice.get("split") and not name:
        raise LabkitError("--split goes with --data: annotations that are named have no choice.")
    if name:
        return named(name, part, size=choice.get("image_size"), split=choice.get("split"))
    if not annotations and not images:
        raise LabkitError(
            "say on which data: --data PATH, --data shapes (or another name of the catalogue), or "
            "--annotations FILE --images DIR."
        )
    return pair(annotations, images, "--annotations", "--images")


def validation_data(choice: dict):
    """What --data has to measure a model on while it trains; None where it is all of one piece."""
    name = choice["data"]
    if Path(name).exists():
        from labkit.data.load import validation_split

        split = validation_split(name)
        return None if split is None else named(name, "val", split=split)
    entry = _in_catalogue(name)
    return None if entry.splits and "val" not in entry.splits else chosen_data(choice, "val")


def is_drawn(name: str | None) -> bool:
    """Whether --data names one of the data sets that labkit draws: what lies there goes first."""
    return name in datasets.GENERATED_NAMES and not Path(name).exists()


def named(name: str, part: str, *, size: int | None = None, split: str | None = None):
    """The data set at a path, or else the catalogue's of that name.

    part: "train" or "val", where there is a choice; split: which, by its own name. size: of drawn
    pictures.

    Raises LabkitError if there is neither such a path nor such a name, or no such part.
    """
    if not Path(name).exists():
        entry = _in_catalogue(name)
        if split is None and (not entry.splits or part in entry.splits):
            split = part
        return datasets.load(name, split, size=size or datasets.GENERATED_SIZE)
    from labkit.data.load import load_dataset, splits, validation_split

    if part == "val" and split is None and (there := splits(name)):
        split = validation_split(name)
        if split is None:  # measuring on the training pictures would flatter
            raise LabkitError(
                f"{name} has the splits {', '.join(there)}, of which none is for validation; "
                "choose with --split."
            )
    return load_dataset(name, split=split)


def _in_catalogue(name: str) -> datasets.Entry:
    if name not in datasets.CATALOGUE:
        raise MissingFileError(
            f"{name}: there is no such file or folder, and no data set of that name; "
            f"{datasets.hint(name)}"
        )
    return datasets.CATALOGUE[name]


def pair(annotations: str | None, images: str | None, *options: str):
    """Annotations with the folder of their pictures, in any format.

    options: what the two are called, for the error when one is missing.
    """
    if not annotations or not images:
        missing, given = options if not annotations else options[::-1]
        raise LabkitError(f"{given} needs {missing} beside it: the json and its pictures.")
    from labkit.data import load_dataset

    return load_dataset(annotations, images=images)


def image_files(sources: list[str]) -> list[Path]:
    """The pictures named, and those in the folders named, in order. Raises LabkitError if none."""
    from labkit.io import data_files

    found = []
    for source in map(Path, sources):
        if source.is_dir():
            found += data_files.image_files(source)
        elif source.exists():
            found.append(source)
        else:
            raise LabkitError(f"{source}: there is no such file or folder.")
    if not found:
        kinds = " ".join(sorted(data_files.IMAGE_SUFFIXES))
        raise LabkitError(f"{', '.join(sources)}: no pictures there; these count: {kinds}.")
    return found
