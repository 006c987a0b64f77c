"""Notebooks, their code and the glossary use the field's terms and no private ones."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
# What is checked. More files can be added here, one pattern a line.
CHECKED = (
    "README.md",
    "docs/*.md",
    "notebooks/*.ipynb",
    "labkit/course/*.py",
    "labkit/course/exercises/*.py",
    "labkit/viz/*.py",
    "labkit/widgets/*.py",
    "labkit/widgets/static/*.js",
)
# Pattern -> what to write instead.
PRIVATE = {
    r"\bnoes\b|\byeses\b": "negatives, positives",
    r"\binvent(s|ed|ing)\b": "false positive",
    r"\bstruck\b|\bstrikes?\b|\bstriking out\b": "suppressed",
    r"\bgraded?\b|\bgrades\b": "sampled",
    r"\bby (dice|chance)\b": "at random, randomly",
    r"\bdear(er|est)?\b": "costly, costliest",
    r"\bnot there\b": "false positive",
    r"\basked (nothing|no question)\b|\bnot asked\b": "ignored",
    r"\b(who|which) dies\b": "which boxes are suppressed",
    r"\bmend(s|ed|ing)?\b": "fixed",
    r"\bwhoever\b|\bsomebody\b": "name the person, or what they do",
    r"\bnobod(y|ies)\b": "no one, or say what is missing",
    r"\d between\b(?! [\w`\d]+ and| two)|\bnothing between\b|\blies between,": "ignored",
    r"\bare through\b|\bis through\b": "runs in",
    r"\bby heart\b|\bof an evening\b": "plain words",
    r"\bmade-up\b": "generated, synthetic",
    r"\bmisnamed\b": "wrong class",
    r"\bfalse alarms?\b": "false positive",
}


def files() -> list[Path]:
    return [path for pattern in CHECKED for path in sorted(ROOT.glob(pattern))]


def text_of(path: Path) -> str:
    """What a file says: of a notebook its cells and printed outputs, not its pictures."""
    if path.name == "grading.py":  # nbgrader's own word for a cell that gives points
        return re.sub(r"\bgrade\b", "", path.read_text("utf-8"))
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        parts.append(cell.source)
        for output in cell.get("outputs", ()):
            parts += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    return "\n".join(parts)


def private_words(text: str) -> list[str]:
    """The lines of a text that use a private word, each with what to write instead."""
    found = []
    for pattern, instead in PRIVATE.items():
        for hit in re.finditer(pattern, text, re.I):
            start = text.rfind("\n", 0, hit.start()) + 1
            line = text[start : text.find("\n", hit.end())]
            found.append(f"{hit.group()!r} (say: {instead}) in: {line.strip()}")
    return found


def test_every_pattern_finds_its_files():
    assert all(list(ROOT.glob(pattern)) for pattern in CHECKED)


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_it_uses_the_terms_of_the_field(path):
    assert private_words(text_of(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Thousands of noes to a few yeses",
        "one invented object",
        "NMS strikes it out",
        "a sample is graded",
        "drawn by dice",
        "the dearest part",
        "7 positive, 135 between, 3950 negative",
        "whoever forgets this",
        "a false alarm",
    ],
)
def test_private_words_are_found(text):
    assert private_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "a number between 0 and 1",
        "read between the cells",
        "the difference between two boxes",
        "upgrade the package",
        "the mean lies between the two",
    ],
)
def test_plain_words_are_not(text):
    assert private_words(text) == []


def test_the_glossary_is_complete_and_its_notebooks_exist():
    text = (ROOT / "docs/glossary.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    terms = [row for row in rows if row[0] not in ("Term", "---")]
    assert all(len(row) == 4 for row in terms), [row for row in terms if len(row) != 4]
    names = [row[0].lower() for row in terms]
    assert len(set(names)) == len(names)
    numbers = {path.name.split("_")[0] for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {n for row in terms for n in row[3].split(", ")} <= numbers
    for link in re.findall(r"\]\(\.\./(notebooks/[^)]+)\)", text):
        assert (ROOT / link).exists(), link


def test_the_first_notebook_and_the_readme_lead_to_the_glossary():
    assert "docs/glossary.md" in (ROOT / "README.md").read_text("utf-8")
    assert "docs/glossary.md" in text_of(ROOT / "notebooks/00_tour.ipynb")


def test_links_and_images_of_the_checked_notebooks_exist():
    for path in files():
        if path.suffix == ".ipynb":
            for link in re.findall(r"\]\(([^)#:]+\.(?:ipynb|md|svg|png))\)", text_of(path)):
                assert (path.parent / link).exists(), f"{path.name}: {link}"
