"""The command `labkit`: its options and its errors; `labkit.commands` does the work.

TensorFlow takes seconds to import, so nothing here imports it: `--help` and a mistyped option
answer at once. What the user gave wrongly ends in one sentence on stderr and exit status 2; a
traceback is a fault of labkit's own.
"""

import argparse
import os
import sys

from labkit.commands import detect, doctor, evaluate, find_lr, info, inspect, parity, report, train
from labkit.commands.numbers import share, whole
from labkit.commands.options import add_batches, add_model, add_training_data
from labkit.errors import LabkitError
from labkit.models.config import PRESETS
from labkit.quiet import import_tensorflow, replace_unprintable

DESCRIPTION = "Mask R-CNN: find objects in pictures, their class, their box and their outline."
EPILOG = """\
start here:
  labkit demo                                  train, evaluate and look, in minutes
  labkit train --data shapes --run runs/first  a model of your own
  labkit detect --weights runs/first photo.png what it finds in a picture

`labkit COMMAND --help` explains a command and shows examples.
"""
TRAIN_EPILOG = """\
examples:
  labkit train --data digits --run runs/digits --steps 800
  labkit train --data my-photos/ --run runs/mine
  labkit train --annotations train.json --images train/ \\
               --val-annotations val.json --val-images val/ --run runs/nuclei
  labkit train --run runs/nuclei --resume    goes on after an interruption, with the same data
  labkit train --data shapes --run runs/staged --stage heads:300 --stage all:600@0.0003
  labkit train --data coco --run runs/coco --preset r50_fpn --distribute mirrored \\
               --batch-size 16 --set rate_for_batch=2   8 GPUs, and 8 times the rate

--set changes any field of the model's Config or of TrainSettings; lists are written with commas:
  --set detections=300 --set anchor_sizes=8,16,32,64,128 --set augment.quarter_turns=true

What is left in the run's folder: the weights, checkpoints to go on from, the losses (history.csv)
and, with validation pictures, their AP. `labkit info RUN` sums it up.
"""
DETECT_EPILOG = """\
examples:
  labkit detect --weights runs/demo photo.jpg
  labkit detect --weights runs/nuclei --score 0.7 --max-dets 500 --out found/ slides/

The folder of --out gets a picture for every picture, with the masks drawn on it, and
detections.json: all objects as a COCO data set (images, annotations with scores, categories).
"""
EVALUATE_EPILOG = """\
examples:
  labkit evaluate --weights runs/demo --data shapes
  labkit evaluate --weights runs/mine --data my-photos/
  labkit evaluate --weights runs/nuclei --annotations val.json --images val/ --max-dets 500
  labkit evaluate --annotations val.json --results results.json --json

The numbers are COCO's twelve, for boxes and for masks, by pycocotools. AP is between 0 and 1,
higher is better; -1 means that the data has nothing to measure it on.
"""
INSPECT_EPILOG = """\
examples:
  labkit inspect data/nuclei/train.json --images data/nuclei/train
  labkit inspect data/nuclei --check --out report/
  labkit inspect shapes --json

Classes and how rare they are, sizes of boxes and whether the anchors suit them, overlaps, pictures
without objects, and every entry that cannot be used. With --out there are pictures of all this.
"""
PARITY_EPILOG = """\
examples:
  labkit parity --golden tests/golden
  labkit parity --golden reference/ --json

Goes through a folder of reference values (.npz files computed by torchvision and pycocotools: see
tests/golden) and compares what labkit computes from the same input: operators, whole networks with
the same weights, training losses and gradients, COCO's numbers. For every quantity: how many
values, the largest deviation, the tolerance. The exit status is 0 only if all of them hold.
"""
INFO_EPILOG = """\
examples:
  labkit info              versions, devices, presets
  labkit info runs/demo    what a run was trained on, how far it came, how good it is
  labkit info --pretrained published weights: what they are, their terms, where they are kept
"""


DOCTOR_EPILOG = """\
examples:
  labkit doctor runs/mine
  labkit doctor runs/mine --json

Reads what the run wrote down of itself, also while it goes on, and names what is wrong, the numbers
that say so, and what to do. The exit status is 0 if nothing is found, 1 if something is.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of the whole usage."""

    def __init__(self, *args, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, allow_abbrev=False, **options)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")


