"""What every audit says of its trace: where it stopped, what a run of the model contradicts, what was not checked."""

from __future__ import annotations

from collections.abc import Iterator

from foveal.ir.graph import Graph
from foveal.tasks.finding import FindingRules, Values

FINDINGS = FindingRules(__file__)


@FINDINGS.rule("TRC01")
def stopped(graph: Graph) -> Iterator[Values]:
    if graph.stopped:
        yield {"why": graph.stopped}


@FINDINGS.rule("TRC02")
def contradicted(graph: Graph) -> Iterator[Values]:
    for note in graph.notes:
        if note.code == "contradicted":
            yield {"why": note.text, "layer": note.layer}


@FINDINGS.rule("TRC03")
def unchecked(graph: Graph) -> Iterator[Values]:
    for note in graph.notes:
        if note.code == "not-checked":
            yield {"why": note.text}


@FINDINGS.rule("TRC04")
def constant(graph: Graph) -> Iterator[Values]:
    yield from ({"layer": name} for name, is_output in graph.constants.items() if is_output)
