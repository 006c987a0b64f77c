"""MobileNetV2 (Sandler et al. 2018): made for phones, and the first with inverted residuals.

To C5 it has 1.8 million parameters. EfficientNet-Lite0 is made of the same blocks, some of them
with 5x5 kernels.
"""

import keras

from labkit.models.backbones.inverted_residual import Block, network
from labkit.models.backbones.keras_weights import downloaded

# (how many blocks, their settings); only the first block of a stage has the stride.
STAGES = (
    (1, Block(16, expansion=1)),
    (2, Block(24, expansion=6, stride=2)),
    (3, Block(32, expansion=6, stride=2)),
    (4, Block(64, expansion=6, stride=2)),
    (3, Block(96, expansion=6)),
    (3, Block(160, expansion=6, stride=2)),
    (1, Block(320, expansion=6)),
)


def build(config) -> keras.Model:
    """Images [B, H, W, 3] to C2..C5 of 24, 32, 96 and 320 channels."""
    return network(STAGES, config)


def load_imagenet(backbone: keras.Model, source: keras.Model | None = None) -> int:
    """Copy the ImageNet weights of the MobileNetV2 of `keras.applications`.

    Args:
        backbone: A model that `build` made.
        source: The model of `keras.applications`; by default Keras downloads it.

    Returns:
        The number of convolutions (each with its batch norm) that were copied.

    Raises:
        LabkitError: The weights cannot be downloaded.
    """
    if source is None:
        file = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
        source = downloaded("MobileNetV2", file, input_shape=(224, 224, 3))  # what Keras has
    with_weights = [layer for layer in backbone.layers if layer.weights]
    for layer in with_weights:
        layer.set_weights(source.get_layer(_keras_name(layer.name)).get_weights())
    return len(with_weights) // 2


def _keras_name(name: str) -> str:
    """Keras' name of our layer: block_3_expand_BN for block3_expand_bn."""
    if name.startswith("stem"):
        return {"stem": "Conv1", "stem_bn": "bn_Conv1"}[name]
    block, _, part = name.partition("_")
    number = int(block.removeprefix("block"))
    prefix = f"block_{number}" if number else "expanded_conv"
    return f"{prefix}_{part.replace('bn', 'BN')}"
