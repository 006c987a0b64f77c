"""What a run was started on and from: remembered in its folder, asked for when it goes on.

Which data it was started on is asked for when it is measured, too.
"""

import os
import sys
from pathlib import Path

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


def note_if_seen(run: str | Path, choice: dict) -> None:
    """Say so where a run, or a checkpoint of one, is about to be measured on all the pictures that
    it was trained on."""
    from labkit.data.load import is_training_part
    from labkit.weights.runs import run_of

    run_dir = run_of(run)
    started_on = remembered(run_dir) or {}
    data, annotations = choice.get("data"), choice.get("annotations")
    if data and os.path.exists(data):
        same = started_on.get("data") == os.path.abspath(data)
        seen = same and is_training_part(data, choice.get("split"))
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
