"""Importing foveal loads no framework; each part of the package imports only what stands above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import foveal

PACKAGE = Path(foveal.__file__).parent
FRAMEWORKS = ("torch", "torchvision", "timm", "jax", "flax", "keras", "tensorflow", "onnx")

ORDER = (
    "version", "errors", "workers", "ops", "graph", "relation", "rules", "extend", "gallery", "protocols", "images",
    "frontends", "analyses", "receptive_field", "serial", "field", "metrics", "provenance", "uncertainty", "cropping",
    "waists", "unit_plan", "measured", "fields", "erf", "sweep", "growth", "results", "findings", "costs", "idle_taps",
    "usage", "analyze", "alignment", "compare", "views", "explain", "perturbation", "oracle", "verify", "agreement",
    "testing", "progress", "tasks", "design", "page", "serve", "cli_options", "cli_field", "cli_erf", "cli_audit",
    "cli_design", "cli_report", "cli_serve", "cli_tile", "cli", "__main__",
)  # fmt: skip
"""Data flows downwards: a part imports only parts that stand before it."""

LOOKS_DOWN = {("results", "views"), ("compare", "views"), ("field", "metrics")}
"""A result draws and measures itself: these imports stand inside the methods that do so."""

FRAMEWORK_FILES = ("frontends/torch_", "frontends/onnx_", "frontends/jax_", "frontends/keras_", "oracle.py")
"""The only files that may import a framework."""


def loaded_frameworks(code: str) -> set[str]:
    """Frameworks that a fresh process has loaded after running ``code``."""
    script = f"{code}\nimport sys\nprint(*sorted({set(FRAMEWORKS)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import foveal",
        "import foveal.cli",
        "import foveal; foveal.analyze, foveal.compare, foveal.receptive_field, foveal.trace, foveal.verify",
        "import foveal.testing",
    ],
)
def test_no_framework_is_loaded(code: str) -> None:
    assert loaded_frameworks(code) == set()


@pytest.mark.needs("torch")
def test_the_test_above_can_fail() -> None:
    assert "torch" in loaded_frameworks("import foveal.frontends.torch_trace")


def test_import_is_fast() -> None:
    code = "import time; start = time.perf_counter(); import foveal; print(time.perf_counter() - start)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.3


def test_public_names() -> None:
    assert len(foveal.__all__) <= 12
    for name in foveal.__all__:
        assert getattr(foveal, name) is not None
    with pytest.raises(AttributeError, match="module 'foveal' has no attribute 'nothing'"):
        foveal.nothing  # noqa: B018


def test_a_public_name_is_the_function_even_after_its_module_was_imported() -> None:
    code = (
        "import foveal.analyze, foveal.compare, foveal.receptive_field, foveal.verify, foveal\n"
        "assert all(callable(getattr(foveal, n)) for n in ('analyze', 'compare', 'receptive_field', 'verify'))"
    )
    assert loaded_frameworks(code) == set()


def test_every_part_has_its_place_in_the_order() -> None:
    parts = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert parts - {"__init__"} - set(ORDER) == set(), "say in ORDER where the new part stands"


def test_each_part_imports_only_what_stands_above_it() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        part = _part(path)
        if part not in ORDER:
            continue  # __init__, and what the test above reports
        for name in _imports(path):
            other = name.split(".")[1] if name.startswith("foveal.") else None
            if other in ORDER and ORDER.index(other) > ORDER.index(part) and (part, other) not in LOOKS_DOWN:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_only_front_ends_and_the_oracle_import_a_framework() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE).as_posix()
        if relative.startswith(FRAMEWORK_FILES):
            continue
        names = {name.split(".")[0] for name in _imports(path)} & set(FRAMEWORKS)
        if names:
            wrong.append(f"{relative} imports {', '.join(sorted(names))}")
    assert wrong == []


def _part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else path.stem


def _imports(path: Path) -> Iterator[str]:
    """Names of all imported modules, but for those that only a type checker sees."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _run_time(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "foveal")


def _run_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_time(child)
