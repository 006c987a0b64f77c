"""`labkit info`: what is installed, what a run is, or which weights can be had."""

import json
import os
import platform
from pathlib import Path

from labkit.commands.options import add_json
from labkit.commands.run_data import remembered
from labkit.errors import LabkitError
from labkit.quiet import import_tensorflow, only_json_on_stdout

NAME = "info"
HELP = "describe this installation, or a run"
EPILOG = """\
examples:
  labkit info              versions and presets
  labkit info --full       also the devices that TensorFlow finds, and the presets' parameters
  labkit info runs/demo    what a run was trained on, how far it came, how good it is
  labkit info --pretrained published weights: what they are, their terms, where they are kept
"""
# What a run without --weights started from, by what its --backbone-weights said.
START = {"imagenet": "ImageNet's weights in the backbone", "none": "random weights"}


def add_options(parser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's folder")
    parser.add_argument("--pretrained", action="store_true", help="list the published weights")
    parser.add_argument(
        "--full",
        action="store_true",
        help="list devices too, and build every preset to count its parameters: half a minute",
    )
    add_json(parser)


def run(args) -> int:
    with only_json_on_stdout(args.json):
        if args.pretrained:
            facts = describe_pretrained(args.run)
        else:
            facts = describe_run(Path(args.run)) if args.run else describe_installation(args.full)
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        print_facts(facts)
    return 0


def describe_installation(full: bool = False) -> dict:
    """Versions and presets; with `full` also what takes TensorFlow to find out."""
    from importlib.metadata import version

    from labkit.models.registry import presets

    packages = ("labkit", "tensorflow", "keras", "numpy", "pycocotools")
    facts = {
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "cores": os.cpu_count(),
    }
    described = {
        name: {
            "image": f"{config.image_min_side} to {config.image_max_side} px",
            "backbone": config.backbone,
        }
        for name, config in presets().items()
    }
    if not full:
        return facts | {"presets": described}
    for name, count in parameters_of_presets().items():
        described[name]["parameters"] = count
    return facts | {"devices": devices(), "presets (with 80 classes)": described}


def devices() -> list[str]:
    """What TensorFlow computes on, and a GPU that it sees and cannot use."""
    import_tensorflow()
    from labkit.training.device import describe_devices, unusable_gpu

    complaint = unusable_gpu()
    return [describe_devices(), *([complaint] if complaint else [])]


def parameters_of_presets(classes: int = 80) -> dict[str, int]:
    """The number of parameters of every preset, which is built for that."""
    import_tensorflow()
    from labkit.models.registry import build_detector, presets

    names = [f"class {i}" for i in range(1, classes + 1)]
    return {name: build_detector(c, names).count_params() for name, c in presets().items()}


def describe_pretrained(run: str | None) -> dict:
    """The published weights that labkit knows; needs no network."""
    from labkit.weights import registry

    if run:
        raise LabkitError("give a run's folder or --pretrained, not both: they are two questions.")
    return registry.describe()


def describe_run(run_dir: Path) -> dict:
    """What a run started from, how many steps it has done, and how good it is: no TensorFlow."""
    from labkit.io.history import History
    from labkit.weights.runs import latest_checkpoint, read_run

    record, history = read_run(run_dir), History.load(run_dir)
    config, settings = record["config"], record["settings"]
    checkpoint = latest_checkpoint(run_dir)
    facts = {
        "run": str(run_dir),
        **start_of(run_dir),
        "classes": record["class_names"],
        "training pictures": record["images"],
        "backbone": config["backbone"],
        "image": f"{config['image_min_side']} to {config['image_max_side']} px"
        if config["resize"] != "none"
        else "native",
        "seed": config["seed"],
        "steps": {
            "done": len(history),
            "planned": settings["steps"],
            "batch size": settings["batch_size"],
            "last checkpoint": checkpoint.name if checkpoint else "none yet",
            "complete": (run_dir / "model.weights.h5").exists(),
        },
        "versions": record["versions"],
    }
    if history.rows:
        facts["losses at the end"] = {k: v for k, v in history.rows[-1].items() if k != "step"}
    if history.validation:
        facts["validation on the way"] = history.validation[-1]
    if (run_dir / "metrics.json").exists():
        metrics = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
        facts["metrics"] = {k: v for k, v in metrics.items() if k != "per_class"}
    return facts


def start_of(run_dir: Path) -> dict:
    """The data, preset and weights that `labkit train` began a run with, as far as it kept them."""
    kept = remembered(run_dir) or {}
    facts = {
        "data": kept.get("data") or kept.get("annotations"),
        "preset": kept.get("preset"),
        "started from": kept.get("weights") or START.get(kept.get("backbone_weights")),
    }
    return {name: value for name, value in facts.items() if value}


def print_facts(facts: dict, indent: str = "") -> None:
    """Nested dicts as indented lines "name: value"."""
    for name, value in facts.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            print_facts(value, indent + "  ")
        else:
            print(f"{indent}{name}: {readable(value)}")


def readable(value) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(readable, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
