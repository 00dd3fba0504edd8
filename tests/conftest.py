"""Golden files: texts that tests produced before, kept in tests/golden/ and rewritten by ``pytest --overwrite``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"

# Processes that a test starts find the package and the tests' helpers as the test does.
TESTS = Path(__file__).parent
PATHS = (TESTS.parent / "src", TESTS, TESTS / "support" / "networks", os.environ.get("PYTHONPATH", ""))
os.environ["PYTHONPATH"] = os.pathsep.join(str(path) for path in PATHS if path)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--overwrite", action="store_true", help="rewrite the golden files with what the tests produce now"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Compare a text with the golden file named after the test."""

    def check(text: str) -> None:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        path = GOLDEN / f"{re.sub(r'[^a-z0-9]+', '_', request.node.name.lower()).strip('_')}.txt"
        if request.config.getoption("--overwrite"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {path.name}; make it with: pytest --overwrite"
        assert text == path.read_text(encoding="utf-8")

    return check
