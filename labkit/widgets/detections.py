"""explore_detections: ground truth against detections, with both thresholds to change."""

from dataclasses import replace

import numpy as np
import traitlets
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pycocotools import mask as coco_mask

from labkit.data.writers.outline import mask_polygon
from labkit.errors import LabkitError, counted, listed
from labkit.evaluation.per_image import Agreement, agreement
from labkit.ops import boxes as box_ops
from labkit.ops.mini_masks import mini_mask
from labkit.viz.agreement import AGREED, FALSE_POSITIVE, MISSED, draw_agreement
from labkit.viz.colors import INK, PREDICTION, ink_on
from labkit.viz.labels import place_labels, plain_text
from labkit.widgets.explorer import Explorer, data_url, script
from labkit.widgets.image_results import (
    HeadOutputs,
    ImageResult,
    from_model,
    from_results,
    only_classes,
)

AT_ONCE = 8  # images in which a model detects before the first is shown: switching is then smooth
MOST_BARS = 6  # classes with a bar each; the others share one more
SIDE = 28  # cells of the mask head's grid
COLORS = {"agreed": AGREED, "missed": MISSED, "false_positives": FALSE_POSITIVE}


class DetectionsExplorer(Explorer):
    """Images with their objects and detections, matched. See `explore_detections`.

    Attributes:
        chosen: "found 3", the detection with the fourth best score of the image; "object 0", the
            first of its objects; or "".
        scene: for the browser, the shapes in the image.
        sorted_out: for the browser, which of them are matched ("agreed"), "missed" and false
            positives ("false_positives").
        detail: for the browser, all about the chosen one.
    """

    _esm = script("detections.js")
    image = traitlets.Int(0, min=0, help="Which image of the data set.").tag(sync=True)
    score = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    iou = traitlets.Float(0.5, min=0.05, max=1.0).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode(), help="Those that are shown.").tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int().tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colors = traitlets.Dict(COLORS).tag(sync=True)
    scene = traitlets.Dict(read_only=True).tag(sync=True)
    sorted_out = traitlets.Dict(read_only=True).tag(sync=True)
    detail = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(self, load, count: int, class_names, **traits):
        """`load` is a function from an index to the `ImageResult`; it is called once for each."""
        self._load, self._results = load, {}
        names = list(class_names)
        super().__init__(count=count, class_names=names, classes=names, **traits)
        self.observe(self._show_image, ["image"])
        self.observe(self._sort_out, ["score", "iou", "classes"])
        self.observe(self._describe, ["chosen"])
        self._show_image()

    @traitlets.validate("image")
    def _is_there(self, proposal):
        if proposal["value"] >= self.count:
            raise traitlets.TraitError(
                f"image must be below {self.count}, the number of images, got {proposal['value']}"
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
        pairs = self.current.pairs
        count = {"found": len(pairs.detections), "object": len(pairs.objects)}.get(kind, 0)
        if proposal["value"] and not (number.isdecimal() and int(number) < count):
            raise traitlets.TraitError(
                f"chosen is {proposal['value']!r}; it must be 'found 0', 'object 0', … up to "
                f"'found {len(pairs.detections) - 1}', 'object {len(pairs.objects) - 1}', or ''."
            )
        return proposal["value"]

    # --- what labkit computes -------------------------------------------------------------

    @property
    def current(self) -> ImageResult:
        """The image that is shown."""
        return self.result(self.image)

    def result(self, index: int) -> ImageResult:
        """The image at an index of the data set; loaded when first needed, then cached."""
        if index not in self._results:
            self._results[index] = self._load(index)
        return self._results[index]

    @property
    def agreement(self) -> Agreement:
        """The true positives, missed objects and false positives of the chosen classes."""
        pairs = self.current.pairs
        found = agreement(pairs, iou_threshold=self.iou, score_threshold=self.score)
        on = np.array([False, *(name in self.classes for name in self.class_names)])
        return Agreement(
            [(g, d) for g, d in found.agreed if on[pairs.classes[d]]],
            [g for g in found.missed if on[pairs.object_classes[g]]],
            [d for d in found.false_positives if on[pairs.classes[d]]],
        )

    @property
    def values(self) -> dict[str, float]:
        """Counts of this image and the chosen classes.

        Returns:
            `agreed` (true positives), `missed`, `false_positives`, `precision` (NaN without
            detections) and `recall` (NaN without objects).
        """
        found = self.agreement
        agreed, missed, false = (
            len(places) for places in (found.agreed, found.missed, found.false_positives)
        )
        return {
            "agreed": agreed,
            "missed": missed,
            "false_positives": false,
            "precision": agreed / (agreed + false) if agreed + false else np.nan,
            "recall": agreed / (agreed + missed) if agreed + missed else np.nan,
        }

    def _show_image(self, change=None):
        current = self.current
        with self.hold_sync():
            self.chosen = ""  # the old choice was in another image
            self.set_trait("scene", scene_of(current))
            self._sort_out()
            self.chosen = "found 0" if len(current.pairs.detections) else ""

    def _sort_out(self, change=None):
        found, overlaps = self.agreement, self.current.pairs.overlaps
        with self.hold_sync():
            self.set_trait(
                "sorted_out",
                {
                    "agreed": [[g, d, round(float(overlaps[d, g]), 3)] for g, d in found.agreed],
                    "missed": found.missed,
                    "false_positives": found.false_positives,
                },
            )
            self._describe()

    def _describe(self, change=None):
        kind, _, number = self.chosen.partition(" ")
        if not kind:
            self.set_trait("detail", {})
            return
        about = self._about_detection if kind == "found" else self._about_object
        self.set_trait("detail", about(int(number)))

    def _about_detection(self, d: int) -> dict:
        pairs, heads = self.current.pairs, self.current.heads
        name, score = self.class_names[pairs.classes[d] - 1], float(pairs.scores[d])
        entry = self.current.comparison.entries[pairs.detections[d]]
        detail = {
            "title": f"{name} {score:.2f}",
            "fate": self._verdict(d),
            "roi": None,
            "box": _corners(entry),
            "mask": _grid(entry),
            "bars": [[name, score]],
            "note": "Results of a file: the mask is cropped to its box; the RoI and the "
            "probabilities of the other classes are not known.",
        }
        if heads is None:
            return detail
        roi = heads.roi_of[d]
        return detail | {
            "roi": heads.rois[roi].tolist(),
            "bars": _bars(heads, roi),
            "mask": heads.masks[d].round(2).tolist(),
            "note": "",
        }

    def _verdict(self, d: int) -> str:
        found, pairs = self.sorted_out, self.current.pairs
        for g, detection, iou in found["agreed"]:
            if detection == d:
                return f"matches object {g}, IoU {iou:.2f}"
        if pairs.scores[d] < self.score:
            return "not shown: its score is below the threshold"
        if d not in found["false_positives"]:
            return "neither right nor wrong: in a crowd, or its class is switched off"
        return "false positive: " + self._why_false(d)

    def _why_false(self, d: int) -> str:
        pairs = self.current.pairs
        own = (pairs.object_classes == pairs.classes[d]) & ~pairs.crowd
        same = np.where(own, pairs.overlaps[d], 0).max(initial=0)
        other = np.where(own | pairs.crowd, 0, pairs.overlaps[d])
        if same >= self.iou:
            return f"a duplicate, a better score already matches its object (IoU {same:.2f})"
        if other.max(initial=0) >= self.iou:
            g = int(other.argmax())
            return (
                f"it overlaps object {g} (IoU {other[g]:.2f}), which is of class "
                f"{self.class_names[pairs.object_classes[g] - 1]}"
            )
        if same > 0:
            return f"it overlaps an object of its class, but too little (IoU {same:.2f})"
        return "no object overlaps it enough"

    def _about_object(self, g: int) -> dict:
        pairs, heads = self.current.pairs, self.current.heads
        name = self.class_names[pairs.object_classes[g] - 1]
        annotation = self.current.comparison.annotations[pairs.objects[g]]
        detail = {
            "title": f"object {g}: {name}",
            "roi": None,
            "box": _corners(annotation),
            "fate": f"{self._verdict_on_object(g)}; {self._nearest_to(g)}",
            "mask": _grid(annotation),
            "bars": [],
            "note": "The mask is the ground truth.",
        }
        if heads is None or not len(heads.rois):
            return detail
        overlap = box_ops.iou(heads.rois, np.float32([detail["box"]])).numpy()[:, 0]
        roi = int(overlap.argmax())
        note = (
            f"The mask is the ground truth. The RoI that covers it best (IoU of boxes "
            f"{overlap[roi]:.2f}), and its class probabilities:"
        )
        return detail | {"roi": heads.rois[roi].tolist(), "bars": _bars(heads, roi), "note": note}

    def _verdict_on_object(self, g: int) -> str:
        for matched, d, iou in self.sorted_out["agreed"]:
            if matched == g:
                return f"found by detection {d}, IoU {iou:.2f}"
        if g in self.sorted_out["missed"]:
            return "missed"
        return "a crowd, or its class is switched off"

    def _nearest_to(self, g: int) -> str:
        """Which of all detections, shown or not, overlaps an object most."""
        pairs = self.current.pairs
        best = pairs.overlaps[:, g].max(initial=0)
        if best == 0:
            return "no detection of any score touches it"
        d = int(pairs.overlaps[:, g].argmax())
        name = self.class_names[pairs.classes[d] - 1]
        return f"overlapped most by detection {d}, {name} {pairs.scores[d]:.2f}, IoU {best:.2f}"

    # --- a picture without a browser ------------------------------------------------------

    def draw(self):
        current, detail, found = self.current, self.detail, self.values
        wide = current.image.shape[1] / current.image.shape[0]
        figure = Figure(figsize=(4.6 * min(wide, 2) + 4.4, 4.9), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(4.6 * min(wide, 2), 3.6))
        on = [i + 1 for i, name in enumerate(self.class_names) if name in self.classes]
        shown = replace(current.comparison, images=[only_classes(current.pairs, on)])
        view = figure.add_subplot(grid[:, 0])
        labels = len(self.class_names) > 1  # a single name says nothing, and hides small objects
        draw_agreement(
            shown,
            current.pairs.image_id,
            current.image,
            view,
            iou_threshold=self.iou,
            score_threshold=self.score,
            labels=labels,
            font_size=9,
        )
        words = (
            f"score ≥ {self.score:g}, IoU ≥ {self.iou:g}: {found['agreed']} matched, "
            f"{found['missed']} missed, {counted(found['false_positives'], 'false positive')}"
        )
        name = plain_text(current.name, 40, keep="end")
        view.set_title(f"{name}\n{words}", fontsize=10, loc="left")
        if detail:
            _mark_chosen(view, detail, named=not labels)
            _draw_bars(figure.add_subplot(grid[0, 1]), detail)
            _draw_mask(figure.add_subplot(grid[1, 1]), detail)
        chosen = f" Chosen: {detail['title']}, {detail['fate']}." if detail else ""
        return figure, f"{current.name}, objects and detections, {words}.{chosen}"


# --- one image --------------------------------------------------------------------------------


def scene_of(result: ImageResult) -> dict:
    """The shapes in an image for the browser: found and objects, each with box, name and path."""
    pairs, comparison = result.pairs, result.comparison
    entries = [comparison.entries[i] for i in pairs.detections]
    annotations = [comparison.annotations[i] for i in pairs.objects]
    names = comparison.class_names
    return {
        "name": result.name,
        "picture_url": data_url(result.image),
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
    """The mask in the form of the mask head, 28 x 28 in its box; None without a mask."""
    mask = _mask(entry)
    if mask is None:
        return None
    return np.float64(mini_mask(mask, _corners(entry), (SIDE, SIDE))).tolist()


def _path(entry: dict) -> str:
    """The outline of a mask, or of the box if there is none, as the `d` of an SVG path."""
    mask = _mask(entry)
    if mask is None or not mask.any():
        y1, x1, y2, x2 = _corners(entry)
        return f"M{x1} {y1}H{x2}V{y2}H{x1}Z"
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # usually much smaller
    corners = mask_polygon(window) + (columns[0], rows[0])
    return "M" + "L".join(f"{x} {y}" for x, y in corners.tolist()) + "Z"


def _bars(heads: HeadOutputs, roi: int) -> list[list]:
    """[name, probability] of a RoI's most probable classes, and of all others together."""
    p = heads.probabilities[roi]
    order = np.argsort(-p, kind="stable")
    bars = [[heads.class_names[k], round(float(p[k]), 4)] for k in order[:MOST_BARS]]
    rest = order[MOST_BARS:]
    return bars + ([[f"{len(rest)} others", round(float(p[rest].sum()), 4)]] if len(rest) else [])


def _mark_chosen(ax, detail: dict, named: bool) -> None:
    """A black box around the chosen one, and its name beside it if no other has one."""
    y1, x1, y2, x2 = detail["box"]
    for color, width in (("white", 3.2), (INK, 1.8)):
        ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=color, lw=width))
    if named:
        text, box = plain_text(detail["title"], 40), np.array([detail["box"]])
        place_labels(ax, box, [text], [INK], [ink_on(INK)], font_size=9)


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
    """Objects and detections in the images of a data set: matched, missed or false positive.

    Sliders for the score and the IoU threshold; classes on and off; click an object to see its RoI,
    the probabilities of its classes and its 28 x 28 mask. Matching is that of AP, class by class.
    The explorer can be changed from code (`w.score = 0.3`, `w.chosen = "object 2"`) and read
    (`w.values`, `w.detail`).

    Args:
        model_or_results: a `MaskRCNN`; or results, as `labkit.evaluation.compare` takes them: an
            Evaluation, a Comparison, a COCO results file or list. Results have no RoIs.
        dataset: the `labkit.data.Dataset` with images and ground truth. A model detects in all of
            up to eight images beforehand, so that switching is smooth; of more, when one is shown.
        image: index of the first image to show.
        score: the score threshold.
        iou: the IoU threshold.

    Raises:
        LabkitError: a data set without images, results of other images, or a model that knows none
            of the classes.
    """
    if not len(dataset):
        raise LabkitError("explore_detections: the data set has no images.")
    if not 0 <= image < len(dataset):
        raise LabkitError(
            f"explore_detections: image {image} of a data set of {len(dataset)}; "
            f"give one from 0 to {len(dataset) - 1}."
        )
    traced = hasattr(model_or_results, "trace")
    load = (from_model if traced else from_results)(model_or_results, dataset)
    explorer = DetectionsExplorer(
        load,
        len(dataset),
        dataset.class_names,
        image=image,
        score=score,
        iou=iou,
        caption="Lower the score threshold until a false positive appears; raise the IoU threshold "
        "until a match is lost. Click an object: was it the class, the box, or the mask?",
    )
    if traced and len(dataset) <= AT_ONCE:
        for index in range(len(dataset)):
            explorer.result(index)
    return explorer
