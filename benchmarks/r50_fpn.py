"""Measure the time and memory of a training step and a detection of the r50_fpn preset.

    python benchmarks/r50_fpn.py [--height 800] [--width 1067] [--batch 1] [--steps 3]

Prints one JSON object. The image is random: the time of a convolution does not depend on its input,
and the number of proposals is at its limit, which is the worst case.
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measuring import peak_mib, seconds


def picture(args) -> np.ndarray:
    """Random pixels, uint8 [height, width, 3]."""
    shape = args.height, args.width, 3
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def random_batch(count: int, height: int, width: int, objects: int = 8) -> dict:
    """A padded batch of random pixels with objects of 60 to 300 px, as arrays."""
    rng = np.random.default_rng(0)
    canvas = [-(-side // 32) * 32 for side in (height, width)]
    size = rng.uniform(60, 300, (count, objects, 2))
    corner = rng.uniform(0, 1, (count, objects, 2)) * (np.array([height, width]) - size)
    return {
        "images": rng.integers(0, 256, (count, *canvas, 3)).astype(np.uint8),
        "sizes": np.tile(np.float32([height, width]), (count, 1)),
        "boxes": np.concatenate([corner, corner + size], -1).astype(np.float32),
        "classes": rng.integers(1, 81, (count, objects)).astype(np.int32),
        "masks": np.ones((count, objects, 56, 56), np.uint8),
        "image_ids": np.arange(count),
    }


def calibrate(backbone) -> None:
    """Give the frozen batch norms statistics that fit random weights, which stand for ImageNet's.

    Otherwise every residual block doubles the variance and the losses overflow.
    """
    backbone.get_layer("bn1").moving_variance.assign([2.0 * 74.0**2] * 64)
    for layer in backbone.layers:
        if layer.name.endswith("bn3"):
            layer.gamma.assign([0.25] * layer.gamma.shape[0])


def measure_labkit(args) -> dict:
    """Time a detection and a training step: the first call and the median of the others."""
    import tensorflow as tf

    from labkit.models.config import Config
    from labkit.models.mask_rcnn import MaskRCNN
    from labkit.training import TrainSettings
    from labkit.training.precision import computing_in
    from labkit.training.schedules import make_optimizer

    began = time.perf_counter()
    config = Config.preset("r50_fpn", image_min_side=min(args.height, args.width))
    model = MaskRCNN(config, [f"class {i}" for i in range(1, 81)])
    calibrate(model.backbone)
    with computing_in(model, args.precision or "float32"):
        model.compile(optimizer=make_optimizer(TrainSettings.preset("r50_fpn")))
        built = time.perf_counter() - began
        image = picture(args)
        first_detect, detect = seconds(lambda: model.detect(image, score_threshold=0.0), args.steps)
        detect_peak = peak_mib()
        batch = random_batch(args.batch, args.height, args.width)
        batch = {name: tf.constant(values) for name, values in batch.items()}
        step = tf.function(model.train_step, autograph=False)
        first_step, train = seconds(lambda: step(batch)["loss"].numpy(), args.steps)
    return {
        "version": tf.__version__,
        "device": [d.device_type for d in tf.config.list_physical_devices()][-1].lower(),
        "parameters": model.count_params(),
        "build_seconds": built,
        "first_detect_seconds": first_detect,
        "detect_seconds": detect,
        "detect_peak_mib": detect_peak,
        "first_step_seconds": first_step,
        "step_seconds": train,
        "detections": len(model.detect(image, score_threshold=0.0)),
        "peak_mib": peak_mib(),
        "losses_finite": bool(np.isfinite(list(model.last_losses.values())).all()),
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--height", type=int, default=800)
    p.add_argument("--width", type=int, default=1067)
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--precision", choices=("", "mixed_float16"), default="")
    args = p.parse_args()
    result = {
        "preset": "r50_fpn",
        "classes": 80,
        "image": [args.height, args.width],
        "batch": args.batch,
        "cores": os.cpu_count(),
        **measure_labkit(args),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
