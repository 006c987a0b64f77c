"""Backbones: from an image to the feature maps C2..C5, at strides 4, 8, 16 and 32.

A backbone is a module and a line of `BACKBONES`. The module has two functions:

    build(config) -> keras.Model    images [B, H, W, 3] to [C2, C3, C4, C5]; its name is "backbone"
    load_imagenet(model) -> int     copies ImageNet weights into it; only where keras.applications
                                    has them

The choices of `Config.backbone`, the channels that the pyramid reads, the stages of training and
the command line follow from these. A module is imported when it is first needed, because Keras
takes seconds to import.
"""

import importlib
from dataclasses import dataclass


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
    """

    module: str
    blocks: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    imagenet: str = ""
    torchvision_names: bool = False

    def build(self, config):
        """The `keras.Model` from images to C2..C5, with random weights."""
        return self._functions().build(config)

    def load_imagenet(self, model) -> int:
        """Copy weights of keras.applications into a model of `build`; the number of layers."""
        return self._functions().load_imagenet(model)

    def _functions(self):
        return importlib.import_module(self.module, __package__)


KERAS = "keras.applications"
_RESNET = dict(channels=(256, 512, 1024, 2048), imagenet=KERAS, torchvision_names=True)

BACKBONES = {
    "resnet50": Backbone(".resnet", (3, 4, 6, 3), **_RESNET),
    "resnet101": Backbone(".resnet", (3, 4, 23, 3), **_RESNET),
    "efficientnet_lite0": Backbone(".efficientnet_lite", imagenet="imagenet-lite0"),
    "tiny": Backbone(".tiny", (2, 2, 2, 1), (48, 80, 128, 192)),
}
