"""explore_training: the film of a run, and a cursor on its curves to move through it."""

from pathlib import Path

import numpy as np
import traitlets
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.errors import LabkitError, counted
from labkit.evaluation.average_precision import match_by_class
from labkit.evaluation.comparison import overlaps
from labkit.io.history import History
from labkit.models.detections import Detections
from labkit.training.film import Film, Frame, read_film
from labkit.viz.colors import FAINT, INK, PREDICTION, TRUTH
from labkit.viz.instances import draw_instances
from labkit.viz.training_curves import AP_LINES, LOSSES, smoothed
from labkit.widgets.explorer import Explorer, data_url, script

MATCH_IOU = 0.5  # the least IoU of a detection's mask with an object of its class
FINEST = 320  # points across an image: outlines need no more
MANY = 8  # detections in an image; the labels of more would hide the objects
MOST_POINTS = 400  # of a curve; a training has more steps than a screen has pixels


class TrainingExplorer(Explorer):
    """The frames of a film and the curves of its run. See `explore_training`.

    An outline is the `d` of an SVG path in pixels of the image.

    Attributes:
        pictures: of each image its URL, its size (height, width), and its objects' names and
            outlines.
        frames: of each its step and, for each image, the detections: name, score, outline, corner,
            and the index of the matched object, or -1.
        curves: of each its title, its highest value, and lines of [step, value].
    """

    in_browser = True
    _esm = script("training.js")
    pictures = traitlets.List().tag(sync=True)
    frames = traitlets.List().tag(sync=True)
    curves = traitlets.List().tag(sync=True)
    frame = traitlets.Int(0, min=0, help="Which frame, from 0.").tag(sync=True)
    score = traitlets.Float(0.5, min=0.05, max=0.95).tag(sync=True)
    truth = traitlets.Bool(True, help="Whether the objects' outlines are shown.").tag(sync=True)

    def __init__(self, film: Film, history: History, **traits):
        self.film, self.history = film, history
        last = max(film.frames[-1].step, *(row["step"] for row in history.rows[-1:]), 0)
        super().__init__(
            pictures=[_picture(truth) for truth in film.truth],
            frames=[_frame(frame, film.truth) for frame in film.frames],
            curves=_curves(history, last),
            **traits,
        )

    @traitlets.validate("frame")
    def _one_of_the_film(self, proposal):
        return min(proposal["value"], len(self.film) - 1)

    @property
    def step(self) -> int:
        """The step of the frame that is shown."""
        return self.film.frames[self.frame].step

    @property
    def values(self) -> dict:
        """Counts of the frame that is shown.

        Returns:
            `step`; the number of `objects`; the detections `found` with `score` or more, how many
            are `right` and how many `false_positives`; the objects `missed`; and `bbox_AP` and
            `segm_AP` if they were measured at this step.
        """
        kept = [
            d
            for found in self.frames[self.frame]["found"]
            for d in found
            if d["score"] >= self.score
        ]
        right = sum(d["object"] >= 0 for d in kept)
        objects = sum(len(p["objects"]) for p in self.pictures)
        measured = [row for row in self.history.validation if row["step"] == self.step]
        return {
            "step": self.step,
            "objects": objects,
            "found": len(kept),
            "right": right,
            "false_positives": len(kept) - right,
            "missed": objects - right,
            **{k: v for row in measured for k, v in row.items() if k in ("bbox_AP", "segm_AP")},
        }

    def draw(self):
        now, count = self.values, len(self.film.truth)
        figure = Figure(figsize=(max(2.7 * count, 6), 5.2), layout="constrained")
        above, below = figure.add_gridspec(2, 1, height_ratios=(2.7, 2.1))
        for i, cell in enumerate(above.subgridspec(1, count)):
            self._draw_picture(figure.add_subplot(cell), i)
        for curve, cell in zip(
            (self.curves[0], self.curves[-1]), below.subgridspec(1, 2), strict=True
        ):
            _draw_curve(figure.add_subplot(cell), curve, self.step)
        counts = (
            f"step {now['step']}: {now['found']} found, {now['right']} right, "
            f"{counted(now['false_positives'], 'false positive')}, "
            f"{now['missed']} of {now['objects']} missed"
        )
        figure.suptitle(f"{counts} (score ≥ {self.score:g})", fontsize=11)
        return figure, (
            f"{count} validation images with the network's detections, objects dashed; {counts}. "
            "Below, the total loss and AP over the steps, with a line at this step."
        )

    def _draw_picture(self, ax: Axes, i: int) -> None:
        truth, found = self.film.truth[i], self.film.frames[self.frame].detections[i]
        rows = self.frames[self.frame]["found"][i]
        kept = [k for k, row in enumerate(rows) if row["score"] >= self.score]
        right = [rows[k]["object"] >= 0 for k in kept]
        many, several_classes = len(kept) > MANY, len(truth.class_names) > 1
        labels = ["✓" if r else "✕" for r in right]
        if many:  # only the false positives have a mark
            labels = ["" if r else "✕" for r in right]
        elif several_classes:
            names = (rows[k]["name"] for k in kept)
            labels = [f"{mark} {name}" for mark, name in zip(labels, names, strict=True)]
        boxes = np.concatenate([truth.boxes if self.truth else truth.boxes[:0], found.boxes[kept]])
        objects = len(boxes) - len(kept)
        draw_instances(
            truth.image,
            boxes,
            None,
            [""] * objects + labels,
            ax=ax,
            font_size=8,
            line_width=1.0 if many else 1.4,
            colors=[TRUTH] * objects + [PREDICTION if r else INK for r in right],
            dashed=[True] * objects + [False] * len(kept),
        )


