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
    if text == "native":
        return text
    try:
        return whole(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor 'native'") from None


def multiple_of_32(text: str) -> int:
    """A side of a training image: what the network halves five times."""
    number = whole(text)
    if number % 32:
        near = max(number // 32 * 32, 32)
        raise argparse.ArgumentTypeError(
            f"{number} is no multiple of 32; {near} is, or {near + 32}"
        )
    return number


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
        found = float(low), float(high) if high else 1e10
        if name and dash and 0 <= found[0] < found[1]:
            return name, found
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"'{text}' is no range of areas; write it like tiny=0-256, or huge=40000-"
    )