def main(argv: list[str] | None = None) -> int:
    """Runs a command line and returns its exit status: 0, or 2 with a sentence on stderr."""
    argv = sys.argv[1:] if argv is None else list(argv)
    replace_unprintable()
    if argv[:1] == ["demo"]:  # labkit.commands.demo has options and a --help of its own
        return guarded("demo", lambda: demo(argv[1:]))
    parser = build_parser()
    if not argv:
        parser.print_help()
        return 0
    args = parser.parse_args(argv)
    return guarded(args.command, lambda: args.run_command(args))


def demo(argv: list[str]) -> int:
    import_tensorflow()
    from labkit.commands import demo as program

    return program.main(argv)


def guarded(command: str, run) -> int:
    """The exit status of run(); expected errors become one sentence on stderr."""
    try:
        return run() or 0
    except BrokenPipeError:  # `labkit info | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"\nlabkit {command}: stopped by Ctrl-C.", file=sys.stderr)
        return 130
    except LabkitError as error:
        sentence = str(error)
    except OSError as error:
        sentence = f"{error.filename}: {error.strerror}." if error.filename else str(error)
    print(f"labkit {command}: {sentence.removeprefix(f'{command}: ')}", file=sys.stderr)
    return 2


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="labkit", description=DESCRIPTION, epilog=EPILOG)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(subparsers)
    test = add_command(subparsers, "find-lr", find_lr.run, find_lr.HELP, find_lr.EPILOG)
    find_lr.add_options(test)
    add_detect(subparsers)
    add_evaluate(subparsers)
    report.add_options(add_command(subparsers, "report", report.run, report.HELP, report.EPILOG))
    add_inspect(subparsers)
    add_doctor(subparsers)
    add_parity(subparsers)
    add_info(subparsers)
    subparsers.add_parser("demo", help="train a small model, evaluate it, show the result")
    return parser


def add_command(subparsers, name: str, run, help: str, epilog: str):
    parser = subparsers.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", epilog=epilog
    )
    parser.set_defaults(run_command=run)
    return parser


def add_train(subparsers) -> None:
    parser = add_command(subparsers, "train", train.run, "train a model", TRAIN_EPILOG)
    data = parser.add_argument_group("data: yours, or one of the catalogue")
    add_training_data(data)
    data.add_argument(
        "--val-annotations",
        metavar="FILE",
        help="pictures to measure AP on while training: their annotations ...",
    )
    data.add_argument("--val-images", metavar="DIR", help="... and their folder")
    data.add_argument(
        "--cache",
        metavar="DIR",
        help="keep decoded pictures there, uncompressed, where they are slow to read and do not "
        "fit into memory, of which they may take 2 GiB",
    )
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--run",
        required=True,
        metavar="RUN",
        help="folder for everything the run leaves, e.g. runs/first",
    )
    run.add_argument(
        "--resume",
        action="store_true",
        help="go on from the run's last checkpoint, with the run's own settings",
    )
    run.add_argument("--steps", type=whole, metavar="N", help="training steps (batches) in all")
    run.add_argument(
        "--recipe",
        metavar="NAME",
        help="train in stages as others did: paper, food, cityscapes, coco-stuff, trash or "
        "alternating (see labkit.training.recipes)",
    )
    run.add_argument(
        "--stage",
        action="append",
        default=[],
        metavar="WHAT:STEPS",
        help="a stage of your own, e.g. heads:300 or all:10epochs@0.0003; may be repeated. WHAT is "
        "heads, 5+, 4+, 3+, all, rpn, roi_heads or a regular expression over paths of weights",
    )
    run.add_argument(
        "--log",
        action="append",
        default=[],
        choices=("tensorboard", "wandb"),
        help="tell another program about every step; may be repeated",
    )
    add_batches(run)
    run.add_argument(
        "--distribute",
        choices=("mirrored", "workers"),
        help="mirrored: on all GPUs of this machine; workers: on several machines, each of which "
        "runs this command with its own TF_CONFIG. A batch is then that of all of them together",
    )
    run.add_argument("--learning-rate", type=float, metavar="X", help="its highest value")
    run.add_argument(
        "--deterministic",
        action="store_true",
        help="the same seed gives the same losses to the last digit (slower)",
    )
    add_model(parser)


