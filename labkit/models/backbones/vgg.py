"""VGG-16 (Simonyan & Zisserman 2014): thirteen 3x3 convolutions and five poolings, nothing else.

The backbone of Fast and Faster R-CNN, which read its conv5_3, at stride 16. A pyramid needs four
maps. Each is the output of the last convolution at its stride, the one that has seen the most:
conv3_3, conv4_3 and conv5_3. (A pooling only repeats the largest values of what is before it.) At
stride 32 there is nothing but the last pooling: the dense layers that followed are a classifier.

There is no batch norm and no shortcut: it should start from its ImageNet weights.
"""

import keras
from keras import layers

from labkit.models.backbones.keras_weights import downloaded, of_rgb
from labkit.models.layers import conv

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
FIRST_MAP = 3  # the stage at stride 4, which ends in C2


def build(config) -> keras.Model:
    """Images [B, H, W, 3] to C2..C5 of 256, 512, 512 and 512 channels."""
    x = images = keras.Input((None, None, 3))
    maps = []
    for stage, (channels, convs) in enumerate(STAGES, start=1):
        for number in range(1, convs + 1):
            x = layers.ReLU()(conv(channels, 3, name=f"block{stage}_conv{number}")(x))
        if stage >= FIRST_MAP:
            maps.append(x)
        x = layers.MaxPooling2D(2, name=f"block{stage}_pool")(x)
    return keras.Model(images, [*maps, x], name="backbone")


def load_imagenet(backbone: keras.Model, source: keras.Model | None = None) -> int:
    """Copy the ImageNet weights of the VGG16 of `keras.applications`; its layers have our names.

    Args:
        backbone: A model that `build` made.
        source: The model of `keras.applications`; by default Keras downloads it.

    Returns:
        The number of convolutions that were copied.

    Raises:
        LabkitError: The weights cannot be downloaded.
    """
    if source is None:
        source = downloaded("VGG16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5")
    convolutions = [layer for layer in backbone.layers if layer.weights]
    for layer in convolutions:
        kernel, bias = source.get_layer(layer.name).get_weights()
        if layer.name == "block1_conv1":
            kernel = of_rgb(kernel)
        layer.set_weights([kernel, bias])
    return len(convolutions)
