"""A terminal for tests: a stream that knows what is on its screen."""

import contextlib
import io
import re


@contextlib.contextmanager
def on_terminal():
    """Within the block, stdout and stderr are one terminal."""
    terminal = Terminal()
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        yield terminal


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True

    def screen(self) -> list[str]:
        """The lines on the screen, after all carriage returns, line feeds and moves of the cursor.

        Blanks at the end of a line are left out, and so are empty lines at the end.
        """
        lines, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[A|\r|\n|[^\x1b\r\n]+", self.getvalue()):
            if part == "\r":
                column = 0
            elif part == "\n":  # a terminal's driver adds the carriage return
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif part == "\x1b[A":
                row = max(0, row - 1)
            else:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + part + line[column + len(part) :]
                column += len(part)
        return "\n".join(line.rstrip() for line in lines).rstrip("\n").split("\n")
