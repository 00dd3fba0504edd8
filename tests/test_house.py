"""The plan of the house: which room may know which, what import-linter cannot see, and how large anything may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import foveal

PACKAGE = Path(foveal.__file__).parent
FRAMEWORKS = ("torch", "torchvision", "timm", "jax", "flax", "keras", "tensorflow", "onnx", "onnxruntime")
ORDER = ("core", "ir", "frontends engine", "fields", "report", "check", "tasks", "designs", "views", "app")
"""From the ground up. A room imports only rooms below it; the two that share a floor do not know each other."""
FLOOR = {room: number for number, rooms in enumerate(ORDER) for room in rooms.split()}
ENTRIES, DEPTH, LINES = 12, 3, 400


def loaded(code: str) -> set[str]:
    """All modules that a fresh process has loaded after running ``code``."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import foveal",
        "import foveal.app.main",
        "import random; stream = random.getstate(); import foveal; foveal.analyze, foveal.compare, "
        "foveal.receptive_field, foveal.trace, foveal.verify; assert random.getstate() == stream",
        "import foveal.testing, foveal.extend",
    ],
)
def test_no_framework_is_loaded(code: str) -> None:
    assert loaded(code) & set(FRAMEWORKS) == set()


@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
def test_the_test_above_can_fail() -> None:
    assert "torch" in loaded("import foveal.frontends.torch.trace")


def test_importing_foveal_loads_next_to_nothing() -> None:
    """What makes an import slow is what it loads: nothing but the standard library."""
    assert {name.partition(".")[0] for name in loaded("import foveal")} <= set(sys.stdlib_module_names) | {"foveal"}


def test_the_command_line_starts_without_numpy() -> None:
    """A command loads what it needs once it is chosen; help and errors wait for nothing."""
    assert loaded("import foveal.app.main") & {"numpy", "yaml"} == set()


def test_a_report_starts_without_scipy() -> None:
    """Its special functions take longer to load than a small network takes to be analyzed."""
    assert loaded("import foveal.report.analyze, foveal.views.text.report") & {"scipy"} == set()


def test_public_names() -> None:
    assert len(foveal.__all__) <= 14
    for name in foveal.__all__:
        assert getattr(foveal, name) is not None
    with pytest.raises(AttributeError, match="module 'foveal' has no attribute 'nothing'"):
        foveal.nothing  # noqa: B018


