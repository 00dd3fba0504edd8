"""What a report costs, counted and not timed: fields worked out, nodes visited, bytes of arrays."""

from __future__ import annotations

import tracemalloc

import pytest

import foveal
from foveal.engine import profiles
from foveal.engine.forward.facts import FactFinder
from foveal.fields import kinds, receptive_field as module
from foveal.frontends.text.trace import trace_spec
from foveal.report.growth import growth

UNET = "conv3x8 conv3x8 [pool2 conv3x16 [pool2 conv3x16 up2 | id] conv3x8 up2 | id] conv3x8 conv1x2"


def test_layers_with_the_same_ranges_share_one_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms, activations and the modules around them show what the convolution before them made."""
    built, build = [], module._build
    monkeypatch.setattr(module, "_build", lambda *given: built.append(given[1]) or build(*given))
    graph = trace_spec("conv3x8 bn relu conv3x8,s2 bn relu gap", (1, 1, 64, 64))
    report = foveal.analyze(graph)
    assert len(report.layers) > len(built) == 3
    foveal.analyze(graph)
    assert len(built) == 3


def test_the_numbers_of_all_layers_need_lines_and_no_map_of_all_units() -> None:
    """16.8 million units a layer, 8192 numbers of each: one map of whole numbers alone would take 134 MB."""
    graph = trace_spec(UNET, (1, 1, 4096, 4096))
    tracemalloc.start()
    fields = [foveal.receptive_field(graph, layer) for layer in graph.layers]
    rows = [(rf.sizes, rf.clipped_sizes, rf.start, rf.stride, rf.covered, rf.lookahead) for rf in fields]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows[0][:4] == (((3, 3), (3, 3)), ((2, 3), (2, 3)), (-1, -1), (1, 1))
    assert peak < 16e6, peak


def test_padding_that_reads_nothing_needs_no_map_either() -> None:
    """Each border is told along its own axis; the smallest size among units that read something is 1."""
    graph = trace_spec("pad3 conv1x4 conv3x4,p1", (1, 1, 3000, 2000))
    tracemalloc.start()
    rf = foveal.receptive_field(graph, graph.layers[1])
    sizes = rf.sizes, rf.clipped_sizes, rf.lookahead, rf.covered
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == (((1, 1), (1, 1)), ((1, 1), (1, 1)), (-3, -3), 1 / 6e6)
    assert rf.nothing[0].sum() == 3006 * 2006 - 3000 * 2000
    assert not rf.nothing[1].any()
    assert peak < 4e6, peak


def test_what_is_not_worked_out_unasked_is_told() -> None:
    report = foveal.analyze(trace_spec("8*conv3x1,d100", (1, 1, 4096, 4096)))
    assert report.verdict is not None
    assert report.verdict.effective is None
    assert "worked out only when asked (foveal field)" in str(report)


def test_how_a_node_reads_is_worked_out_once_for_a_whole_report(monkeypatch: pytest.MonkeyPatch) -> None:
    visited, read = [], FactFinder._read_by
    monkeypatch.setattr(FactFinder, "_read_by", lambda self, node: visited.append(node.output) or read(self, node))
    graph = trace_spec("conv3x8 [conv3x8 bn relu conv3x8 | id] relu conv3x8,s2 gap fc10", (1, 3, 64, 64))
    foveal.analyze(graph)
    assert sorted(visited) == [node.output for node in graph.nodes]


def test_the_growth_of_a_chain_takes_no_pass_back(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, windows, slid = trace_spec("60*conv3x4", (1, 3, 64, 64)), [], profiles._slid
    monkeypatch.setattr(kinds, "pull", None)
    monkeypatch.setattr(profiles, "_slid", lambda *given: windows.append(given) or slid(*given))
    assert len(growth(graph, graph.layers).erf) == len(windows) == 60
