"""`labkit demo`: train the tiny preset on shapes, measure it on pictures it has not seen, show it.

Two CPU cores are enough; nothing is downloaded. See the README for what it reached and how long
it took.
"""

import shutil
import time
from pathlib import Path

from labkit.commands.numbers import positive_int
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow

NAME = "demo"
HELP = "train a small model on drawn shapes and measure it on unseen ones"
EPILOG = """\
examples:
  labkit demo
  labkit demo --steps 300 --out runs/quick

The folder of --out gets the model, its numbers and figures; an earlier demo there is replaced.
"""
UNSEEN_SEED = 1_000_003  # of the pictures it is measured on


def add_options(parser) -> None:
    parser.add_argument(
        "--out",
        default="runs/demo",
        metavar="DIR",
        help="folder for what it leaves (default: runs/demo)",
    )
    parser.add_argument(
        "--steps",
        type=positive_int,
        default=1200,  # the preset's
        metavar="N",
        help="training steps, of one batch each (default: 1200)",
    )
    parser.add_argument(
        "--images",
        type=positive_int,
        default=4000,
        metavar="N",
        help="training pictures (default: 4000)",
    )
    parser.add_argument(
        "--unseen",
        type=positive_int,
        default=100,
        metavar="N",
        help="pictures it is measured on (default: 100)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of weights, pictures and batches (default: 0)",
    )


def run(args) -> int:
    import_tensorflow()
    from labkit.data import shapes
    from labkit.data.augment import Augment
    from labkit.evaluation import evaluate
    from labkit.models.registry import build_detector, presets
    from labkit.reports.run import write_report
    from labkit.training import TrainSettings, train

    out = Path(args.out)
    remove_earlier_demo(out)
    seen = shapes(args.images, 128, seed=args.seed)
    unseen = shapes(args.unseen, 128, seed=args.seed + UNSEEN_SEED)
    config = presets()["tiny"].replace(seed=args.seed, max_instances=seen.max_instances)
    model = build_detector(config, seen.class_names)
    augment = Augment(quarter_turns=True)  # shapes look as well from any side
    settings = TrainSettings.preset("tiny", steps=args.steps, augment=augment)
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
    print(f"\n{evaluation}\n", flush=True)
    paths = write_report(out, model, history, seconds, unseen, evaluation)
    print(f"Trained in {seconds:.0f} s. Look at:")
    for path in (*paths, out / "model.weights.h5"):
        print(f"  {path}")
    print("Then: make lab, and open notebooks/00_tour.ipynb.")
    return 0


def remove_earlier_demo(out: Path) -> None:
    """Removes what an earlier demo left. Raises LabkitError where there are other files."""
    from labkit.io.history import TABLES

    if not out.exists():
        return
    of_a_demo = {
        "run.json",
        *TABLES.values(),
        "checkpoints",
        "model.weights.h5",
        "metrics.json",
        "figures",
        "broken.json",
        "seen.json",
    }
    for path in out.iterdir():
        if path.name not in of_a_demo and not path.name.endswith(".part"):
            raise LabkitError(
                f"{out} holds {path.name}, which no demo wrote: choose another --out."
            )
    shutil.rmtree(out)
