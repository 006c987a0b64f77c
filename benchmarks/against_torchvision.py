"""Compare the speed of r50_fpn with that of torchvision's maskrcnn_resnet50_fpn.

    pip install torchvision
    python benchmarks/against_torchvision.py [--height 800] [--width 1067] [--batch 1] [--steps 5]
                                             [--torch-python PATH] [--precision mixed_float16]

Measures a detection and a training step. The two programs take turns on the same machine, each in
its own process: --rounds times labkit, then torchvision. --torch-python is a Python that has
torchvision, if this one does not. Both have the same architecture, 80 classes, random weights of
the same scale, frozen batch norms, and train all layers, so that each computes every gradient. The
score threshold is 0, so that both have the maximum number of proposals and detections to process.
Prints one JSON object; a ratio below 1 means that labkit is faster.
"""

import argparse
import json
import os
import sys

import numpy as np
from measuring import in_own_process, peak_mib, seconds
from r50_fpn import measure_labkit, picture, random_batch


def measure_torchvision(args) -> dict:
    """Time a detection and a training step, with the same keys as `measure_labkit`."""
    import torch
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.models.resnet import resnet50
    from torchvision.ops.misc import FrozenBatchNorm2d

    device = "cuda" if torch.cuda.is_available() else "cpu"
    backbone = resnet50(norm_layer=FrozenBatchNorm2d)
    with torch.no_grad():  # as `calibrate` in r50_fpn.py
        backbone.bn1.running_var.fill_(2.0)
        for name, module in backbone.named_modules():
            if name.endswith("bn3"):
                module.weight.fill_(0.25)
    model = MaskRCNN(
        _resnet_fpn_extractor(backbone, 5),
        81,
        box_score_thresh=0.0,
        min_size=min(args.height, args.width),
    ).to(device)
    image = torch.tensor(picture(args)).permute(2, 0, 1).to(device) / 255

    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    def detect():
        with torch.no_grad(), torch.autocast(device, enabled=bool(args.precision)):
            found = model([image])
        wait()
        return found

    model.eval()
    first_detect, detection = seconds(detect, args.steps)
    detections = len(detect()[0]["boxes"])
    images, targets = _lists(random_batch(args.batch, args.height, args.width), device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=1e-4)
    model.train()

    def step():
        with torch.autocast(device, enabled=bool(args.precision)):
            loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        wait()
        return loss

    first_step, train = seconds(step, args.steps)
    return {
        "version": torch.__version__,
        "device": device,
        "first_detect_seconds": first_detect,
        "detect_seconds": detection,
        "first_step_seconds": first_step,
        "step_seconds": train,
        "detections": detections,
        "peak_mib": peak_mib(),
    }


def _lists(batch: dict, device: str) -> tuple[list, list]:
    """Convert labkit's padded batch to torchvision's lists of images and targets."""
    import torch

    height, width = (int(n) for n in batch["sizes"][0])
    images, targets = [], []
    for i, boxes in enumerate(batch["boxes"]):
        y1, x1, y2, x2 = boxes.T
        masks = np.zeros((len(boxes), height, width), np.uint8)
        for mask, (top, left, bottom, right) in zip(masks, boxes.astype(int), strict=True):
            mask[top:bottom, left:right] = 1
        image = batch["images"][i, :height, :width].transpose(2, 0, 1)
        images.append(torch.tensor(image).to(device) / 255)
        targets.append(
            {
                "boxes": torch.tensor(np.stack([x1, y1, x2, y2], 1)).to(device),
                "labels": torch.tensor(batch["classes"][i], dtype=torch.int64).to(device),
                "masks": torch.tensor(masks).to(device),
            }
        )
    return images, targets


MEASURES = {"labkit": measure_labkit, "torchvision": measure_torchvision}
COMPARED = ("detect_seconds", "step_seconds", "peak_mib")


def ratio(what: str, found: dict[str, list[dict]]) -> float:
    """The median over the rounds of labkit's value divided by torchvision's."""
    rounds = zip(found["labkit"], found["torchvision"], strict=True)
    return round(float(np.median([mine[what] / theirs[what] for mine, theirs in rounds])), 3)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--height", type=int, default=800)
    p.add_argument("--width", type=int, default=1067)
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--precision", choices=("", "mixed_float16"), default="")
    p.add_argument("--torch-python", default=sys.executable, metavar="PATH")
    p.add_argument("--only", choices=MEASURES, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.only:
        print(json.dumps(MEASURES[args.only](args)))
        return
    found = {name: [] for name in MEASURES}
    for _ in range(args.rounds):
        for name, python in (("labkit", sys.executable), ("torchvision", args.torch_python)):
            found[name].append(in_own_process(python, __file__, sys.argv[1:], name))
    result = {
        "image": [args.height, args.width],
        "batch": args.batch,
        "precision": args.precision or "float32",
        "cores": os.cpu_count(),
        "ratios": {what: ratio(what, found) for what in COMPARED},
        **found,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
