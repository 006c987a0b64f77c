"""Runs notebooks from a clean kernel and saves them for readers: `make notebooks`.

    python -m labkit.course.notebooks notebooks/*.ipynb            runs and saves
    python -m labkit.course.notebooks --student OUT notebooks/*.ipynb
                                     copies without solutions and outputs, for a class

`NotebookClient` misses replies when a notebook uses `Output` or `interact` widgets: it answers them
on the same socket that it is waiting on, and then sleeps although the reply has come (nbclient
#312). `PollingClient` solves this by looking again four times a second.
"""

import argparse
import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from queue import Empty

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from labkit.course.solutions import is_solution
from labkit.io.whole_file import whole_file

POLL = 0.25  # seconds
CELL_TIMEOUT = 900  # seconds; a cell that trains takes minutes on two busy cores
WIDGET = "application/vnd.jupyter.widget-view+json"
_LOG_LINE = re.compile(r"[IWE]\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl")


class PollingClient(NotebookClient):
    """A NotebookClient that polls for a cell's reply."""

    async def async_start_new_kernel_client(self):
        client = await super().async_start_new_kernel_client()
        look_once = client.shell_channel.get_msg

        async def get_msg(timeout=None):
            end = None if timeout is None else time.monotonic() + timeout
            while True:
                left = POLL if end is None else end - time.monotonic()
                try:
                    return await look_once(timeout=max(0.0, min(POLL, left)))
                except Empty:
                    if end is not None and time.monotonic() >= end:
                        raise

        client.shell_channel.get_msg = get_msg
        return client


def clean_environment(folder) -> dict[str, str]:
    """Environment variables for a kernel of this Python that uses nothing of its user.

    IPython's start-up files and the solved exercises are looked for in `folder` instead.
    """
    return {
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(Path(folder) / "ipython"),
        "LABKIT_PROGRESS": str(Path(folder) / "progress.json"),
    }


def execute(notebook, folder, timeout: float = CELL_TIMEOUT):
    """Runs a notebook (nbformat) in a new kernel of this Python, started in `folder`."""
    client = PollingClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    asyncio.run(client.async_execute())
    return notebook


def tidy(notebook):
    """Cleans a notebook that was run, for pages without a kernel and for comparisons.

    Only the static pictures of widgets are kept; run times and versions of the machine are removed.
    """
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined([o for o in cell.outputs if _is_readable(o)])
    return notebook


def _joined(outputs: list) -> list:
    """Joins consecutive printed lines into one output: how they are split is random."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else None
        if output.output_type == "stream" and last is not None and last.get("name") == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _is_readable(output) -> bool:
    """Removes the live view from an output; false if only the widget's type is left.

    Also false for TensorFlow's log lines, which are about the machine.
    """
    if output.get("name") == "stderr":
        return not all(_LOG_LINE.match(line) for line in output.text.splitlines())
    data = output.get("data", {})
    if data == {"text/plain": ""}:  # a progress bar that has disappeared
        return False
    live = data.pop(WIDGET, None)
    return live is None or not set(data) <= {"text/plain"}


def for_students(notebook):
    """A copy without solutions and outputs. Solutions are cells with the tag `solution`."""
    copy = nbformat.from_dict(notebook)
    copy.cells = [cell for cell in copy.cells if not is_solution(cell)]
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return copy


def copy_drawings(notebook: Path, out: Path) -> None:
    """Copy the drawings beside a notebook, which its text cells refer to."""
    for drawing in notebook.parent.glob("*.svg"):
        shutil.copy(drawing, out)


def command(module: str, description: str) -> argparse.ArgumentParser:
    """The parser of `python -m labkit.course.…`: its help is the module's own text."""
    return argparse.ArgumentParser(
        prog=f"python -m labkit.course.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _run_and_save(path: Path) -> float:
    notebook = nbformat.read(path, as_version=4)
    began = time.monotonic()
    execute(notebook, path.parent)
    seconds = time.monotonic() - began
    with whole_file(path) as draft:
        nbformat.write(tidy(notebook), draft)
    return seconds


def main(arguments=None) -> int:
    parser = command("notebooks", __doc__)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--student", type=Path, metavar="OUT", help="copies for a class, in OUT")
    options = parser.parse_args(arguments)
    os.environ.update(clean_environment(tempfile.mkdtemp(prefix="labkit-")))
    for path in options.notebooks:
        if options.student:
            options.student.mkdir(parents=True, exist_ok=True)
            copy = for_students(nbformat.read(path, as_version=4))
            nbformat.write(copy, options.student / path.name)
            copy_drawings(path, options.student)
            print(f"{options.student / path.name}: written, without solutions and outputs")
            continue
        print(f"{path.name}: running ...", flush=True)
        try:
            print(f"{path.name}: {_run_and_save(path):.0f} s, saved", flush=True)
        except CellExecutionError as error:
            print(f"{path.name}: a cell failed, the file is as it was.\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
