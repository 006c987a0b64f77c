"""LaTeX formulas as MathML: browsers draw it without a script, and screen readers read it."""

import re

from latex2mathml.converter import convert

# What must not be read as a formula: fenced code, and code between backticks.
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.S)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\\w$])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![\d$])", re.S)


def with_mathml(markdown: str) -> str:
    """Markdown text in which every formula $…$ or $$…$$ is MathML."""
    parts = _CODE.split(markdown)
    return "".join(p if i % 2 else _FORMULA.sub(_mathml, p) for i, p in enumerate(parts))


def _mathml(match: re.Match) -> str:
    block, inline = match.groups()
    latex = " ".join((block or inline).split())
    # One line without blank lines around it, so that Markdown leaves it as it is.
    return convert(latex, display="block" if block else "inline")
