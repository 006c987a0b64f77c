"""What several test files share: golden values, a model quick to train, hypothesis' settings.

The golden values were computed by torchvision 0.28 (operators, targets, losses) and pycocotools.
tests/golden holds copies, so that the tests run alone; test_golden_files.py compares them with the
complete set where that is at hand. LABKIT_GOLDEN=folder runs the tests on a folder of the same
layout instead, whatever boxes and numbers it holds.
"""

import functools
import os
from pathlib import Path

# Side by side (`make test`), each of the processes computes on its share of the cores; before
# anything imports TensorFlow or NumPy, which read this once.
if (_workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
    _share = str(max(1, os.cpu_count() // _workers))
    for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, _share)

import pytest
from hypothesis import settings

from labkit.models.config import Config
from labkit.models.yolact_config import YolactConfig
from labkit.parity.golden import Golden

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "tests" / "golden"
COMPLETE = ROOT.parent / "shared" / "golden"

# Compiling a TensorFlow function can take a second, so no deadline; the same examples every time,
# so that a failure is a change in the code.
settings.register_profile("labkit", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("labkit")


@functools.cache
def load_golden(name: str) -> Golden:
    folder = os.environ.get("LABKIT_GOLDEN")
    folders = [Path(folder)] if folder else [SHIPPED, COMPLETE]
    for folder in folders:
        if (folder / f"{name}.npz").exists():
            return Golden(folder / f"{name}.npz")
    pytest.skip(f"{name}.npz is neither in {' nor in '.join(map(str, folders))}")


@pytest.fixture(scope="session")
def golden():
    """golden("boxes") is the file boxes.npz as a `Golden`; the test is skipped if it is absent."""
    return load_golden


@pytest.fixture(scope="session")
def golden_folders() -> tuple[Path, Path]:
    """The copies that ship with the tests, and the complete set, which may be absent."""
    return SHIPPED, Path(os.environ.get("LABKIT_GOLDEN", COMPLETE))


# What the smallest detectors of the tests have in common.
MICRO = {
    "image_min_side": 64,
    "image_max_side": 64,
    "stem_channels": 8,
    "backbone_channels": (16, 16, 24, 32),
    "backbone_blocks": (1, 1, 1, 1),
    "fpn_channels": 16,
    "anchor_sizes": (8, 16, 24, 32, 48),
    "max_instances": 8,
    "detections": 20,
}


@pytest.fixture(scope="session")
def micro_config() -> Config:
    """A complete Mask R-CNN for images of 64 px, of which a training step takes milliseconds."""
    return Config.preset(
        "tiny",
        **MICRO,
        rpn_samples=64,
        proposals_before_nms_train=50,
        proposals_train=40,
        proposals_before_nms=50,
        proposals=30,
        roi_samples=16,
        box_convs=(),
        box_dense=(32,),
        mask_convs=(16,),
        mask_channels=16,
    )


@pytest.fixture(scope="session")
def micro_yolact() -> YolactConfig:
    """A complete YOLACT for images of 64 px."""
    return YolactConfig.preset(
        "yolact_tiny",
        **MICRO,
        strides=(4, 8, 16, 32, 64),
        prototypes=8,
    )
