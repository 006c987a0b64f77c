"""What a run wrote down of itself: a row a step, and a row a validation, as CSV files."""

import csv
from pathlib import Path

from labkit.losses import LOSS_NAMES

COLUMNS = ("step", "lr", "total", *LOSS_NAMES)


class History:
    """Rows of numbers by step. `history["mask"]` is a column, `history["step"]` its abscissa."""

    def __init__(self, rows: list[dict] | None = None, validation: list[dict] | None = None):
        self.rows = rows or []
        self.validation = validation or []

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        if not self.rows:
            return "History(empty)"
        last = self.rows[-1]
        return f"History({len(self.rows)} steps, last loss {last['total']:.3f})"

    def to_dict(self) -> dict[str, list[float]]:
        return {name: self[name] for name in COLUMNS}

    def cut_after(self, step: int) -> "History":
        """The history as it was after `step` steps: what a resumed run starts from."""
        return History([r for r in self.rows if r["step"] <= step],
                       [r for r in self.validation if r["step"] <= step])  # fmt: skip

    def save(self, run_dir: Path) -> None:
        _write_csv(run_dir / "history.csv", self.rows, COLUMNS)
        if self.validation:
            _write_csv(run_dir / "validation.csv", self.validation, tuple(self.validation[0]))

    @classmethod
    def load(cls, run_dir: str | Path) -> "History":
        run_dir = Path(run_dir)
        return cls(_read_csv(run_dir / "history.csv"), _read_csv(run_dir / "validation.csv"))


def _write_csv(path: Path, rows: list[dict], columns) -> None:
    draft = path.with_suffix(".part")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(path)  # whole or not at all


def _read_csv(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: int(v) if k == "step" else float(v) for k, v in row.items()}
                for row in csv.DictReader(file)]  # fmt: skip
