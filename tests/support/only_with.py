"""What a test needs beyond the core, read from imports, so that ``pytest --only-with core`` can choose.

A file is left out if it loads a module that is neither of the standard library nor of the core's own dependencies,
directly or through helpers and files of foveal. A test is left out if it, or a helper or fixture that it uses, imports
such a module when it runs, or if it says so: ``@pytest.mark.needs("torchvision")``, for what only a text names. Whether
a module is installed is never asked, so a broken import of our own stays an error.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.paths import ROOT, TESTS

WORDS = "jinja2 joblib matplotlib mpl_toolkits numpy PIL yaml rich scipy typer click pytest _pytest xdist hypothesis"
KNOWN = sys.stdlib_module_names | frozenset(WORDS.split(" "))
"""What the core and its tests may import: `pip install 'foveal[quick]'` brings it."""

Import = tuple[str, str | None]
"""A module, and the name taken from it."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def helpers() -> dict[str, Path]:
    """The Python files beside the package by the name that imports them: the last part, wherever they stand."""
    return {path.stem: path for folder in ("examples", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")}


def local(module: str) -> Path | None:
    """The file of a module of the tests or of foveal."""
    top = module.partition(".")[0]
    if top in KNOWN:
        return None
    if top == "foveal":
        place = ROOT.joinpath("src", *module.split("."))
        return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()), None)
    return helpers().get(module.rpartition(".")[2])


def imports(nodes: list[ast.stmt] | list[ast.AST], inside: bool) -> Iterator[Import]:
    """The imports of statements; those of functions only if ``inside``."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, None) for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from ((module, alias.name) for alias in names)
            case ast.Call(
                func=ast.Attribute(attr="importorskip" | "import_module") | ast.Name(id="needs" | "installed"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name, None
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.If(test=ast.Attribute(attr="TYPE_CHECKING")):
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() if not inside:
                continue
        yield from imports(list(ast.iter_child_nodes(node)), inside)


@cache
def direct(path: Path) -> tuple[set[str], set[Path]]:
    """What loading a file imports itself: modules beyond the core, and files of ours."""
    return sorted_out(imports(tree(path).body, inside=False))


def sorted_out(found: Iterator[Import]) -> tuple[set[str], set[Path]]:
    beyond, ours = set[str](), set[Path]()
    for module, name in found:
        if paths := {path for path in (local(module), local(f"{module}.{name}")) if path}:
            ours |= paths
        elif (top := module.partition(".")[0]) not in KNOWN:
            beyond.add(top)
    return beyond, ours


@cache
def loaded(path: Path) -> set[str]:
    """What loading a file loads beyond the core, through all files that it loads."""
    return closed(set(), {path})


def closed(beyond: set[str], ours: set[Path]) -> set[str]:
    """Modules beyond the core, with those that files of ours load."""
    todo, seen = set(ours), set[Path]()
    while todo:
        seen.add(path := todo.pop())
        more, files = direct(path)
        beyond = beyond | more
        todo |= files - seen
    return beyond


@cache
def names(path: Path) -> dict[str, ast.stmt]:
    """The functions, classes and imports of a file, by name."""
    found = dict[str, ast.stmt]()
    for node in tree(path).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name: node for alias in names}
    return found


@cache
def own(path: Path, name: str) -> tuple[set[str], set[tuple[Path, str]]]:
    """What a function of a file imports beyond the core, and the helpers and fixtures that it may use."""
    node = names(path).get(name)
    if node is None:
        return set(), set()
    if isinstance(node, ast.ImportFrom):
        origin = local(node.module or "")
        return set(), {(origin, name)} if origin and TESTS in origin.parents else set()
    words = {inner.id if isinstance(inner, ast.Name) else getattr(inner, "arg", None) for inner in ast.walk(node)}
    return closed(*sorted_out(imports([node], inside=True))), {(path, word) for word in words & names(path).keys()}


@cache
def used(path: Path, name: str) -> set[str]:
    """What running a function of a file loads beyond the core, through all helpers and fixtures that it may use."""
    todo, seen, beyond = {(path, name)}, set[tuple[Path, str]](), set[str]()
    while todo:
        seen.add(place := todo.pop())
        more, others = own(*place)
        beyond = beyond | more
        todo |= others - seen
    return beyond


def of(item: pytest.Item) -> set[str]:
    """What a test loads beyond the core, with what it says itself."""
    said = {name for mark in item.iter_markers("needs") for name in mark.args}
    return said | (used(item.path, item.originalname) if isinstance(item, pytest.Function) else set())
