"""What the text of an option must be, for argparse: the value, or what was expected instead."""

import argparse


def whole(text: str) -> int:
    """A whole number of at least 1."""
    try:
        if (number := int(text)) >= 1:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")


def size_or_native(text: str) -> int | str:
    """A whole number, or the word native."""
    return text if text == "native" else whole(text)


def share(text: str) -> float:
    """A number between 0 and 1."""
    try:
        if 0 <= (number := float(text)) <= 1:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a number between 0 and 1")


def shares(text: str) -> list[float]:
    """Numbers between 0 and 1 with commas between them."""
    return [share(part) for part in text.split(",")]


def area_range(text: str) -> tuple[str, tuple[float, float]]:
    """NAME=FROM-TO or NAME=FROM-, areas in pixels."""
    name, _, limits = text.partition("=")
    low, dash, high = limits.partition("-")
    try:
        if name and dash:
            return name, (float(low), float(high) if high else 1e10)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"'{text}' is no range of areas; write it like tiny=0-256, or huge=40000-"
    )
