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
  labkit info              versions, devices, presets
  labkit info runs/demo    what a run was trained on, how far it came, how good it is
  labkit info --pretrained published weights: what they are, their terms, where they are kept
"""
# What a run without --weights started from, by what its --backbone-weights said.
START = {"imagenet": "ImageNet's weights in the backbone", "none": "random weights"}


def add_options(parser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's folder")
    parser.add_argument("--pretrained", action="store_true", help="list the published weights")
    add_json(parser)


def run(args) -> int:
    with only_json_on_stdout(args.json):
        if args.pretrained:
            facts = describe_pretrained(args.run)
        else:
            facts = describe_run(Path(args.run)) if args.run else describe_installation()
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        print_facts(facts)
    return 0


def describe_installation() -> dict:
    """Versions, devices and presets. Builds every preset once to count its parameters."""
    import_tensorflow()
    from importlib.metadata import version

    from labkit.models.registry import build_detector, presets
    from labkit.training.device import describe_devices, unusable_gpu

    packages = ("labkit", "tensorflow", "keras", "numpy", "pycocotools")
    described = {}
    for name, config in presets().items():
        model = build_detector(config, [f"class {i}" for i in range(1, 81)])
        described[name] = {
            "parameters": model.count_params(),
            "image": f"{config.image_min_side} to {config.image_max_side} px",
            "backbone": config.backbone,
        }
    complaint = unusable_gpu()
    return {
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "devices": [describe_devices(), *([complaint] if complaint else [])],
        "cores": os.cpu_count(),
        "presets (with 80 classes)": described,
    }


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