def explore_training(run) -> TrainingExplorer:
    """The film of a run: the same validation images, step by step, beside the curves.

    A detection is right (✓) if its mask overlaps an object of its class with an IoU of 0.5 or more,
    as in AP50; crowds are not in a film. The explorer can be changed from code (`w.frame = 3`,
    `w.score = 0.7`) and read (`w.values`).

    Args:
        run: the folder of a run with validation images, `validate_every` and `film` above 0; it may
            still be in progress.

    Raises:
        MissingFileError: the run has no film.
        LabkitError: the film has no frame yet.
    """
    film = read_film(run)
    if not len(film):
        raise LabkitError(
            f"{Path(run) / 'film'} has no frame yet: the first is taken at step validate_every."
        )
    return TrainingExplorer(
        film,
        History.load(run),
        frame=len(film) - 1,
        caption="Drag the slider, or the line in the curves, back to the first frame, and press "
        "Play. What does the network learn first: where, what, or which pixels? Then lower the "
        "score: what was already found, only with a low score?",
    )


# --- data for the browser ---------------------------------------------------------------


def _picture(truth: Detections) -> dict:
    objects = [
        {"name": name, "outline": outline(mask)}
        for name, mask in zip(truth.names, truth.each_mask(), strict=True)
    ]
    return {"url": data_url(truth.image), "size": list(truth.image_size), "objects": objects}


def _frame(frame: Frame, truth: tuple[Detections, ...]) -> dict:
    pairs = zip(frame.detections, truth, strict=True)
    return {"step": frame.step, "found": [_found(d, t) for d, t in pairs]}


def _found(found: Detections, truth: Detections) -> list[dict]:
    """What the browser shows of the detections in an image, best score first."""
    rows = zip(
        found.names,
        found.scores.tolist(),
        found.each_mask(),
        found.boxes[:, :2].tolist(),
        objects_of(found, truth),
        strict=True,
    )
    return [
        {
            "name": name,
            "score": round(score, 4),
            "outline": outline(mask),
            "at": [round(v, 1) for v in corner],
            "object": int(matched),
        }
        for name, score, mask, corner, matched in rows
    ]


def objects_of(found: Detections, truth: Detections) -> np.ndarray:
    """The object of each detection, matched class by class as in AP50: int [N], -1 for none.

    The best score chooses first, so leaving out the weaker ones changes nothing for the others.
    """
    detections, objects = ([{"segmentation": rle} for rle in d.rles()] for d in (found, truth))
    ious = overlaps(detections, objects, [False] * len(objects), "segm")
    return match_by_class(ious, found.class_ids, truth.class_ids, MATCH_IOU)


def outline(mask: np.ndarray) -> str:
    """The border of a mask bool [H, W] as the `d` of an SVG path, in pixels, (x, y)."""
    every = max(1, round(max(mask.shape) / FINEST))
    # A frame of zeros around the mask closes outlines that the edge of the image would leave open.
    lines = contour_generator(z=np.pad(mask, 1).astype(np.float32)).lines(0.5)
    corners = (line[:-1:every] - 0.5 for line in lines)
    return "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in line) + "Z" for line in corners)


def _curves(history: History, last: int) -> list[dict]:
    """Total loss, each loss, learning rate, and AP: lines of [step, value], and their ranges."""
    steps = np.array(history["step"], float)
    shown = np.unique(np.linspace(0, len(steps) - 1, min(MOST_POINTS, len(steps))).astype(int))
    curves = []
    for name, title in (*LOSSES.items(), ("lr", "learning rate")):
        values = np.array(history[name], float)
        smooth = smoothed(values, max(1, len(values) // 20)) if len(values) else values
        lines = {"raw": _points(steps, values, shown), "smooth": _points(steps, smooth, shown)}
        finite = values[np.isfinite(values)]
        # A spike must not flatten the curve: the highest 1 % of the values may leave the panel.
        top = float(np.quantile(finite, 0.99)) if len(finite) else 0.0
        if name == "lr":
            lines = {"smooth": lines["raw"]}
        curves.append(
            {"name": name, "title": title, "lines": lines, "top": top or 1.0, "last": last}
        )
    rows = history.validation
    at = np.array([row["step"] for row in rows], float)
    lines = {
        kind: _points(at, np.array([row[f"{kind}_AP"] for row in rows]), range(len(rows)))
        for kind, *_ in AP_LINES
    }
    best = max((value for points in lines.values() for _, value in points), default=0.0)
    return [
        *curves,
        {
            "name": "ap",
            "title": "AP (masks dashed)",
            "lines": lines,
            "top": best or 1.0,
            "last": last,
        },
    ]


def _points(steps, values, indices) -> list[list[float]]:
    """[step, value] at these indices, where the value is finite and, of an AP, not -1."""
    return [
        [float(steps[i]), float(f"{values[i]:.4g}")]
        for i in indices
        if np.isfinite(values[i]) and values[i] >= 0
    ]


def _draw_curve(ax: Axes, curve: dict, step: int) -> None:
    looks = {"raw": (FAINT, "-", 0.9), "smooth": (TRUTH, "-", 2.2)}
    looks |= {kind: (color, style, 2.2) for kind, _, color, style, _ in AP_LINES}
    for name, points in curve["lines"].items():
        color, style, width = looks[name]
        ax.plot(
            *np.reshape(points, (-1, 2)).T,
            color=color,
            linestyle=style,
            linewidth=width,
            marker="o" if len(points) == 1 else None,
        )
    ax.axvline(step, color=INK, linestyle=":", linewidth=1.5)
    ax.set_title(curve["title"], fontsize=10)
    ax.set(xlim=(0, max(curve["last"], 1)), ylim=(0, 1.08 * curve["top"]))
    ax.grid(color="#e6e8ea")
