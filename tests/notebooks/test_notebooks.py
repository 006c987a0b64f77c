"""Every notebook runs from top to bottom in a clean kernel, and is saved fit to be read.

`NotebookClient` loses wake-ups when a notebook uses `Output` or `interact` widgets: it answers them
on the very socket it is waiting on, and then sleeps although the reply has come (nbclient #312).
`PollingClient` looks again four times a second, which is all the cure it needs.
"""

import asyncio
import json
import re
import time
from pathlib import Path
from queue import Empty

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CELL_TIMEOUT = 420  # seconds; a cell that trains takes minutes on two busy cores
POLL = 0.25  # seconds
MAX_BYTES = 3_000_000
# somebody's home or scratch folder; not preceded by what makes it part of an address or a word
MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])(?:/(?:home|Users|root|tmp|work|private|mnt|opt)/\w|[A-Za-z]:\\+Users\\)"
)
EMBEDDED = re.compile(r"base64,[A-Za-z0-9+/=\s]+")  # pictures inside HTML spell any word by chance


class PollingClient(NotebookClient):
    """A NotebookClient that waits for a cell's reply in short steps."""

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


def run(notebook, folder, timeout=CELL_TIMEOUT):
    """Executes a notebook in a new kernel of this Python, started in `folder`."""
    client = PollingClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    asyncio.run(client.async_execute())
    return notebook


@pytest.fixture
def clean_kernel(monkeypatch, tmp_path):
    """The kernel is this environment's, and sees nobody's IPython start-up files."""
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def errors(notebook):
    return [
        f"cell {cell.execution_count}: {output.ename}: {output.evalue}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error"
    ]


def texts(notebook):
    """Everything in a notebook that a person may read, with embedded pictures taken out."""
    yield json.dumps(notebook.metadata)
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            for kind, data in output.get("data", {}).items():
                if kind.startswith("text/") or kind.endswith("json"):
                    yield EMBEDDED.sub("", data if isinstance(data, str) else json.dumps(data))


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@each_notebook
def test_runs_from_a_clean_kernel(path, clean_kernel):
    notebook = run(nbformat.read(path, as_version=4), path.parent)
    assert errors(notebook) == []


@each_notebook
def test_is_saved_after_a_clean_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
    assert errors(notebook) == []


@each_notebook
def test_is_fit_to_be_shown_on_a_page(path):
    notebook = nbformat.read(path, as_version=4)
    assert "widgets" not in notebook.metadata, f"{path.name}: strip metadata.widgets before saving"
    assert path.stat().st_size < MAX_BYTES, f"{path.name}: make its pictures smaller"


@each_notebook
def test_names_no_path_of_a_machine(path):
    notebook = nbformat.read(path, as_version=4)
    assert [hit.group() for text in texts(notebook) for hit in MACHINE_PATH.finditer(text)] == []


def test_a_notebook_with_output_widgets_does_not_stall(clean_kernel, tmp_path):
    pytest.importorskip("ipywidgets")
    source = """
        from ipywidgets import IntSlider, Output, interactive
        panel = interactive(lambda n: print(n), n=IntSlider(value=0, max=9))
        panel.update()
        for n in range(10):
            panel.children[0].value = n
        with (out := Output()):
            print("inside")
    """
    lines = "\n".join(line[8:] for line in source.strip("\n").splitlines())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines) for _ in range(3)])
    begin = time.monotonic()
    assert errors(run(notebook, tmp_path, timeout=60)) == []
    assert time.monotonic() - begin < 50


@pytest.mark.parametrize("text, bad", [
    ("open('/home/ann/x.png')", True), ("C:\\\\Users\\\\ann", True), ("see /tmp/abc", True),
    ("https://example.org/home/page", False), ("runs/tmp/x", False), ("and/or", False),
])  # fmt: skip
def test_machine_paths_are_told_from_other_text(text, bad):
    assert bool(MACHINE_PATH.search(text)) is bad
