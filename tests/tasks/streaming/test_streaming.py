"""Streaming: published numbers, latency by hand, buffers, planted leaks, sound networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.core.errors import FovealError
from foveal.tasks.audit import audit
from foveal.tasks.record import Audit
from foveal.tasks.streaming.audit import BUFFERS, LAYERS, NEEDS
from support.networks.case_networks import SameAsTensorFlow, causal


class Causal(nn.Module):
    """A causal convolution: (kernel - 1) x dilation zeros before, nothing behind."""

    def __init__(self, kernel: int, dilation: int = 1, stride: int = 1, channels: int = 4) -> None:
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.conv = nn.Conv1d(channels, channels, kernel, stride, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (self.before, 0)))


class Gate(nn.Module):
    """Squeeze-and-excitation over time."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.linear(x.mean(-1)))[..., None]


class Recurrent(nn.Module):
    def __init__(self, both: bool) -> None:
        super().__init__()
        self.cell = nn.GRU(4, 2 if both else 4, batch_first=True, bidirectional=both)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x.transpose(1, 2))[0].transpose(1, 2)


class Skip(nn.Module):
    """A layer that looks ahead, beside a wire that has to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = nn.Conv1d(4, 4, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.ahead(x)


def wavenet() -> nn.Module:
    """Three stacks of ten 2-wide layers, dilations 1 to 512."""
    return nn.Sequential(*(Causal(2, 2**power) for _ in range(3) for power in range(10)))


def tcn() -> nn.Module:
    """Two 3-wide layers per block, dilations 1, 2, 4."""
    return nn.Sequential(*(Causal(3, dilation) for dilation in (1, 1, 2, 2, 4, 4)))


def run(model: nn.Module, length: int = 64, channels: int = 4, **options: object) -> Audit:
    return audit(foveal.trace(model.eval(), (1, channels, length)), "streaming", **options)


def needs(found: Audit, column: str = "positions") -> dict[str, object]:
    table = found.table(NEEDS)
    return dict(zip(table.column("quantity"), table.column(column)))  # type: ignore[arg-type]


def codes(found: Audit) -> list[tuple[str, str]]:
    # TRC03: the automatic check had no time, which a busy machine decides
    return [(finding.code, finding.layer) for finding in found.findings if finding.code != "TRC03"]


def test_wavenet() -> None:
    """docs/methods.md 8: three stacks see 3070 samples; at 16 kHz 191.875 ms."""
    found = run(wavenet(), 4096, rate=16000.0)
    assert needs(found) == {
        "lookback": 3069, "lookahead": 0, "latency": 0, "receptive field": 3070, "stride": 1, "smallest step": 1,
    }  # fmt: skip
    assert needs(found, "ms")["receptive field"] == pytest.approx(191.875)
    assert found.findings == ()
    assert sum(found.table(BUFFERS).column("positions")) == 3069  # type: ignore[arg-type]
    assert sum(found.table(BUFFERS).column("bytes")) == 3069 * 4 * 4  # type: ignore[arg-type]


def test_a_long_report_leaves_out_what_changes_nothing() -> None:
    """40 activations between 4 layers that keep 2 positions each and 1 that halves the rate; JSON has all 45."""
    layers = " ".join(["causal3x4", "10*relu"] * 4)
    found = audit(foveal.trace(f"{layers} pool2", (1, 4, 64)), "streaming")
    table = found.table(LAYERS)
    assert len(table.rows) == 45
    assert Audit.from_json(found.to_json()).table(LAYERS) == table
    for printed in (str(found), found._repr_html_()):
        assert "relu" not in printed
        assert all(name in printed for name in ("causal1", "causal4", "pool1"))
        assert "40 of 45 rows left out: layers that neither change the reach nor hold a buffer" in printed
    assert "left out" not in str(run(tcn()))


def test_tcn() -> None:
    found = run(tcn())
    assert (needs(found)["receptive field"], needs(found)["lookahead"]) == (29, 0)
    assert found.table(BUFFERS).column("positions") == (2, 2, 4, 4, 8, 8)
    assert found.findings == ()


@pytest.mark.parametrize("chomp", [True, False])
def test_both_forms_of_a_causal_layer(chomp: bool) -> None:
    """docs/cases.md C15: past 4, lookahead 0."""
    found = run(causal(chomp), channels=2)
    assert (needs(found)["lookback"], needs(found)["lookahead"]) == (4, 0)
    assert found.findings == ()


@pytest.mark.parametrize(("length", "past", "ahead"), [(32, 0, 2), (31, 1, 1)])
def test_tensorflow_same_moves_with_the_length(length: int, past: int, ahead: int) -> None:
    """docs/cases.md C16: even lengths pad 0 before and 1 behind, odd ones 1 and 1."""
    graph = foveal.trace(SameAsTensorFlow(), (1, 2, length, length))
    found = audit(graph, "streaming", axis="W", lookahead=2)
    assert (needs(found)["lookback"], needs(found)["lookahead"]) == (past, ahead)


def test_a_leaking_layer_is_named() -> None:
    found = run(nn.Sequential(Causal(3), Causal(3), nn.Conv1d(4, 4, 3, padding=1), Causal(3, 2)))
    assert codes(found) == [("STR02", "2")]
    assert "needs 1 sample of the future" in found.findings[0].text
    assert dict(zip(found.table(LAYERS).column("layer"), found.table(LAYERS).column("adds")))["2"] == 1
    assert run(nn.Sequential(Causal(3), nn.Conv1d(4, 4, 3, padding=1)), lookahead=1).findings == ()


def test_squeeze_and_excitation_over_time_is_refused() -> None:
    found = run(nn.Sequential(Causal(3), Gate(), Causal(3)))
    assert codes(found) == [("STR01", "1")]
    assert found.reaches("error")
    assert "mean takes the mean over the whole stream" in found.findings[0].text
    assert "cannot be streamed" in found.summary[0]
    assert needs(found)["lookahead"] == "all"


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.InstanceNorm1d(4), "statistics over the whole stream"),
        (nn.GroupNorm(2, 4), "statistics over the whole stream"),
        (Recurrent(both=True), "backwards"),
    ],
)
def test_other_layers_that_need_all_of_the_future(layer: nn.Module, said: str) -> None:
    found = run(nn.Sequential(Causal(3), layer, Causal(3)))
    assert [code for code, _ in codes(found)] == ["STR01"]
    assert found.findings[0].layer.startswith("1")
    assert said in found.findings[0].text


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), Recurrent(both=False), nn.ReLU(), nn.Dropout()])
def test_sound_layers_give_no_finding(layer: nn.Module) -> None:
    assert run(nn.Sequential(Causal(3), layer, Causal(3))).findings == ()


def test_a_recurrent_cell_sees_all_of_the_past() -> None:
    found = run(nn.Sequential(Causal(3), Recurrent(both=False)))
    assert needs(found)["lookback"] == "all"
    assert needs(found)["lookahead"] == 0
    assert "running state" in found.table(BUFFERS).column("for")


def test_causal_attention_grows() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            rows = x.transpose(1, 2)
            mask = torch.triu(torch.full((rows.shape[1], rows.shape[1]), float("-inf")), diagonal=1)
            return (torch.softmax(rows @ rows.transpose(1, 2) + mask, -1) @ rows).transpose(1, 2)

    found = run(nn.Sequential(Causal(3), Attention()))
    assert needs(found)["lookahead"] == 0
    assert [code for code, _ in codes(found)] == ["STR05"]


@pytest.mark.parametrize(
    ("model", "ahead", "stride", "late"),
    [
        (lambda: Causal(3, stride=4), 0, 4, 3),  # the newest of a cell shows in the next unit
        (lambda: nn.Sequential(Causal(3, stride=2), Causal(3, stride=2)), 0, 4, 3),
        (lambda: nn.Conv1d(4, 4, 5, stride=2, padding=2), 2, 2, 2),
        (lambda: nn.Conv1d(4, 4, 4, stride=4), 3, 4, 3),
        (lambda: nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding=1)), 2, 1, 2),
    ],
)
def test_latency_by_hand(model: Callable[[], nn.Module], ahead: int, stride: int, late: int) -> None:
    found = needs(run(model()))
    assert (found["lookahead"], found["stride"], found["latency"]) == (ahead, stride, late)


def test_lookahead_and_lookback_against_the_real_model() -> None:
    """Perturb one sample: the outputs that move lie from t - lookahead to t + lookback."""
    torch.manual_seed(0)
    model = nn.Sequential(Causal(3, 2), nn.Conv1d(4, 4, 5, padding=2), nn.Conv1d(4, 4, 3, padding=1)).double()
    found = needs(run(model))
    x = torch.randn(1, 4, 64, dtype=torch.float64)
    changed = x.clone()
    changed[..., 32] += 1.0
    moved = np.flatnonzero((model(x) - model(changed)).detach().abs().amax((0, 1)).numpy() > 1e-12)
    assert (32 - moved.min(), moved.max() - 32) == (found["lookahead"], found["lookback"]) == (3, 7)


def test_what_waits_for_a_slower_branch() -> None:
    table = run(Skip(), lookahead=2).table(BUFFERS)
    kept = dict(zip(table.column("for"), table.column("positions")))
    assert kept["waits at add"] == 2
    assert kept["past of conv1d"] == 4


def test_up_and_down_by_phase() -> None:
    """Pool 2, nearest x2: output 2 i reads samples 2 i and 2 i + 1, output 2 i + 1 the same."""
    found = needs(run(nn.Sequential(nn.MaxPool1d(2), nn.Upsample(scale_factor=2))))
    assert (found["lookback"], found["lookahead"], found["smallest step"]) == (1, 1, 2)


def test_the_time_axis_of_a_spectrogram() -> None:
    """Symmetric in frequency, causal in time; 160 samples a frame at 16 kHz are 10 ms."""
    model = nn.Sequential(nn.ZeroPad2d((2, 0, 1, 1)), nn.Conv2d(1, 4, 3))
    graph = foveal.trace(model, (1, 1, 80, 100))
    found = audit(graph, "streaming", rate=16000.0, hop=160)
    assert needs(found)["lookback"] == 2
    assert needs(found, "samples")["lookback"] == 320
    assert needs(found, "ms")["lookback"] == pytest.approx(20.0)
    assert found.findings == ()
    # Along the frequencies the padding alone reads back; the convolution adds the position ahead.
    assert codes(audit(graph, "streaming", axis="H")) == [("STR02", "1")]
    assert codes(audit(graph, "streaming", axis="0")) == [("STR02", "1")]
    with pytest.raises(FovealError, match="--axis 'D': expected one of H, W"):
        audit(graph, "streaming", axis="D")


def test_a_latency_that_is_allowed() -> None:
    model = Causal(3, stride=4)
    assert run(model, rate=1000.0, latency=3.0).findings == ()
    assert codes(run(model, rate=1000.0, latency=2.0)) == [("STR04", "output")]
    with pytest.raises(FovealError, match="give --rate"):
        run(model, latency=2.0)


def test_bad_input_and_json() -> None:
    with pytest.raises(FovealError, match="--rate must be above 0"):
        run(tcn(), rate=-1.0)
    with pytest.raises(FovealError, match="unknown layer 'x'"):
        run(tcn(), layer="x")
    found = run(nn.Sequential(Causal(3), Gate()), rate=100.0)
    assert Audit.from_json(found.to_json()) == found
    assert "STR01" in str(found)


def test_numbers_that_are_not_exact_are_said_to_be_so() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.causal = Causal(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.causal(x) if x.sum() > -1e9 else x

    found = run(Branching())
    assert [code for code, _ in codes(found)] == ["STR03"]
    assert "data decides" in found.findings[0].text
