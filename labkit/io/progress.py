"""Progress of long loops, by tqdm: one bar on a terminal or in a notebook, a few lines in a log.

In a notebook the bar is text and not the widget of `tqdm.auto`: a saved notebook keeps of a widget
only the 0 % that it began with, and a page without a kernel does not even show that. The text stays
as it was at the end.
"""

import os
import sys
from collections.abc import Iterable

from tqdm import tqdm

REDRAW = 0.5  # seconds between two states of a bar
LOG_INTERVAL = 30.0  # seconds between two lines of a log


def progress_bar(iterable: Iterable | None = None, *, shown: bool = True, **options) -> tqdm:
    """A progress bar on stderr. Use it in a `with` statement, which closes it in any case.

    A bar within the loop of another one disappears at its end; the outer one stays.

    Args:
        iterable: what to loop over; without it, call `bar.update(count)`.
        shown: False for a bar that prints nothing.
        **options: of tqdm, e.g. `total`, `initial`, `desc`, `unit`, or `delay`: the seconds after
            which the bar appears, so that a short loop shows none.

    Returns:
        A tqdm object. Its blocks are `#` where the stream's encoding has no block characters.
    """
    options = {"mininterval": REDRAW, "miniters": 1, "leave": None} | options
    if not shown:  # otherwise TQDM_DISABLE=1 decides
        options["disable"] = True
    if _in_notebook():
        return tqdm(iterable, file=_Cell(), **options)
    if sys.stderr.isatty() and _columns(sys.stderr):
        return tqdm(iterable, file=sys.stderr, dynamic_ncols=True, **options)
    return tqdm(iterable, file=_Log(sys.stderr), **options | {"mininterval": LOG_INTERVAL})


def print_above(text: str) -> None:
    """Print a line on stdout while bars may be on the screen; they move down."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def _in_notebook() -> bool:
    """Whether a Jupyter kernel shows what this process prints; IPython on a terminal has none."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _columns(terminal) -> int:
    """How wide a terminal is: some that programs make (`docker run -t`) have no width at all."""
    try:
        return os.get_terminal_size(terminal.fileno()).columns
    except (OSError, ValueError):  # it does not say
        return 80


# tqdm writes every state of a bar as "\r" and the text; what else it writes moves a cursor.


class _Log:
    """A file for tqdm to write to, which makes complete lines of the states of a bar."""

    def __init__(self, stream):
        self.stream, self.last = stream, ""
        self.encoding = getattr(stream, "encoding", None)

    def write(self, text: str) -> None:
        line = text.strip()
        if text.startswith("\r") and line not in ("", self.last):
            self.stream.write(f"{line}\n")
            self.last = line

    def flush(self) -> None:
        self.stream.flush()


class _Cell:
    """A file for tqdm to write to, which shows a bar's latest state below a notebook's cell."""

    encoding = "utf-8"

    def __init__(self):
        self.handle = None

    def write(self, text: str) -> None:
        from IPython.display import display

        if not text.startswith("\r"):
            return
        content = {"text/plain": text.strip()}
        if self.handle is None:
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)

    def flush(self) -> None:
        pass
