"""Which class of one list is which of another: by its name, as everywhere in labkit."""

from collections.abc import Sequence


def places_by_name(names: Sequence[str], others: Sequence[str]) -> list[int | None]:
    """Where each name stands in another list.

    Names are equal but for capitals: a data set's "Person" is COCO's "person". Where both lists
    have "Cat" and "cat", each is itself.

    Args:
        names: the names to look for.
        others: the list to look in.

    Returns:
        For each name its place in `others`, counted from 0; None where it is not there. No place is
        given twice.
    """
    exact = {name: place for place, name in enumerate(others)}
    taken = {exact[name] for name in names if name in exact}
    free = {name.casefold(): place for place, name in enumerate(others) if place not in taken}
    return [exact[name] if name in exact else free.pop(name.casefold(), None) for name in names]
