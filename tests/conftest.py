"""What all tests share.

Golden files: texts that tests produced before, kept in tests/golden/ and rewritten by ``pytest --overwrite``.
``pytest --only-with core`` runs what needs nothing but the core, as ``make quick`` does (see support/only_with.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support import only_with
from support.paths import NETWORKS, ROOT, TESTS

GOLDEN = TESTS / "golden"

# Processes that a test starts find the package and the tests' helpers as the test does.
PATHS = (ROOT / "src", TESTS, NETWORKS, os.environ.get("PYTHONPATH", ""))
os.environ["PYTHONPATH"] = os.pathsep.join(str(path) for path in PATHS if path)

# Where tests run side by side, one process per core, threads of their own would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["FOVEAL_CACHE_DIR"] = ""  # what one test worked out must not answer another


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--overwrite", action="store_true", help="rewrite the golden files with what the tests produce now"
    )
    parser.addoption("--only-with", metavar="core,...", help="only tests that need no other modules, such as core,onnx")


def allowed(config: pytest.Config) -> set[str] | None:
    """The modules that tests may need beyond the core, if a choice was made."""
    given = config.getoption("--only-with")
    return None if given is None else set(given.split(","))


def pytest_report_header(config: pytest.Config) -> str | None:
    if (present := allowed(config)) is None:
        return None
    needed = [only_with.loaded(path) - present for path in TESTS.rglob("test_*.py")]
    others = ", ".join(sorted(set().union(*needed))) or "nothing"
    return f"only with {', '.join(sorted(present))}: {needed.count(set())} of {len(needed)} files; others need {others}"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if (present := allowed(config)) is None or collection_path.suffix != ".py":
        return None
    return True if only_with.loaded(collection_path) - present else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (present := allowed(config)) is not None:
        out = {item for item in items if only_with.of(item) - present}
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=list(out))


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
