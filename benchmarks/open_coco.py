"""Measure the time and memory of opening a COCO file of the size of val2017.

    python benchmarks/open_coco.py [--images 5000] [--instances 36000] [--corners 25] [--rle]

Writes such a file into a temporary folder, with random polygons or run lengths. Then CocoDataset
and load_dataset open it, each in its own process. Prints one JSON object. Images are not opened, so
only the first one exists.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import measured, peak_mib
from PIL import Image

from labkit.ops.coco_masks import encode_rle

HEIGHT, WIDTH = 480, 640


def outline(rng: np.random.Generator, corners: int) -> list[list[float]]:
    """A star-shaped polygon, 20 to 150 px wide."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(10, 75) * rng.uniform(0.6, 1.0, corners)
    centre = rng.uniform(75, [WIDTH - 75, HEIGHT - 75])
    points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return [np.round(points, 2).ravel().tolist()]


def disc(rng: np.random.Generator) -> dict:
    """The run lengths of a disc, 20 to 150 px wide."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    y, x = rng.uniform(75, HEIGHT - 75), rng.uniform(75, WIDTH - 75)
    mask[(rows - y) ** 2 + (columns - x) ** 2 < rng.uniform(10, 75) ** 2] = True
    return encode_rle(mask)


def write(path: Path, images: int, instances: int, corners: int, rle: bool) -> None:
    rng = np.random.default_rng(0)
    content = {
        "images": [
            {"id": i, "file_name": f"{i:012d}.jpg", "height": HEIGHT, "width": WIDTH}
            for i in range(1, images + 1)
        ],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(1, 81)],
        "annotations": [],
    }
    for number in range(1, instances + 1):
        shape = disc(rng) if rle else outline(rng, corners)
        content["annotations"].append(
            {
                "id": number,
                "image_id": int(rng.integers(1, images + 1)),
                "category_id": int(rng.integers(1, 81)),
                "segmentation": shape,
                "iscrowd": 0,
            }
        )
    path.write_text(json.dumps(content), encoding="utf-8")
    Image.new("RGB", (WIDTH, HEIGHT)).save(path.parent / f"{1:012d}.jpg")


def opened(path: Path, by: str) -> dict:
    """Open the file in one of the two ways; the cost, and what was found in the file."""
    from labkit.data import CocoDataset, load_dataset

    imported = peak_mib()
    data, cost = measured(
        lambda: CocoDataset(path, path.parent) if by == "CocoDataset" else load_dataset(path)
    )
    return cost | {
        "imports_mib": imported,
        "images": len(data),
        "instances": sum(data.instance_limit(index) for index in range(len(data))),
        "problems": len(data.problems),
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--images", type=int, default=5000)
    p.add_argument("--instances", type=int, default=36000)
    p.add_argument("--corners", type=int, default=25)
    p.add_argument("--rle", action="store_true", help="run lengths instead of polygons")
    p.add_argument("--step", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.step:
        name, path = args.step[0], Path(args.step[1])
        if name == "write":
            write(path, args.images, args.instances, args.corners, args.rle)
        else:
            print(json.dumps(opened(path, name)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances_val.json"
        result = {"rle": args.rle}
        # Each step has its own process; the peak memory of a child starts with its parent's.
        for name in ("write", "CocoDataset", "load_dataset"):
            command = [sys.executable, *sys.argv, "--step", name, str(path)]
            printed = subprocess.run(command, capture_output=True, check=True).stdout
            if printed:
                result[name] = json.loads(printed)
        result["file_mib"] = round(path.stat().st_size / 2**20, 1)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
