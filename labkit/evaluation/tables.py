"""An Evaluation as text and as HTML: the twelve COCO numbers, what they mean, and the classes."""

from html import escape
from typing import TYPE_CHECKING

from labkit.errors import counted, printable
from labkit.evaluation.coco_conventions import COCO_AREAS, detection_limits

if TYPE_CHECKING:
    from labkit.evaluation.result import Evaluation

KINDS = {"bbox": "boxes", "segm": "masks"}
DASH = "–"  # printed for COCO's -1: no ground truth to measure on
DASH_NOTE = f"{DASH} means that the ground truth holds no such object, so there is no number."

COCO_SIZES = {
    "s": "small objects, area below 32² pixels",
    "m": "medium objects, 32² to 96² pixels",
    "l": "large objects, above 96² pixels",
}
QUALITY = {"AP50": "found: IoU of at least 0.50", "AP75": "outlined well: IoU of at least 0.75"}
PER_CLASS = ("AP", "AP50", "AP75")


def meanings(evaluation: "Evaluation") -> dict[str, str]:
    """The name of each number -> what it means."""
    ious = next(iter(evaluation.curves.values())).iou_thresholds
    usual = len(ious) == 10 and abs(ious - [0.5 + 0.05 * t for t in range(10)]).max() < 1e-9
    listed = "0.50, 0.55, … 0.95: the COCO score" if usual else ", ".join(f"{t:g}" for t in ious)
    known = {"AP": f"mean over IoU {listed}", **QUALITY}
    for n in detection_limits(evaluation.max_dets):
        plural = "s" if n > 1 else ""
        known[f"AR{n}"] = f"recall with at most {n} detection{plural} per image and class"
    for name, (low, high) in evaluation.area_ranges.items():
        if (low, high) == COCO_AREAS.get(name):
            size = COCO_SIZES[name]
        elif high < COCO_AREAS["l"][1]:
            size = f"objects of {low:g} to {high:g} pixels"
        else:
            size = f"objects of at least {low:g} pixels"
        known |= {f"AP{name}": size, f"AR{name}": f"recall of {size.split(',')[0]}"}
    numbers = next(iter(_kinds(evaluation).values()))
    return {name: known[name] for name in numbers}


def number(value: float) -> str:
    """0.123, or a dash for COCO's -1."""
    return DASH if value < 0 else f"{value:.3f}"


def class_rows(evaluation: "Evaluation") -> list[tuple[str, dict]]:
    """(name, numbers), best AP first (by masks if there are any), without ground truth last."""
    kind = "segm" if evaluation.segm else "bbox"
    return sorted(evaluation.per_class.items(), key=lambda item: -item[1][kind]["AP"])


def _counts(evaluation: "Evaluation") -> str:
    crowds = f" and {counted(evaluation.crowds, 'crowd')}" if evaluation.crowds else ""
    return (
        f"{counted(evaluation.images, 'image')}, {counted(evaluation.objects, 'object')}{crowds}, "
        f"{counted(len(evaluation.results), 'detection')} "
        f"(at most {evaluation.max_dets} per image and class)"
    )


def _kinds(evaluation: "Evaluation") -> dict[str, dict]:
    return {kind: getattr(evaluation, kind) for kind in KINDS if getattr(evaluation, kind)}


def _notes(evaluation: "Evaluation") -> list[str]:
    """The evaluation's notes, and the meaning of a dash if one is printed."""
    printed = [value for numbers in _kinds(evaluation).values() for value in numbers.values()]
    for _, numbers in class_rows(evaluation):
        printed += [numbers[kind]["AP"] for kind in _kinds(evaluation)]
    return ([DASH_NOTE] if min(printed) < 0 else []) + evaluation.notes


