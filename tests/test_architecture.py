"""Which part of the package may import which: pyproject.toml's contracts hold, and see a breach."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import labkit

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PYPROJECT["tool"]["importlinter"]["contracts"]
EXCEPTIONS = {line for contract in CONTRACTS for line in contract["ignore_imports"]}


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    """Check the contracts of the package in a folder, as the command `lint-imports` does."""
    code = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=1))"
    )
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True
    )


@pytest.fixture
def package(tmp_path):
    """A copy of the package to break."""
    shutil.copytree(ROOT / "labkit", tmp_path / "labkit")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "code", "found"),
    [
        ("ops/boxes.py", "from labkit import training", "labkit.ops.boxes -> labkit.training"),
        (
            "ops/boxes.py",
            "def late():\n    from labkit.training import train",
            "labkit.ops.boxes -> labkit.training.train",
        ),
        ("data/load.py", "import labkit.viz.show", "labkit.data.load -> labkit.viz.show"),
        (
            "evaluation/rle.py",  # beside each other, and neither needs the other
            "from labkit.data.sample import Sample",
            "labkit.evaluation.rle -> labkit.data.sample",
        ),
        (
            "data/colour.py",  # augment imports colour
            "def late():\n    from labkit.data.augment import render",
            "No cycles are allowed in labkit.data.",
        ),
        ("extra/__init__.py", "", "not listed as layers"),
    ],
)
def test_a_breach_is_seen(package, file, code, found):
    path = package / "labkit" / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"\n\n{code}\n")
    done = lint_imports(package)
    assert done.returncode == 1 and found in done.stdout, done.stdout + done.stderr


def test_tab_completion_shows_the_public_names_and_the_folders():
    folders = {path.parent.name for path in (ROOT / "labkit").glob("*/__init__.py")}
    files = {path.stem for path in (ROOT / "labkit").glob("*.py")} - {"__init__", "__main__", "cli"}
    shown = set(dir(labkit))
    assert set(labkit.__all__) | folders | files <= shown
    for name in shown - {"__builtins__"}:
        assert getattr(labkit, name) is not None or name.startswith("__")


def test_only_three_places_import_upwards_and_only_when_they_are_called():
    importers = {line.partition(" -> ")[0] for line in EXCEPTIONS}
    assert importers == {
        "labkit.models.detector",  # Detector.from_pretrained
        "labkit.models.detections",  # Detections in a notebook
        "labkit.data.dataset",  # the methods of Dataset
    }
    for line in EXCEPTIONS:
        importer, _, imported = line.partition(" -> ")
        tree = ast.parse((ROOT / f"{importer.replace('.', '/')}.py").read_text(encoding="utf-8"))
        at_the_top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert imported not in at_the_top, line


def modules_imported(path: Path) -> set[str]:
    """Everything of labkit that a file imports, inside functions too, as names of modules."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inside = ROOT / node.module.replace(".", "/") / alias.name
                is_module = inside.is_dir() or inside.with_suffix(".py").is_file()
                found.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return found


def test_no_file_imports_a_folder_that_it_is_in():
    """A folder's `__init__` imports its files, and `acyclic_siblings` compares these alone."""
    for path in (ROOT / "labkit").rglob("*.py"):
        folders = path.relative_to(ROOT).parent.parts
        above = {".".join(folders[:depth]) for depth in range(2, len(folders) + 1)}
        assert not above & modules_imported(path), path


def test_the_package_shows_its_folders_not_a_heap_of_files():
    assert len(list((ROOT / "labkit").glob("*.py"))) <= 6
