"""Where a run begins: at its first step, or after its newest intact checkpoint."""

import sys
from pathlib import Path

from labkit.io.history import TABLES, History
from labkit.training.callbacks import BROKEN
from labkit.training.checkpoints import remove_checkpoint, remove_leftovers
from labkit.training.film import cut_film
from labkit.training.record import prepare_run
from labkit.training.validation import forget_best
from labkit.weights.runs import WEIGHTS, checkpoints_of, intact_checkpoint, state_of


def open_run(run_dir: Path, record: dict, resume: bool) -> dict:
    """Make or find the run's folder; nothing in it is changed but what a killed process left.

    Returns:
        A dict: the checkpoint to continue from ("" for none), the steps that are behind it, and
        the tables of the history so far.

    Raises:
        LabkitError: the folder holds a run and resume is False, it holds another run, or one of
            which every checkpoint is damaged.
    """
    prepare_run(run_dir, record, resume)
    remove_leftovers(run_dir)
    checkpoint = intact_checkpoint(run_dir)
    step = state_of(checkpoint)["step"] if checkpoint else 0
    history = History.load(run_dir, repair=True).cut_after(step) if checkpoint else History()
    missing = step - len(history)
    if missing:
        print(
            f"{run_dir / TABLES['rows']} lacks {missing} of the {step} steps behind the "
            "checkpoint; the run goes on from the checkpoint.",
            file=sys.stderr,
        )
    return {
        "checkpoint": str(checkpoint or ""),
        "step": step,
        "tables": {name: getattr(history, name) for name in TABLES},
    }


def cut_after(run_dir: Path, step: int, last: int) -> None:
    """Of what an interrupted run left, forget what lies beyond its last checkpoint."""
    if step == 0:
        forget_best(run_dir)
    if step < last:  # final weights there are again when the run is complete again
        (run_dir / WEIGHTS).unlink(missing_ok=True)
    for newer in checkpoints_of(run_dir):  # damaged, or the run would go on from it
        if newer.name > f"step-{step:08d}":
            remove_checkpoint(newer)
    cut_film(run_dir, step)
    (run_dir / BROKEN).unlink(missing_ok=True)
