"""What a run wrote down of itself: a row a step, and a row a validation, as CSV files.

    history.csv             a row a step: stage, learning rate, the weighted total, each loss
    vitals.csv              a row a step: its seconds and the detector's vital signs
    validation.csv          a row a validation: box and mask AP
    validation_losses.csv   a row a look at the validation images: the same losses

A step is one batch; with TrainSettings.accumulate above 1 the weights change once in several.
"""

import csv
import sys
from pathlib import Path

from labkit.errors import LabkitError
from labkit.io.whole_file import whole_file

COLUMNS = ("step", "stage", "lr", "total")  # then the losses, each by its name
EARLIER = {"stage": 1}  # columns that a run of an older labkit lacks
TABLES = {
    "rows": "history.csv",
    "validation": "validation.csv",
    "vitals": "vitals.csv",
    "validation_losses": "validation_losses.csv",
}
WHOLE = ("step", "stage")  # columns of whole numbers


class History:
    """Rows of numbers by step. `history["mask"]` is a column, `history["step"]` its abscissa.

    rows, validation, vitals, validation_losses: the four tables, lists of dicts that have a "step".
    """

    def __init__(
        self,
        rows: list[dict] | None = None,
        validation: list[dict] | None = None,
        vitals: list[dict] | None = None,
        validation_losses: list[dict] | None = None,
    ):
        self.rows, self.validation = rows or [], validation or []
        self.vitals, self.validation_losses = vitals or [], validation_losses or []

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        if not self.rows:
            return "History(empty)"
        last = self.rows[-1]
        return f"History({len(self.rows)} steps, last loss {last['total']:.3f})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of history.csv."""
        return tuple(self.rows[0]) if self.rows else COLUMNS

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the losses, in their order."""
        return tuple(name for name in self.columns if name not in COLUMNS)

    def to_dict(self) -> dict[str, list[float]]:
        """A list of numbers for every column."""
        return {name: self[name] for name in self.columns}

    def cut_after(self, step: int) -> "History":
        """The history as it was after `step` steps: what a resumed run starts from."""
        return History(
            **{name: [row for row in getattr(self, name) if row["step"] <= step] for name in TABLES}
        )

    def save(self, run_dir: Path) -> None:
        for name, file in TABLES.items():
            rows = getattr(self, name)
            if rows or name == "rows":
                columns = self.columns if name == "rows" else tuple(rows[0])
                _write_csv(run_dir / file, rows, columns)
            else:  # what was there is of steps that a resumed run has yet to take
                (run_dir / file).unlink(missing_ok=True)

    @classmethod
    def load(cls, run_dir: str | Path, *, repair: bool = False) -> "History":
        """What a run wrote down.

        Args:
            run_dir: its folder.
            repair: keep what is before the damaged part of a file, and say so on stderr.

        Raises:
            LabkitError: a file is damaged, and repair is False.
        """
        tables = {name: _read_csv(Path(run_dir) / file, repair) for name, file in TABLES.items()}
        tables["rows"] = [EARLIER | row for row in tables["rows"]]
        return cls(**tables)


def _write_csv(path: Path, rows: list[dict], columns) -> None:
    with whole_file(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _read_csv(path: Path, repair: bool) -> list[dict]:
    """The rows of a table; those of a damaged one up to the first that is wrong, if `repair`."""
    if not path.exists():
        return []
    rows = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                rows.append(_numbers(row))
                if len(rows) > 1 and rows[-1]["step"] <= rows[-2]["step"]:
                    rows.pop()
                    raise ValueError("steps that do not rise")
        except (ValueError, KeyError, TypeError, csv.Error):
            sentence = f"{path} is damaged from line {reader.line_num} on"
            if not repair:
                raise LabkitError(
                    f"{sentence}: remove what follows, or resume the run, which does that."
                ) from None
            print(f"{sentence}; the {len(rows)} rows before are kept.", file=sys.stderr)
    return rows


def _numbers(row: dict[str, str]) -> dict[str, float]:
    """A row of text as numbers; every row has a step."""
    return {"step": int(row["step"])} | {
        name: int(text) if name in WHOLE else float(text) for name, text in row.items()
    }
