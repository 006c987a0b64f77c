"""Where a command's pictures come from: a built-in data set, a COCO json, or files and folders."""

from pathlib import Path

from labkit.errors import LabkitError

DATA_NAMES = ("shapes", "digits")
# The generated data: pictures and seed for training, and others that training never shows. They are
# those of `labkit demo`, so that a demo's model can be measured on its own unseen pictures again.
GENERATED = {"train": {"count": 4000, "seed": 0}, "val": {"count": 100, "seed": 1_000_003}}
GENERATED_SIZE = 128  # pixels
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"}


def chosen_data(choice: dict, part: str):
    """The data set that options name: built in by "data", or a COCO json with its pictures.

    part: "train" or "val". Raises LabkitError unless exactly one is named, and whole.
    """
    name, annotations, images = (choice.get(k) for k in ("data", "annotations", "images"))
    if name and (annotations or images):
        raise LabkitError("give either --data NAME or --annotations FILE --images DIR, not both.")
    if name:
        return generated(name, part, choice.get("image_size") or GENERATED_SIZE)
    if not annotations and not images:
        raise LabkitError(
            "say on which data: --data shapes, --data digits, or --annotations FILE --images DIR."
        )
    return coco(annotations, images, "--annotations", "--images")


def generated(name: str, part: str, size: int):
    """A built-in data set; those of "train" and "val" have no picture in common."""
    from labkit import data

    if name == "digits":  # its handwritten originals are split too, not only the seeds
        return data.digits(size=size, split=part, **GENERATED[part])
    return data.shapes(size=size, **GENERATED[part])


def coco(annotations: str | None, images: str | None, *options: str):
    """A CocoDataset; options are what the two are called, for the error when one is missing."""
    if not annotations or not images:
        missing, given = options if not annotations else options[::-1]
        raise LabkitError(f"{given} needs {missing} beside it: the json and its pictures.")
    from labkit.data import CocoDataset

    return CocoDataset(annotations, images)


def image_files(sources: list[str]) -> list[Path]:
    """The pictures named, and those in the folders named, in order. Raises LabkitError if none."""
    files = []
    for source in map(Path, sources):
        if source.is_dir():
            files += sorted(p for p in source.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        elif source.exists():
            files.append(source)
        else:
            raise LabkitError(f"{source}: there is no such file or folder.")
    if not files:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise LabkitError(f"{', '.join(sources)}: no pictures there; these count: {kinds}.")
    return files
