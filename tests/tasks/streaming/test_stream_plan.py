"""Plans of streams: published numbers and hand arithmetic; both ways of running against the whole."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.core import show
from foveal.core.errors import FovealError
from foveal.fields.receptive_field import receptive_field
from foveal.tasks.streaming.buffers import buffers
from foveal.tasks.streaming.record import StreamPlan
from support.drawn.random_streams import judge
from support.needs import needs
from support.networks.stream_networks import (
    Band,
    DeepFilter,
    HiFiGan,
    PhaseNet,
    Subsampling,
    Vocos,
    Wav2Vec,
    Windows,
    Zipformer,
    chunked,
    tdnn,
    window,
)


class Mirrored(nn.Module):
    """A causal convolution padded by reflection, then an LSTM, as in Encodec."""

    def __init__(self, running: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 4, 2)
        self.cell = nn.LSTM(2, 2, batch_first=True) if running else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.pad(x, (2, 0), mode="reflect"))
        return x if self.cell is None else self.cell(x.transpose(1, 2))[0].transpose(1, 2)


class Causal(nn.Module):
    """One convolution of so many taps that looks back only."""

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.conv, self.before = nn.Conv1d(1, 1, taps, bias=False), taps - 1

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (self.before, 0)))


def test_wav2vec() -> None:
    """wav2vec 2.0: windows of 400 samples (25 ms) every 320 (20 ms), so that chunks share 80."""
    model = Wav2Vec().eval()
    plan = foveal.stream(model, inputs=(1, 1, 1600), rate=16000.0, chunk="80ms")
    assert (plan.lookback, plan.lookahead, plan.latency, plan.stride, plan.step) == (0, 399, 399, 320, 320)
    assert (plan.chunk, plan.left, plan.right, plan.wait) == (1280, 0, 80, 400)
    assert (plan.overlap.status, plan.state.status) == ("exact", "exact")
    assert plan.twice == 80 / 1280
    assert plan.span(64) == (20480, 20800)
    assert plan.covers(64) == (20480, 20880, 20680)
    assert plan.seconds(64) == (1.28, 1.305, 1.2925)
    assert [plan.units(n) for n in (0, 399, 400, 719, 720, 1600, 16000)] == [0, 0, 1, 1, 2, 4, 49]
    assert plan.units("1s") == plan.units("1000ms") == 49
    assert plan.milliseconds(400) == 25.0
    assert StreamPlan.from_json(plan.to_json()) == plan
    text = str(plan)
    for said in (
        "400 samples = 1.25 frames = 25 ms",
        "0 before + 80 behind",
        "50 units per second",
        "yes (",
        "(n - 400) // 320 + 1; 49 in a second",
        "20 i to 20 i + 25 ms, center 20 i + 12.5 ms",
    ):
        assert said in text
    sound = torch.randn(1, 1, 4321)
    assert plan.check(model, sound, [7, 500, 1000, 5000]).identical
    assert show.figure(plan).get_axes()
    axes = plan.plot()
    assert plan.plot(axes) is axes
    assert "1 frame = 20 ms = 1 unit" in str(foveal.stream(model, inputs=(1, 1, 1600), rate=16000.0, check=False))


def test_a_norm_over_the_stream_is_named_with_what_would_change_it() -> None:
    plan = foveal.stream(Wav2Vec(norm=True).eval(), inputs=(1, 1, 1600))
    assert plan.lookahead is None
    assert (plan.overlap.status, plan.state.status) == ("approximate", "refused")
    assert "group_norm takes its statistics over the whole stream" in plan.overlap.why
    assert "running window" in plan.causes[0][1]
    assert plan.overlap.error is not None
    assert plan.overlap.error > 0


@pytest.mark.parametrize(
    ("layers", "ahead", "stride"),
    [(((3, 2), (3, 2)), 6, 4), (((3, 2), (5, 3)), 10, 6), (((3, 2),) * 3, 14, 8)],
)
def test_subsampling_of_speech_recognisers(layers: tuple[tuple[int, int], ...], ahead: int, stride: int) -> None:
    """wenet's right contexts: 6, 10 and 14 frames by 4, 6 and 8; a chunk needs stride - 1 fewer beyond itself."""
    plan = foveal.stream(Subsampling(*layers), inputs=(1, 1, 64, 20), axis="H", check=False)
    assert (plan.lookahead, plan.stride, plan.right) == (ahead, stride, ahead - stride + 1)


