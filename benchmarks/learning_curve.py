"""AP against minutes of training: from noise, and from ImageNet.

    python benchmarks/learning_curve.py --data DIR [--out notebooks/cached/learning_curve.json]
                                        [--seeds 0 1 2] [--jobs 1]

DIR holds photographs with the splits train and val, in any format. Three networks learn them:
`tiny`, and `lite0_fpn` from noise and from ImageNet. Each is trained to its end, with a falling
rate, and measured five times on the way. First the time of a step is measured with nothing else
running; the minutes are steps times that time, so that runs may share the machine (--jobs 2).
Prints one JSON object, which notebook 07 draws.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NETWORKS = {  # name -> preset, whether it starts from ImageNet, steps
    "tiny": ("tiny", False, 500),
    "lite0_fpn from noise": ("lite0_fpn", False, 160),
    "lite0_fpn from ImageNet": ("lite0_fpn", True, 160),
}
LOOKS = 5  # at AP
TIMED = (8, 28)  # steps that are timed: the first ones compile


def train(name: str, data: str, seed: int, steps: int, every: int, callbacks=()) -> list[dict]:
    """Train a network as `labkit train` does; the rows of validation."""
    from labkit import Config, TrainSettings
    from labkit.data import load_dataset
    from labkit.models.registry import build_detector
    from labkit.training import fit_to_data
    from labkit.training import train as fit
    from labkit.weights.imagenet import load_imagenet

    preset, pretrained, _ = NETWORKS[name]
    images, validation = (load_dataset(data, split=split) for split in ("train", "val"))
    config = Config.preset(preset, seed=seed)
    if not pretrained:
        config = config.from_noise()
    settings = TrainSettings.preset(preset, steps=steps)
    config, settings, _ = fit_to_data(config, settings, images)
    model = build_detector(config, images.class_names)
    if pretrained:
        load_imagenet(model)
    with tempfile.TemporaryDirectory() as folder:
        history = fit(
            model,
            images,
            Path(folder) / "run",
            settings.replace(validate_every=every, film=0),
            validation=validation,
            callbacks=callbacks,
            verbose=False,
        )
    return history.validation


def seconds_a_step(name: str, data: str) -> float:
    """The median time of a step, without the first ones."""
    import keras

    ends = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.monotonic())
    )
    train(name, data, 0, TIMED[1], 0, [watch])
    return float(np.median(np.diff(ends[TIMED[0] :])))


def part(name: str, data: str, seed: int | None) -> object:
    """What one process measures: a run, or without a seed the time of a step."""
    if seed is None:
        return seconds_a_step(name, data)
    steps = NETWORKS[name][2]
    rows = train(name, data, seed, steps, steps // LOOKS)
    return [(row["step"], row["segm_AP"]) for row in rows]


def started(name: str, data: str, seed: int | None) -> subprocess.Popen:
    """`part` in a process of its own."""
    command = [sys.executable, __file__, "--data", data, "--only", name]
    command += [] if seed is None else ["--seeds", str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen):
    output, _ = process.communicate()
    if process.returncode:
        sys.exit("a run failed; its messages stand above")
    return json.loads(output.splitlines()[-1])


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data", required=True, metavar="DIR")
    p.add_argument("--out", metavar="FILE")
    p.add_argument("--seeds", type=int, nargs="*", default=None)
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--only", choices=NETWORKS, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.only:
        print(json.dumps(part(args.only, args.data, args.seeds[0] if args.seeds else None)))
        return
    step = {name: result_of(started(name, args.data, None)) for name in NETWORKS}
    todo = [(name, seed) for seed in args.seeds or (0, 1, 2) for name in NETWORKS]
    runs = []
    for first in range(0, len(todo), args.jobs):
        together = todo[first : first + args.jobs]
        processes = [started(name, args.data, seed) for name, seed in together]
        for (name, seed), process in zip(together, processes, strict=True):
            rows = result_of(process)
            minutes = [round(done * step[name] / 60, 3) for done, _ in rows]
            aps = [round(ap, 4) for _, ap in rows]
            runs.append({"name": name, "seed": seed, "minutes": minutes, "ap": aps})
            print(name, seed, aps, file=sys.stderr, flush=True)
    result = {"cores": os.cpu_count(), "seconds_a_step": step, "runs": runs}
    print(json.dumps(result, indent=1))
    if args.out:
        Path(args.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
