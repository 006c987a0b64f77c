"""Frozen settings: the base of `Config`, `TrainSettings` and `Augment`.

Settings are read from JSON and from the command line. A name that does not exist, 0.5 for an int or
"7" for 7 would break hours later and somewhere else, so all of that is refused when the settings
are made.
"""

import dataclasses
import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from labkit.errors import LabkitError

LARGEST = 1e15  # so that every float is an ordinary number: not infinite, not NaN
_FITS = {
    int: lambda v: isinstance(v, int) and not isinstance(v, bool),
    float: lambda v: isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < LARGEST,
    bool: lambda v: isinstance(v, bool),
    str: lambda v: isinstance(v, str),
}


class FrozenDict(dict):
    """A dict that can be hashed and not changed, for a field of frozen settings."""

    def _refuse(self, *args, **kwargs):
        raise TypeError("these values are frozen: make changed settings with replace()")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self):
        return hash(frozenset(self.items()))

    def __reduce__(self):
        return FrozenDict, (dict(self),)


@dataclass(frozen=True)
class Frozen:
    """A frozen dataclass that checks its fields and can be changed, copied and read from JSON.

    A subclass lists what else can be wrong with its values in `_problems`, and may put given values
    into their final form in `_prepare`.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            self._set(field.name, _plain(getattr(self, field.name)))
        self._prepare()
        self._check_types()
        for problem in self._problems():
            raise LabkitError(f"{type(self).__name__}: {problem}.")

    def _prepare(self) -> None:
        """Put given values into their final form, with `_set`, before they are checked."""

    def _problems(self) -> Iterator[str]:
        """Sentences, without a full stop, for values of the right type that cannot work."""
        yield from ()

    # What is often wrong: a sentence for each of the named fields whose value is out of range.

    def _not_above_zero(self, names) -> Iterator[str]:
        for name in names:
            if getattr(self, name) <= 0:
                yield f"'{name}' must be above 0, got {getattr(self, name)}"

    def _negative(self, names) -> Iterator[str]:
        for name in names:
            if getattr(self, name) < 0:
                yield f"'{name}' must not be negative, got {getattr(self, name)}"

    def _set(self, name: str, value) -> None:
        object.__setattr__(self, name, value)

    def _check_types(self) -> None:
        """Raise LabkitError for the first field whose value is not of its type.

        Numbers, bools, strings and tuples of them are checked; other fields are the subclass's.
        """
        for field in dataclasses.fields(self):
            value, item = getattr(self, field.name), getattr(field.type, "__args__", (None,))[0]
            if field.type in _FITS:
                good = _FITS[field.type](value)
            elif item in _FITS and getattr(field.type, "__origin__", None) is tuple:
                good = isinstance(value, tuple) and all(_FITS[item](v) for v in value)
            else:
                continue
            if not good:
                wanted = field.type.__name__ if field.type in _FITS else field.type
                if isinstance(value, float) and field.type is float:
                    wanted = "a finite number"
                raise LabkitError(
                    f"{type(self).__name__}: '{field.name}' must be {wanted}, got {value!r}."
                )

    def replace(self, **changes) -> Self:
        """A copy with some fields changed. Raises LabkitError for a name that does not exist."""
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = (
                    f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(known)}"
                )
                raise LabkitError(f"{type(self).__name__}: there is no field '{name}'{hint}")
        return dataclasses.replace(self, **changes)

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Named settings to start from; a subclass that has some overrides this."""
        return {}

    @classmethod
    def preset(cls, name: str, **changes) -> Self:
        """The preset of that name, with changes. Raises LabkitError where there is none."""
        known = cls.presets()
        if name not in known:
            raise LabkitError(
                f"{cls.__name__}: there is no preset '{name}'; there are: {', '.join(known)}."
            )
        return known[name].replace(**changes)

    def to_dict(self) -> dict:
        """All fields as plain Python values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Self:
        """Settings from `to_dict`'s values; fields that are missing have their defaults."""
        return cls().replace(**values)

    def to_json(self) -> str:
        """All fields as indented JSON."""
        return json.dumps(self.to_dict(), indent=2)


def _plain(value):
    """A value as Python's own: NumPy's numbers and arrays are converted, lists become tuples."""
    if type(value).__module__ == "numpy":
        value = value.tolist()
    if type(value) in (list, tuple):  # JSON gives lists where tuples are meant
        return tuple(v.tolist() if type(v).__module__ == "numpy" else v for v in value)
    return value
