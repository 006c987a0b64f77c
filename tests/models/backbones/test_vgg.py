"""VGG-16 computes what that of keras.applications computes."""

import keras
import made_up_weights
import numpy as np
from originals import check_maps

from labkit.models.backbones import BACKBONES
from labkit.models.backbones.vgg import load_imagenet
from labkit.models.config import Config

CONFIG = Config.preset("tiny").replace(backbone="vgg16")


def test_load_imagenet_gives_keras_features():
    source = keras.applications.VGG16(weights=None, include_top=False)
    backbone = BACKBONES["vgg16"].build(CONFIG)
    assert load_imagenet(backbone, made_up_weights.into_keras(source)) == 13
    names = ["block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"]
    check_maps(backbone, source, names, keras.applications.vgg16.preprocess_input, CONFIG)


def test_it_is_keras_s_in_size_and_its_maps_halve():
    backbone = BACKBONES["vgg16"].build(CONFIG)
    assert backbone.count_params() == 14_714_688  # the paper's 138 million are its dense layers
    maps = backbone(np.zeros([1, 96, 160, 3], np.float32))
    channels = (256, 512, 512, 512)
    assert [m.shape for m in maps] == [
        (1, 96 // s, 160 // s, c) for s, c in zip((4, 8, 16, 32), channels, strict=True)
    ]
