"""Which data a run was started on: kept in its folder, and looked up when the run is resumed.

`labkit evaluate` and `labkit report` look it up too, to say so where a model is about to be
measured on its own training pictures.
"""

import os
import sys
from pathlib import Path

from labkit.commands.sources import is_drawn
from labkit.errors import LabkitError

DATA_FILE = "data.json"


def remember(run_dir: Path, choice: dict) -> None:
    """Keep the options that say which data, and which weights, with absolute paths."""
    from labkit.io.data_files import write_json

    write_json(run_dir / DATA_FILE, choice, indent=2)


def remembered(run_dir: Path) -> dict | None:
    """What `remember` kept there, or None."""
    from labkit.io.data_files import read_json

    file = run_dir / DATA_FILE
    return read_json(file) if file.exists() else None


def data_options(args, stored: Path | None) -> dict:
    """The options that say which data, with absolute paths; a resumed run keeps its own.

    Args:
        args: of `labkit train`.
        stored: the folder of the run that is resumed; None for a new one.

    Returns:
        The choice, see `labkit.commands.sources`, with "cache" where there is one.
    """
    files = ("annotations", "images", "val_annotations", "val_images")
    cache = {"cache": os.path.abspath(args.cache)} if args.cache else {}
    choice = {f: os.path.abspath(path) for f in files if (path := getattr(args, f))}
    if data := args.data:  # resumed from another folder, it is still the same
        choice["data"] = os.path.abspath(data) if os.path.exists(data) else data
    if args.reader:
        choice["reader"] = args.reader
    size = args.image_size if isinstance(args.image_size, int) else None
    if vars(args).get("skip_broken"):
        choice["skip_broken"] = True
    before = remembered(stored) if stored else None
    if before and all(before.get(name) == value for name, value in choice.items()):
        refuse_another_size(size, before, stored)
        return before | cache
    return {"data": None} | choice | cache | {"image_size": size}


def refuse_another_size(size: int | None, before: dict, run_dir: Path) -> None:
    """Raises LabkitError where drawn pictures would get another size than the run began with."""
    from labkit.data.catalogue import find

    if not is_drawn(before.get("data")):
        return
    drawn = before.get("image_size") or find(before["data"]).side
    if size not in (None, drawn):
        raise LabkitError(
            f"--image-size {size}: {run_dir} was started on pictures of {drawn} pixels; leave it "
            "out, or start another run."
        )


def note_if_seen(run: str | Path, choice: dict) -> None:
    """Print a note where a model is about to be measured on all of its own training pictures.

    Args:
        run: a run's folder, or a checkpoint of one.
        choice: what it is measured on, see `labkit.commands.sources`.
    """
    from labkit.data.load import is_training_part
    from labkit.weights.runs import run_of

    run_dir = run_of(run)
    started_on = remembered(run_dir) or {}
    data, annotations = choice.get("data"), choice.get("annotations")
    if data and os.path.exists(data):
        same = started_on.get("data") == os.path.abspath(data)
        format = (choice.get("reader") or {}).get("format")
        seen = same and is_training_part(data, choice.get("split"), format)
    elif data:  # of the catalogue
        seen = started_on.get("data") == data and choice.get("split") == "train"
    else:
        seen = bool(annotations) and started_on.get("annotations") == os.path.abspath(annotations)
    if seen:
        print(
            f"note: {run_dir} was trained on these very pictures, so the numbers say how well it "
            "remembers them; keep some apart.",
            file=sys.stderr,
        )
