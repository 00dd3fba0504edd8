"""What the reader of a report must know about the trace: operations without a rule, data that decides."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from foveal.core.finding import Finding
from foveal.engine.forward.bounds import bounds
from foveal.ir.graph import CONSTANT, Graph
from foveal.ir.rules import traits

_SEVERITY = {"opaque": "warning", "data-dependent": "warning", "partial": "error", "contradicted": "error",
             "foreign-memory": "warning", "changed": "warning"}  # fmt: skip
_CODES = {"opaque": "operation-without-rule"}
_NOTE_OF = {"operation-without-rule": "opaque"}


@dataclass(frozen=True)
class Occurrence:
    """An operation, the first layer in which it stands, and how often it stands in the graph."""

    operation: str
    layer: str
    count: int


def findings(graph: Graph) -> tuple[Finding, ...]:
    """All findings, each once, the gravest first."""
    found = [
        Finding(
            "operation-without-rule", "warning", item.layer,
            f"{item.operation} has no rule ({_times(item.count)}); it and what follows are bounds",
        )
        for item in operations_without_rule(graph)
    ]  # fmt: skip
    found += [
        Finding(
            "data-dependent", "warning", item.layer,
            f"{item.operation} reads where data says ({_times(item.count)}); what follows may use all it can reach",
        )
        for item in _occurrences(graph, "data-dependent")
    ]  # fmt: skip
    found += [
        Finding(
            "mask-trusted", "info", layer,
            f"a finite constant ({_times(count)}) was taken for a mask: what it closes is told as not read",
        )
        for layer, count in Counter(bounds(graph).facts.finite.values()).items()
    ]  # fmt: skip
    found += [
        Finding("constant-output", "warning", name, CONSTANT) for name, is_output in graph.constants.items()
        if is_output
    ]  # fmt: skip
    told = {_NOTE_OF.get(finding.code, "") for finding in found}
    for note in graph.notes:
        # Nodes speak for themselves; a note adds only what no node shows.
        if note.code not in told:
            severity = _SEVERITY.get(note.code, "info")
            found.append(Finding(_CODES.get(note.code, note.code), severity, note.layer, note.text))
    found += [Finding(note.code, "info", note.layer, note.text) for note in graph.layout]
    grave = ("error", "warning", "info")
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: grave.index(finding.severity)))


def operations_without_rule(graph: Graph) -> list[Occurrence]:
    """Opaque operations on the way from a source, in order of first appearance."""
    return _occurrences(graph, "bound")


def reachable(graph: Graph) -> dict[int, frozenset[str]]:
    """Value id -> names of the sources it depends on; a value that depends on none is left out."""
    return graph.once("sources-of-values", _reach)


def _reach(graph: Graph) -> dict[int, frozenset[str]]:
    reach = {source.value: frozenset((source.name,)) for source in graph.sources}
    for node in graph.nodes:
        joined = frozenset[str]().union(*(reach.get(used, frozenset()) for used in node.inputs))
        if joined:
            reach[node.output] = joined
    return reach


def _occurrences(graph: Graph, status: str) -> list[Occurrence]:
    reach = reachable(graph)
    first: dict[str, str] = {}
    calls: dict[str, set[tuple[int, ...]]] = {}
    for node in graph.nodes:
        if traits(node.op).status(node.op) == status and node.output in reach:
            name = getattr(node.op, "name", node.origin)
            first.setdefault(name, node.scope or "(top)")
            # One call with several outputs makes several nodes with the same inputs.
            calls.setdefault(name, set()).add(node.inputs)
    return [Occurrence(name, layer, len(calls[name])) for name, layer in first.items()]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
