"""Shared by the tests of the explorers: they need the extra `lab`, and V8 for the JavaScript."""

import pytest

pytest.importorskip("anywidget")


@pytest.fixture(scope="session")
def parses():
    """parses(text): V8 reads the text as the body of a module; a slip of the pen raises."""
    py_mini_racer = pytest.importorskip("py_mini_racer")
    engine = py_mini_racer.MiniRacer()

    def parse(text: str) -> None:
        head, export, rest = text.rpartition("export default")
        assert export and rest.strip() == "{ render };"
        engine.eval(f"(function () {{ 'use strict';\n{head}\n}})")

    return parse