def test_context_beyond_a_chunk() -> None:
    """icefall's Zipformer reads 7 + 2 x 3 frames beyond a chunk; Kaldi's TDNN 13 before and 9 behind."""
    plan = foveal.stream(Zipformer(), inputs=(1, 1, 40, 20), axis="H")
    assert (plan.step, plan.right, plan.overlap.status, plan.state.status) == (2, 13, "exact", "exact")
    plan = foveal.stream(tdnn(), inputs=(1, 1, 40))
    assert (plan.left, plan.right, plan.overlap.status, plan.state.status) == (13, 9, "exact", "exact")


def test_a_vocoder() -> None:
    """HiFi-GAN V1: 13 mel frames before and behind, 256 samples a frame."""
    plan = foveal.stream(HiFiGan(), inputs=(1, 1, 30), check=False)
    assert (plan.left, plan.right, plan.stride, plan.step) == (13, 13, Fraction(1, 256), 1)


def test_a_network_of_windows_that_are_padded_by_themselves() -> None:
    """As Silero's: what mirrors inside a window is no part of the stream; it reads 4 before and its own 8."""
    plan = foveal.stream(Windows(running=False), inputs=(1, 80))
    assert (plan.lookback, plan.lookahead, plan.step, plan.left, plan.right) == (4, 7, 8, 8, 0)
    assert (plan.overlap.status, plan.state.status, plan.elements) == ("exact", "exact", 4)
    plan = foveal.stream(Windows(running=True), inputs=(1, 80))
    assert (plan.lookback, plan.lookahead, plan.right, plan.state.status, plan.elements) == (None, 7, 0, "exact", 8)
    assert plan.causes[0][0] == "lstm at cell carries a state from the whole past"


def test_four_frames_ahead_in_all() -> None:
    """DeepFilterNet: two frames of the features and two of the filter; the GRU's past begins behind cropped frames.

    Kept: 2 frames before the convolution, 4 states, 2 frames that wait for their mask, 4 before the filter, 2 x 5 taps.
    """
    plan = foveal.stream(DeepFilter(), inputs=(1, 1, 40, 3), axis="H")
    assert (plan.lookback, plan.lookahead, plan.state.status, plan.elements) == (
        None,
        4,
        "exact",
        2 * 3 + 4 + 2 * 3 + 4 * 3 + 2 * 5,
    )
    assert plan.causes[0][0] == "gru at cell carries a state from the whole past"


@pytest.mark.parametrize("own", [True, False])
def test_spectra_put_together(own: bool) -> None:
    """Vocos: four spectra lie over a sample, each made of seven frames: ten in all; nine where the window is zero."""
    graph = foveal.trace(Vocos(own).eval(), (1, 2, 20))
    middle = receptive_field(graph, "output").box((42 if own else 40,))
    assert middle == ((6, 15),)  # frames 6 to 14
    plan = foveal.stream(Vocos(own).eval(), inputs=(1, 2, 24))
    assert plan.lookback is not None
    assert plan.lookahead is not None
    assert (plan.stride, plan.overlap.status) == (Fraction(1, 4), "exact")
    assert 9 < plan.lookback + plan.lookahead < 10
    assert plan.state.status == "exact"


