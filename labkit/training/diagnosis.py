"""What went wrong in a run, found in what the run wrote down of itself.

    labkit.diagnose("runs/mine")      in a notebook
    labkit doctor runs/mine           in a terminal

Every check is a function from the record to a finding or none: what it is called, the numbers that
say so, and what to do. A check that the record does not suffice for (too few steps, no validation)
finds nothing; thresholds are such that the presets on their own data find nothing either.
"""

import html
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from labkit.errors import LabkitError, listed
from labkit.io.data_files import read_json
from labkit.io.history import History
from labkit.models.detector import Finding
from labkit.models.registry import detector_of_run
from labkit.training.callbacks import BROKEN
from labkit.training.watched_batches import SEEN
from labkit.weights.runs import read_run

SHORT = 60  # steps; what a loss does in fewer says nothing
FLAT = 0.05  # a loss that has fallen by less has not fallen
USUAL_UPDATE = 1e-3  # |change of weights| / |weights| in a step
LOW_UPDATE, HIGH_UPDATE = 3e-5, 0.2  # far from usual, in the middle of a run
STARVED = 0.3  # of the time spent waiting for batches
SETTLING = 5  # first steps of a stage, which compile and fill the queue


@dataclass(frozen=True)
class Diagnosis:
    """The findings of a run, the gravest first; `notes` says what could not be looked at."""

    run: str
    steps: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.run}: {self.steps} steps, {_findings(len(self.findings))}."]
        for finding in self.findings:
            lines += [
                "",
                finding.name,
                f"  evidence: {finding.evidence}",
                f"  remedy:   {finding.remedy}",
            ]
        return "\n".join([*lines, *(f"\nNote: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def row(f):
            return "".join(
                f"<td style='text-align:left'>{html.escape(text)}</td>"
                for text in (f.name, f.evidence, f.remedy)
            )

        rows = "".join(f"<tr>{row(f)}</tr>" for f in self.findings)
        head = "<tr><th>finding</th><th>evidence</th><th>remedy</th></tr>" if rows else ""
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        title = f"{self.run}: {self.steps} steps, {_findings(len(self.findings))}."
        return f"<p>{html.escape(title)}</p><table>{head}{rows}</table>{notes}"


def _findings(count: int) -> str:
    return {0: "no finding", 1: "1 finding"}.get(count, f"{count} findings")


def diagnose(run_dir: str | Path) -> Diagnosis:
    """What is wrong with a run, from its folder; the run may still be going on.

    Raises LabkitError where the folder holds no run, or none that has taken a step.
    """
    record = _Record(Path(run_dir))
    if not record.history.rows:
        raise LabkitError(f"{run_dir}/history.csv: no step is written down yet; let the run go on.")
    findings = tuple(finding for check in record.checks for finding in check(record))
    notes = ()
    if not record.history.vitals:
        notes = (
            "vitals.csv is missing (the run is of an older labkit): proposals, background, "
            "updates and waiting were not looked at.",
        )
    return Diagnosis(str(run_dir), len(record.history), findings, notes)


class _Record:
    """What a run wrote down, and the few numbers that several checks want."""

    def __init__(self, run_dir: Path):
        self.run = read_run(run_dir)
        config, detector = detector_of_run(self.run)
        self.config, self.settings = config.to_dict(), self.run["settings"]
        self.history = History.load(run_dir)
        self.seen = read_json(run_dir / SEEN) if (run_dir / SEEN).exists() else {}
        self.broken = read_json(run_dir / BROKEN) if (run_dir / BROKEN).exists() else None
        losses = np.array([[row[n] for n in detector.LOSSES] for row in self.history.rows], float)
        losses = losses.reshape(-1, len(detector.LOSSES))
        losses = losses[np.isfinite(losses).all(axis=1)]
        # By the config's weights: those of stages differ, and sums could not be compared.
        weights = [config.loss_weights[name] for name in detector.LOSSES]
        self.totals = losses @ np.asarray(weights)
        guesses = detector.guessing(len(self.run["class_names"]))
        self.guessing = sum(guesses[name] * config.loss_weights[name] for name in detector.LOSSES)
        # The most serious first.
        self.checks = (*FIRST_CHECKS, *detector.checks, *LAST_CHECKS)
        self.signs = detector.SIGNS

    @property
    def steps(self) -> int:
        """How many steps with finite losses were taken."""
        return len(self.totals)

    @property
    def begin(self) -> float:
        """The loss at the beginning."""
        return float(np.median(self.totals[: max(5, len(self.totals) // 20)]))

    @property
    def end(self) -> float:
        """The loss in the last tenth."""
        return float(np.median(self.totals[-max(5, len(self.totals) // 10) :]))

    def vital(self, name: str) -> np.ndarray:
        """A column of the vital signs, without NaN."""
        values = np.array([row[name] for row in self.history.vitals], float)
        return values[np.isfinite(values)]

    def lately(self, name: str) -> float:
        """The mean of a vital sign over the last quarter of the run; NaN where there is none."""
        values = self.vital(name)
        return float(values[-max(1, len(values) // 4) :].mean()) if len(values) else math.nan

    @property
    def update(self) -> float:
        """The usual change of the weights in a step, relative to them; NaN if never looked at."""
        values = self.vital("update")
        return float(np.median(values)) if len(values) else math.nan


# --- the checks -------------------------------------------------------------------------


def broken_loss(r: _Record) -> Iterator[Finding]:
    if r.broken is None:
        return
    gradients = r.vital("gradient")
    before = f"; gradients had a norm of {np.median(gradients):.3g}" if len(gradients) else ""
    yield Finding(
        "a loss is not a number",
        f"step {r.broken['step']}: {' and '.join(r.broken['losses'])}, on the images "
        f"{r.broken['images']}, at a learning rate of {r.history.rows[-1]['lr']:.2g}{before}",
        "resume from the checkpoint with clip_norm 1 to 5 or a tenth of the rate (a new run); if "
        "it is always the same images, look at their boxes with labkit inspect --check.",
    )


def learning_rate(r: _Record) -> Iterator[Finding]:
    if len(r.totals) < SHORT:
        return
    window = max(5, len(r.totals) // 20)
    levels = [float(np.median(part)) for part in np.array_split(r.totals, len(r.totals) // window)]
    lowest, wild = min(levels), float((r.totals > 5 * np.median(r.totals)).mean())
    rate = max(r.history["lr"])
    numbers = f"learning rate up to {rate:.2g}" + (
        f", weights change by {r.update:.1g} of themselves a step (usual: {USUAL_UPDATE:g})"
        if math.isfinite(r.update)
        else ""
    )
    if r.end > 1.3 * lowest or wild > 0.02 or r.update > HIGH_UPDATE:
        yield Finding(
            "the learning rate is too high",
            f"the loss ends at {r.end:.3g} after {lowest:.3g} at its lowest (medians over windows "
            f"of at least {window} steps), {wild:.0%} of the steps are beyond five times its "
            f"median; {numbers}",
            f"try {rate / 10:.1g}, a longer warm-up (warmup_steps) or clip_norm.",
        )
    elif r.update < LOW_UPDATE and r.end > 0.5 * r.begin:
        yield Finding(
            "the learning rate is too low",
            f"{numbers}; the loss went from {r.begin:.3g} to {r.end:.3g}",
            f"try {rate * 10:.1g}, then ten times that, as long as the loss stays calm.",
        )


def flat_loss(r: _Record) -> Iterator[Finding]:
    # A model that was trained before begins low and may stay there: that is no fault.
    if len(r.totals) < SHORT or r.end < (1 - FLAT) * r.begin or r.end < 0.6 * r.guessing:
        return
    yield Finding(
        "the loss never falls",
        f"{r.begin:.3g} at the beginning, {r.end:.3g} at the end of {len(r.totals)} steps; "
        f"guessing gives {r.guessing:.3g}",
        "overfit eight images first: if that fails too, look at the learning rate, at what the "
        "stages freeze and at loss_weights; if it works, look at the labels with labkit inspect.",
    )


def anchors(r: _Record) -> Iterator[Finding]:
    if r.seen.get("boxes", 0) < 20 or r.seen["uncovered"] < 0.5:
        return
    low, middle, high = r.seen["sizes"]
    sizes = ", ".join(f"{size:g}" for size in r.config["anchor_sizes"])
    yield Finding(
        "the anchors do not fit the objects",
        f"{r.seen['uncovered']:.0%} of {r.seen['boxes']} objects have no anchor with an IoU of "
        f"0.5; objects measure {low:g} to {high:g} px (median {middle:g}), anchors {sizes} px",
        "take the anchors that labkit inspect suggests (anchor_sizes, anchor_ratios), or let "
        "fit_to_data choose; or change the image size.",
    )


def classes(r: _Record) -> Iterator[Finding]:
    counts, known = r.seen.get("objects", {}), set(r.run["class_names"])
    if r.seen.get("images", 0) >= r.run["images"] and (
        missing := [n for n, c in counts.items() if not c]
    ):
        yield Finding(
            "there are more classes than the data have",
            f"{len(missing)} of {len(counts)} classes have no object in {r.seen['images']} "
            f"training images: {listed(missing)}",
            "make model and data of the classes that occur (dataset.keep_classes, prune), or look "
            "why those objects are left out: labkit inspect counts them.",
        )
    validation = (r.run.get("validation") or {}).get("class_names", r.run["class_names"])
    if set(validation) != known:
        odd = sorted(known ^ set(validation))
        yield Finding(
            "validation has other classes than training",
            f"{len(known)} classes in training, {len(validation)} in validation; in one of them "
            f"only: {listed(odd)}",
            "give both the same class names, spelt alike (keep_classes, group_classes).",
        )


def no_ap(r: _Record) -> Iterator[Finding]:
    if not r.history.validation or len(r.totals) < SHORT:
        return
    row = r.history.validation[-1]
    best = max(row["bbox_AP"], row["segm_AP"])
    if not 0 <= best < 0.01 or r.end > 0.7 * r.begin:
        return
    named = ""
    if "right" in r.signs:  # the share of training objects that get the right class
        if not r.lately("right") > 0.5:
            return
        named = f" and {r.lately('right'):.0%} of the training objects get the right class"
    yield Finding(
        "AP is 0 though the loss falls",
        f"the loss fell from {r.begin:.3g} to {r.end:.3g}{named}, but AP on the validation images "
        f"is {best:.3f} at step {row['step']}",
        "compare detections with the truth there (labkit.training.film.read_film): class ids of "
        "another order, boxes of another convention or size, other pictures than in training.",
    )


def starvation(r: _Record) -> Iterator[Finding]:
    stages = np.array(r.history["stage"])[: len(r.history.vitals)]
    begins = np.flatnonzero(np.diff(stages, prepend=-1))
    settled = [i for i in range(len(stages)) if i - begins[begins <= i][-1] >= SETTLING]
    if len(settled) < 20:
        return
    rows = [r.history.vitals[i] for i in settled]
    spent, waited = (sum(row[name] for row in rows) for name in ("seconds", "waiting"))
    if waited < STARVED * spent:
        return
    yield Finding(
        "the model waits for its data",
        f"{waited / spent:.0%} of {spent:.0f} s were spent waiting for batches: "
        f"{waited / len(rows):.2g} s of {spent / len(rows):.2g} s a step",
        "keep decoded images in a cache (train(cache=FOLDER)), store them in the size that "
        "training sees, or train on a machine with more cores to a GPU.",
    )


FIRST_CHECKS = (broken_loss, learning_rate, flat_loss, classes, anchors)
LAST_CHECKS = (no_ap, starvation)
