"""Where things stand in the repository, so that no test counts folders."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"
NETWORKS = TESTS / "support" / "networks"
"""The folder of ``small_factories``, for tests that name a factory as a source."""
