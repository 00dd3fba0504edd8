"""Reports and comparisons of graphs written by hand: rows, costs, findings, alignment."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from foveal.core.errors import FovealError, UnknownLayerError, UnknownOperationError
from foveal.ir.graph import Graph, GraphBuilder
from foveal.ir.ops import Convolution, Opaque, Operation, Pointwise, Resample, Sample
from foveal.report.analyze import analyze
from foveal.report.compare import compare
from foveal.report.results import Report


def convolution(taps: int = 3, stride: int = 1, dilation: int = 1) -> Convolution:
    pad = (taps - 1) * dilation // 2
    return Convolution((taps,) * 2, (stride,) * 2, ((pad, pad),) * 2, (dilation,) * 2)


class Chain:
    """A graph that grows at its end, one channel wide, on a square source."""

    def __init__(self, name: str = "chain", length: int = 32) -> None:
        self.builder = GraphBuilder(name)
        self.length = length
        self.value = self.builder.source((1, 1, length, length))

    def conv(self, name: str, taps: int = 3, stride: int = 1, scope: str | None = None) -> Chain:
        self.length = -(-self.length // stride)
        self.builder.scope = name if scope is None else scope
        kernel = self.builder.parameter((1, 1, taps, taps))
        shape = (1, 1, self.length, self.length)
        self.value = self.builder.node(convolution(taps, stride), (self.value, kernel), shape)
        self.builder.layer(name, self.value, "module", "Conv2d", taps * taps)
        self.builder.graph.parameters += taps * taps
        return self

    def apply(self, op: Operation, name: str, kind: str = "operation", inputs: tuple[int, ...] | None = None) -> Chain:
        self.builder.scope = name
        shape = (1, 1, self.length, self.length)
        self.value = self.builder.node(op, inputs or (self.value,), shape)
        self.builder.layer(name, self.value, kind, getattr(op, "name", type(op).__name__))
        return self

    def container(self, name: str) -> Chain:
        self.builder.layer(name, self.value, "module", "Sequential", leaf=False)
        return self

    @property
    def graph(self) -> Graph:
        return self.builder.graph.verify()


def names(report: Report) -> list[str]:
    return [row.name for row in report.layers]


def blocks() -> Graph:
    """stage.0.conv and stage.1.conv in two blocks, with an operation that only repeats a module's value."""
    chain = Chain().conv("stem", stride=2).conv("stage.0.conv").container("stage.0").conv("stage.1.conv")
    chain = chain.container("stage.1").container("stage")
    chain.builder.layer("output", chain.value, "operation", "output")
    return chain.graph


def test_rows_stand_in_execution_order_and_repeated_values_are_hidden() -> None:
    report = analyze(blocks())
    assert names(report) == ["stem", "stage.0.conv", "stage.0", "stage.1.conv", "stage.1", "stage"]
    assert report.totals.layers == 6
    assert report.layer("stage").size.value == (11, 11)
    assert report.layer("stage").stride == (2, 2)
    assert report.layer("stage").start == (-5, -5)
    assert report.layer("stage").center == (0, 0)
    assert report.layer("stage").offset == (Fraction(-1, 2),) * 2


def test_rows_are_selected_by_pattern_and_depth() -> None:
    graph = blocks()
    assert names(analyze(graph, depth=1)) == ["stem", "stage"]
    assert names(analyze(graph, layers="*.conv")) == ["stage.0.conv", "stage.1.conv"]
    assert names(analyze(graph, layers="stage.*", depth=2)) == ["stage.0", "stage.1"]
    assert names(analyze(graph, layers="output")) == ["output"]
    with pytest.raises(UnknownLayerError, match=r"unknown layer 'stag\.0'; closest: stage\.0, "):
        analyze(graph, layers="stag.0")


def test_costs_add_up_from_layers_to_containers_to_the_whole() -> None:
    report = analyze(blocks())
    cost = {row.name: row.multiply_adds.value for row in report.layers}
    assert cost["stem"] == cost["stage.0.conv"] == 16 * 16 * 9
    assert cost["stage"] == cost["stage.0"] + cost["stage.1"]  # type: ignore[operator]
    assert report.totals.multiply_adds.value == cost["stem"] + cost["stage"]  # type: ignore[operator]
    assert report.layer("stage").parameters == 18
    assert report.totals.parameters == 27


def test_each_call_of_a_shared_module_has_its_own_row_and_cost() -> None:
    report = analyze(Chain().conv("shared", scope="shared").conv("shared", scope="shared").graph)
    assert names(report) == ["shared", "shared#2"]
    assert [row.size.value for row in report.layers] == [(3, 3), (5, 5)]
    assert [row.multiply_adds.value for row in report.layers] == [32 * 32 * 9] * 2


def unknown() -> Graph:
    return Chain().conv("first").apply(Opaque("aten.mystery"), "odd").apply(Opaque("aten.mystery"), "odd2").graph


def test_an_operation_without_a_rule_is_a_bound_and_a_finding() -> None:
    report = analyze(unknown())
    assert [row.status for row in report.layers] == ["exact", "bound", "bound"]
    assert report.layer("odd").causes
    assert report.layer("odd").multiply_adds.status == "bound"
    assert report.layer("odd").size.value[0] >= 32  # type: ignore[index]
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.layer) == ("operation-without-rule", "warning", "odd")
    assert finding.text == "aten.mystery has no rule (2 times); it and what follows are bounds"


def test_strict_makes_it_an_error() -> None:
    with pytest.raises(UnknownOperationError) as caught:
        analyze(unknown(), strict=True)
    assert str(caught.value) == "chain: operations without a rule: aten.mystery at odd (2x)"


