"""`labkit inspect`: what is in a data set, what is wrong with it, which anchors suit it."""

import json
from pathlib import Path

from labkit.commands.sources import DATA_NAMES, GENERATED_SIZE, generated
from labkit.config import Config
from labkit.errors import LabkitError
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
    """The data set that PATH names: a built-in one, or what lies there, in any known format."""
    if args.path in DATA_NAMES and not Path(args.path).exists():
        if args.images:
            raise LabkitError(f"--images goes with your own annotations; {args.path} is built in.")
        return generated(args.path, "val", GENERATED_SIZE)
    from labkit.data.load import load_dataset

    return load_dataset(args.path, images=args.images)


def write_report(dataset, description, out: Path) -> list[Path]:
    """description.json and the figures, into the folder `out`; returns the paths."""
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
    report.write_text(json.dumps(description.to_dict(), indent=2), encoding="utf-8")
    return [*(out / name for name in figures), report]
