"""The model is asked without being told, where the trace rests on more; what stopped is told by all."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.check import automatic
from foveal.core.errors import FovealError
from foveal.ir.graph import Graph, Note
from foveal.tasks.record import Audit
from foveal.testing import assert_receptive_field
from foveal.views.page.build import page_data

LINE = (1, 4, 16)


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "LEAST", 20.0)


class Mistaken(nn.Module):
    """Traced as convolutions of 3; then run with a convolution of 7 in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 4, 3, padding=1)
        self.middle = nn.Conv1d(4, 4, 3, padding=1)
        self.last = nn.Conv1d(4, 4, 3, padding=1)
        self.beside = nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.first(x)
        return self.last(self.middle(y)), self.beside(y)


def mistaken(shape: tuple[int, ...] = LINE) -> Graph:
    model = Mistaken()
    graph = foveal.trace(model, shape)
    model.middle = nn.Conv1d(4, 4, 7, padding=3)
    graph.notes.append(Note("real-tensors", "", "planted"))
    return graph


def test_the_layer_and_all_behind_it_are_withheld() -> None:
    report = foveal.analyze(mistaken())
    statuses = {row.name: row.status for row in report.layers}
    assert statuses["first"] == statuses["beside"] == "exact"
    assert statuses["middle"] == statuses["last"] == "contradicted"
    row = report.layer("last")
    assert (row.size.value, row.stride, row.covered) == (None, (None,), None)
    assert row.causes == ("a run of the model moves more than these numbers allow at middle",)
    found = [(f.code, f.severity, f.layer) for f in report.findings if f.severity == "error"]
    assert found == [("contradicted", "error", "middle")]
    assert foveal.Report.from_json(report.to_json()) == report
    assert ",contradicted,,," in next(line for line in report.to_csv().splitlines() if line.startswith("last,"))
    assert "? contradicted: a run of the model showed the number to be wrong" in str(report)


def test_without_the_check_the_numbers_stand() -> None:
    graph = mistaken()
    assert foveal.analyze(graph, check=False).layer("last").status == "exact"
    assert not [f for f in foveal.audit(graph, "streaming", check=False).findings if f.code.startswith("TRC")]
    assert foveal.tile(graph, "last", 64, check=False).status == "approximate"  # its own run tells


def test_tile_audit_field_and_page_know_it() -> None:
    graph = mistaken()
    found = foveal.audit(graph, "streaming")
    assert ("TRC02", "middle") in [(f.code, f.layer) for f in found.findings]
    assert Audit.from_json(found.to_json()).findings == found.findings
    with pytest.raises(FovealError, match="layer 'last' cannot be tiled by numbers that are wrong: a run of the model"):
        foveal.tile(graph, "last")
    for kind in ("support", "paths"):
        with pytest.raises(FovealError, match="no field: a run of the model moves more"):
            foveal.field(graph, "last", kind=kind)
    rows = {row["name"]: row for row in page_data(graph)["layers"]}
    assert (rows["last"]["status"], rows["last"]["tables"]) == ("contradicted", None)
    with pytest.raises(AssertionError, match="is not exact but 'contradicted'"):
        assert_receptive_field(graph, "last", exact=False)


def test_nothing_is_asked_where_the_algebra_carries_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = foveal.trace(Mistaken(), LINE)
    monkeypatch.setattr(type(graph.backend), "probe", lambda *_: pytest.fail("the model was run"))
    assert automatic.reasons(graph) == []
    foveal.analyze(graph)


def test_what_is_too_large_is_not_checked_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "SPEED", 1.0)
    (finding,) = [f for f in foveal.analyze(mistaken()).findings if f.code == "not-checked"]
    assert finding.text == (
        "not compared with a run of the model (a run takes too long: foveal verify does it), although the trace ran on "
        "real tensors"
    )
    with torch.device("meta"):
        graph = foveal.trace(nn.Conv1d(4, 4, 3), LINE)
    graph.notes.append(Note("real-tensors", "", "planted"))
    assert "it has no weights" in foveal.analyze(graph).findings[-1].text
    assert foveal.audit(graph, "streaming").findings[-1].code == "TRC03"
    assert "it has no weights" in str(foveal.tile(graph))


