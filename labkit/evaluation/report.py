"""An Evaluation in print: the twelve COCO numbers with what each means, then the classes."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.evaluation.result import Evaluation

KINDS = {"bbox": "boxes", "segm": "masks"}
DASH = "–"  # printed for COCO's -1: there is nothing to measure
DASH_NOTE = f"{DASH} means that the ground truth holds no such object, so there is no number."

AP_MEANINGS = {
    "AP": "mean over IoU 0.50, 0.55, … 0.95: the COCO score",
    "AP50": "found: IoU of at least 0.50",
    "AP75": "outlined well: IoU of at least 0.75",
    "APs": "small objects, area below 32² pixels",
    "APm": "medium objects, 32² to 96² pixels",
    "APl": "large objects, above 96² pixels",
}
SIZE_RECALLS = {
    "ARs": "recall of small objects",
    "ARm": "recall of medium objects",
    "ARl": "recall of large objects",
}


def meanings(limits: tuple[int, ...]) -> dict[str, str]:
    """Key -> what the number means; `limits` are the detections allowed per image and class."""
    recalls = {
        f"AR{n}": f"recall with at most {n} detection{'s' if n > 1 else ''} per image and class"
        for n in limits
    }
    return {**AP_MEANINGS, **recalls, **SIZE_RECALLS}


def limits(max_dets: int) -> tuple[int, ...]:
    """The detections per image and class at which recall is measured: 1, 10 and max_dets."""
    return (*(n for n in (1, 10) if n < max_dets), max_dets)


def number(value: float) -> str:
    """0.123, or a dash for COCO's -1."""
    return DASH if value < 0 else f"{value:.3f}"


def class_rows(evaluation: "Evaluation") -> list[tuple[str, dict]]:
    """(name, numbers) best AP first (by masks if there are any), classes without truth last."""
    kind = "segm" if evaluation.segm else "bbox"
    return sorted(evaluation.per_class.items(), key=lambda item: -item[1][kind]["AP"])


def _counts(evaluation: "Evaluation") -> str:
    def plural(count: int, word: str) -> str:
        return f"{count} {word}{'' if count == 1 else 's'}"

    crowds = f" and {plural(evaluation.crowds, 'crowd')}" if evaluation.crowds else ""
    return (
        f"{plural(evaluation.images, 'image')}, {plural(evaluation.objects, 'object')}{crowds}, "
        f"{plural(len(evaluation.results), 'detection')} "
        f"(at most {evaluation.max_dets} per image and class)"
    )


def _kinds(evaluation: "Evaluation") -> dict[str, dict]:
    return {kind: getattr(evaluation, kind) for kind in KINDS if getattr(evaluation, kind)}


def _notes(evaluation: "Evaluation") -> list[str]:
    """The evaluation's notes, and what a dash means if one was printed."""
    printed = [value for numbers in _kinds(evaluation).values() for value in numbers.values()]
    for _, numbers in class_rows(evaluation):
        printed += [numbers[kind]["AP"] for kind in _kinds(evaluation)]
    return ([DASH_NOTE] if min(printed) < 0 else []) + evaluation.notes


def as_text(evaluation: "Evaluation") -> str:
    """The table for a terminal."""
    kinds = _kinds(evaluation)
    lines = [_counts(evaluation), ""]
    lines.append(" " * 7 + "".join(f"{KINDS[kind]:>8}" for kind in kinds))
    for key, meaning in meanings(limits(evaluation.max_dets)).items():
        values = "".join(f"{number(numbers[key]):>8}" for numbers in kinds.values())
        lines.append(f"{key:<7}{values}   {meaning}")

    rows = class_rows(evaluation)
    wide = max(5, *(len(name) for name, _ in rows))
    groups = [f"{KINDS[kind]:>8}{'':16}" for kind in kinds]
    heads = [f"{'AP':>8}{'AP50':>8}{'AP75':>8}" for _ in kinds]
    lines += ["", (" " * (wide + 11) + "  ".join(groups)).rstrip()]
    lines += [f"{'class':<{wide}}{'objects':>9}  " + "  ".join(heads)]
    for name, numbers in rows:
        cells = ["".join(f"{number(v):>8}" for v in numbers[kind].values()) for kind in kinds]
        lines.append(f"{name:<{wide}}{numbers['objects']:>9}  " + "  ".join(cells))
    notes = _notes(evaluation)
    return "\n".join(lines + [""] * bool(notes) + notes)


def as_html(evaluation: "Evaluation") -> str:
    """Two tables for a notebook. Class names come from files, so they are escaped."""
    kinds = _kinds(evaluation)
    head = "".join(f"<th scope='col'>{KINDS[kind]}</th>" for kind in kinds)
    rows = []
    for key, meaning in meanings(limits(evaluation.max_dets)).items():
        cells = "".join(f"<td>{number(numbers[key])}</td>" for numbers in kinds.values())
        rows.append(
            f"<tr><th scope='row'>{key}</th>{cells}"
            f"<td style='text-align:left'>{escape(meaning)}</td></tr>"
        )
    overall = (
        f"<table><caption>{escape(_counts(evaluation))}</caption>"
        f"<thead><tr><th></th>{head}<th></th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(evaluation))
    return f"<div>{overall}{_classes_html(evaluation, kinds)}{notes}</div>"


def _classes_html(evaluation: "Evaluation", kinds: dict[str, dict]) -> str:
    groups = "".join(f"<th scope='colgroup' colspan='3'>{KINDS[kind]}</th>" for kind in kinds)
    columns = "<th scope='col'>AP</th><th scope='col'>AP50</th><th scope='col'>AP75</th>"
    rows = []
    for name, numbers in class_rows(evaluation):
        cells = "".join(f"<td>{number(v)}</td>" for kind in kinds for v in numbers[kind].values())
        rows.append(
            f"<tr><th scope='row'>{escape(name)}</th><td>{numbers['objects']}</td>{cells}</tr>"
        )
    return (
        "<table><caption>Per class, best first</caption>"
        f"<thead><tr><th></th><th></th>{groups}</tr><tr><th scope='col'>class</th>"
        f"<th scope='col'>objects</th>{columns * len(kinds)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
