"""`labkit report`: one HTML page that compares runs on the same data."""

from pathlib import Path

from labkit.commands.numbers import share, whole
from labkit.commands.run_data import note_if_seen
from labkit.commands.sources import chosen_data
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow

HELP = "write a page that compares models, or files of results"
EPILOG = """\
examples:
  labkit report runs/first runs/second --data shapes --out page.html
  labkit report runs/nuclei --annotations val.json --images val/ --out nuclei.html
  labkit report ours.json theirs.json --annotations val.json --out page.html

One HTML file that needs nothing else: COCO's numbers and other definitions of AP, curves, score
thresholds, confusion, types of errors, calibration, size and crowding, the worst images.
"""


def add_options(parser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's folder, a checkpoint, or a COCO json of results from any program",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the page, e.g. page.html")
    parser.add_argument("--title", default="Evaluation", help="its heading")
    data = parser.add_argument_group("what they are compared with")
    data.add_argument("--annotations", metavar="FILE", help="the truth: a COCO json ...")
    data.add_argument(
        "--images",
        metavar="DIR",
        help="... and the folder of its pictures (results "
        "do without; the worst images are then drawn on grey)",
    )
    data.add_argument("--data", metavar="PATH", help="or anything that `labkit evaluate` takes")
    data.add_argument("--split", metavar="NAME", help="another split of --data, e.g. test")
    data.add_argument("--image-size", type=whole, metavar="N", help="side of drawn pictures")
    parser.add_argument(
        "--max-dets",
        type=whole,
        default=100,
        metavar="N",
        help="detections that count in a picture (default: 100)",
    )
    parser.add_argument(
        "--score",
        type=share,
        default=0.5,
        metavar="X",
        help="show detections from this score on (default: 0.5)",
    )


def run(args) -> int:
    names, choice = names_of(args.runs), vars(args)
    files = [source.endswith(".json") for source in args.runs]
    if all(files) and args.annotations and not args.images:
        if args.data or args.split:
            raise LabkitError(
                "files of results are compared with --annotations alone: leave out --data and "
                "--split, or --annotations."
            )
        dataset, truth = None, args.annotations
    else:
        dataset = chosen_data(choice, "val")
        truth = dataset.to_coco()
    evaluations = {}
    for name, source, is_file in zip(names, args.runs, files, strict=True):
        evaluations[name] = (
            of_results(source, truth, args.max_dets)
            if is_file
            else of_model(source, dataset, args.max_dets, choice)
        )
    from labkit.reports.evaluation import write_evaluation_page

    path = write_evaluation_page(
        evaluations, args.out, dataset=dataset, score_threshold=args.score, title=args.title
    )
    print(f"Open {path} in a browser.")
    return 0


def of_results(source: str, truth, max_dets: int):
    """A file of results: needs no model, so no TensorFlow."""
    from labkit.evaluation import evaluate_results

    return evaluate_results(truth, source, max_dets=max_dets)


def of_model(source: str, dataset, max_dets: int, choice: dict):
    import_tensorflow()
    from labkit.evaluation import evaluate
    from labkit.weights.runs import load_model

    note_if_seen(source, choice)
    return evaluate(load_model(source), dataset, max_dets=max_dets)


def names_of(sources: list[str]) -> list[str]:
    """The shortest ends of the paths that tell them apart: folder names, mostly."""
    paths = [Path(source).resolve() for source in sources]
    if len(set(paths)) < len(paths):
        raise LabkitError("report: a run is named twice; name each once.")
    parts = [named_by(Path(source), paths).parts for source in sources]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def named_by(source: Path, others: list[Path]) -> Path:
    """A run's folder; a file without its .json, unless that is one of the others."""
    if source.suffix != ".json":
        return source.resolve()
    file = source.parent.resolve() / source.name  # under the name that it was given by
    return file if file.with_suffix("") in others else file.with_suffix("")
