"""explore_detections: truth against prediction, both thresholds to turn, and each object's why."""

from dataclasses import replace

import numpy as np
import traitlets
from matplotlib.figure import Figure
from pycocotools import mask as coco_mask

from labkit.data.writers.outline import mask_polygon
from labkit.errors import LabkitError, listed
from labkit.evaluation.per_image import Agreement, agreement
from labkit.ops import boxes as box_ops
from labkit.ops.masks import mini_mask
from labkit.viz.agreement import AGREED, INVENTED, MISSED, draw_agreement
from labkit.viz.colors import INK, PREDICTION
from labkit.viz.labels import plain_text
from labkit.widgets.explorer import Explorer, data_url, script
from labkit.widgets.image_results import Heads, Looked, from_model, from_results, only_classes

AT_ONCE = 8  # pictures that a model looks at before the first is shown: switching is then smooth
MOST_BARS = 6  # classes with a bar; the others together are one more
SIDE = 28  # cells of the mask head's grid
COLORS = {"agreed": AGREED, "missed": MISSED, "invented": INVENTED}


class DetectionsExplorer(Explorer):
    """Pictures with their objects and detections, sorted out. See `explore_detections`.

    chosen: "found 3", the detection with the fourth best score of the picture; "object 0", the
    first of its objects; or "". What is sent to the browser: `scene`, the shapes of the picture;
    `sorted_out`, which of them agree, are missed and invented; `detail`, all about the chosen one.
    """

    _esm = script("detections.js")
    image = traitlets.Int(0, min=0, help="Which picture of the data set.").tag(sync=True)
    score = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    iou = traitlets.Float(0.5, min=0.05, max=1.0).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode(), help="Those that are looked at.").tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int().tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colors = traitlets.Dict(COLORS).tag(sync=True)
    scene = traitlets.Dict(read_only=True).tag(sync=True)
    sorted_out = traitlets.Dict(read_only=True).tag(sync=True)
    detail = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(self, look, count: int, class_names, **traits):
        """look: a function from a picture's place to its `Looked`; each is asked for once."""
        self._look, self._looked = look, {}
        names = list(class_names)
        super().__init__(count=count, class_names=names, classes=names, **traits)
        self.observe(self._show_image, ["image"])
        self.observe(self._sort_out, ["score", "iou", "classes"])
        self.observe(self._tell, ["chosen"])
        self._show_image()

    @traitlets.validate("image")
    def _is_there(self, proposal):
        if proposal["value"] >= self.count:
            raise traitlets.TraitError(
                f"image must be below {self.count}, the number of pictures, got {proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("classes")
    def _are_known(self, proposal):
        unknown = [name for name in proposal["value"] if name not in self.class_names]
        if unknown:
            raise traitlets.TraitError(
                f"classes: there is no class {unknown[0]!r}; there are {listed(self.class_names)}."
            )
        return proposal["value"]

    @traitlets.validate("chosen")
    def _is_in_the_picture(self, proposal):
        kind, _, number = proposal["value"].partition(" ")
        pairs = self.looked.pairs
        there = {"found": len(pairs.detections), "object": len(pairs.objects)}.get(kind, 0)
        if proposal["value"] and not (number.isdecimal() and int(number) < there):
            raise traitlets.TraitError(
                f"chosen is {proposal['value']!r}; it must be 'found 0', 'object 0', … up to "
                f"'found {len(pairs.detections) - 1}', 'object {len(pairs.objects) - 1}', or ''."
            )
        return proposal["value"]

    # --- what labkit makes of it ----------------------------------------------------------

    @property
    def looked(self) -> Looked:
        """The present picture."""
        return self.look_at(self.image)

    def look_at(self, place: int) -> Looked:
        """The picture at a place of the data set; looked at when first asked for, then kept."""
        if place not in self._looked:
            self._looked[place] = self._look(place)
        return self._looked[place]

    @property
    def agreement(self) -> Agreement:
        """Which objects and detections of the chosen classes agree, are missed, are invented."""
        pairs = self.looked.pairs
        found = agreement(pairs, iou_threshold=self.iou, score_threshold=self.score)
        on = np.array([False, *(name in self.classes for name in self.class_names)])
        return Agreement(
            [(g, d) for g, d in found.agreed if on[pairs.classes[d]]],
            [g for g in found.missed if on[pairs.object_classes[g]]],
            [d for d in found.invented if on[pairs.classes[d]]],
        )

    @property
    def values(self) -> dict[str, float]:
        """Of this picture and the chosen classes: how many agree, are missed and invented;
        precision (NaN where nothing is shown) and recall (NaN where nothing is to be found)."""
        found = self.agreement
        right, missed, invented = len(found.agreed), len(found.missed), len(found.invented)
        return {
            "agreed": right,
            "missed": missed,
            "invented": invented,
            "precision": right / (right + invented) if right + invented else np.nan,
            "recall": right / (right + missed) if right + missed else np.nan,
        }

    def _show_image(self, change=None):
        looked = self.looked
        with self.hold_sync():
            self.chosen = ""  # what was chosen was in another picture
            self.set_trait("scene", scene_of(looked))
            self._sort_out()
            self.chosen = "found 0" if len(looked.pairs.detections) else ""

    def _sort_out(self, change=None):
        found, overlaps = self.agreement, self.looked.pairs.overlaps
        with self.hold_sync():
            self.set_trait(
                "sorted_out",
                {
                    "agreed": [[g, d, round(float(overlaps[d, g]), 3)] for g, d in found.agreed],
                    "missed": found.missed,
                    "invented": found.invented,
                },
            )
            self._tell()

    def _tell(self, change=None):
        kind, _, number = self.chosen.partition(" ")
        if not kind:
            self.set_trait("detail", {})
            return
        about = self._about_detection if kind == "found" else self._about_object
        self.set_trait("detail", about(int(number)))

    def _about_detection(self, d: int) -> dict:
        looked, pairs = self.looked, self.looked.pairs
        name, score = self.class_names[pairs.classes[d] - 1], float(pairs.scores[d])
        entry, heads = looked.comparison.entries[pairs.detections[d]], looked.heads
        told = {
            "title": f"{name} {score:.2f}",
            "fate": self._fate(d),
            "roi": None,
            "box": _corners(entry),
            "mask": _grid(entry),
            "bars": [[name, score]],
            "note": "Results of a file: the mask is cut to its box; neither the RoI nor the "
            "other classes' probabilities are known.",
        }
        if heads is None:
            return told
        roi = heads.roi_of[d]
        return told | {
            "roi": heads.rois[roi].tolist(),
            "bars": _bars(heads, roi),
            "mask": heads.masks[d].round(2).tolist(),
            "note": "",
        }

    def _fate(self, d: int) -> str:
        found, pairs = self.sorted_out, self.looked.pairs
        for g, mine, iou in found["agreed"]:
            if mine == d:
                return f"agrees with object {g}, IoU {iou:.2f}"
        if pairs.scores[d] < self.score:
            return "not shown: its score is below the threshold"
        if d not in found["invented"]:
            return "neither right nor wrong: in a crowd, or of a class that is off"
        return "invented: " + self._why_invented(d)

    def _why_invented(self, d: int) -> str:
        pairs = self.looked.pairs
        own = (pairs.object_classes == pairs.classes[d]) & ~pairs.crowd
        same = np.where(own, pairs.overlaps[d], 0).max(initial=0)
        other = np.where(own | pairs.crowd, 0, pairs.overlaps[d])
        if same >= self.iou:
            return f"a duplicate, its object (IoU {same:.2f}) was found by a better score"
        if other.max(initial=0) >= self.iou:
            g = int(other.argmax())
            return (
                f"it overlaps object {g} (IoU {other[g]:.2f}), which is of class "
                f"{self.class_names[pairs.object_classes[g] - 1]}"
            )
        if same > 0:
            return f"it overlaps an object of its class, but too little (IoU {same:.2f})"
        return "there is no such object near it"

    def _about_object(self, g: int) -> dict:
        looked, pairs, heads = self.looked, self.looked.pairs, self.looked.heads
        name = self.class_names[pairs.object_classes[g] - 1]
        annotation = looked.comparison.annotations[pairs.objects[g]]
        told = {
            "title": f"object {g}: {name}",
            "roi": None,
            "box": _corners(annotation),
            "fate": f"{self._fate_of_object(g)}; {self._nearest_to(g)}",
            "mask": _grid(annotation),
            "bars": [],
            "note": "The mask is the true one.",
        }
        if heads is None or not len(heads.rois):
            return told
        overlap = box_ops.iou(heads.rois, np.float32([told["box"]])).numpy()[:, 0]
        roi = int(overlap.argmax())
        note = (
            f"The mask is the true one. The RoI that covers it best (IoU of boxes "
            f"{overlap[roi]:.2f}), and what the class head says of it:"
        )
        return told | {"roi": heads.rois[roi].tolist(), "bars": _bars(heads, roi), "note": note}

    def _fate_of_object(self, g: int) -> str:
        for mine, d, iou in self.sorted_out["agreed"]:
            if mine == g:
                return f"found by detection {d}, IoU {iou:.2f}"
        if g in self.sorted_out["missed"]:
            return "missed"
        return "a crowd, or of a class that is off"

    def _nearest_to(self, g: int) -> str:
        """What of all detections, shown or not, overlaps an object most."""
        pairs = self.looked.pairs
        best = pairs.overlaps[:, g].max(initial=0)
        if best == 0:
            return "no detection of any score touches it"
        d = int(pairs.overlaps[:, g].argmax())
        name = self.class_names[pairs.classes[d] - 1]
        return f"overlapped most by detection {d}, {name} {pairs.scores[d]:.2f}, IoU {best:.2f}"

    # --- a picture without a browser ------------------------------------------------------

    def draw(self):
        looked, detail, found = self.looked, self.detail, self.values
        wide = looked.image.shape[1] / looked.image.shape[0]
        figure = Figure(figsize=(4.6 * min(wide, 2) + 4.4, 4.9), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(4.6 * min(wide, 2), 3.6))
        on = [i + 1 for i, name in enumerate(self.class_names) if name in self.classes]
        shown = replace(looked.comparison, images=[only_classes(looked.pairs, on)])
        view = figure.add_subplot(grid[:, 0])
        draw_agreement(
            shown,
            looked.pairs.image_id,
            looked.image,
            view,
            iou_threshold=self.iou,
            score_threshold=self.score,
            font_size=9,
        )
        words = (
            f"score ≥ {self.score:g}, IoU ≥ {self.iou:g}: {found['agreed']} agree, "
            f"{found['missed']} missed, {found['invented']} invented"
        )
        view.set_title(words, fontsize=11, loc="left")
        if detail:
            _draw_bars(figure.add_subplot(grid[0, 1]), detail)
            _draw_mask(figure.add_subplot(grid[1, 1]), detail)
        chosen = f" Chosen: {detail['title']}, {detail['fate']}." if detail else ""
        return figure, f"{looked.name}, objects and detections, {words}.{chosen}"


# --- one picture ------------------------------------------------------------------------------


def scene_of(looked: Looked) -> dict:
    """The shapes of a picture for the browser: found and objects, each with box, name and path."""
    pairs, comparison = looked.pairs, looked.comparison
    entries = [comparison.entries[i] for i in pairs.detections]
    annotations = [comparison.annotations[i] for i in pairs.objects]
    names = comparison.class_names
    return {
        "name": looked.name,
        "picture_url": data_url(looked.image),
        "size": list(pairs.size),
        "found": [
            {"name": names[c - 1], "score": float(s), "box": _corners(e), "path": _path(e)}
            for e, c, s in zip(entries, pairs.classes, pairs.scores, strict=True)
        ],
        "objects": [
            {"name": names[c - 1], "crowd": bool(crowd), "box": _corners(a), "path": _path(a)}
            for a, c, crowd in zip(annotations, pairs.object_classes, pairs.crowd, strict=True)
        ],
    }


def _corners(entry: dict) -> list[float]:
    x, y, width, height = entry["bbox"]
    return [y, x, y + height, x + width]


def _mask(entry: dict) -> np.ndarray | None:
    if "segmentation" not in entry:
        return None
    return coco_mask.decode(entry["segmentation"]).astype(bool)


def _grid(entry: dict) -> list | None:
    """The mask as the mask head would draw it, 28 x 28 in its box; None without a mask."""
    mask = _mask(entry)
    if mask is None:
        return None
    return np.float64(mini_mask(mask, _corners(entry), (SIDE, SIDE))).tolist()


def _path(entry: dict) -> str:
    """The outline of a mask, or of the box where there is none, as SVG's `d`."""
    mask = _mask(entry)
    if mask is None or not mask.any():
        y1, x1, y2, x2 = _corners(entry)
        return f"M{x1} {y1}H{x2}V{y2}H{x1}Z"
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # much smaller, as a rule
    corners = mask_polygon(window) + (columns[0], rows[0])
    return "M" + "L".join(f"{x} {y}" for x, y in corners.tolist()) + "Z"


def _bars(heads: Heads, roi: int) -> list[list]:
    """[name, probability] of a RoI's likeliest classes, and of all others together."""
    p = heads.probabilities[roi]
    order = np.argsort(-p, kind="stable")
    bars = [[heads.class_names[k], round(float(p[k]), 4)] for k in order[:MOST_BARS]]
    rest = order[MOST_BARS:]
    return bars + ([[f"{len(rest)} others", round(float(p[rest].sum()), 4)]] if len(rest) else [])


def _draw_bars(ax, detail: dict) -> None:
    names = [plain_text(name, 16) for name, _ in detail["bars"]]
    drawn = ax.barh(range(len(names)), [p for _, p in detail["bars"]], color=PREDICTION)
    ax.bar_label(drawn, fmt="%.3f", padding=3, fontsize=9, color=INK)
    ax.set_yticks(range(len(names)), names, fontsize=9)
    ax.set(xlim=(0, 1.25), xticks=[0, 0.5, 1])
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(f"chosen: {plain_text(detail['title'], 30)}", fontsize=11, loc="left")


def _draw_mask(ax, detail: dict) -> None:
    ax.set(xticks=[], yticks=[])
    ax.set_title("its mask, in its box", fontsize=11, loc="left")
    if detail["mask"] is None:
        ax.set_title("it has no mask", fontsize=11, loc="left")
        return
    y1, x1, y2, x2 = detail["box"]
    high, wide = max(y2 - y1, 1e-3), max(x2 - x1, 1e-3)
    ax.imshow(
        detail["mask"],
        cmap="cividis",
        vmin=0,
        vmax=1,
        extent=(0, wide, high, 0),
        interpolation="nearest",
    )


def explore_detections(
    model_or_results, dataset, *, image: int = 0, score: float = 0.5, iou: float = 0.5
) -> DetectionsExplorer:
    """Objects and detections of a data set's pictures: what agrees, what is missed or invented.

    Sliders for the score and the IoU threshold; classes on and off; click an object to see its RoI,
    the probabilities of its classes and its 28 x 28 mask. Matching is that of AP, class by class.

    Args:
        model_or_results: a `MaskRCNN`; or results, as `labkit.evaluation.compare` takes them: an
            Evaluation, a Comparison, a COCO results file or list. Results know no RoIs.
        dataset: the `labkit.data.Dataset` with pictures and truth. Of up to eight pictures a model
            looks at all beforehand, so that switching is smooth; of more, at each when it is shown.
        image: the picture to begin with, counted from 0. score, iou: the thresholds.

    The answer can be driven from code (`w.score = 0.3`, `w.chosen = "object 2"`) and read
    (`w.values`, `w.detail`). Raises LabkitError for a data set without pictures, results of other
    pictures, or a model that knows none of the classes.
    """
    if not len(dataset):
        raise LabkitError("explore_detections: the data set has no images.")
    if not 0 <= image < len(dataset):
        raise LabkitError(
            f"explore_detections: image {image} of a data set of {len(dataset)}; "
            f"give one from 0 to {len(dataset) - 1}."
        )
    traced = hasattr(model_or_results, "trace")
    look = (from_model if traced else from_results)(model_or_results, dataset)
    explorer = DetectionsExplorer(
        look,
        len(dataset),
        dataset.class_names,
        image=image,
        score=score,
        iou=iou,
        caption="Lower the score threshold until an invented object appears; raise the IoU "
        "threshold until agreement breaks. Click an object and ask: was it the class, the box, or "
        "the mask?",
    )
    if traced and len(dataset) <= AT_ONCE:
        for place in range(len(dataset)):
            explorer.look_at(place)
    return explorer
