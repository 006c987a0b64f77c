"""One HTML page with all analyses of one or more evaluations on the same data, runs side by side.

The entry point: write_evaluation_page({"first": one, "second": other}, "page.html", dataset=data)
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import LabkitError, counted, printable
from labkit.evaluation.ap_variants import (
    cityscapes_ap,
    class_image_ap,
    mean_image_ap,
    region_ap,
)
from labkit.evaluation.calibration import calibration
from labkit.evaluation.comparison import Comparison, compare
from labkit.evaluation.conditions import CONDITIONS, under_condition
from labkit.evaluation.confusion import confusion_matrix, mean_overlaps, without_empty_classes
from labkit.evaluation.error_types import ERROR_TYPES, error_types
from labkit.evaluation.per_image import CRITERIA, image_scores, worst_images
from labkit.evaluation.result import Evaluation
from labkit.evaluation.tables import KINDS, meanings
from labkit.evaluation.thresholds import ThresholdCurve, pooled, threshold_curves
from labkit.io.data_files import write_text
from labkit.reports.page import Page, figure, paragraph, table
from labkit.viz.agreement import worst_gallery
from labkit.viz.calibration import calibration_figure
from labkit.viz.conditions import condition_figure
from labkit.viz.confusion import confusion_figure, overlap_figure
from labkit.viz.error_types import error_type_figure
from labkit.viz.precision_recall import pr_curves
from labkit.viz.thresholds import f1_bars, raw_pr_figure, threshold_figure

SHOWN_WORST = 6  # images in a gallery
GALLERIES = ("f1", "highest_false_positive", "mean_iou")


@dataclass(frozen=True, eq=False)
class _Run:
    name: str
    evaluation: Evaluation
    comparison: Comparison
    curves: dict[str, ThresholdCurve]


def write_evaluation_page(
    runs: Mapping[str, Evaluation],
    path: str | os.PathLike,
    *,
    dataset=None,
    score_threshold: float = 0.5,
    title: str = "Evaluation",
) -> Path:
    """Writes the page.

    Args:
        runs: {name: its Evaluation}, one or more, all of the same ground truth.
        path: of the HTML file.
        dataset: the `labkit.data.Dataset` with the images of the galleries; by default they are
            drawn on grey.
        score_threshold: of the detections in the confusion matrix, the galleries and the operating
            point.
        title: of the page.

    Returns:
        The path.

    Raises:
        LabkitError: no runs, or they were measured on different images or classes.
    """
    page = evaluation_page(runs, dataset=dataset, score_threshold=score_threshold, title=title)
    path = Path(path)
    write_text(path, page.html())
    return path


def evaluation_page(
    runs: Mapping[str, Evaluation],
    *,
    dataset=None,
    score_threshold: float = 0.5,
    title: str = "Evaluation",
) -> Page:
    """Like `write_evaluation_page`, but returns the `Page`, so that you can add sections to it."""
    evaluations = list(runs.values())
    _check_alike(runs)
    kind = "segm" if all(e.segm for e in evaluations) else "bbox"
    ready = []
    for name, evaluation in runs.items():
        comparison = compare(evaluation, iou_type=kind)
        curves = threshold_curves(comparison, max_dets=evaluation.max_dets)
        ready.append(_Run(name, evaluation, comparison, curves))
    first = evaluations[0]
    intro = (
        f"{counted(first.images, 'image')}, {counted(first.objects, 'object')}, "
        f"{counted(first.crowds, 'crowd')}, {counted(len(first.class_names), 'class')}. "
        f"Unless stated otherwise, IoUs are of {KINDS[kind]}, "
        "and a detection matches an object from an IoU of 0.5."
    )
    page = Page(title, intro)
    _summary(page, runs)
    _definitions(page, ready)
    _classes(page, ready, kind)
    if first.objects:
        _curves(page, ready, kind, score_threshold)
        _thresholds(page, ready)
        _confusion(page, ready, score_threshold)
        _errors(page, ready)
        _calibration(page, ready)
        _conditions(page, ready)
    _worst(page, ready, dataset, score_threshold)
    return page


def _check_alike(runs: Mapping[str, Evaluation]) -> None:
    if not runs:
        raise LabkitError("evaluation_page: give at least one run.")
    (name, first), *others = runs.items()
    for other, evaluation in others:
        truths = [
            (e.class_names, {i["id"] for i in e.coco_gt["images"]}, e.objects)
            for e in (first, evaluation)
        ]
        if truths[0] != truths[1]:
            raise LabkitError(
                f"evaluation_page: {name!r} and {other!r} were measured on different images, "
                "classes or objects; evaluate both on the same data."
            )


# -------------------------------------------------------------------------------- the numbers


def _summary(page: Page, runs: Mapping[str, Evaluation]) -> None:
    blocks = page.section("COCO's numbers")
    names = list(runs)
    for kind, shapes in KINDS.items():
        numbers = {name: getattr(e, kind) for name, e in runs.items() if getattr(e, kind)}
        if not numbers:
            continue
        first = next(iter(runs.values()))
        rows = [
            [key, *(of.get(key, -1.0) for of in numbers.values()), meaning]
            for key, meaning in meanings(first).items()
        ]
        blocks.append(
            table(
                ["", *numbers, "meaning"],
                rows,
                f"Of {shapes}, by pycocotools.",
                best="row" if len(numbers) > 1 else None,
            )
        )
        by_iou = {name: runs[name].curves[kind].ap_by_iou() for name in numbers}
        rows = [[name, *values.values()] for name, values in by_iou.items()]
        blocks.append(
            table(
                ["", *next(iter(by_iou.values()))],
                rows,
                f"AP of {shapes} at each IoU threshold.",
                best="column" if len(names) > 1 else None,
            )
        )
    notes = [f"{name}: {note}" for name, e in runs.items() for note in e.notes]
    blocks += [paragraph(note, quiet=True) for note in notes]
    blocks.append(paragraph("A dash: no ground truth to measure it on.", quiet=True))


def _definitions(page: Page, runs: list[_Run]) -> None:
    blocks = page.section("Other definitions of AP")
    blocks.append(
        paragraph(
            "The same detections by other definitions. None of them can be compared with COCO's "
            "AP: they differ in what is pooled into one curve, how the area under it is measured, "
            "and what is averaged."
        )
    )
    rows = []
    for run in runs:
        city = cityscapes_ap(run.comparison)
        region = region_ap(run.comparison) if run.comparison.iou_type == "segm" else -1.0
        rows.append(
            [
                run.name,
                city.AP,
                city.AP50,
                mean_image_ap(run.comparison),
                class_image_ap(run.comparison),
                region,
            ]
        )
    heads = [
        "",
        "Cityscapes AP",
        "Cityscapes AP50",
        "mean of per-image APs (IoU 0.5)",
        "cAP: per class and image (IoU 0.5)",
        "rAP: regions (IoU 0.5)",
    ]
    blocks.append(table(heads, rows, "AP by other definitions."))


def _classes(page: Page, runs: list[_Run], kind: str) -> None:
    blocks = page.section("Classes")
    rows = []
    for name, numbers in runs[0].evaluation.per_class.items():
        row = [name, numbers["objects"]]
        for run in runs:
            best = run.curves[name].best() if name in run.curves else None
            row += [
                run.evaluation.per_class[name][kind]["AP"],
                run.evaluation.per_class[name][kind].get("AP50", -1.0),
                *((best.f1, f"{best.score:.2f}") if best else (-1.0, "–")),
            ]
        rows.append(row)
    rows.sort(key=lambda row: -row[2])
    heads = ["class", "objects"]
    for run in runs:
        heads += [f"{run.name}: {what}" for what in ("AP", "AP50", "best F1", "at score")]
    blocks.append(table(heads, rows, "Each class, sorted by the AP of the first run."))


# -------------------------------------------------------------------------------- the figures


def _curves(page: Page, runs: list[_Run], kind: str, score: float) -> None:
    blocks = page.section("Precision-recall curves")
    for run in runs:
        curves = run.evaluation.curves[kind]
        shown = [iou for iou in (0.5, 0.75) if any(abs(curves.iou_thresholds - iou) < 1e-9)]
        words = ", ".join(f"{k} {v:.3f}" for k, v in curves.ap_by_iou().items())
        alt = f"Precision over recall of {run.name}, of each class and their mean: AP {words}."
        blocks.append(
            figure(
                pr_curves(run.evaluation, ious=(*shown, None)),
                alt,
                f"{run.name}: interpolated, as AP is computed.",
            )
        )
        point = pooled(run.curves).at(score)
        alt = (
            f"Raw precision over recall of {run.name}; at score {score:g} all classes together "
            f"have precision {point.precision:.2f} and recall {point.recall:.2f}."
        )
        blocks.append(
            figure(
                raw_pr_figure(run.curves, score=score), alt, f"{run.name}: as counted, at IoU 0.5."
            )
        )


def _thresholds(page: Page, runs: list[_Run]) -> None:
    blocks = page.section("Choosing a score threshold")
    rows = []
    for run in runs:
        whole = pooled(run.curves)
        named = [("best F1", whole.best())]
        named += [(f"precision of {p:g}", whole.for_precision(p)) for p in (0.9, 0.95)]
        named += [(f"recall of {r:g}", whole.for_recall(r)) for r in (0.8, 0.9)]
        for purpose, point in named:
            values = (
                [
                    f"{point.score:.3f}",
                    point.precision,
                    point.recall,
                    point.f1,
                    point.false_positives,
                    point.missed,
                ]
                if point
                else ["never reached"] + [""] * 5
            )
            rows.append([f"{run.name}: {purpose}", *values])
    heads = ["for", "score", "precision", "recall", "F1", "false positives", "missed"]
    blocks.append(table(heads, rows, "Thresholds of all classes together."))
    for run in runs:
        best = pooled(run.curves).best()
        words = f"best F1 {best.f1:.2f} at score {best.score:.2f}" if best else "nothing is found"
        alt = f"Precision, recall and F1 of {run.name} over the score threshold: {words}."
        blocks.append(figure(threshold_figure(run.curves), alt, run.name))
        alt = f"Best F1 of each class of {run.name} and its threshold; the table has the numbers."
        blocks.append(figure(f1_bars(run.curves), alt, f"{run.name}: thresholds by class"))


def _confusion(page: Page, runs: list[_Run], score: float) -> None:
    blocks = page.section("Confusion")
    for run in runs:
        names = run.comparison.class_names
        counts = confusion_matrix(run.comparison, score_threshold=score)
        matrix, kept = without_empty_classes(counts, names)
        if not kept:
            continue
        correct = int(matrix[1:, 1:].trace())
        alt = (
            f"Confusion matrix of {run.name} at score {score:g}: {correct} correct, "
            f"{int(matrix[1:, 1:].sum()) - correct} confused, {int(matrix[1:, 0].sum())} missed, "
            f"{counted(int(matrix[0].sum()), 'false positive')}."
        )
        left_out = len(names) - len(kept)
        note = f"; {left_out} classes that do not occur are left out" if left_out else ""
        blocks.append(figure(confusion_figure(matrix, kept), alt, f"{run.name}{note}"))
        worst = _confusions(matrix, kept)
        if worst:
            heads = ["ground truth", "taken for", "times"]
            blocks.append(table(heads, worst, f"{run.name}: most frequent confusions."))
        overlaps = mean_overlaps(run.comparison, score_threshold=score)
        alt = f"Mean IoU of the pairs in the confusion matrix of {run.name}."
        ious, kept = without_empty_classes(overlaps, names)
        if kept:
            blocks.append(figure(overlap_figure(ious, kept), alt, f"{run.name}: IoU of the pairs"))


def _confusions(matrix, names: list[str]) -> list[list]:
    pairs = [
        [names[i], names[j], int(matrix[i + 1, j + 1])]
        for i in range(len(names))
        for j in range(len(names))
        if i != j and matrix[i + 1, j + 1]
    ]
    return sorted(pairs, key=lambda row: -row[2])[:10]


def _errors(page: Page, runs: list[_Run]) -> None:
    blocks = page.section("Types of errors")
    found = {
        run.name: error_types(run.comparison, max_dets=run.evaluation.max_dets) for run in runs
    }
    words = "; ".join(
        f"{name}: " + ", ".join(f"{kind} {cost:.3f}" for kind, cost in one.costs.items())
        for name, one in found.items()
    )
    alt = f"AP gained by fixing each type of error, and how often it occurs. {words}."
    blocks.append(figure(error_type_figure(found), alt, "Types after Bolya et al. 2020 (TIDE)."))
    rows = [
        [
            kind,
            meaning,
            *(one.counts[kind] for one in found.values()),
            *(one.costs[kind] for one in found.values()),
        ]
        for kind, meaning in ERROR_TYPES.items()
    ]
    heads = [
        "type",
        "meaning",
        *(f"{name}: number" for name in found),
        *(f"{name}: AP cost" for name in found),
    ]
    blocks.append(table(heads, rows, "What each type costs. The costs do not add up."))


def _calibration(page: Page, runs: list[_Run]) -> None:
    blocks = page.section("Calibration")
    found = {
        run.name: calibration(run.comparison, max_dets=run.evaluation.max_dets) for run in runs
    }
    words = ", ".join(f"{name} {one.ece:.3f}" for name, one in found.items())
    alt = f"Share of correct detections over their score. Expected calibration error: {words}."
    blocks.append(figure(calibration_figure(found), alt))


def _conditions(page: Page, runs: list[_Run]) -> None:
    blocks = page.section("Size, occlusion, crowding")
    found = {
        r.name: {
            c: under_condition(r.comparison, c, max_dets=r.evaluation.max_dets) for c in CONDITIONS
        }
        for r in runs
    }
    alt = "AP at IoU 0.5 against size, occlusion and crowding; the tables hold the same numbers."
    blocks.append(figure(condition_figure(found), alt))
    for name, condition in CONDITIONS.items():
        ranges, one = condition.range_names(), next(iter(found.values()))[name]
        rows = [["objects", *map(int, one.objects)]]
        for run, conditions in found.items():
            rows.append([f"{run}: AP50", *map(float, conditions[name].ap)])
            rows.append([f"{run}: recall", *map(float, conditions[name].recall)])
        blocks.append(table([condition.unit, *ranges], rows, f"By {condition.title}."))


def _worst(page: Page, runs: list[_Run], dataset, score: float) -> None:
    blocks = page.section("Worst images")
    blocks.append(
        paragraph(
            "Blue: matched, with score and IoU. Vermilion, dashed: missed. Purple: false positive. "
            "The labels say the same."
        )
    )
    known = () if dataset is None else dataset.image_ids
    names = {id_: printable(dataset.image_info(i)["file_name"]) for i, id_ in enumerate(known)}
    for run in runs:
        rows = image_scores(run.comparison, score_threshold=score)
        for by in GALLERIES:
            chosen = worst_images(rows, by, SHOWN_WORST)
            words = "; ".join(
                f"{names.get(r.image_id, f'image {r.image_id}')}: {r.missed} missed, "
                f"{counted(r.false_positives, 'false positive')}, F1 {r.f1:.2f}"
                for r in chosen
            )
            drawn = worst_gallery(run.comparison, chosen, dataset, score_threshold=score)
            blocks.append(
                figure(
                    drawn,
                    f"{run.name}, {CRITERIA[by][0]}. {words}.",
                    f"{run.name}: {CRITERIA[by][0]}",
                )
            )
