"""Measure a detection by Mask R-CNN beside one by YOLACT: seconds, memory and their ratio.

    python benchmarks/two_detectors.py [MODEL MODEL] [--photo FILE] [--repeats 5] [--rounds 2]

A MODEL is a preset, of which a network of 80 classes with random weights is made, or the folder of
a run. By default they are r50_fpn, at 800 px, and yolact_r50, at 550 px. Without --photo the image
is 800 x 1067 random pixels. Random weights return as many detections as they may: the worst case.
The models take turns, each in its own process, which times the calls after the first two. Prints
one JSON object: medians over the rounds.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from measuring import in_own_process, peak_mib, seconds
from r50_fpn import calibrate


def measure(args) -> dict:
    """Time the detections of one model: the median of the calls after the first two."""
    import numpy as np
    from PIL import Image

    import labkit
    from labkit.models.registry import build_detector, presets

    if args.photo:
        image = np.asarray(Image.open(args.photo).convert("RGB"))
    else:
        image = np.random.default_rng(1).integers(0, 256, (800, 1067, 3)).astype(np.uint8)
    if Path(args.only).is_dir():
        model, options = labkit.load_model(args.only), {}
    else:
        model = build_detector(presets()[args.only], [f"class {i}" for i in range(1, 81)])
        if args.only == "r50_fpn":  # of pixels that are not scaled, random residual blocks overflow
            calibrate(model.backbone)
        options = {"score_threshold": 0.0}
    found = model.detect(image, **options)
    _, median = seconds(lambda: model.detect(image, **options), args.repeats)
    config = model.config
    return {
        "seconds": round(median, 4),
        "peak_mib": peak_mib(),
        "detections": len(found),
        "parameters": model.count_params(),
        "shorter_side": config.image_min_side,
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("models", nargs="*", default=["r50_fpn", "yolact_r50"], metavar="MODEL")
    p.add_argument("--photo", metavar="FILE")
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--only", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.only:
        print(json.dumps(measure(args)))
        return
    if len(args.models) != 2:
        p.error("give two models, or none for r50_fpn and yolact_r50")
    rounds = [
        {name: in_own_process(sys.executable, __file__, sys.argv[1:], name) for name in args.models}
        for _ in range(args.rounds)
    ]
    first, second = (
        {key: statistics.median(r[name][key] for r in rounds) for key in rounds[0][name]}
        for name in args.models
    )
    ratio = {key: round(second[key] / first[key], 3) for key in ("seconds", "peak_mib")}
    names = dict(zip(args.models, (first, second), strict=True))
    print(json.dumps({"cores": os.cpu_count(), **names, "second over first": ratio}, indent=2))


if __name__ == "__main__":
    main()
