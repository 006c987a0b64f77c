"""Which exercises a learner has solved: one small file of their own, on their own machine."""

import json
import os
from datetime import date
from html import escape
from pathlib import Path

from platformdirs import user_data_path

from labkit.course.exercise import Task
from labkit.course.exercises import EXERCISES
from labkit.io.data_files import write_json


def progress_file() -> Path:
    """Where progress is kept: $LABKIT_PROGRESS, or the user's data folder of this system."""
    given = os.environ.get("LABKIT_PROGRESS")
    return Path(given) if given else user_data_path("labkit") / "progress.json"


def solved() -> dict[str, str]:
    """{exercise: the day it was solved}; empty if there is no (readable) file yet."""
    try:
        stored = json.loads(progress_file().read_text("utf-8"))
        return {str(k): str(v) for k, v in stored["solved"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def note(exercise: Task) -> None:
    """Saves that an exercise is solved; a file that cannot be written is no error."""
    done = solved()
    if exercise.name in done:
        return
    path = progress_file()
    try:
        values = {"solved": done | {exercise.name: date.today().isoformat()}}
        write_json(path, values, indent=1)
    except OSError:
        pass


class Progress:
    """The exercises of the course, notebook by notebook, solved and open."""

    def __init__(self):
        done = solved()
        self.notebooks = {}
        for exercise in EXERCISES.values():
            rows = self.notebooks.setdefault(exercise.notebook, [])
            rows.append((exercise.title, exercise.name in done))

    def __str__(self) -> str:
        lines = []
        for notebook, rows in self.notebooks.items():
            lines.append(f"{notebook}: {sum(d for _, d in rows)} of {len(rows)} exercises solved")
            lines += [f"  {'✓' if d else '·'} {title}" for title, d in rows]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = []
        for notebook, rows in self.notebooks.items():
            items = "".join(f"<li>{'✓' if d else '·'} {escape(t)}</li>" for t, d in rows)
            count = f"{sum(d for _, d in rows)} of {len(rows)} solved"
            parts.append(
                f"<details><summary>{escape(notebook)}: {count}</summary>"
                f'<ul style="list-style:none">{items}</ul></details>'
            )
        return "".join(parts)


def show_progress() -> Progress:
    """The exercises that this user has solved so far on this machine."""
    return Progress()
