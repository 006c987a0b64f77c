"""Makes backbones.npz: what torchvision's and timm's own backbones compute from made-up weights.

    python -m venv torchenv && torchenv/bin/pip install torch torchvision timm
    PYTHONPATH=tests/helpers torchenv/bin/python tests/golden/make_backbones.py

Of each map C2..C5 the file has 64 values, at random positions, and the mean and the standard
deviation. Made with torch 2.14.1, torchvision 0.29.1 and timm 1.0.31.
"""

import re
from pathlib import Path

import made_up_weights
import numpy as np
import timm
import torch
import torchvision

HERE = Path(__file__).parent
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
RESNETS = ("resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x8d")
LAST_OF_BRANCH = re.compile(r"layer\d\.\d+\.bn3\.|blocks\.\d\.conv2\.bn\.")


def fill(model: torch.nn.Module) -> torch.nn.Module:
    """The model with made-up weights, ready to infer; its classifier keeps its own."""
    state = model.state_dict()
    for name, value in state.items():
        if value.ndim and not name.startswith(("fc.", "head.")):
            ends = bool(LAST_OF_BRANCH.search(name))
            state[name] = torch.from_numpy(made_up_weights.tensor(name, tuple(value.shape), ends))
    model.load_state_dict(state)
    return model.eval()


def resnet(name: str) -> list[torch.Tensor]:
    model = fill(getattr(torchvision.models, name)(weights=None))
    x = model.maxpool(model.relu(model.bn1(model.conv1(pixels()))))
    maps = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        maps.append(x)
    return maps


def darknet(slope: float | None) -> list[torch.Tensor]:
    """timm's Darknet-53; with its own slope of the leaky ReLU, or with another."""
    model = fill(timm.create_model("darknet53", pretrained=False))
    for module in model.modules():
        if slope is not None and isinstance(module, torch.nn.LeakyReLU):
            module.negative_slope = slope
    x, maps = model.stem(pixels()), []
    for stage in model.stages:
        x = stage(x)
        maps.append(x)
    return maps[1:]


def pixels() -> torch.Tensor:
    """The image as torchvision and timm want it: [1, 3, H, W]."""
    x = (made_up_weights.image().astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(x.transpose(2, 0, 1)[None])


def sample(values: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """64 values of a map [H, W, C] with their positions, its mean and its standard deviation."""
    places = rng.integers(0, values.size, 64)
    return {
        "places": places.astype(np.int32),
        "values": values.ravel()[places],
        "mean_std": np.float32([values.mean(dtype=np.float64), values.std(dtype=np.float64)]),
    }


@torch.inference_mode()
def main() -> None:
    made = {name: resnet(name) for name in RESNETS}
    made |= {"darknet53": darknet(None), "darknet53_of_yolact": darknet(0.1)}
    stored, rng = {}, np.random.default_rng(0)
    for name, maps in made.items():
        for level, values in enumerate(maps, start=2):
            values = values[0].numpy().transpose(1, 2, 0)
            stored |= {f"{name}_C{level}_{k}": v for k, v in sample(values, rng).items()}
            print(name, f"C{level}", values.shape, stored[f"{name}_C{level}_mean_std"])
    np.savez_compressed(HERE / "backbones.npz", **stored)


if __name__ == "__main__":
    main()
