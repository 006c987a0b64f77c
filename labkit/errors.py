"""The errors meant for the person at the keyboard.

A `LabkitError` carries one sentence that names what is wrong (which file, which field, which
value) and what to do about it. The command line prints that sentence and nothing else; a bug in
labkit itself is never a `LabkitError`.
"""


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
