"""What is installed is what is declared: pyproject.toml, environment.yml and the imports agree."""

import ast
import functools
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from labkit.weights.registry import PRETRAINED

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
ALL_REQUIREMENTS = PROJECT["dependencies"] + [line for lines in EXTRAS.values() for line in lines]

# nothing outside these parts of labkit may import what only the notebooks need
LAB_PARTS = ("widgets", "course")
# imported only after a look whether we run inside a kernel, which has brought it
BROUGHT_BY_THE_KERNEL = {"ipython"}
# imported only where somebody asks for it, with a sentence if it is not installed
ASKED_FOR = {
    "labkit/io/images.py": {"pillow-heif"},
    "labkit/training/search.py": {"keras-tuner"},
    "labkit/training/loggers.py": {"wandb"},
    "labkit/data/synthetic/photographs.py": {"scikit-image"},
}


def environment() -> tuple[str, list[str]]:
    """environment.yml's python bound and its pip lines."""
    spec = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [line for line in spec["dependencies"] if isinstance(line, str)]
    (pip,) = (line["pip"] for line in spec["dependencies"] if isinstance(line, dict))
    (python,) = (line for line in conda if line.startswith("python"))
    return python.removeprefix("python"), pip


def names(requirements) -> set[str]:
    return {normal(Requirement(line).name) for line in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imports_of(path: Path) -> set[str]:
    """Top-level names of everything a file imports, the standard library and ourselves left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
    own = {"labkit"} | {path.stem for path in (ROOT / "tests" / "helpers").glob("*.py")}
    return found - set(sys.stdlib_module_names) - own


def distributions_of(modules) -> set[str]:
    """The packages on the index that bring these modules (PIL comes with pillow)."""
    return {normal(installed().get(module, [module])[0]) for module in modules}


@functools.cache
def installed() -> dict[str, list[str]]:
    return importlib.metadata.packages_distributions()


def test_environment_yml_names_the_same_requirements_and_bounds():
    python, pip = environment()
    assert python == PROJECT["requires-python"]
    assert pip[-1] == "-e ."
    wanted = {str(Requirement(line)) for line in PROJECT["dependencies"] + EXTRAS["lab"]}
    wanted |= {str(Requirement(line)) for line in EXTRAS["dev"]}
    assert {str(Requirement(line)) for line in pip[:-1]} == wanted


@pytest.mark.parametrize("line", sorted(set(ALL_REQUIREMENTS)))
def test_every_requirement_has_a_lower_bound_and_nothing_else(line):
    assert [spec.operator for spec in Requirement(line).specifier] == [">="]


def test_a_package_named_twice_has_one_bound():
    bounds = {}
    for line in ALL_REQUIREMENTS:
        requirement = Requirement(line)
        bounds.setdefault(normal(requirement.name), set()).add(str(requirement.specifier))
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


@pytest.mark.parametrize("line", sorted(set(ALL_REQUIREMENTS)))
def test_every_requirement_says_why(line):
    lines = [text for text in PYPROJECT_TEXT.splitlines() if f'"{line}"' in text]
    assert lines
    for text in lines:
        reason = text.partition("#")[2].strip()
        assert len(reason.split()) >= 3, f"pyproject.toml: {line} has no reason beside it"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "labkit").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_what_labkit_imports_is_declared(path):
    declared = names(PROJECT["dependencies"]) | BROUGHT_BY_THE_KERNEL
    if path.relative_to(ROOT / "labkit").parts[0] in LAB_PARTS:
        declared |= names(EXTRAS["lab"])
    if path.parent == ROOT / "labkit" / "course" / "web":
        declared |= names(EXTRAS["teach"])
    declared |= ASKED_FOR.get(path.relative_to(ROOT).as_posix(), set())
    assert distributions_of(imports_of(path)) - declared == set()


def test_what_is_declared_is_imported():
    used = set().union(*(imports_of(path) for path in (ROOT / "labkit").rglob("*.py")))
    read = {entry.package for entry in PRETRAINED.values()}  # files of weights, without any code
    assert names(PROJECT["dependencies"]) - distributions_of(used) - read == set()


def test_what_the_tests_import_is_declared():
    declared = names(PROJECT["dependencies"] + EXTRAS["lab"] + EXTRAS["dev"])
    used = set().union(*(imports_of(path) for path in (ROOT / "tests").rglob("*.py")))
    # jupyter-core comes with nbclient, which cannot be used without it; the others made golden
    # values in an environment of their own, and no test imports them; nbgrader's test is skipped
    # where the extra "teach" is not installed
    elsewhere = {"jupyter-core", "torch", "torchvision", "timm", "nbgrader"}
    assert distributions_of(used) - declared - elsewhere == set()


def test_the_command_points_at_a_function():
    from labkit import cli

    assert PROJECT["scripts"] == {"labkit": "labkit.cli:main"}
    assert callable(cli.main)
