"""`labkit inspect`: what is in a data set, what is wrong with it, which anchors suit it."""

import json
from pathlib import Path

from labkit.commands.sources import is_drawn, named
from labkit.data.catalogue import CATALOGUE
from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.quiet import import_tensorflow, only_json_on_stdout


def run(args) -> int:
    with only_json_on_stdout(args.json):
        import_tensorflow()  # the anchors are computed with it
        dataset = opened(args)
        description = dataset.describe(Config.preset(args.preset), check=args.check)
        written = write_report(dataset, description, Path(args.out)) if args.out else []
    if args.json:
        print(json.dumps(description.to_dict(), indent=2))
    else:
        print(description)
        for path in written:
            print(f"  {path}")
    return 0


def opened(args):
    """The data set that PATH names: what lies there, in any known format, or the catalogue's."""
    if not args.images:
        return named(args.path, "val" if is_drawn(args.path) else "train", split=args.split)
    if not Path(args.path).exists() and args.path in CATALOGUE:
        raise LabkitError(f"--images goes with your own annotations; {args.path} has its own.")
    from labkit.data.load import load_dataset

    return load_dataset(args.path, images=args.images, split=args.split)


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
        figures |= {"classes.png": class_bars(description), "sizes.png": box_sizes(description)}
    for name, figure in figures.items():
        save(figure, out / name)
    report = out / "description.json"
    write_json(report, description.to_dict(), indent=2)
    return [*(out / name for name in figures), report]