@pytest.mark.parametrize(("off", "status"), [(0.0, "exact"), (1e-4, "approximate")])
def test_a_model_that_computes_in_a_lower_precision_inside(off: float, status: str) -> None:
    """Places in single precision that cancel but for their rounding: chunks count them anew."""

    class Places(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            place = torch.arange(x.shape[-1])
            return x + (place.float() / 300).to(x.dtype) - place * ((1 + off) / 300)

    plan = foveal.stream(Places(), inputs=(1, 1, 24))
    assert plan.overlap.status == status
    assert ("lower precision" in str(plan)) == (status == "exact")


def test_a_u_net_on_a_length_between_its_steps() -> None:
    """PhaseNet's 3001 samples: steps of 256; whole steps for every phase are 2048 and 1792, a chunk needs less."""
    model = PhaseNet().eval()
    plan = foveal.stream(model, inputs=(1, 3, 3001), check=False)
    assert (plan.stride, plan.step, plan.left % 256) == (1, 256, 0)
    assert "in steps of 256, for units of any phase: 2048 before + 1792 behind" in str(plan)
    assert plan.left <= 2048
    assert plan.right <= 1792
    assert plan.check(model, torch.randn(1, 3, 3001 + 40 * 256)).identical


def test_attention_over_a_window() -> None:
    """Three layers of five tokens see 13; each keeps keys and values of four. Chunks of 4: up to 3 ahead."""
    model = nn.Sequential(*(window(5) for _ in range(3)))
    graph = foveal.trace(model, (1, 2, 48))
    plan = foveal.stream(graph)
    assert (plan.lookback, plan.lookahead, plan.left) == (12, 0, 12)
    assert (plan.overlap.status, plan.state.status, plan.elements) == ("exact", "exact", 3 * 2 * 4 * 2)
    kept = buffers(graph, graph.layer("output").value, 0, 0)
    assert [(b.positions, b.elements) for b in kept] == [(4, 8)] * 6
    plan = foveal.stream(chunked(4, 2), inputs=(1, 2, 48))
    assert (plan.lookahead, plan.lookback, plan.step, plan.left) == (3, 11, 4, 12)
    assert (plan.overlap.status, plan.state.status, plan.elements) == ("exact", "exact", 2 * 8 * 2)
    sinks = nn.Sequential(*(Band(lambda q, k: (k <= q) & ((k > q - 5) | (k < 2))) for _ in range(2)), window(3))
    plan = foveal.stream(sinks, inputs=(1, 2, 48))
    assert (plan.lookback, plan.state.status, plan.elements) == (None, "exact", 2 * 2 * 6 * 2 + 2 * 2 * 2)
    assert plan.causes[0][0] == "scaled_dot_product_attention at 0 carries a state from the whole past"
    holes = Band(lambda query, key: (key <= query) & ((query - key) % 3 == 0))
    assert "not one band" in foveal.stream(holes, inputs=(1, 2, 24)).state.why


@pytest.mark.parametrize("way", ["fill", "add", "where", "einsum", "module"])
def test_attention_as_products_of_its_own(way: str) -> None:
    """Three layers of five tokens, scores capped before the mask: as with one operation, four keys and values each."""

    class Own(nn.Module):
        def __init__(self, width: int | None) -> None:
            super().__init__()
            self.width, self.read, self.own = width, nn.Linear(2, 6), nn.MultiheadAttention(2, 1, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            query, key, value = self.read(x.transpose(1, 2)).chunk(3, -1)
            place = torch.arange(query.shape[1])
            apart = place[:, None] - place[None]
            allowed = (apart >= 0) & (apart < (self.width or 10**6))
            if way == "module":
                return self.own(query, key, value, attn_mask=~allowed)[0].transpose(1, 2)
            if way == "einsum":
                query, key, value = (item.unflatten(-1, (2, 1)) for item in (query, key, value))
                scores = torch.einsum("bqhd,bkhd->bhqk", query, key).masked_fill(~allowed, -torch.inf)
                return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), value).flatten(2).transpose(1, 2)
            scores = torch.tanh(query @ key.transpose(1, 2) / 3) * 3
            if way == "fill":
                scores = scores.masked_fill(~allowed, float("-inf"))
            elif way == "add":
                scores = scores + torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
            else:
                scores = torch.where(allowed, scores, torch.tensor(-1e9, dtype=scores.dtype))
            return (torch.softmax(scores, -1) @ value).transpose(1, 2)

    plan = foveal.stream(nn.Sequential(*(Own(5) for _ in range(3))), inputs=(1, 2, 48))
    assert (plan.lookback, plan.lookahead) == (12, 0)
    assert (plan.overlap.status, plan.state.status, plan.elements) == ("exact", "exact", 3 * 2 * 4 * 2)
    if way == "fill":
        plan = foveal.stream(Own(None), inputs=(1, 2, 48))
        assert (plan.lookback, plan.state.status, plan.elements) == (None, "exact", None)
        assert "trace a source that is longer than the window" in plan.warnings[0]


