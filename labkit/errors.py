"""The errors meant for the person at the keyboard.

A `LabkitError` carries one sentence that names what is wrong (which file, which field, which
value) and what to do about it. The command line prints that sentence and nothing else; a bug in
labkit itself is never a `LabkitError`.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def opening(path: object, what: str = "file") -> Iterator[None]:
    """Within the block, what the system answers about a path becomes a sentence.

    what: what is looked for there ("image file", "folder"). Raises MissingFileError or LabkitError.
    """
    name = printable(path)
    try:
        yield
    except LabkitError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        if what == "folder" and os.path.exists(str(path)):
            raise LabkitError(f"{name} is a file; give a folder.") from None
        kind = "folder" if what == "folder" else "file"
        raise MissingFileError(f"{name}: there is no such {kind}; check the path.") from None
    except IsADirectoryError:
        raise LabkitError(f"{name} is a folder; give the path of one {what}.") from None
    except OSError as error:
        raise LabkitError(f"{name} cannot be opened ({error.strerror or error}).") from None


def listed(names: Iterable[object], most: int = 8) -> str:
    """The first names for a sentence, and how many more there are."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(number: int, noun: str) -> str:
    """A number of things for a sentence: 1 object, 2 objects, 3 classes."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"


def printable(text: object) -> str:
    """A path or name for a sentence, on one line: line feeds and half characters are escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in str(text)
    )


class LabkitError(ValueError):
    """Something given to labkit cannot be used: a file, a field, a setting."""


class MissingFileError(LabkitError, FileNotFoundError):
    """A file that was named is not there. Also a `FileNotFoundError`, for those who catch that."""

    # OSError would print "[Errno ...]" or a tuple for some argument lists; the sentence is enough.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class Stopped(KeyboardInterrupt):
    """A person or the system asked for the end (Ctrl-C, SIGTERM), and the work was saved before.

    Like any KeyboardInterrupt it passes `except Exception`, so no loop over trainings goes on.

    Attributes:
        status: the exit status that such a process has: 128 and the number of the signal.
    """

    def __init__(self, sentence: str, status: int = 130):
        super().__init__(sentence)
        self.status = status
