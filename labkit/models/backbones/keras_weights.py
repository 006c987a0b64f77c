"""What the networks of `keras.applications` have in common when their weights are copied."""

import keras
import numpy as np

from labkit.errors import LabkitError


def downloaded(network: str, file: str, **options) -> keras.Model:
    """A network of `keras.applications` with its ImageNet weights, without its classifier.

    Args:
        network: Its name there.
        file: What Keras calls the file of its weights.
        options: Further arguments of the network.

    Raises:
        LabkitError: The weights cannot be downloaded; the message says which file to put where.
    """
    try:
        function = getattr(keras.applications, network)
        return function(weights="imagenet", include_top=False, **options)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LabkitError(
            f"ImageNet weights for {network} could not be downloaded by keras.applications "
            f"({reason}); run once with a network, or put the file {file} into "
            "~/.keras/models, or train without them: --backbone-weights none."
        ) from error


def of_rgb(kernel: np.ndarray) -> np.ndarray:
    """A first convolution's kernel [height, width, 3, out] for BGR, turned into one for RGB."""
    return np.ascontiguousarray(kernel[:, :, ::-1])