def test_no_public_name_is_a_module() -> None:
    """The import system would bind ``foveal.analyze`` to the module as soon as anything imported it."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert modules & set(foveal.__all__) == set()


def test_every_room_has_its_floor() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert rooms == set(FLOOR)


def test_strings_that_name_modules_keep_the_order() -> None:
    """import-linter sees import statements; modules that are loaded by name are held here."""
    wrong = []
    for module, names in string_imports().items():
        mine = FLOOR.get(module.split(".")[1], len(ORDER))
        for name in names:
            other = name.split(".")[1]
            if FLOOR[other] > mine or (FLOOR[other] == mine and other != module.split(".")[1]):
                wrong.append(f"{module} names {name}")
    assert wrong == []


def test_views_know_tasks_and_designs_by_their_records() -> None:
    """And those by name only: imports for the type checker are counted too."""
    wrong = []
    for module, path in modules().items():
        if module.startswith("foveal.views."):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            names = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
            work = {name for name in names if name.rpartition(".")[2] not in ("record", "network")}
            wrong += [
                f"{module} imports {name}" for name in work if name.startswith(("foveal.tasks", "foveal.designs"))
            ]
    assert wrong == []


def test_no_text_imports_a_module_that_is_gone() -> None:
    """Scripts kept as text and examples in documents are seen by no linter."""
    root, gone = PACKAGE.parents[1], []
    for folder in ("benchmarks", "docs", "examples", "tests"):
        for path in (path for path in (root / folder).rglob("*") if path.suffix in (".py", ".md", ".template")):
            named = re.findall(r"(?:from|import) (foveal\.[\w.]+)", path.read_text(encoding="utf-8"))
            gone += [f"{path.relative_to(root)}: {name}" for name in named if name.rstrip(".") not in modules()]
    assert gone == []


def test_no_circle_of_imports() -> None:
    """Counting imports inside functions and modules loaded by name."""
    assert circles(run_time_imports()) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


def test_only_front_ends_and_the_oracle_import_a_framework() -> None:
    wrong = []
    for module, path in modules().items():
        if module.startswith("foveal.frontends.") or module == "foveal.check.oracle":
            continue
        names = {name.partition(".")[0] for name in imported(path)} & set(FRAMEWORKS)
        wrong += [f"{module} imports {name}" for name in sorted(names)]
    assert wrong == []


def test_rooms_stay_small() -> None:
    crowded = []
    for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name not in DATA)]:
        entries = [path.name for path in folder.iterdir() if not path.name.startswith("__") and path.suffix != ".pyc"]
        if folder != PACKAGE and folder.name != "__pycache__" and len(entries) > ENTRIES:
            crowded.append(f"{folder.relative_to(PACKAGE)}: {len(entries)} entries")
    assert crowded == []
    assert max(len(path.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("*.py")) <= DEPTH + 1
    assert [str(path) for path in PACKAGE.rglob("*.py") if len(path.read_text("utf-8").splitlines()) > LINES] == []


def test_analyses_ask_traits_and_not_classes() -> None:
    """What an analysis asks of an operation stands beside its rule: no list of classes that a new one would miss."""
    asked = {
        module: found
        for module, path in modules().items()
        if not module.startswith(("foveal.ir.", "foveal.frontends.")) and (found := questions(path.read_text("utf-8")))
    }
    assert [module for module in asked if module.startswith("foveal.engine.")] == []
    assert sum(map(len, asked.values())) <= QUESTIONS, asked


def test_questions_about_classes_are_found() -> None:
    imports = "from foveal.ir import ops\nfrom foveal.ir.ops import Pool as P, Scan\n"
    for line in (
        "isinstance(op, ops.Pool)",
        "isinstance(op, P | Scan)",
        "W = (ops.Pool, P)\nisinstance(op, W)",
        "W = {P: 'pool'}\nW.get(type(node.op))",
        "type(op) in W",
        "type(node.op).__name__ == 'Pool'",
        "node.op.name == 'max'",
        "op.name in NAMES",
        "match op:\n    case P(): pass",
    ):
        assert len(questions(imports + line)) == 1, line
    assert (
        questions(imports + "isinstance(step, Slide)\nW = (ops.Pool, P)\ntype(task).__name__\nlayer.name == ''") == []
    )


QUESTIONS = 25
"""Questions about the class or the name of operations outside rules and front ends."""


def questions(code: str) -> list[str]:
    """Where code asks which class (or which name) an operation has, instead of what it wants to know."""
    tree, kinds, found = ast.parse(code), {"ops"}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "foveal.ir.ops":
            kinds |= {alias.asname or alias.name for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _names(node.value) & kinds:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            kinds |= {target.id for target in targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        by_class = called == "isinstance" and _names(node.args[1]) & kinds
        by_type = called == "type" and ast.unparse(node.args[0]).rpartition(".")[2] == "op"
        by_name = isinstance(node, ast.Compare) and ast.unparse(node.left).rpartition("op.name")[1:] == ("op.name", "")
        if by_class or by_type or by_name or (isinstance(node, ast.MatchClass) and _names(node.cls) & kinds):
            found.append(ast.unparse(node))
    return found


def _names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


DATA = ("gallery",)
"""Folders of data: as many files as there are networks."""


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Names of all imported modules, but for those that only a type checker sees."""
    for node in run_time(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def run_time(path: Path) -> list[ast.AST]:
    """All nodes of a file that name or import something, but for those below ``if TYPE_CHECKING``."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Constant):
            found.append(node)
        elif not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            waiting += ast.iter_child_nodes(node)
    return found


@cache
def string_imports() -> dict[str, set[str]]:
    """Module -> the modules of foveal that it names in a string."""
    found: dict[str, set[str]] = {}
    for module, path in modules().items():
        if module == "foveal":
            continue  # it stands above all rooms
        for node in run_time(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value.partition(":")[0]
                if name in modules() and name not in ("foveal", module):
                    found.setdefault(module, set()).add(name)
    return found


def run_time_imports() -> dict[str, set[str]]:
    """Module -> the modules of foveal that it imports, anywhere and in any way."""
    graph: dict[str, set[str]] = {}
    for module, path in modules().items():
        names = {name if name in modules() else name.rpartition(".")[0] for name in imported(path)}
        graph[module] = ({name for name in names if name in modules()} | string_imports().get(module, set())) - {module}
    return {module: names - {"foveal"} for module, names in graph.items() if module != "foveal"}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach one another."""

    def reach(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            for name in graph.get(todo.pop(), set()) - seen:
                seen.add(name)
                todo.append(name)
        return seen

    reached = {module: reach(module) for module in graph}
    groups = {tuple(sorted(b for b in seen if a in reached.get(b, ()))) for a, seen in reached.items() if a in seen}
    return [list(group) for group in sorted(groups)]
