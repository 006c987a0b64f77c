"""The types of a frozen dataclass's fields, checked when it is made.

`Config` and `TrainSettings` are read from JSON and from the command line: 0.5 for an int, or "7"
for 7, would break hours later, somewhere else.
"""

import dataclasses

from labkit.errors import LabkitError

_FITS = {
    int: lambda v: isinstance(v, int) and not isinstance(v, bool),
    float: lambda v: isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e9,
    bool: lambda v: isinstance(v, bool),
    str: lambda v: isinstance(v, str),
}


def make_tuples(values) -> None:
    """JSON gives lists where tuples are meant: put those in their place."""
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if isinstance(value, list):
            object.__setattr__(values, field.name, tuple(value))


def check_types(values) -> None:
    """Raise LabkitError for the first field whose value is not of its type.

    Looked at are numbers, bools, texts and tuples of them; whoever has other fields checks those.
    """
    for field in dataclasses.fields(values):
        value, item = getattr(values, field.name), getattr(field.type, "__args__", (None,))[0]
        if field.type in _FITS:
            good = _FITS[field.type](value)
        elif item in _FITS:  # tuple[int, ...] or tuple[float, ...]
            good = isinstance(value, tuple) and all(_FITS[item](v) for v in value)
        else:
            continue
        if not good:
            wanted = getattr(field.type, "__name__", field.type)
            owner = type(values).__name__
            raise LabkitError(f"{owner}: '{field.name}' must be {wanted}, got {value!r}.")
