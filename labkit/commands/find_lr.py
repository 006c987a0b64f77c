"""`labkit find-lr`: a range test on the data and settings that a training would have."""

import json
from pathlib import Path

from labkit.commands.numbers import positive_int
from labkit.commands.options import add_batches, add_json, add_model, add_training_data
from labkit.commands.reader_options import add_reader_options
from labkit.commands.settings import chosen_settings
from labkit.commands.sources import chosen_data
from labkit.commands.start import start_weights
from labkit.commands.weights import chosen_weights
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow, only_json_on_stdout

NAME = "find-lr"
HELP = "test which learning rate suits a training"
EPILOG = """\
examples:
  labkit find-lr --data shapes
  labkit find-lr --data my-photos/ --preset r50_fpn --set optimizer=sgd --out rates/
  labkit find-lr --annotations train.json --images train/ --from 1e-6 --to 0.1 --steps 200

A short training in which the rate rises from far too low to far too high; nothing is kept of it.
Give it the options of the `labkit train` that you plan: batch size, optimizer, clipping and model
all change the answer. With --out there is a figure (rates.png) and the curve itself (rates.json).
"""
FEWEST_STEPS = 10  # as labkit.training.lr_finder has it, which imports TensorFlow


def add_options(parser) -> None:
    add_training_data(parser.add_argument_group("data: as for `labkit train`"))
    test = parser.add_argument_group("the test")
    test.add_argument(
        "--from",
        dest="first",
        type=float,
        default=1e-5,
        metavar="X",
        help="the lowest rate (default: 1e-5)",
    )
    test.add_argument(
        "--to",
        dest="last",
        type=float,
        default=1.0,
        metavar="X",
        help="the highest rate (default: 1)",
    )
    test.add_argument(
        "--steps",
        dest="test_steps",
        type=positive_int,
        default=100,
        metavar="N",
        help="steps of the test, of one batch each (default: 100)",
    )
    test.add_argument("--out", metavar="DIR", help="folder for rates.png and rates.json")
    add_json(test)
    add_batches(test)
    add_model(parser)
    add_reader_options(parser)
    # Options of `labkit train` that a test does not have, but `chosen_settings` reads.
    parser.set_defaults(steps=None, learning_rate=None, deterministic=False, recipe=None, stage=[])


def run(args) -> int:
    with only_json_on_stdout(args.json):
        found = range_test(args)
    print(json.dumps(found.to_dict(), indent=2) if args.json else found, flush=True)
    with only_json_on_stdout(args.json):
        for path in write_test(found, Path(args.out)) if args.out else []:
            print(f"  {path}")
    return 0


def range_test(args):
    """The `RateTest` of the chosen data and settings."""
    if not 0 < args.first < args.last:
        raise LabkitError(
            f"--from must be above 0 and below --to, got --from {args.first:g} --to {args.last:g}."
        )
    if args.test_steps < FEWEST_STEPS:
        raise LabkitError(
            f"--steps must be at least {FEWEST_STEPS}, got {args.test_steps}: a test of fewer "
            "steps cannot tell rates apart."
        )
    choice = {name: getattr(args, name) for name in ("data", "annotations", "images", "reader")}
    size = args.image_size if isinstance(args.image_size, int) else None
    dataset = chosen_data(choice | {"image_size": size}, "train")
    import_tensorflow()
    from labkit.models.registry import build_detector
    from labkit.training.lr_finder import find_learning_rate

    weights = chosen_weights(args, None)
    config, settings = chosen_settings(args, dataset, None, weights)
    model = build_detector(config, dataset.class_names)
    start_weights(model, weights, args.backbone_weights)
    return find_learning_rate(
        model, dataset, settings, first=args.first, last=args.last, steps=args.test_steps
    )


def write_test(found, out: Path) -> list[Path]:
    """rates.png and rates.json, into the folder `out`; returns the paths."""
    from labkit.io.data_files import write_json
    from labkit.viz import rate_figure, save

    out.mkdir(parents=True, exist_ok=True)
    save(rate_figure(found), out / "rates.png")
    write_json(out / "rates.json", found.to_dict(), indent=2)
    return [out / "rates.png", out / "rates.json"]
