"""The texts of options become values, or a sentence about what was expected."""

from argparse import ArgumentTypeError

import pytest

from labkit.commands.numbers import (
    area_range,
    fraction,
    fractions,
    multiple_of_32,
    positive_int,
    size_or_native,
)


def test_values():
    assert (
        positive_int("7") == 7 and size_or_native("native") == "native" and size_or_native("9") == 9
    )
    assert multiple_of_32("96") == 96
    assert fraction("0.25") == 0.25 and fractions("0.5,0.75") == [0.5, 0.75]
    assert area_range("tiny=0-256") == ("tiny", (0.0, 256.0))
    assert area_range("huge=1e4-") == ("huge", (10000.0, 1e10))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (positive_int, "0"),
        (positive_int, "1.5"),
        (size_or_native, "whole"),
        (fraction, "1.01"),
        (fraction, "nan"),
        (fractions, "0.5,"),
        (fractions, ""),
        (area_range, "tiny"),
        (area_range, "tiny=5"),
        (area_range, "=0-5"),
        (area_range, "a=x-5"),
        (area_range, "a=5-5"),
        (multiple_of_32, "20"),
    ],
)
def test_what_is_none_is_named(parse, text):
    with pytest.raises(ArgumentTypeError, match="is no"):
        parse(text)