def test_an_unknown_operation_on_constants_concerns_nobody() -> None:
    chain = Chain().conv("first")
    table = chain.builder.constant(np.zeros((1, 1, 32, 32)))
    chain.builder.layer("table", chain.builder.node(Opaque("aten.mystery"), (table,), (1, 1, 32, 32)), type="table")
    report = analyze(chain.graph, strict=True)
    assert report.findings == ()
    assert report.layer("table").size.value == (0, 0)
    assert report.layer("table").status == "exact"


def test_sampling_is_data_dependent() -> None:
    report = analyze(Chain().conv("first").apply(Sample("grid_sample"), "warp").conv("last").graph)
    assert [row.status for row in report.layers] == ["exact", "data-dependent", "data-dependent"]
    assert [finding.code for finding in report.findings] == ["data-dependent"]
    assert report.layer("last").causes == report.layer("warp").causes != ()


def test_notes_of_the_trace_become_findings_the_gravest_first() -> None:
    chain = Chain().conv("first")
    chain.builder.note("real-tensors", "", "traced with real tensors")
    chain.builder.note("partial", "first", "traced up to here")
    report = analyze(chain.graph)
    assert [(finding.code, finding.severity) for finding in report.findings] == [
        ("partial", "error"), ("real-tensors", "info"),
    ]  # fmt: skip


def test_a_row_for_every_source_that_a_layer_depends_on() -> None:
    builder = GraphBuilder("two sources")
    image, mask = builder.source((1, 1, 16, 16), name="image"), builder.source((1, 1, 16, 16), name="mask")
    shape = (1, 1, 16, 16)
    left = builder.node(convolution(3), (image, builder.parameter((1, 1, 3, 3))), shape)
    right = builder.node(convolution(7), (mask, builder.parameter((1, 1, 7, 7))), shape)
    builder.layer("left", left, "module")
    builder.layer("sum", builder.node(Pointwise("add"), (left, right), shape))
    report = analyze(builder.graph)
    rows = [(row.name, row.source, row.size.value) for row in report.layers]
    assert rows == [("left", "image", (3, 3)), ("sum", "image", (3, 3)), ("sum", "mask", (7, 7))]
    assert report.layer("sum", "mask").size.value == (7, 7)
    assert "source" in report.to_text().splitlines()[3].split()
    assert Report.from_json(report.to_json()) == report


def test_fractions_and_phases_survive_json() -> None:
    chain = Chain(length=16).conv("first", stride=2)
    chain.length = 16
    report = analyze(chain.apply(Resample((2, 3), "nearest"), "up").conv("last", taps=3).graph)
    row = report.layer("last")
    assert row.stride == (1, 1)
    assert row.period == (2, 2)
    assert row.sizes == ((5, 5), (5, 5))
    assert Report.from_json(report.to_json()) == report


def test_compare_names_the_first_layer_at_which_two_networks_part() -> None:
    first = Chain("late").conv("a").conv("b").conv("c", stride=2).conv("d").graph
    second = Chain("early").conv("a").conv("b", stride=2).conv("c").conv("d").graph
    found = compare(first, second)
    assert found.parting == 1
    assert found.steps[1].differs == ("stride",)
    assert [step.first.added for step in found.steps if step.first] == [(2, 2)] * 3 + [(4, 4)]
    assert [step.second.added for step in found.steps if step.second] == [(2, 2)] * 2 + [(4, 4)] * 2
    assert str(found).splitlines()[0] == "they part at b: stride 1 and 2; at the end the RF is 11 and 13"
    assert json.loads(found.to_json())["parting"] == 1


def test_compare_aligns_by_operation_where_names_differ() -> None:
    first = Chain("plain").conv("a").apply(Pointwise("relu"), "a.relu").conv("b").graph
    second = Chain("renamed").conv("x").conv("y", taps=5).graph
    found = compare(first, second)
    pairs = [(step.first and step.first.name, step.second and step.second.name) for step in found.steps]
    assert pairs == [("a", "x"), ("a.relu", None), ("b", "y")]
    assert found.parting == 2


def test_a_layer_that_only_one_network_has_is_a_difference_if_it_adds_something() -> None:
    found = compare(Chain("deep").conv("a").conv("b").graph, Chain("flat").conv("a").graph)
    assert found.steps[1].differs == ("only in one",)
    assert (
        str(found).splitlines()[0]
        == "they part at b, which the first has and the second has not; at the end the RF is 5 and 3"
    )


def test_compare_a_network_with_itself() -> None:
    found = compare(blocks(), blocks())
    assert found.parting is None
    assert str(found).splitlines()[0] == "chain and chain: size, stride and start agree at every layer"


def test_compare_at_a_join_counts_the_largest_branch() -> None:
    chain = Chain("residual").conv("a")
    trunk = chain.value
    wide = chain.conv("b", taps=7).value
    found = compare(chain.apply(Pointwise("add"), "add", inputs=(trunk, wide)).graph, chain.graph)
    growth = found.steps[2].first
    assert growth is not None
    assert (growth.before, growth.added) == ((9, 9), (0, 0))


def test_compare_refuses_networks_of_different_dimension() -> None:
    builder = GraphBuilder("sound")
    builder.layer("x", builder.node(Pointwise("relu"), (builder.source((1, 1, 8)),), (1, 1, 8)))
    with pytest.raises(FovealError, match=r"cannot compare chain \(2 source axes\) with sound \(1\)"):
        compare(blocks(), builder.graph)
