"""MobileNetV2 computes what that of keras.applications computes."""

import keras
import made_up_weights
import numpy as np
from originals import check_maps

from labkit.models.backbones import BACKBONES
from labkit.models.backbones.mobilenet_v2 import load_imagenet
from labkit.models.config import Config

CONFIG = Config.preset("tiny").replace(backbone="mobilenet_v2")


def test_load_imagenet_gives_keras_features():
    source = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(None, None, 3)
    )
    backbone = BACKBONES["mobilenet_v2"].build(CONFIG)
    made_up_weights.into_keras(source, last_of_branch="project_BN")
    assert load_imagenet(backbone, source) == 51  # less the last one, before its classifier
    names = ["block_2_add", "block_5_add", "block_12_add", "block_16_project_BN"]
    check_maps(backbone, source, names, keras.applications.mobilenet_v2.preprocess_input, CONFIG)


def test_the_maps_have_half_the_sides_of_the_maps_before():
    maps = BACKBONES["mobilenet_v2"].build(CONFIG)(np.zeros([1, 96, 160, 3], np.float32))
    channels = (24, 32, 96, 320)
    assert [m.shape for m in maps] == [
        (1, 96 // s, 160 // s, c) for s, c in zip((4, 8, 16, 32), channels, strict=True)
    ]
