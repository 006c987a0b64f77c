"""Classes of two lists are matched by name: exactly where possible, else whatever the capitals."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.models.class_names import places_by_name, unused_slots


def test_capitals_do_not_matter_where_no_name_is_exactly_the_same():
    assert places_by_name(["Dog", "person"], ["person", "cat", "dog"]) == [2, 0]
    assert places_by_name(["Cat", "cat", "CAT"], ["cat", "Cat"]) == [1, 0, None]
    assert places_by_name(["CAT", "cAt"], ["cat"]) == [0, None]  # no place is given twice
    assert places_by_name(["dogs", "dog "], ["dog"]) == [None, None]


NAMES = st.lists(st.text("aAbBß", min_size=1, max_size=3), max_size=8, unique=True)


@given(NAMES, NAMES)
def test_a_place_is_of_that_name_and_given_once(names, others):
    places = places_by_name(names, others)
    found = [place for place in places if place is not None]
    assert len(places) == len(names) and len({*found}) == len(found)
    for name, place in zip(names, places, strict=True):
        if name in others:
            assert others[place] == name
        elif place is not None:
            assert others[place].casefold() == name.casefold()


def test_slots_without_a_meaning_are_known_by_their_names():
    names = ["person", "N/A 2", "N/A", "the N/A 4", "N/A 26"]
    assert unused_slots(names) == [2, 5]
