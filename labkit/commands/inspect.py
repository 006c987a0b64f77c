"""`labkit inspect`: what is in a data set, what is wrong with it, which anchors suit it."""

import json
from pathlib import Path

from labkit.commands.options import add_json
from labkit.commands.reader_options import add_reader_options
from labkit.commands.sources import is_drawn, load_by_name, preset_for
from labkit.errors import LabkitError
from labkit.models.registry import presets
from labkit.quiet import import_tensorflow, only_json_on_stdout

NAME = "inspect"
HELP = "look through a data set before training"
EPILOG = """\
examples:
  labkit inspect data/nuclei/train.json --images data/nuclei/train
  labkit inspect data/nuclei --check --out report/
  labkit inspect photos/ --format yolo
  labkit inspect export.json --images photos/ --fix clean/
  labkit inspect shapes --json

Classes and how rare they are, sizes of boxes and whether the anchors suit them, overlaps, pictures
without objects, every entry that cannot be used, and what was repaired. With --out there are
figures of all this; with --fix, the data set as it should be.
With --check the exit status is 1 where there is a problem.
"""


def add_options(parser) -> None:
    parser.add_argument(
        "path", metavar="PATH", help="annotations or their folder, or a name of the catalogue"
    )
    parser.add_argument("--split", metavar="NAME", help="which split (default: train)")
    parser.add_argument("--images", metavar="DIR", help="the folder of the pictures of a json")
    parser.add_argument(
        "--preset",
        choices=tuple(presets()),
        help="whose image size and anchors the boxes are compared with (default: the preset that "
        "labkit train takes for these data)",
    )
    parser.add_argument(
        "--check", action="store_true", help="read every picture too, to find broken ones"
    )
    parser.add_argument(
        "--fix",
        metavar="DIR",
        help="write the repaired data set there as COCO: annotations.json, copies of the pictures, "
        "and changes.txt, which lists every change",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the figures and description.json")
    add_json(parser)
    add_reader_options(parser)


def run(args) -> int:
    with only_json_on_stdout(args.json):
        import_tensorflow()  # the anchors are computed with it
        dataset = load(args)
        config = presets()[args.preset or preset_for(args.path)]
        description = dataset.describe(config, check=args.check)
    print(json.dumps(description.to_dict(), indent=2) if args.json else description, flush=True)
    with only_json_on_stdout(args.json):
        written = write_report(dataset, description, Path(args.out)) if args.out else []
        written += write_repaired(dataset, Path(args.fix)) if args.fix else []
        for path in written:
            print(f"  {path}")
    return 1 if args.check and description.problems else 0


def load(args):
    """The data set that PATH names: a file or folder in any known format, or the catalogue's."""
    if not args.images:
        part = "val" if is_drawn(args.path) else "train"
        return load_by_name(args.path, part, split=args.split, reader=args.reader)
    from labkit.data.catalogue import CATALOGUE

    if not Path(args.path).exists() and args.path in CATALOGUE:
        raise LabkitError(f"--images goes with your own annotations; {args.path} has its own.")
    from labkit.data.load import load_dataset

    return load_dataset(args.path, images=args.images, split=args.split, **args.reader)


def write_repaired(dataset, folder: Path) -> list[Path]:
    """The repaired data set, into a new folder; returns the paths."""
    from labkit.data.writers import save_repaired

    path = save_repaired(dataset, folder)
    return [path, folder / "images", folder / "changes.txt"]


def write_report(dataset, description, out: Path) -> list[Path]:
    """description.json and the figures, into the folder `out`; returns the paths."""
    from labkit.io.data_files import write_json
    from labkit.viz import save
    from labkit.viz.dataset import box_sizes, class_bars, contact_sheet

    out.mkdir(parents=True, exist_ok=True)
    figures = {}
    if description.images:
        figures["samples.png"] = contact_sheet(dataset)
    if description.instances:
        if len(description.classes) > 1:  # the bar of a single one would compare nothing
            figures["classes.png"] = class_bars(description)
        figures["sizes.png"] = box_sizes(description)
    for name, figure in figures.items():
        save(figure, out / name)
    report = out / "description.json"
    write_json(report, description.to_dict(), indent=2)
    return [*(out / name for name in figures), report]
