"""Types of options, for argparse: the text becomes a value, or an error says what was expected."""

import argparse


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    try:
        if (number := int(text)) >= 1:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")


def size_or_native(text: str) -> int | str:
    """A whole number of at least 1, or the word native."""
    if text == "native":
        return text
    try:
        return positive_int(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor 'native'") from None


def multiple_of_32(text: str) -> int:
    """A side of a training image: the network halves it five times."""
    number = positive_int(text)
    if number % 32:
        near = max(number // 32 * 32, 32)
        raise argparse.ArgumentTypeError(
            f"{number} is no multiple of 32; {near} is, or {near + 32}"
        )
    return number


def fraction(text: str) -> float:
    """A number between 0 and 1."""
    try:
        if 0 <= (number := float(text)) <= 1:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' is not a number between 0 and 1")


def fractions(text: str) -> list[float]:
    """Numbers between 0 and 1, separated by commas."""
    return [fraction(part) for part in text.split(",")]


def area_range(text: str) -> tuple[str, tuple[float, float]]:
    """NAME=FROM-TO or NAME=FROM-, areas in square pixels."""
    name, _, limits = text.partition("=")
    low, dash, high = limits.partition("-")
    try:
        limits = float(low), float(high) if high else 1e10
        if name and dash and 0 <= limits[0] < limits[1]:
            return name, limits
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"'{text}' is no range of areas; write it like tiny=0-256, or huge=40000-"
    )
