"""Colour changes of a training image: contrast, saturation and hue, as one matrix for every pixel.

Light and stains vary from picture to picture while the objects stay the same. Boxes and masks do
not change.
"""

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])  # how bright red, green and blue look (ITU-R BT.601)
# The YIQ space of NTSC television: brightness and two axes of colour. The hue is the angle between
# the two, the saturation the distance from their origin.
_TO_YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def recolour(image: np.ndarray, contrast: float, saturation: float, hue: float) -> np.ndarray:
    """An image with other colours.

    Args:
        image: uint8 [H, W, 3].
        contrast: factor on the distance from the image's mean brightness; 1 changes nothing.
        saturation: factor on the distance from grey; 0 gives a grey image, 1 changes nothing.
        hue: turns of the colour circle: 1/3 makes red green, 0 changes nothing.

    Returns:
        uint8 [H, W, 3].
    """
    if (contrast, saturation, hue) == (1.0, 1.0, 0.0):
        return image
    matrix = contrast * colour_matrix(saturation, hue)
    mean = image.reshape(-1, 3).mean(axis=0) @ LUMA if image.size else 0.0
    changed = image.astype(np.float32) @ matrix.T.astype(np.float32)
    changed += np.float32((1 - contrast) * mean)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def colour_matrix(saturation: float, hue: float) -> np.ndarray:
    """The matrix, float [3, 3], that turns and stretches the colour of an RGB column."""
    angle = -2 * np.pi * hue  # in YIQ, red to green to blue is clockwise
    turn = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    chroma = np.eye(3)
    chroma[1:, 1:] = turn
    return _FROM_YIQ @ chroma @ _TO_YIQ
