"""A small version of the paper's experiment: one model, trained with three ways to pool RoIs.

    python benchmarks/roi_experiment.py [--ops pool crop_and_resize align] [--seeds 0 1 2]
                                        [--steps 300] [--out notebooks/cached/roi_experiment.json]

Trains the tiny preset on drawn shapes once for each operator and seed, and evaluates it on images
that were not in the training set. Runs with the same seed start with the same weights and see the
same batches, so that they differ only in the operator. The file is written after every run; runs
with the same settings that it already holds are not repeated. Notebook 03 shows the results.
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from labkit import Config, MaskRCNN, TrainSettings, evaluate, shapes, train
from labkit.errors import LabkitError
from labkit.io.data_files import read_json, write_json
from labkit.models.config import CHOICES

SIZE = 96  # pixels: objects of 12 to 40 px cover 3 to 10 cells of the map they are pooled from
PICTURES, UNSEEN = 2000, 100
UNSEEN_SEED = 1_000_003  # of the images for evaluation, the same for all runs
SHOWN = ("AP", "AP50", "AP75")


def setup(steps: int) -> dict:
    """The settings that all runs share, as plain values."""
    config = Config.preset("tiny", image_min_side=SIZE, max_instances=8)
    settings = TrainSettings.preset("tiny", steps=steps, canvas=(SIZE, SIZE))
    data = {
        "kind": "shapes",
        "size": SIZE,
        "pictures": PICTURES,
        "unseen": UNSEEN,
        "unseen_seed": UNSEEN_SEED,
    }
    # Through JSON, so that it can be compared with what a file holds.
    return json.loads(
        json.dumps({"config": config.to_dict(), "settings": settings.to_dict(), "data": data})
    )


def run(op: str, seed: int, common: dict) -> dict:
    """Train once; the AP on the unseen images."""
    keras.backend.clear_session()
    config = Config.from_dict(common["config"]).replace(roi_op=op, seed=seed)
    seen = shapes(PICTURES, SIZE, seed=seed)
    model = MaskRCNN(config, seen.class_names)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainSettings.from_dict(common["settings"])
        train(model, seen, Path(folder) / "run", settings, verbose=False)
    found = evaluate(model, shapes(UNSEEN, SIZE, seed=UNSEEN_SEED), progress=False)
    return {
        "op": op,
        "seed": seed,
        "segm": {name: round(found.segm[name], 4) for name in SHOWN},
        "bbox": {name: round(found.bbox[name], 4) for name in SHOWN},
    }


def runs_in(path: Path, common: dict) -> list[dict]:
    """The runs that a file holds, none if there is no file.

    Raises:
        LabkitError: they were made with other settings.
    """
    if not path.exists():
        return []
    stored = read_json(path)
    if any(stored.get(name) != value for name, value in common.items()):
        raise LabkitError(
            f"{path} holds runs with another config, settings or data; give another --out, or "
            "delete the file."
        )
    return stored["runs"]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ops = [op for op in ("pool", "crop_and_resize", "align") if op in CHOICES["roi_op"]]
    p.add_argument("--ops", nargs="+", choices=ops, default=ops)
    p.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    p.add_argument("--steps", type=int, default=300, help="of each training, 8 pictures a step")
    p.add_argument("--out", type=Path, default="notebooks/cached/roi_experiment.json")
    args = p.parse_args()
    common = setup(args.steps)
    runs = runs_in(args.out, common)
    versions = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "cores": os.cpu_count(),
    }
    command = (
        f"python benchmarks/roi_experiment.py --ops {' '.join(args.ops)} "
        f"--seeds {' '.join(map(str, args.seeds))} --steps {args.steps}"
    )
    for seed in args.seeds:  # first all operators of one seed: a comparison is soon possible
        for op in args.ops:
            if any((r["op"], r["seed"]) == (op, seed) for r in runs):
                continue
            runs.append(run(op, seed, common))
            print(json.dumps(runs[-1]), flush=True)
            report = {"command": command, "versions": versions, **common, "runs": runs}
            write_json(args.out, report, indent=1)


if __name__ == "__main__":
    main()
