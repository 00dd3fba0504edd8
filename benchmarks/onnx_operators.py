"""Writes docs/onnx-operators.md: how each ONNX operator is answered, and by which cases that is tested.

Run it from the repository's root after a change of the table of cases: ``python benchmarks/onnx_operators.py``.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import onnx.defs

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from foveal.frontends.onnx import tables as onnx_tables  # noqa: E402, F401  (fills the table)
from foveal.frontends.onnx.lowering.table import LOWERINGS  # noqa: E402
from foveal.frontends.onnx.nodes.control import CONTROL  # noqa: E402
from support.onnx_cases.onnx_operator_cases import CASES  # noqa: E402

PAGE = ROOT / "docs" / "onnx-operators.md"
TRACED = {"Constant", "Identity", "Shape", "Size", *CONTROL}
"""Operators that the tracer answers itself."""
DATA_SHAPED = {"NonMaxSuppression", "NonZero", "StringSplit", "Unique"}
"""Operators whose outputs are as long as data says: two runs cannot be compared element by element."""
TESTED, DATA, UNTESTED, BOUND = "rule, tested", "data decides", "rule, not tested", "bound"
DOMAINS = {"": "Standard operators", "ai.onnx.ml": "Classical machine learning (`ai.onnx.ml`)",
           "com.microsoft": "Written by onnxruntime (`com.microsoft`)"}  # fmt: skip
INTRODUCTION = """# ONNX operators

What foveal does with each operator of the ONNX specification, as of onnx {version} (operator set {opset}).

- **{tested}**: the operator has a rule, and every case of it in the test suite agrees with brute force: one source
  element at a time is changed, the operator is run again (by the onnx package's reference evaluator in double
  precision, or by onnxruntime where that has no answer), and what moved must be exactly what foveal says, for the box
  of every output element and for whole sets of elements.
- **{data}**: the operator reads where data says (sampling, gathering by a computed index, lengths that data sets). The
  answer is everything it could reach, with status `data-dependent`. An operator with both kinds of call counts by its
  fixed one.
- **{untested}**: the operator has a rule that no case checks (a random choice differs from run to run).
- **{bound}**: no rule. Everything behind it is a bound, and the report lists it.

Attribute forms of old versions (axes, pads, slices, scales, limits that later became inputs) are read from operator
set 7 on.
"""


class Row(NamedTuple):
    """One operator of the page."""

    name: str
    answer: str
    opsets: str
    cases: int


def answer(domain: str, name: str, function: bool) -> str:
    """How an operator is answered."""
    statuses = {case.status for case in CASES if (case.domain, case.op) == (domain, name)}
    if "exact" in statuses:
        return TESTED
    if "data-dependent" in statuses:
        return DATA
    if (domain, name) not in LOWERINGS and not (domain == "" and (name in TRACED or function)):
        return BOUND
    return DATA if name in DATA_SHAPED else UNTESTED


def operators(domain: str) -> list[tuple[str, bool]]:
    """Names of a domain's operators and whether the specification defines them by others."""
    if domain == "com.microsoft":
        return sorted({(name, False) for where, name in LOWERINGS if where == domain})
    found = {s.name: s for s in onnx.defs.get_all_schemas() if s.domain == domain}
    return sorted((name, s.has_function or s.has_context_dependent_function) for name, s in found.items())


def rows(domain: str) -> list[Row]:
    """All operators of a domain."""
    found = []
    for name, function in operators(domain):
        cases = [case for case in CASES if (case.domain, case.op) == (domain, name)]
        opsets = ", ".join(map(str, sorted({case.opset for case in cases})))
        found.append(Row(name, answer(domain, name, function), opsets, len(cases)))
    return found


def page() -> str:
    """The whole page."""
    words = {"tested": TESTED, "data": DATA, "untested": UNTESTED, "bound": BOUND}
    parts = [INTRODUCTION.format(version=onnx.__version__, opset=onnx.defs.onnx_opset_version(), **words)]
    summary = ["| operators | all | " + " | ".join(words.values()) + " | cases |", "|---|---|" + "---|" * 5]
    tables = []
    for domain, title in DOMAINS.items():
        lines = rows(domain)
        count = Counter(row.answer for row in lines)
        numbers = [len(lines), *(count[word] for word in words.values()), sum(row.cases for row in lines)]
        summary.append(f"| {title} | " + " | ".join(map(str, numbers)) + " |")
        table = [f"## {title}", "", "| operator | answer | operator sets tested | cases |", "|---|---|---|---|"]
        table += [f"| {row.name} | {row.answer} | {row.opsets} | {row.cases or ''} |" for row in lines]
        tables.append("\n".join(table))
    return "\n\n".join([parts[0].rstrip(), "\n".join(summary), *tables]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
