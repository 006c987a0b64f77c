"""What was repaired in somebody's files: counted by kind, said once, and listed in full.

A file from another program may be unambiguous and still not be what its format asks for: an id
that is a text, a polygon with a corner too few among good ones. Such things are repaired, and
nobody has to correct a file of ten thousand entries by hand. But nothing happens silently: every
repair is noted here.
"""

from __future__ import annotations

from collections.abc import Sequence


class Repairs(Sequence[str]):
    """The repairs of one data set: a sequence with one sentence for each kind.

    >>> repairs = Repairs()
    >>> repairs.note("Sizes written as texts were read as numbers", "images[0]")
    >>> repairs.note("Sizes written as texts were read as numbers", "images[1]")
    >>> repairs[0]
    'Sizes written as texts were read as numbers (2 times; the first: images[0]).'
    """

    def __init__(self) -> None:
        self._cases: dict[str, list[str]] = {}

    def note(self, kind: str, case: str) -> None:
        """Note one repair.

        Args:
            kind: what was done, the beginning of a sentence; equal kinds are counted together.
            case: where, e.g. "annotations[3] (id 7)", and details where they differ.
        """
        self._cases.setdefault(kind, []).append(case)

    @property
    def total(self) -> int:
        """The number of repairs of all kinds."""
        return sum(map(len, self._cases.values()))

    def changes(self) -> list[str]:
        """Every single repair, one line each."""
        return [f"{case}: {kind}." for kind, cases in self._cases.items() for case in cases]

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index):
        return self._sentences()[index]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __repr__(self) -> str:
        return repr(self._sentences())

    def _sentences(self) -> list[str]:
        return [
            f"{kind} ({'once' if len(cases) == 1 else f'{len(cases)} times; the first'}: "
            f"{cases[0]})."
            for kind, cases in self._cases.items()
        ]
