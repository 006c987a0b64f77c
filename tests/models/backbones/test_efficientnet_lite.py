"""The port of EfficientNet-Lite0: with its own classifier on top, it says what pictures show."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from labkit.errors import LabkitError
from labkit.models.config import Config
from labkit.models.mask_rcnn import MaskRCNN
from labkit.weights import efficientnet_lite, registry
from labkit.weights.files import read_tensors
from labkit.weights.imagenet import load_imagenet
from labkit.weights.transfer import load_tensors


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    model = MaskRCNN(Config.preset("lite0_fpn"), ["thing"])
    load_imagenet(model)
    return model


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return read_tensors(registry.obtain(registry.find("imagenet-lite0")))


def classes(model, tensors, image: np.ndarray) -> list[int]:
    """ImageNet's classes from the most probable one on: C5 with the file's own classifier."""
    resized = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC))
    config = model.config
    x = (resized[None] - np.float32(config.image_mean)) / np.float32(config.image_std)
    x = model.backbone(x)[-1].numpy() @ tensors["_conv_head.weight"][:, :, 0, 0].T
    norm = {n: tensors[f"_bn1.{n}"] for n in ("weight", "bias", "running_mean", "running_var")}
    x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + config.batch_norm_epsilon)
    x = np.clip(x * norm["weight"] + norm["bias"], 0, 6).mean((0, 1, 2))
    return np.argsort(-(tensors["_fc.weight"] @ x + tensors["_fc.bias"])).tolist()


def test_it_knows_a_cat_and_a_cup_of_coffee(model, tensors):
    assert set(classes(model, tensors, data.cat())[:3]) == {281, 282, 285}  # kinds of cats
    assert classes(model, tensors, data.coffee())[0] == 967  # espresso


def test_every_weight_of_the_backbone_comes_from_the_file(tensors):
    model = MaskRCNN(Config.preset("lite0_fpn"), ["thing"])
    report = load_tensors(model, tensors, "the file")
    assert len(report.loaded) == len(model.backbone.weights) and not report.missing
    assert set(report.skipped.values()) == set(efficientnet_lite.FORMAT.skipped.values())


def test_the_maps_have_half_the_sides_of_the_maps_before(model):
    maps = model.backbone(np.zeros([1, 96, 160, 3], np.float32))
    assert [m.shape for m in maps] == [
        (1, 24, 40, 24),
        (1, 12, 20, 40),
        (1, 6, 10, 112),
        (1, 3, 5, 320),
    ]


def test_the_layers_up_to_c3_do_not_train(model):
    trained = {v.path.split("/")[0] for v in model.backbone.trainable_variables}
    assert "block5_expand" in trained and "block4_project" not in trained
    assert "stem" not in trained and not any(name.endswith("_bn") for name in trained)


def test_another_backbone_is_refused(tensors, micro_config):
    with pytest.raises(LabkitError, match="the model's backbone is 'tiny'"):
        load_tensors(MaskRCNN(micro_config, ["thing"]), tensors, "the file")