def as_text(evaluation: "Evaluation") -> str:
    """The table for a terminal."""
    kinds = _kinds(evaluation)
    lines = [_counts(evaluation), ""]
    lines.append(" " * 7 + "".join(f"{KINDS[kind]:>8}" for kind in kinds))
    for key, meaning in meanings(evaluation).items():
        values = "".join(f"{number(numbers[key]):>8}" for numbers in kinds.values())
        lines.append(f"{key:<7}{values}   {meaning}")

    lines += ["", *_by_iou(evaluation)]
    rows = [(printable(name), numbers) for name, numbers in class_rows(evaluation)]
    wide = max(5, *(len(name) for name, _ in rows))
    columns = _class_columns(evaluation)
    groups = [f"{KINDS[kind]:>8}{'':{8 * len(columns) - 8}}" for kind in kinds]
    heads = ["".join(f"{column:>8}" for column in columns) for _ in kinds]
    lines += ["", (" " * (wide + 11) + "  ".join(groups)).rstrip()]
    lines += [f"{'class':<{wide}}{'objects':>9}  " + "  ".join(heads)]
    for name, numbers in rows:
        cells = ["".join(f"{number(numbers[kind][c]):>8}" for c in columns) for kind in kinds]
        lines.append(f"{name:<{wide}}{numbers['objects']:>9}  " + "  ".join(cells))
    notes = _notes(evaluation)
    return "\n".join(lines + [""] * bool(notes) + notes)


def _by_iou(evaluation: "Evaluation") -> list[str]:
    """A line of thresholds, and below it AP at each of them."""
    curves = evaluation.curves
    ious = next(iter(curves.values())).iou_thresholds
    lines = [f"{'AP at IoU':<11}" + "".join(f"{iou:>7.2f}" for iou in ious)]
    for kind, curve in curves.items():
        values = "".join(f"{number(value):>7}" for value in curve.ap_by_iou().values())
        lines.append(f"{KINDS[kind]:<11}{values}")
    return lines


def _class_columns(evaluation: "Evaluation") -> list[str]:
    numbers = next(iter(_kinds(evaluation).values()))
    return [name for name in PER_CLASS if name in numbers]


def as_html(evaluation: "Evaluation") -> str:
    """The tables for a notebook. Class names come from files, so they are escaped."""
    kinds = _kinds(evaluation)
    head = "".join(f"<th scope='col'>{KINDS[kind]}</th>" for kind in kinds)
    rows = []
    for key, meaning in meanings(evaluation).items():
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
    return (
        f"<div>{overall}{_by_iou_html(evaluation)}{_classes_html(evaluation, kinds)}{notes}</div>"
    )


def _by_iou_html(evaluation: "Evaluation") -> str:
    curves = evaluation.curves
    ious = next(iter(curves.values())).iou_thresholds
    head = "".join(f"<th scope='col'>{iou:.2f}</th>" for iou in ious)
    rows = "".join(
        f"<tr><th scope='row'>{KINDS[kind]}</th>"
        + "".join(f"<td>{number(value)}</td>" for value in curve.ap_by_iou().values())
        + "</tr>"
        for kind, curve in curves.items()
    )
    return (
        "<table><caption>AP at each IoU threshold</caption>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _classes_html(evaluation: "Evaluation", kinds: dict[str, dict]) -> str:
    columns = _class_columns(evaluation)
    groups = "".join(
        f"<th scope='colgroup' colspan='{len(columns)}'>{KINDS[kind]}</th>" for kind in kinds
    )
    heads = "".join(f"<th scope='col'>{column}</th>" for column in columns)
    rows = []
    for name, numbers in class_rows(evaluation):
        cells = "".join(f"<td>{number(numbers[kind][c])}</td>" for kind in kinds for c in columns)
        rows.append(
            f"<tr><th scope='row'>{escape(name)}</th><td>{numbers['objects']}</td>{cells}</tr>"
        )
    return (
        "<table><caption>Per class, best first</caption>"
        f"<thead><tr><th></th><th></th>{groups}</tr><tr><th scope='col'>class</th>"
        f"<th scope='col'>objects</th>{heads * len(kinds)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
