"""Ids of any kind: numbered inside, found again in every spelling, given back as they came."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.io.ids import Ids, is_id, whole_number

HUGE = 2**63 + 5


def test_whole_numbers_are_their_own_number():
    ids = Ids([7, -3, 0, 2**63 - 1, 20240131123456789])
    assert [ids.find(value) for value in (7, -3, 0, 2**63 - 1)] == [7, -3, 0, 2**63 - 1]
    assert ids.originals == {} and ids.find(8) is None and ids.original(7) == 7


@pytest.mark.parametrize("given", [7, 7.0, "7", "7.0", " 7 ", "007", np.int64(7), np.float32(7)])
@pytest.mark.parametrize("asked", [7, 7.0, "7", "7.0", np.int32(7)])
def test_spellings_of_a_number_match(given, asked):
    ids = Ids([given, 9])
    assert ids.find(given) == ids.find(asked) == 7
    assert ids.original(7) == given


def test_two_ids_that_look_alike_stay_two():
    ids = Ids([7, "7"])
    assert ids.find(7) == 7 and ids.find("7") not in (7, None)
    assert ids.find("7.0") is None  # either could be meant
    assert ids.original(ids.find("7")) == "7" and ids.original(7) == 7
    film = Ids(["07", "7", "007"])  # names of files
    assert len({film.find(name) for name in ("07", "7", "007")}) == 3 and film.find(7) is None


def test_texts_and_hashes_get_numbers_of_64_bits():
    ids = Ids(["b", HUGE, "a", 1])
    numbers = [ids.find(value) for value in ("b", HUGE, "a", 1)]
    assert len(set(numbers)) == 4 and numbers[3] == 1
    assert all(type(n) is int and -(2**63) <= n < 2**63 for n in numbers)
    assert [ids.original(n) for n in numbers] == ["b", HUGE, "a", 1]


def test_the_order_in_the_file_does_not_matter():
    values = ["b", HUGE, "a", "7", 9]
    orders = [Ids(order) for order in itertools.permutations(values)]
    assert len({tuple(ids.find(v) for v in values) for ids in orders}) == 1


@pytest.mark.parametrize("value", [None, True, 1.5, float("nan"), float("inf"), "", [1], {}, b"1"])
def test_what_is_no_id(value):
    assert not is_id(value)
    ids = Ids([value, 1])
    assert ids.find(value) is None and ids.find(1) == 1


def test_whole_number():
    assert [whole_number(v) for v in ("12", 12.0, "-3.00", "1.5", "x", "", None, True)] == [
        *(12, 12, -3),
        *[None] * 5,
    ]
    assert whole_number("9" * 101) is None  # Python refuses texts of thousands of digits


VALUES = st.one_of(
    st.integers(), st.integers(0, 9).map(str), st.text(max_size=3), st.integers(0, 9).map(float)
)


@given(st.lists(VALUES))
def test_every_id_has_its_own_number_and_comes_back(values):
    ids = Ids(values)
    distinct = {value for value in values if is_id(value)}
    numbers = {value: ids.find(value) for value in distinct}
    assert len(set(numbers.values())) == len(distinct) and None not in numbers.values()
    assert all(ids.original(number) == value for value, number in numbers.items())
