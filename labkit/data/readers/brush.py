"""The masks that Label Studio's brush paints: the pixels' RGBA values as a packed stream of bits.

The stream begins with 32 bits for the number of values, 5 for the bits of a value (less one) and
four times 4 for the bits of a length (less one). Then there are blocks: a bit that says whether one
value repeats, 2 bits that choose one of the four sizes, a length less one of that size, and one
value or as many as the length. The mask is the alpha of the pixels, row by row; the numbers of the
json are the stream's bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.io.data_files import Unusable

_CHANNELS = 4


class _Bits:
    """Reads numbers from a stream of bits."""

    def __init__(self, content: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(content, np.uint8))
        self._position = 0

    def numbers(self, count: int, size: int) -> np.ndarray:
        """The next `count` numbers of `size` bits each."""
        end = self._position + count * size
        if end > len(self._bits):
            raise Unusable("has a brush mask that ends too early")
        bits = self._bits[self._position : end].reshape(count, size)
        self._position = end
        return bits @ (1 << np.arange(size - 1, -1, -1, dtype=np.int64))

    def number(self, size: int) -> int:
        return int(self.numbers(1, size)[0])


def decode_brush(stream: Sequence[int], height: int, width: int) -> np.ndarray:
    """The mask in a brush stream: bool `[height, width]`, true where alpha is at least half.

    The rim of a stroke is smoothed, so a pixel there counts if the brush covered half of it.

    Raises:
        Unusable: it is malformed, or for a picture of another size.
    """
    try:
        bits = _Bits(bytes(stream))
    except (TypeError, ValueError):
        raise Unusable("has a brush mask whose numbers are not bytes") from None
    count = bits.number(32)
    if count != height * width * _CHANNELS:
        raise Unusable(
            f"has a brush mask of {count} values, not {_CHANNELS} for each of {height} x {width} "
            "pixels; export the masks as PNG or COCO instead"
        )
    value_bits = bits.number(5) + 1
    length_bits = [bits.number(4) + 1 for _ in range(4)]
    values, done = np.zeros(count, np.int64), 0
    while done < count:
        repeated = bits.number(1)
        length = bits.number(length_bits[bits.number(2)]) + 1
        if done + length > count:
            raise Unusable("has a brush mask whose lengths do not add up to its picture")
        values[done : done + length] = bits.numbers(1 if repeated else length, value_bits)
        done += length
    return values.reshape(height, width, _CHANNELS)[..., -1] > 127
