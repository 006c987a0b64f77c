"""Colour changes of a training image: contrast, saturation and hue, as one matrix for every pixel.

Light and dyes vary from picture to picture while the object stays what it is. Geometry, boxes and
masks are untouched by all of this.
"""

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114])  # how bright red, green and blue look (ITU-R BT.601)
# Brightness, and the two axes of colour of the YIQ space of NTSC television: a hue is an angle
# between them, a saturation the distance from their origin.
_TO_YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def recolour(image: np.ndarray, contrast: float, saturation: float, hue: float) -> np.ndarray:
    """An image uint8 [H, W, 3] in other colours, uint8 [H, W, 3].

    contrast: factor on the distance from the image's mean brightness. saturation: factor on the
    distance from grey; 0 gives a grey image. hue: turns of the colour circle, 1/3 makes red green.
    1, 1 and 0 change nothing.
    """
    if (contrast, saturation, hue) == (1.0, 1.0, 0.0):
        return image
    matrix = contrast * colour_matrix(saturation, hue)
    mean = image.reshape(-1, 3).mean(axis=0) @ LUMA if image.size else 0.0
    changed = image.astype(np.float32) @ matrix.T.astype(np.float32)
    changed += np.float32((1 - contrast) * mean)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def colour_matrix(saturation: float, hue: float) -> np.ndarray:
    """float [3, 3] that multiplies RGB columns: brightness stays, colour turns and stretches."""
    angle = -2 * np.pi * hue  # in YIQ, red to green to blue is clockwise
    turn = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    chroma = np.eye(3)
    chroma[1:, 1:] = turn
    return _FROM_YIQ @ chroma @ _TO_YIQ