def add_detect(subparsers) -> None:
    parser = add_command(
        subparsers, "detect", detect.run, "find objects in pictures", DETECT_EPILOG
    )
    parser.add_argument("images", nargs="+", metavar="PICTURE", help="files, or folders of them")
    parser.add_argument(
        "--weights", required=True, metavar="RUN", help="a run's folder, or one of its checkpoints"
    )
    parser.add_argument(
        "--out",
        default="detections",
        metavar="DIR",
        help="folder for the results (default: detections/)",
    )
    parser.add_argument(
        "--score",
        type=share,
        default=0.5,
        metavar="X",
        help="leave out objects that the model is less sure of (default: 0.5)",
    )
    parser.add_argument(
        "--max-dets",
        type=whole,
        metavar="N",
        help="objects in a picture at most (default: the model's, 100)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print detections.json too, and nothing else, on stdout"
    )


def add_evaluate(subparsers) -> None:
    parser = add_command(
        subparsers,
        "evaluate",
        evaluate.run,
        "measure how good a model, or a file of results, is",
        EVALUATE_EPILOG,
    )
    what = parser.add_argument_group("what is evaluated: one of")
    what.add_argument("--weights", metavar="RUN", help="a model: a run's folder or a checkpoint")
    what.add_argument("--results", metavar="FILE", help="a COCO json of results, from any program")
    data = parser.add_argument_group("what it is compared with")
    data.add_argument("--annotations", metavar="FILE", help="the truth: a COCO json ...")
    data.add_argument("--images", metavar="DIR", help="... and the folder of its pictures")
    data.add_argument(
        "--data",
        metavar="PATH",
        help="or a folder or file in any format (its validation split), or a name of the "
        "catalogue: of shapes and digits, 100 pictures that `labkit train` never shows",
    )
    data.add_argument("--split", metavar="NAME", help="another split of --data, e.g. test")
    data.add_argument(
        "--image-size",
        type=whole,
        metavar="N",
        help="side of the built-in data's pictures in pixels (default: 128)",
    )
    parser.add_argument(
        "--max-dets",
        type=whole,
        default=100,
        metavar="N",
        help="detections that count in a picture (default: 100, as COCO does; "
        "crowded pictures need more)",
    )
    parser.add_argument(
        "--score",
        type=share,
        metavar="X",
        help="leave out detections below this score (default: the model's, 0.05; "
        "a higher one lowers AP)",
    )
    evaluate.add_measures(parser)
    parser.add_argument(
        "--save-results", metavar="FILE", help="keep the detections as a COCO json of results"
    )
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")


def add_inspect(subparsers) -> None:
    parser = add_command(
        subparsers,
        "inspect",
        inspect.run,
        "look through a data set before training",
        INSPECT_EPILOG,
    )
    parser.add_argument(
        "path", metavar="PATH", help="annotations or their folder, or a name of the catalogue"
    )
    parser.add_argument("--split", metavar="NAME", help="which split (default: train)")
    parser.add_argument("--images", metavar="DIR", help="the folder of the pictures of a json")
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        default="tiny",
        help="whose image size and anchors the boxes are measured by (default: tiny)",
    )
    parser.add_argument(
        "--check", action="store_true", help="read every picture too, to find broken ones"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the pictures and description.json")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")


def add_doctor(subparsers) -> None:
    parser = add_command(
        subparsers, "doctor", doctor.run, "say what is wrong with a run", DOCTOR_EPILOG
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")


def add_parity(subparsers) -> None:
    parser = add_command(
        subparsers, "parity", parity.run, "compare labkit with reference values", PARITY_EPILOG
    )
    parser.add_argument(
        "--golden", required=True, metavar="DIR", help="the folder of reference values"
    )
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")


def add_info(subparsers) -> None:
    parser = add_command(
        subparsers, "info", info.run, "describe this installation, or a run", INFO_EPILOG
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--pretrained", action="store_true", help="list the published weights that can be had"
    )
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else on stdout")


if __name__ == "__main__":
    sys.exit(main())
