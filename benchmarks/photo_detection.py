"""Detect objects in a photograph: lite0_fpn beside the smallest detector of torchvision.

    python benchmarks/photo_detection.py [--weights RUN] [--photo FILE] [--repeats 10] [--rounds 2]
                                         [--torch-python PATH]

labkit's lite0_fpn finds boxes and masks at its own image size, and once more at 320 px;
torchvision's fasterrcnn_mobilenet_v3_large_320_fpn finds boxes alone, at 320 px. Without --weights
(the folder of a run) labkit's heads are random, as torchvision's are. Without --photo it is one of
scikit-image's. The programs take turns, each in its own process, which times the calls after the
first two. Prints one JSON object: medians over the rounds of seconds and of peak memory.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from measuring import in_own_process, peak_mib, seconds


def photo(args):
    """The photograph, a Pillow image."""
    from PIL import Image

    return Image.open(args.photo).convert("RGB")


def measure_labkit(args, side: int | None = None) -> dict:
    """Time `detect` at the preset's image size, or with `side` as the shorter side."""
    import labkit
    from labkit.models.registry import build_detector

    if args.weights:
        model = labkit.load_model(args.weights)
    else:
        model = labkit.MaskRCNN(labkit.Config.preset("lite0_fpn"), ["thing"])
    if side:
        smaller = model.config.replace(image_min_side=side, image_max_side=side * 5 // 3)
        smaller = build_detector(smaller, model.class_names)
        smaller.set_weights(model.get_weights())
        model = smaller
    image = photo(args)
    found = []

    def detect():
        found.append(len(model.detect(image).scores))

    return measured(detect, args) | {"detections": found[-1], "size": model.config.image_min_side}


def measure_torchvision(args) -> dict:
    """Time a torchvision detector with random weights, at the size that it is named after."""
    import numpy as np
    import torch
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None).eval()
    image = torch.tensor(np.array(photo(args))).permute(2, 0, 1) / 255

    def detect():
        with torch.no_grad():
            model([image])

    return measured(detect, args) | {"size": 320}


def measured(work, args) -> dict:
    """The median seconds of a call, without the first two, and the peak memory of the process."""
    work()
    _, median = seconds(work, args.repeats)
    return {"seconds": round(median, 4), "peak_mib": peak_mib()}


MEASURES = {
    "labkit": measure_labkit,
    "labkit at 320": lambda args: measure_labkit(args, 320),
    "torchvision, boxes only": measure_torchvision,
}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--weights", metavar="RUN")
    p.add_argument("--photo", metavar="FILE")
    p.add_argument("--repeats", type=int, default=10)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--torch-python", default=sys.executable, metavar="PATH")
    p.add_argument("--only", choices=MEASURES, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.only:
        print(json.dumps(MEASURES[args.only](args)))
        return
    arguments = sys.argv[1:]
    if not args.photo:  # named here, for torchvision's Python may lack scikit-image
        import skimage

        arguments += ["--photo", str(Path(skimage.data_dir) / "coffee.png")]
    rounds = []
    for _ in range(args.rounds):
        rounds.append({})
        for name in MEASURES:
            python = args.torch_python if name.startswith("torchvision") else sys.executable
            rounds[-1][name] = in_own_process(python, __file__, arguments, name)
    middle = {
        name: {key: statistics.median(r[name][key] for r in rounds) for key in rounds[0][name]}
        for name in MEASURES
    }
    print(json.dumps({"cores": os.cpu_count(), **middle}, indent=2))


if __name__ == "__main__":
    main()
