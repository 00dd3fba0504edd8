"""Open a ``.pt2`` archive without running anything in it.

torch.export's own loader unpickles weights, constants and example inputs without restriction, and evaluates the shape
expressions in the archive as Python. So, before it is called: archives with pickled objects are refused, unpickling
is restricted to tensors, shape expressions must be plain arithmetic; and, after it: every operation must be a
registered operator.
"""

from __future__ import annotations

import json
import logging
import operator
import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from foveal.core.errors import SourceError

_RESTRICT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_UNRESTRICT = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_CALLS = re.compile(r"([A-Za-z_]\w*)\s*\(")
_ARITHMETIC = re.compile(r"[\w\s+\-*/%(),<>=!&|~.]*")
_SYMBOL = re.compile(r"Symbol\('[A-Za-z_]\w*'(?:, *(?:positive|nonnegative|integer)=True)*\)")
"""An open length, as an archive writes it."""
_SYMPY = {
    "Add",
    "Mul",
    "Pow",
    "Integer",
    "Rational",
    "Max",
    "Min",
    "Mod",
    "PythonMod",
    "FloorDiv",
    "CleanDiv",
    "CeilToInt",
    "FloorToInt",
    "TruncToInt",
    "RoundToInt",
    "TruncToFloat",
    "IntTrueDiv",
    "FloatTrueDiv",
    "PowByNatural",
    "FloatPow",
    "ToFloat",
    "Identity",
    "LShift",
    "RShift",
    "ModularIndexing",
    "Where",
    "Eq",
    "Ne",
    "Lt",
    "Le",
    "Gt",
    "Ge",
    "And",
    "Or",
    "Not",
    "Piecewise",
    "Abs",
    "floor",
    "ceiling",
    "sqrt",
}


def load_program(path: str) -> torch.export.ExportedProgram:
    """The exported program in ``path``; raises SourceError for content that would run code, else the loader's error."""
    _check_archive(path)
    with _restricted():
        program = torch.export.load(path)
    for module in program.graph_module.modules():
        graph = getattr(module, "graph", None)
        for node in graph.nodes if isinstance(graph, torch.fx.Graph) else ():
            if node.op == "call_method" or (node.op == "call_function" and not _is_operator(node.target)):
                raise SourceError(f"{path}: refused: it calls {node.target}, which is no registered operator")
    return program


def _is_operator(target: Any) -> bool:
    registered = (torch._ops.OpOverload, torch._ops.HigherOrderOperator)
    module = getattr(target, "__module__", "")
    return (
        isinstance(target, registered)
        or module in (operator.__name__, "_operator", "math")
        or (module == "torch" and getattr(target, "__name__", "").startswith("sym_"))
    )


def _check_archive(path: str) -> None:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            base = name.rsplit("/", 1)[-1]
            if "custom_obj" in name or "opaque_obj" in name:
                raise SourceError(f"{path}: refused: it holds pickled objects ({base}), which could run code")
            if base.endswith(".json"):
                for text in _expressions(json.loads(archive.read(name))):
                    _check_expression(path, text)


def _expressions(item: Any) -> Iterator[str]:
    """All shape expressions in a JSON document."""
    if isinstance(item, dict):
        for key, part in item.items():
            if key == "expr_str" and isinstance(part, str):
                yield part
            else:
                yield from _expressions(part)
    elif isinstance(item, list):
        for part in item:
            yield from _expressions(part)


def _check_expression(path: str, text: str) -> None:
    text = _SYMBOL.sub("s", text)
    plain = _ARITHMETIC.fullmatch(text) and "__" not in text and not re.search(r"\.\s*[A-Za-z_]", text)
    called = [name for name in _CALLS.findall(text) if name not in _SYMPY]
    if not plain or called or re.search(r"\)\s*\(", text):
        raise SourceError(f"{path}: refused: the shape expression {text[:60]!r} is not plain arithmetic")


@contextmanager
def _restricted() -> Iterator[None]:
    """Within: torch.load reads tensors only, and its warnings are not shown."""
    before = {name: os.environ.get(name) for name in (_RESTRICT, _UNRESTRICT)}
    logger = logging.getLogger("torch.export")
    level = logger.level
    os.environ[_RESTRICT] = "1"
    os.environ.pop(_UNRESTRICT, None)
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text