def test_spectra_of_a_stream() -> None:
    """Windows of 32 every 8: 16 to 17 on each side, centered by what mirrors at the ends."""

    class Spectra(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stft(x, 32, 8, window=torch.hamming_window(32, dtype=x.dtype), return_complex=True).abs()

    plan = foveal.stream(Spectra(), inputs=(1, 256))
    assert (plan.lookback, plan.lookahead, plan.stride, plan.step) == (16, 15, 8, 8)
    assert (plan.overlap.status, plan.state.status) == ("exact", "exact")


def test_chunk_masks_with_other_layers() -> None:
    """Chunks of 4 and of 5 behind a convolution: the stream advances by their common multiple."""
    model = nn.Sequential(chunked(4, 1), nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(2, 2, 3), window(3), chunked(5, 0))
    plan = foveal.stream(model, inputs=(1, 2, 60))
    assert (plan.step, plan.overlap.status, plan.state.status) == (20, "exact", "exact")


@pytest.mark.parametrize("running", [False, True])
def test_mirrored_padding_makes_the_first_units_wait(running: bool) -> None:
    model = Mirrored(running)
    plan = foveal.stream(model, inputs=(1, 1, 64))
    assert (plan.lookahead, plan.latency, plan.state.status) == (1, 1, "exact")
    assert plan.begin is not None
    assert (plan.begin.units, plan.wait) == (1, 3)  # unit 0 reads what two positions of padding mirror
    assert plan.overlap.status == ("approximate" if running else "exact")
    if running:
        assert "lstm" in plan.overlap.why


def test_both_directions_are_refused() -> None:
    cell = nn.GRU(2, 2, batch_first=True, bidirectional=True)
    plan = foveal.stream(cell, inputs=(1, 48, 2), axes="BTC")
    assert plan.lookahead is None
    assert "backwards" in plan.state.why
    one = foveal.stream(nn.GRU(2, 2, batch_first=True), inputs=(1, 48, 2), axes="BTC")
    assert (one.lookahead, one.state.status, one.elements) == (0, "exact", 2)


def test_less_of_the_future_than_is_needed_is_measured() -> None:
    plan = foveal.stream(nn.Conv1d(2, 2, 5, padding=2), inputs=(1, 2, 64), chunk=8, lookahead=1)
    assert (plan.right, plan.overlap.status) == (1, "approximate")
    assert plan.overlap.error is not None
    assert 0 < plan.overlap.error < 1
    assert "1 are allowed" in plan.causes[0][0]


def test_less_of_the_past_is_measured_beside_what_energy_lets_expect() -> None:
    """Nine equal taps, four positions before chunks of 8: the first four units miss 4, 3, 2 and 1 of their taps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.ConstantPad1d((8, 0), 0.0), nn.Conv1d(64, 64, 9, bias=False))
    plan = foveal.stream(model, inputs=(1, 64, 64), chunk=8, context=4)
    assert (plan.left, plan.right, plan.lookback, plan.overlap.status) == (4, 0, 8, "approximate")
    assert plan.overlap.expected == pytest.approx((10 / (8 * 9)) ** 0.5)
    assert plan.overlap.error == pytest.approx(plan.overlap.expected, rel=0.2)
    assert "the network looks 8 samples back, 4 are given" in plan.causes[0][0]
    assert "0.373 expected by the energy field" in str(plan)
    assert foveal.stream(model, inputs=(1, 64, 64), chunk=8, context=8).overlap.status == "exact"
    assert foveal.stream(model, inputs=(1, 64, 64), chunk=200, context=4).overlap.chunks == 3
    alone = foveal.stream(model, inputs=(1, 64, 64), chunk=2000, context=4)  # one chunk is the whole
    assert (alone.overlap.status, alone.overlap.error) == ("unproven", None)


def test_attention_over_everything_has_a_plan_with_its_error() -> None:
    """All units read all; the strided convolution before still tells their place."""

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.read = nn.Conv1d(1, 4, 4, 3), nn.Linear(4, 12)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x).transpose(1, 2)
            return x + F.scaled_dot_product_attention(*self.read(x).chunk(3, -1))

    plan = foveal.stream(Attending(), inputs=(1, 1, 60))
    assert (plan.lookback, plan.lookahead, plan.stride, plan.step) == (None, None, 3, 3)
    assert (plan.overlap.status, plan.state.status) == ("approximate", "refused")
    assert "mixes the whole stream, the future included" in plan.overlap.why
    assert plan.overlap.error is not None
    assert plan.overlap.expected is not None
    assert foveal.stream(Wav2Vec(norm=True).eval(), inputs=(1, 1, 1600)).overlap.expected is None  # statistics


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Sequential(nn.MaxPool1d(4), nn.Upsample(scale_factor=2)), "2 (n // 4)"),
        (nn.Sequential(nn.ConvTranspose1d(1, 1, 5, 2), nn.Conv1d(1, 1, 4)), "2 n"),
        (nn.Sequential(nn.MaxPool1d(3, 2, ceil_mode=True), nn.Conv1d(1, 1, 3, 2)), "(n - 6) // 4 + 1"),
        (nn.Conv1d(1, 1, 5, 3, 2), "(n - 1) // 3 + 1"),
        (nn.Conv1d(1, 1, 5, padding=1), "n - 2"),
        (nn.Sequential(nn.Conv1d(1, 1, 2, 2), nn.ConvTranspose1d(1, 1, 2, 2), nn.Conv1d(1, 1, 4, 4)), "n // 4"),
    ],
)
def test_units_of_any_length(model: nn.Module, said: str) -> None:
    """Against the model's own output; a plan that was not checked knows lengths by steps, and says so of others."""
    plan = foveal.stream(model, inputs=(1, 1, 61))
    rule = next(line for line in str(plan).splitlines() if line.startswith("units of n"))
    assert rule.split(None, 4)[-1] == said
    for length in (*range(61, 75), 30, 200):
        assert plan.units(length) == model(torch.zeros(1, 1, length)).shape[-1]
    blind = foveal.stream(model, inputs=(1, 1, 61), check=False)
    assert blind.units(61 + 3 * blind.step) == model(torch.zeros(1, 1, 61 + 3 * blind.step)).shape[-1]
    if blind.step > 1:
        with pytest.raises(FovealError, match="units of 62 positions: known for 61 and multiples of"):
            blind.units(62)


def test_the_rate_that_a_model_tells() -> None:
    """By its own number, by its configuration, by its library's processor; of a wave, or of features by their hop."""
    model = Wav2Vec().eval()
    assert foveal.stream(model, inputs=(1, 1, 1600), check=False).rate is None
    model.config = SimpleNamespace(sampling_rate=8000)  # type: ignore[assignment]
    plan = foveal.stream(nn.Sequential(model), inputs=(1, 1, 1600), chunk="80ms", check=False)
    assert (plan.rate, plan.chunk) == (8000, 640)
    assert "sampling rate           8000 samples per second, from SimpleNamespace.sampling_rate" in str(plan)
    found = foveal.audit(model, "streaming", (1, 1, 1600))
    assert found.summary[-1] == "8000 samples per second, from SimpleNamespace.sampling_rate."
    assert foveal.stream(model, inputs=(1, 1, 1600), rate=4000.0, check=False).rate == 4000
    features = nn.Conv1d(4, 4, 3)
    features.sample_rate = 8000  # type: ignore[assignment]
    assert foveal.stream(features, inputs=(1, 4, 32), check=False).rate is None  # four features are no wave
    needs("transformers")
    import transformers

    model.config = transformers.Wav2Vec2Config()  # type: ignore[assignment]
    plan = foveal.stream(model, inputs=(1, 1, 1600), check=False)
    assert (plan.rate, plan.origin) == (16000, "the default Wav2Vec2FeatureExtractor.sampling_rate")
    features = nn.Conv1d(80, 4, 3, 2)
    features.config = transformers.WhisperConfig()  # type: ignore[assignment]
    plan = foveal.stream(features, inputs=(1, 80, 33), check=False)
    assert (plan.rate, plan.hop, plan.milliseconds(plan.stride)) == (16000, 160, 20.0)


def test_what_is_kept_holds_no_chunk() -> None:
    """A state of views would keep the memory of every chunk that it is cut from."""
    model = nn.Sequential(nn.Conv1d(1, 2, 5), nn.ReLU(), nn.ConvTranspose1d(2, 2, 6, 2), nn.MaxPool1d(3))
    running = foveal.trace(model, (1, 1, 60)).backend.streaming("input", 2, 3, "output")  # type: ignore[union-attr]
    _, state = running(torch.randn(1, 1, 999), running.begin())
    kept = [part for own in state for part in own if isinstance(part, Tensor)]
    assert sum(part.untyped_storage().nbytes() for part in kept) == 4 * sum(part.numel() for part in kept) > 0


def test_a_window_that_may_be_longer_than_the_trace() -> None:
    assert "trace a source that is longer than the window" in foveal.stream(window(60), inputs=(1, 2, 16)).warnings[0]
    assert not foveal.stream(window(9), inputs=(1, 2, 16)).warnings


def test_one_of_several_outputs_with_state() -> None:
    """A layer that returns several is streamed by name; what runs behind it may be what has no state."""

    class Two(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"fast": x[..., :-1], "slow": x[..., ::2]}

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.two = nn.Conv1d(2, 2, 3), Two()

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.conv(x))["slow"].mean(-1)

    for layer, stride in (("two.fast", 1), ("two.slow", 2), ("conv", 1)):
        plan = foveal.stream(Mean(), layer, inputs=(1, 2, 40))
        assert (plan.stride, plan.state.status) == (stride, "exact")


