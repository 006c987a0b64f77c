"""Backbones: from an image to the feature maps C2..C5, at strides 4, 8, 16 and 32.

A backbone is a module and a line of `BACKBONES`. The module has two functions:

    build(config) -> keras.Model    images [B, H, W, 3] to [C2, C3, C4, C5]; its name is "backbone".
                                    It may have further arguments, set by `Backbone.options`
    load_imagenet(model) -> int     copies ImageNet weights into it; only where keras.applications
                                    has them

The choices of `Config.backbone`, the channels that the pyramid reads, the stages of training and
the command line follow from these. A module is imported when it is first needed, because Keras
takes seconds to import.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Backbone:
    """What is known about a backbone before it is built.

    Attributes:
        module: Where its functions are: a module of this folder (".resnet"), or any other.
        blocks: The default of `Config.backbone_blocks`; empty if it has no such setting.
        channels: The default of `Config.backbone_channels`; empty if it has no such setting.
        imagenet: Where its ImageNet weights come from: a name in `labkit.weights.registry`, or
            "keras.applications", which its module's `load_imagenet` copies from; "" if there are
            none.
        torchvision_names: Whether its layers are named after those of torchvision's ResNet, as
            `layer1_0_conv1` is after `layer1.0.conv1`. Weights of torchvision and Matterport fit.
        options: Further arguments of its module's `build`, where the module builds several.
        settings: Fields of the config that its ImageNet weights were trained with, pixels and the
            epsilon of the norms among them. `Config.replace` sets them with the backbone.
    """

    module: str
    blocks: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    imagenet: str = ""
    torchvision_names: bool = False
    options: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)

    def build(self, config):
        """The `keras.Model` from images to C2..C5, with random weights."""
        return self._functions().build(config, **self.options)

    def load_imagenet(self, model) -> int:
        """Copy weights of keras.applications into a model of `build`; the number of layers."""
        return self._functions().load_imagenet(model)

    def _functions(self):
        return importlib.import_module(self.module, __package__)


KERAS = "keras.applications"

# What the images were in the trainings whose weights are used, as mean and deviation of RGB in
# 0..255: Caffe's (less the mean of ImageNet's pixels), torchvision's (which timm has too; it counts
# from 0 to 1), and TensorFlow's.
_CAFFE = dict(image_mean=(123.68, 116.779, 103.939), image_std=(1.0, 1.0, 1.0))
_TORCHVISION = dict(
    image_mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    image_std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
)
_TENSORFLOW = dict(image_mean=(127.5, 127.5, 127.5), image_std=(127.5, 127.5, 127.5))
_LITE = dict(image_mean=(127.0, 127.0, 127.0), image_std=(128.0, 128.0, 128.0))

_RESNET = dict(channels=(256, 512, 1024, 2048), torchvision_names=True)
_OF_KERAS = dict(
    imagenet=KERAS,
    settings=_CAFFE | dict(stem_channels=64, stride_in_1x1=True, batch_norm_epsilon=1.001e-5),
)
_OF_TORCHVISION = dict(
    settings=_TORCHVISION | dict(stem_channels=64, stride_in_1x1=False, batch_norm_epsilon=1e-5)
)

BACKBONES = {
    "resnet50": Backbone(".resnet", (3, 4, 6, 3), **_RESNET, **_OF_KERAS),
    "resnet101": Backbone(".resnet", (3, 4, 23, 3), **_RESNET, **_OF_KERAS),
    "resnext50_32x4d": Backbone(
        ".resnet",
        (3, 4, 6, 3),
        imagenet="imagenet-x50",
        options=dict(groups=32, group_width=4),
        **_RESNET,
        **_OF_TORCHVISION,
    ),
    "resnext101_32x8d": Backbone(
        ".resnet",
        (3, 4, 23, 3),
        imagenet="imagenet-x101",
        options=dict(groups=32, group_width=8),
        **_RESNET,
        **_OF_TORCHVISION,
    ),
    "vgg16": Backbone(".vgg", imagenet=KERAS, settings=_CAFFE),
    "mobilenet_v2": Backbone(
        ".mobilenet_v2", imagenet=KERAS, settings=_TENSORFLOW | dict(batch_norm_epsilon=1e-3)
    ),
    "efficientnet_lite0": Backbone(
        ".efficientnet_lite",
        imagenet="imagenet-lite0",
        settings=_LITE | dict(batch_norm_epsilon=1e-3),
    ),
    "darknet53": Backbone(
        ".darknet",
        imagenet="imagenet-darknet53",
        # timm trained with torch's slope of the leaky ReLU, not with Darknet's 0.1
        settings=_TORCHVISION | dict(batch_norm_epsilon=1e-5, leaky_slope=0.01),
    ),
    "tiny": Backbone(".tiny", (2, 2, 2, 1), (48, 80, 128, 192)),
}
