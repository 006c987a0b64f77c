"""labkit's COCO numbers against pycocotools' own, on data sets full of special cases."""

import json
from collections.abc import Iterator
from pathlib import Path

from labkit.evaluation import evaluate_results
from labkit.parity.check import Check
from labkit.parity.golden import Golden

EXACT = 1e-12  # the same operations on the same float64 numbers


def evaluation(folder: Path, name: str, g: Golden) -> Iterator[Check]:
    """Compares the twelve numbers and the arrays of precision, recall and scores.

    The reference's masks were evaluated without a bbox beside them, so that an object's size is its
    mask's area; labkit always does that.
    """
    found = evaluate_results(folder / f"{name}_gt.json", folder / f"{name}_dt.json")
    stats = folder / "coco_stats.json"
    stats = json.loads(stats.read_text(encoding="utf-8")).get(name) if stats.exists() else None
    for kind in ("bbox", "segm"):
        numbers, curves = list(getattr(found, kind).values()), found.curves[kind]
        check = Check(f"{name} {kind}: twelve numbers", EXACT).add(numbers, g[f"{kind}_stats"])
        yield check.add(numbers, stats[kind]) if stats else check
        # pycocotools' are [T, R, K, sizes, limits]: take objects of any size, the highest limit
        check = Check(f"{name} {kind}: precision", EXACT)
        check.add(curves.precision, g[f"{kind}_precision"][..., 0, -1])
        yield check.add(curves.at(0.5).T, g[f"{kind}_precision_iou50_all_max100"])
        check = Check(f"{name} {kind}: recall", EXACT)
        yield check.add(curves.recall, g[f"{kind}_recall"][..., 0, -1])
        check = Check(f"{name} {kind}: scores", EXACT)
        yield check.add(curves.scores, g[f"{kind}_scores"][..., 0, -1])