@pytest.mark.parametrize("chunk", [8, 64, 1 << 20])
def test_the_expected_error_is_of_all_units_of_a_chunk(chunk: int) -> None:
    """Nine taps that look back, of which units 0 to 7 of a chunk without context lose 8, 7 ... 1."""
    plan = foveal.stream(Causal(9), inputs=(1, 1, 64), chunk=chunk, context=0, check=False)
    assert plan.overlap.expected == pytest.approx((36 / 9 / chunk) ** 0.5)


def test_bad_input() -> None:
    model = nn.Conv1d(2, 2, 4, 4)
    for options, said in (
        ({"chunk": "80ms"}, "give the rate"),
        ({"chunk": 3}, "advances by 4 samples"),
        ({"chunk": "long"}, "expected positions such as 1280"),
        ({"context": 16.5}, "context 16.5: expected positions such as 1280"),
        ({"context": True}, "context True: expected positions"),
    ):
        with pytest.raises(FovealError, match=said):
            foveal.stream(model, inputs=(1, 2, 64), check=False, **options)
    for shape, said in (
        ((1, 3, 16, 16), "is an image, .* name the one .* foveal tile"),
        ((1, 1, 8, 8, 8), "is a volume"),
    ):
        kind = nn.Conv2d if len(shape) == 4 else nn.Conv3d
        with pytest.raises(FovealError, match=said):
            foveal.stream(kind(shape[1], 1, 3), inputs=shape, check=False)
    pooled = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    with pytest.raises(FovealError, match="cannot be streamed; ask for a layer before it"):
        foveal.stream(pooled, inputs=(1, 1, 16, 16), check=False)


