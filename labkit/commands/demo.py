"""The demo: train the tiny preset on shapes, measure it on pictures it has not seen, show it.

    labkit demo --out runs/demo

Two CPU cores are enough; nothing is downloaded. See the README for what it reached and how long
it took.
"""

import argparse
import shutil
import time
from pathlib import Path

from labkit.data import shapes
from labkit.data.augment import Augment
from labkit.errors import LabkitError
from labkit.evaluation import evaluate
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.reports.run import write_report
from labkit.training import TrainSettings, train
from labkit.training.history import TABLES

SHAPES_AUGMENT = Augment(quarter_turns=True)  # shapes have no up
UNSEEN_SEED = 1_000_003  # of the pictures it is measured on


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="labkit demo",
        description="Train a small Mask R-CNN on drawn shapes and measure it on unseen ones.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    p.add_argument("--out", default="runs/demo", help="folder for what it leaves")
    p.add_argument(
        "--steps",
        type=int,
        default=TrainSettings.preset("tiny").steps,
        help="training steps, of one batch each",
    )
    p.add_argument("--images", type=int, default=4000, help="training pictures")
    p.add_argument("--unseen", type=int, default=100, help="pictures it is measured on")
    p.add_argument("--seed", type=int, default=0, help="of weights, pictures and batches")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    args = parser().parse_args(argv)
    out = Path(args.out)
    _clear(out)
    seen = shapes(args.images, 128, seed=args.seed)
    unseen = shapes(args.unseen, 128, seed=args.seed + UNSEEN_SEED)
    config = Config.preset("tiny", seed=args.seed, max_instances=seen.max_instances)
    model = MaskRCNN(config, seen.class_names)
    settings = TrainSettings.preset("tiny", steps=args.steps, augment=SHAPES_AUGMENT)
    print(
        f"Training {model.count_params():,} parameters on {args.images} pictures of shapes, "
        f"{settings.steps} steps of {settings.batch_size}. Stop with Ctrl-C, nothing breaks.",
        flush=True,
    )
    began = time.monotonic()
    history = train(model, seen, out, settings)
    seconds = time.monotonic() - began

    print(f"\nMeasuring it on {args.unseen} pictures it has not seen.", flush=True)
    evaluation = evaluate(model, unseen)
    paths = write_report(out, model, history, seconds, unseen, evaluation)
    print(f"\n{evaluation}\n\nTrained in {seconds:.0f} s. Look at:")
    for path in (*paths, out / "model.weights.h5"):
        print(f"  {path}")
    print("Then: make lab, and open notebooks/00_tour.ipynb.")
    return 0


def _clear(out: Path) -> None:
    """A demo replaces the demo before it, and nothing else."""
    if not out.exists():
        return
    others = [p.name for p in out.iterdir() if p.name not in OURS and not p.name.endswith(".part")]
    if others:
        raise LabkitError(f"{out} holds {others[0]}, which no demo wrote: choose another --out.")
    shutil.rmtree(out)


OURS = {
    "run.json",
    *TABLES.values(),
    "checkpoints",
    "model.weights.h5",
    "metrics.json",
    "figures",
    "broken.json",
    "seen.json",
}
