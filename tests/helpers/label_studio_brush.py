"""Writes brush masks as Label Studio does, for tests of reading them."""

import itertools

import numpy as np


def encode_brush(mask, sizes=(3, 4, 8, 16), literal=False) -> list[int]:
    """The numbers of "rle" for a mask: bool, or uint8 alpha, `[H, W]`.

    sizes: the bits of a length, for the four kinds of blocks. literal: write every value, as for
    pixels that do not repeat.
    """
    alpha = np.asarray(mask).astype(np.uint8) * (255 if np.asarray(mask).dtype == bool else 1)
    values = np.repeat(alpha.ravel(), 4).tolist()  # RGBA
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    blocks = [(len(values), values)] if literal else []
    if not literal:
        blocks = [(len(list(run)), [value]) for value, run in itertools.groupby(values)]
    for length, content in blocks:
        while length:
            part = min(length, 1 << max(sizes))
            kind = next(i for i, size in enumerate(sizes) if part <= 1 << size)
            bits += f"{int(not literal)}{kind:02b}{part - 1:0{sizes[kind]}b}"
            bits += "".join(f"{value:08b}" for value in (content[:part] if literal else content))
            content, length = content[part:] if literal else content, length - part
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