@pytest.mark.parametrize("number", range(12))
def test_random_networks_with_state(number: int) -> None:
    word, wrong = judge(number)
    assert not wrong, (word, wrong)


@pytest.mark.slow
def test_the_form_with_state_as_onnx(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A look-ahead of 1: the first file takes the first chunk, the other goes on with its state."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from foveal.tasks.streaming.plan import export_onnx

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv1d(2, 2, 2, 2)).eval()
    graph = foveal.trace(model, (1, 1, 32))
    plan = foveal.stream(graph, chunk=8, check=False)
    first, later = (runtime.InferenceSession(path) for path in export_onnx(graph, plan, str(tmp_path / "net.onnx")))
    x = np.random.default_rng(0).standard_normal((1, 1, 32)).astype(np.float32)
    made, place = [], first.get_inputs()[0].shape[-1]
    out, *state = first.run(None, {"chunk": x[..., :place]})
    made.append(out)
    while place + 8 <= 32:
        feed = {f"state{k}": part for k, part in enumerate(state)}
        out, *state = later.run(None, {"chunk": x[..., place : place + 8], **feed})
        made.append(out)
        place += 8
    whole = model(torch.from_numpy(x)).detach().numpy()
    found = np.concatenate(made, -1)
    assert found.shape[-1] >= 12
    np.testing.assert_allclose(found, whole[..., : found.shape[-1]], atol=1e-6)


