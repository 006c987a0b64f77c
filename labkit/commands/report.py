"""`labkit report`: one HTML page that compares runs on the same data."""

from pathlib import Path

from labkit.commands.numbers import fraction, positive_int
from labkit.commands.options import add_evaluation_data
from labkit.commands.reader_options import add_reader_options
from labkit.commands.run_data import note_if_seen
from labkit.commands.sources import chosen_data
from labkit.commands.weights import SOURCES, model_of
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow

NAME = "report"
HELP = "write a page that compares models, or files of results"
EPILOG = """\
examples:
  labkit report runs/first runs/second --data shapes --out page.html
  labkit report runs/nuclei --annotations val.json --images val/ --out nuclei.html
  labkit report runs/tuned coco-r50-fpn --data my-photos/ --out page.html
  labkit report ours.json theirs.json --annotations val.json --out page.html

One HTML file that needs nothing else: COCO's numbers and other definitions of AP, curves, score
thresholds, confusion, types of errors, calibration, size and crowding, the worst images. Files of
results need no --images: the worst images are then drawn on grey.
"""


def add_options(parser) -> None:
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help=f"{SOURCES}; or a COCO json of results from any program",
    )
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="SOURCE",
        help="the same, spelled as for the other commands; may be repeated",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the page, e.g. page.html")
    parser.add_argument("--title", default="Evaluation", help="its heading")
    add_evaluation_data(parser.add_argument_group("what they are compared with"))
    parser.add_argument(
        "--max-dets",
        type=positive_int,
        default=100,
        metavar="N",
        help="detections that count in a picture (default: 100)",
    )
    parser.add_argument(
        "--score",
        type=fraction,
        default=0.5,
        metavar="X",
        help="show detections from this score on (default: 0.5)",
    )
    add_reader_options(parser)


def run(args) -> int:
    sources, choice = args.runs + args.weights, vars(args)
    if not sources:
        raise LabkitError("say what to report on: RUN, --weights SOURCE, or a json of results.")
    names = short_names(sources)
    files = [source.endswith(".json") for source in sources]
    if all(files) and args.annotations and not args.images:
        if args.data or args.split or args.reader:
            raise LabkitError(
                "files of results are compared with --annotations alone: leave out --data, "
                "options of reading and --split, or --annotations."
            )
        dataset, truth = None, args.annotations
    else:
        dataset = chosen_data(choice, "val")
        truth = dataset.to_coco()
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)  # or refused before the work begins
    evaluations = {}
    for name, source, is_file in zip(names, sources, files, strict=True):
        evaluations[name] = (
            evaluate_results_file(source, truth, args.max_dets)
            if is_file
            else evaluate_model(source, dataset, args.max_dets, choice)
        )
    from labkit.reports.evaluation import write_evaluation_page

    path = write_evaluation_page(
        evaluations, args.out, dataset=dataset, score_threshold=args.score, title=args.title
    )
    print(f"Open {path} in a browser.")
    return 0


def evaluate_results_file(source: str, truth, max_dets: int):
    """The Evaluation of a file of results: it needs no model, so no TensorFlow."""
    from labkit.evaluation import evaluate_results

    return evaluate_results(truth, source, max_dets=max_dets)


def evaluate_model(source: str, dataset, max_dets: int, choice: dict):
    """The Evaluation of a model on a data set."""
    import_tensorflow()
    from labkit.evaluation import evaluate

    note_if_seen(source, choice)
    return evaluate(model_of(source, dataset.class_names), dataset, max_dets=max_dets)


def short_names(sources: list[str]) -> list[str]:
    """The shortest ends of the paths that tell them apart: mostly the names of the folders."""
    paths = [Path(source).resolve() for source in sources]
    if len(set(paths)) < len(paths):
        raise LabkitError("report: a run is named twice; name each once.")
    parts = [naming_path(Path(source), paths).parts for source in sources]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def naming_path(source: Path, others: list[Path]) -> Path:
    """The path that a source is named after: a file's has no .json, unless that is another one."""
    if source.suffix != ".json":
        return source.resolve()
    file = source.parent.resolve() / source.name  # a link keeps its own name
    return file if file.with_suffix("") in others else file.with_suffix("")