@pytest.mark.parametrize(("seconds", "runs", "told"), [(2.5, 1, True), (3.5, 4, False)])
def test_a_check_keeps_its_share_and_says_where_that_is_too_little(
    seconds: float, runs: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only runs of the model move on, a second each."""
    graph, clock = mistaken(), [0]
    probe = type(graph.backend).probe  # type: ignore[attr-defined]

    def slow(*given: Any) -> Any:
        clock[0] += 1
        return probe(*given)

    monkeypatch.setattr(type(graph.backend), "probe", slow)
    monkeypatch.setattr(automatic, "perf_counter", lambda: float(clock[0]))
    monkeypatch.setattr(automatic, "LEAST", seconds)
    automatic.look(graph)
    notes = {note.code: note.text for note in graph.notes}
    assert clock[0] == runs
    assert ("contradicted" not in notes) == told
    assert ("a run takes too long: foveal verify does it" in notes.get("not-checked", "")) == told


class Choice(nn.Module):
    """An index, decided by the unit's own position nearly always."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return (x + 1e-3 * self.conv(x)).argmax(1)


class Quiet(nn.Module):
    """Right, and hard to see: a branch that starts at zero, a ReLU mostly shut, dropout, a maximum, a choice."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Conv1d(4, 4, 9, padding=4)
        nn.init.zeros_(self.branch.weight)
        self.shut = nn.Conv1d(4, 4, 5, padding=2)
        nn.init.constant_(self.shut.bias, -10.0)
        self.drop = nn.Dropout(0.5)
        self.choose = Choice()

    def forward(self, x: Tensor) -> Tensor:
        self.choose(x)
        y = x + self.branch(x)
        y = y + self.shut(y).relu()
        return self.drop(y) + 0.1 * F.max_pool1d(y, 5, 1, 2)


@pytest.mark.parametrize("training", [False, True])
def test_what_is_hard_to_see_is_no_contradiction(training: bool) -> None:
    graph = foveal.trace(Quiet(), LINE, training=training)
    graph.notes.append(Note("opaque", "", "planted"))
    automatic.look(graph)
    assert [note.code for note in graph.notes] == ["opaque"]


def test_the_model_and_the_random_stream_come_back() -> None:
    model = Quiet().train()
    graph = foveal.trace(model, LINE, training=True)
    graph.notes.append(Note("opaque", "", "planted"))
    before = {name: item.clone() for name, item in model.state_dict().items()}
    torch.manual_seed(3)
    first = torch.rand(2)
    torch.manual_seed(3)
    automatic.look(graph)
    assert torch.equal(torch.rand(2), first)
    assert model.training
    assert all(torch.equal(item, before[name]) for name, item in model.state_dict().items())


def test_verify_reads_the_boxes_of_the_tensor() -> None:
    """Twelve frames stacked: one size of 12 for all of them is not what any of them shows."""

    class Frames(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, :, t] * 2 for t in range(12)], 2)

    graph = foveal.trace(Frames(), (1, 4, 12))
    size = foveal.receptive_field(graph, "output").size
    assert foveal.verify(graph, "output").agrees == (size == (1,))


def test_verify_works_on_token_ids() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(30, 4)
            self.conv = nn.Conv1d(4, 4, 3, padding=1)

        def forward(self, ids: Tensor) -> Tensor:
            return self.conv(self.table(ids).transpose(1, 2))

    model = Words()
    graph = foveal.trace(model, torch.randint(0, 30, (1, 12)))
    assert foveal.verify(graph, "conv").agrees
    graph = foveal.trace(model, torch.randint(0, 30, (1, 12)))
    model.conv = nn.Conv1d(4, 4, 7, padding=3)
    assert not foveal.verify(graph, "conv").agrees


class Stops(nn.Module):
    """Python takes a list, then the run fails in a way that no rule mends."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 4, 3, padding=1)
        self.last = nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        if not torch.compiler.is_compiling() and y.is_floating_point():
            raise NotImplementedError("no such kernel here")
        return self.last(y)


def test_a_trace_that_stopped_is_told_by_all() -> None:
    graph = foveal.trace(Stops(), LINE)
    where = "the trace stopped at (top): traced up to here: no such kernel here"
    assert graph.stopped == where
    report = foveal.analyze(graph)
    assert report.findings[0].code == "partial"
    assert report.to_csv().splitlines()[1].endswith("stopped at (top): traced up to here: no such kernel here")
    assert foveal.audit(graph, "streaming").findings[0].code == "TRC01"
    assert where in str(foveal.tile(graph))
    assert where in foveal.verify(graph).notes
    assert where in str(foveal.compare(graph, graph))
    assert where in foveal.receptive_field(graph, "first").method
    assert where in foveal.field(graph, "first", kind="energy").method
    assert "partial" in [finding["code"] for finding in page_data(graph)["findings"]]
    for layer, what in (("last", "layer 'last'"), (None, "the network's output")):
        with pytest.raises(AssertionError, match=f"^{what} is not in the trace of Stops: the trace stopped at"):
            assert_receptive_field(graph, layer, at_least=1)
    assert_receptive_field(graph, "first", at_least=3, at_most=3)


def test_a_condition_reads_both_branches_and_its_own_question() -> None:
    """Convolutions of 3 around; position 6 decides between x and x shifted by one."""

    class Chooses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return torch.cond(y[0, 0, 6] > 0, lambda t: t * 2, lambda t: t + t.roll(1, 2), (y,))

    graph = foveal.trace(Chooses(), (1, 4, 12))
    assert not graph.stopped
    rf = foveal.receptive_field(graph, "output")
    boxes = [rf.box(unit, clip=True)[0] for unit in (0, 2, 6, 9)]
    assert boxes == [(0, 12), (0, 8), (4, 8), (5, 11)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_flexible_attention_is_its_definition() -> None:
    attention = pytest.importorskip("torch.nn.attention.flex_attention")

    class Attends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            q = x.transpose(1, 2)[:, None]
            causal: Any = lambda score, b, h, i, j: torch.where(i >= j, score, -float("inf"))  # noqa: E731
            found: Tensor = attention.flex_attention(q, q, q, score_mod=causal)
            return found[:, 0].transpose(1, 2)

    graph = foveal.trace(Attends(), (1, 4, 12))
    assert not graph.stopped
    rf = foveal.receptive_field(graph, graph.layers[-1])
    assert [rf.box(unit, clip=True)[0] for unit in (0, 5, 11)] == [(0, 1), (0, 6), (0, 12)]


def test_the_command_line_takes_no_check() -> None:
    runner = CliRunner()
    for command in (["analyze"], ["audit", "streaming"], ["tile"], ["report"]):
        assert "--no-check" in runner.invoke(app, [*command, "--help"]).output
    found = runner.invoke(app, ["analyze", "conv3x4 conv3x4", "--input", "1,3,9,9", "--no-check", "--json"])
    assert json.loads(found.output)["findings"] == []
