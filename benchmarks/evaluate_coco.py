"""Measure the time and memory of COCO's metrics on results of the size of val2017.

    python benchmarks/evaluate_coco.py [--images 5000] [--instances 36000] [--detections 100]

Makes up ground truth and results with masks. Then plain pycocotools and labkit evaluate the boxes
and masks of these two files, one after the other and each in its own process. Prints one JSON
object with the seconds, the peak memory, and the largest difference between their metrics.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import measured
from pycocotools import mask as coco_mask

HEIGHT, WIDTH, CLASSES, CORNERS = 480, 640, 80, 20
KINDS = ("bbox", "segm")


def blobs(rng: np.random.Generator, centres: np.ndarray, radii: np.ndarray) -> list[dict]:
    """Draw star-shaped masks.

    Args:
        rng: draws their outlines.
        centres: float [N, 2], (y, x) in pixels.
        radii: float [N], in pixels.

    Returns:
        N dicts with a mask's "segmentation" (run lengths), "bbox" and "area", as COCO has them.
    """
    if not len(radii):
        return []
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reach = radii[:, None] * rng.uniform(0.8, 1.0, (len(radii), CORNERS))
    points = centres[:, None] + reach[..., None] * np.stack([np.sin(angles), np.cos(angles)], 1)
    points = points[..., ::-1].clip(0, [WIDTH, HEIGHT]).reshape(len(radii), 2 * CORNERS)
    masks = coco_mask.frPyObjects(points.round(1).tolist(), HEIGHT, WIDTH)
    boxes, areas = coco_mask.toBbox(masks).tolist(), coco_mask.area(masks).tolist()
    return [
        {"segmentation": {**mask, "counts": mask["counts"].decode()}, "bbox": box, "area": area}
        for mask, box, area in zip(masks, boxes, areas, strict=True)
    ]


def write(folder: Path, images: int, instances: int, detections: int) -> None:
    """Write truth.json and results.json.

    Two thirds of the detections are near an object, and two thirds of these have its class.
    """
    rng = np.random.default_rng(0)
    annotations, results = [], []
    owners = np.sort(rng.integers(0, images, instances))
    for image in range(images):
        objects = int((owners == image).sum())
        centres = rng.uniform(30, [HEIGHT - 30, WIDTH - 30], (objects, 2))
        radii, classes = rng.uniform(8, 90, objects), rng.integers(1, CLASSES + 1, objects)
        for entry, category in zip(blobs(rng, centres, radii), classes.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "iscrowd": 0,
                    "category_id": category,
                    **entry,
                }
            )
        found_centres = rng.uniform(30, [HEIGHT - 30, WIDTH - 30], (detections, 2))
        found_radii = rng.uniform(8, 90, detections)
        found_classes = rng.integers(1, CLASSES + 1, detections)
        if objects:
            near = np.arange(2 * detections // 3)
            of = rng.integers(0, objects, len(near))
            found_centres[near] = centres[of] + rng.normal(0, 4, (len(near), 2))
            found_radii[near] = radii[of] * rng.uniform(0.8, 1.2, len(near))
            found_classes[near] = np.where(near % 3, classes[of], found_classes[near])
        scores = rng.random(detections).round(4).tolist()
        for entry, category, score in zip(
            blobs(rng, found_centres, found_radii), found_classes.tolist(), scores, strict=True
        ):
            del entry["area"]
            results.append({"image_id": image, "category_id": category, "score": score, **entry})
    truth = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(images)],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, CLASSES + 1)],
        "annotations": annotations,
    }
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")


def by_pycocotools(folder: Path) -> dict:
    """The twelve metrics of boxes and of masks, computed as in the demo of pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    numbers = {}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        results = truth.loadRes(str(folder / "results.json"))
        for kind in KINDS:
            run = COCOeval(truth, results, kind)
            run.evaluate()
            run.accumulate()
            run.summarize()
            numbers[kind] = run.stats.tolist()
    return numbers


def by_labkit(folder: Path) -> dict:
    from labkit.evaluation import evaluate_results

    evaluation = evaluate_results(folder / "truth.json", folder / "results.json")
    return {kind: list(getattr(evaluation, kind).values()) for kind in KINDS}


WAYS = {"pycocotools": by_pycocotools, "labkit": by_labkit}


def largest_difference(one: dict, other: dict) -> float:
    """The largest difference between the metrics that both programs define in the same way.

    The metrics of masks by size are left out: if a result also has a bbox, pycocotools takes the
    size of the box for that of the mask.
    """
    any_size = [0, 1, 2, 6, 7, 8]
    parts = [np.subtract(one["bbox"], other["bbox"])]
    parts.append(np.subtract(one["segm"], other["segm"])[any_size])
    return float(np.abs(np.concatenate(parts)).max())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--images", type=int, default=5000)
    p.add_argument("--instances", type=int, default=36000)
    p.add_argument("--detections", type=int, default=100, help="in each image")
    p.add_argument("--step", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.step:
        name, folder = args.step[0], Path(args.step[1])
        if name == "write":
            write(folder, args.images, args.instances, args.detections)
        else:
            numbers, cost = measured(lambda: WAYS[name](folder))
            print(json.dumps(cost | {"numbers": numbers}))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = {"images": args.images, "instances": args.instances, "per_image": args.detections}
        # Each step has its own process; the peak memory of a child starts with its parent's.
        for name in ("write", *WAYS):
            command = [sys.executable, *sys.argv, "--step", name, folder]
            printed = subprocess.run(command, capture_output=True, check=True).stdout
            if printed:
                result[name] = json.loads(printed)
        result["results_mib"] = round((Path(folder) / "results.json").stat().st_size / 2**20, 1)
    numbers = [result[way].pop("numbers") for way in WAYS]
    result["largest_difference"] = largest_difference(*numbers)
    result["time_ratio"] = round(result["labkit"]["seconds"] / result["pycocotools"]["seconds"], 3)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