def test_the_audit_ends_with_the_chunk_and_what_of_the_past_is_used() -> None:
    """Ten layers of windows of 5 see 41 tokens; squares of uniform weights: sums of ten uniform draws from 0 to 4."""
    graph = foveal.trace(nn.Sequential(*(window(5) for _ in range(10))), (1, 2, 96))
    found = foveal.audit(graph, "streaming")
    used, chunks = found.tables[-2:]
    rows = dict(zip(used.column("quantity"), used.column("positions"), strict=True))
    needs = found.tables[0].column("positions")
    assert (needs[0], needs[3]) == (40, 41)
    draws = np.ones(1)
    for _ in range(10):
        draws = np.convolve(draws, np.full(5, 0.2))
    for share in (50, 90, 99):
        first = next(n for n in range(41) if draws[: n + 1].sum() >= share / 100 - 1e-12)
        assert rows[f"{share}% of the energy"] == first
    assert chunks.column("positions") == (1, 80, 40, 0)
    front = foveal.audit(Wav2Vec().eval(), "streaming", (1, 1, 1600), rate=16000.0)
    assert front.tables[-1].column("positions") == (320, 320, 0, 80)
    assert front.tables[-1].column("ms") == (20, 20, 0, 5)
    assert [table.title for table in front.tables][-2] == "buffers"


def test_a_recurrence_written_as_a_loop_is_named() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            state, made = x.new_zeros(x.shape[0], 2), []
            for t in range(x.shape[-1]):
                state = self.cell(x[..., t], state)
                made.append(state)
            return torch.stack(made, -1)

    plan = foveal.stream(Loop(), inputs=(1, 2, 12))
    assert plan.lookahead == 0
    assert "loop over positions" in plan.causes[0][0]
    assert "nn.GRU" in plan.causes[0][1]
    assert "loop" in plan.state.why
