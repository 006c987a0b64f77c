"""Names of classes: which is which in another list, and which stand for no class."""

import re
from collections.abc import Sequence

UNUSED = "N/A"  # the name of a class that was never trained begins with this


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


def unused_slots(class_names: Sequence[str]) -> list[int]:
    """Ids of classes that exist as outputs but were never trained: "N/A 12", "N/A 26", ...

    COCO's ids have ten gaps. A network with an output for every id has ten outputs without a
    meaning, and `Detector.detect` drops their detections.
    """
    return [i for i, name in enumerate(class_names, 1) if re.fullmatch(rf"{UNUSED} \d+", name)]
