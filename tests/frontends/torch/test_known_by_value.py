"""What is known by value decides what is read: matrices, overlapping frames, spectra, windows as large as the map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import foveal
from foveal.fields.receptive_field import ReceptiveField
from foveal.testing import check


class Known(nn.Module):
    """A function of the input and of buffers."""

    def __init__(self, function: Callable[..., Tensor], **buffers: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def of(model: nn.Module, shape: tuple[int, ...], **how: Any) -> ReceptiveField:
    graph = foveal.trace(model, shape, **how)
    return foveal.receptive_field(graph, graph.layers[-1])


def band(n: int, *offsets: int) -> Tensor:
    return sum((torch.diag(torch.ones(n - abs(k)), k) for k in offsets), torch.zeros(n, n))


def test_a_banded_matrix_reads_its_band() -> None:
    rf = of(Known(lambda m, x: x @ m.a, a=band(12, 0, 1)), (1, 4, 12))
    assert (rf.grid, rf.size, rf.stride, rf.status) == ((12,), (2,), (1,), "exact")
    assert [rf.box((i,), clip=True)[0] for i in (0, 1, 11)] == [(0, 1), (0, 2), (10, 12)]
    rf = of(Known(lambda m, x: x @ (torch.eye(12) + torch.diag(torch.ones(11), 1))), (1, 4, 12))
    assert (rf.grid, rf.size, rf.status) == ((12,), (2,), "exact")


def test_a_learnt_matrix_reads_everything() -> None:
    model = Known(lambda m, x: x @ m.p)
    model.p = nn.Parameter(torch.eye(12))
    assert of(model, (1, 4, 12)).clipped_size == (12,)


def test_weights_along_a_diagonal_read_no_others() -> None:
    model = Known(lambda m, x: x @ (torch.diag(m.p) + torch.diag_embed(m.p[1:], 1)))
    model.p = nn.Parameter(torch.ones(12))
    rf = of(model, (1, 4, 12))
    assert (rf.grid, rf.size, rf.stride, rf.status) == ((12,), (2,), (1,), "exact")
    blocks = Known(lambda m, x: x @ torch.block_diag(m.p, m.p))
    blocks.p = nn.Parameter(torch.ones(6, 6))
    assert (of(blocks, (1, 4, 12)).size, of(blocks, (1, 4, 12)).status) == ((6,), "exact")


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_a_matrix_kept_sparse_is_known_by_value(layout: torch.layout) -> None:
    rf = of(Known(lambda m, x: (m.a @ x[0])[None], a=band(12, 0, 1).to_sparse(layout=layout)), (1, 12, 4), axes=(1,))
    assert (rf.grid, rf.size, rf.stride, rf.status) == ((12,), (2,), (1,), "exact")


def test_graph_convolution_reads_neighbours() -> None:
    ring = band(13, -1, 0, 1)
    rf = of(Known(lambda m, x: torch.einsum("nctv,vw->nctw", x, m.a), a=ring), (1, 3, 8, 13))
    assert (rf.grid, rf.size, rf.stride) == ((8, 13), (1, 3), (1, 1))
    rf = of(Known(lambda m, x: m.a @ (m.a @ x), a=ring), (1, 13, 4), axes=(1,))
    assert (rf.grid, rf.clipped_size, rf.status) == ((13,), (5,), "exact")


def test_a_matrix_that_shrinks_has_its_step() -> None:
    pairs = torch.eye(12).reshape(6, 2, 12).sum(1)
    rf = of(Known(lambda m, x: x @ m.a.T, a=pairs), (1, 3, 12))
    assert (rf.grid, rf.size, rf.stride, rf.start) == ((6,), (2,), (2,), (0,))


def test_message_passing_sees_two_steps_on_a_path() -> None:
    one = torch.arange(12)
    edges = torch.cat([torch.stack([one, one + 1]), torch.stack([one + 1, one])], 1)

    def layers(m: Known, x: Tensor) -> Tensor:
        for _ in range(2):
            x = x + torch.zeros_like(x).index_add(1, m.e[1], x[:, m.e[0]])
        return x

    rf = of(Known(layers, e=edges), (1, 13, 4), axes=(1,))
    assert (rf.grid, rf.size, rf.status) == ((13,), (5,), "exact")
    assert [rf.box((i,), clip=True)[0] for i in (0, 6, 12)] == [(0, 3), (4, 9), (10, 13)]


@pytest.mark.parametrize("kind", ["support", "paths", "edges", "energy"])
def test_fields_behind_a_sparse_matrix(kind: str) -> None:
    hops = torch.tensor([[1.0, 0, 0, 2, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 3], [1, 0, 0, 0, 1]])
    graph = foveal.trace(Known(lambda m, x: x @ m.a, a=hops), (1, 1, 5))
    for unit in range(5):
        found = foveal.field(graph, graph.layers[-1], kind=kind, at=(unit,)).full()
        assert np.array_equal(np.asarray(found) > 0, hops[:, unit].numpy() != 0)
    if kind == "energy":
        assert np.allclose(foveal.field(graph, graph.layers[-1], kind=kind, at=(3,)).full(), [4, 0, 0, 0, 0])


def test_a_large_matrix_does_not_explode() -> None:
    n = 4096
    rf = of(Known(lambda m, x: x @ m.a, a=torch.tril(torch.ones(n, n))), (1, 1, n))
    assert rf.grid == (n,)
    assert rf.box((7,), clip=True)[0] == (7, n)


def written_later(m: Known, x: Tensor) -> Tensor:
    y = x @ m.bank
    m.bank.copy_(m.bank + x[0].T @ x[0])
    return y


def replaced_later(m: Known, x: Tensor) -> Tensor:
    y = x @ (m.bank * 2)
    m.bank = m.bank * 0.9
    return y


@pytest.mark.parametrize("function", [written_later, replaced_later])
def test_a_buffer_that_the_model_writes_is_not_known_by_value(function: Callable[..., Tensor]) -> None:
    model = Known(function, bank=torch.zeros(12, 12))
    assert of(model, (1, 4, 12)).clipped_size == (12,)
    assert not model.bank.any()


def test_a_window_over_the_map_is_global_context() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    pools: list[Callable[[Tensor], Tensor]] = [
        lambda y: y.mean((2, 3), keepdim=True),
        lambda y: F.avg_pool2d(y, y.shape[-2:]),
        lambda y: F.max_pool2d(y, 16),
    ]
    for pool in pools:
        model = Known(lambda m, x, pool=pool: x * pool(m.conv(x)))
        model.conv = conv
        rf = of(model, (1, 3, 16, 16))
        assert (rf.size, rf.stride) == ((18, 18), (1, 1))
        assert rf.local is not None
        assert rf.local.size == (1, 1)
    model = Known(lambda m, x: x * F.avg_pool2d(m.conv(x), (1, 16)))
    model.conv = conv
    rf = of(model, (1, 3, 16, 16))
    assert (rf.size, rf.local and rf.local.size) == ((3, 18), (3, 1))


def test_a_pool_as_head_keeps_its_numbers() -> None:
    rf = of(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AvgPool2d(7)), (1, 3, 7, 7))
    assert (rf.size, rf.stride, rf.start, rf.local) == ((9, 9), (7, 7), (-1, -1), None)


def test_tiling_names_a_pool_over_the_map() -> None:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            gate = self.b(x)
            return self.a(x) * F.avg_pool2d(gate, gate.shape[-2:]).sigmoid()

    graph = foveal.trace(Gate(), (1, 3, 32, 32))
    plan = str(foveal.tile(graph, graph.layers[-1], source_size=(64, 64), tile=(16, 16)))
    assert "avg_pool2d at (top): mixes the whole map" in plan


def test_overlap_add_has_regular_positions() -> None:
    def folded(m: Known, x: Tensor) -> Tensor:
        return F.fold(x, (1, (x.shape[-1] - 1) * 4 + 16), (1, 16), stride=(1, 4))[:, :, 0]

    rf = of(Known(folded), (1, 16, 20))
    assert (rf.grid, rf.size, rf.stride, rf.status) == ((92,), (4,), (foveal_quarter(),), "exact")
    assert (rf.start, rf.period) == ((-3,), (4,))


def foveal_quarter() -> Any:
    from fractions import Fraction

    return Fraction(1, 4)


def vocoder(m: Known, x: Tensor) -> Tensor:
    return torch.istft(torch.complex(x[:, :9], x[:, 9:]), 16, 4, window=m.w.to(x.dtype))


def separator(m: Known, x: Tensor) -> Tensor:
    spectrum = torch.stft(x[:, 0], 16, 4, window=m.w.to(x.dtype), return_complex=True)
    return torch.istft(spectrum * spectrum.abs().sigmoid(), 16, 4, window=m.w.to(x.dtype), length=x.shape[-1])


@pytest.mark.parametrize(("function", "shape"), [(vocoder, (1, 18, 12)), (separator, (1, 1, 60))])
def test_istft_keeps_positions(function: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    model = Known(function, w=torch.hann_window(16) + 0.1)
    assert check(model, shape).agrees
    rf = of(model, shape)
    assert rf.status == "exact"
    assert rf.grid[0] > 40
    assert rf.size[0] is not None


class Spectral(nn.Module):
    """A convolution done by spectra: kernels of ``length``, both filled up to ``n``."""

    def __init__(self, length: int, n: int, real: bool = True) -> None:
        super().__init__()
        self.k, self.n, self.real = nn.Parameter(torch.randn(3, length)), n, real

    def forward(self, x: Tensor) -> Tensor:
        if self.real:
            made = torch.fft.irfft(torch.fft.rfft(x, n=self.n) * torch.fft.rfft(self.k, n=self.n), n=self.n)
        else:
            made = torch.fft.ifft(torch.fft.fft(x, n=self.n) * torch.fft.fft(self.k, n=self.n)).real
        return made[..., : x.shape[-1]]


@pytest.mark.parametrize("real", [True, False])
def test_a_long_convolution_by_spectra_is_causal_where_nothing_comes_round(real: bool) -> None:
    rf = of(Spectral(16, 32, real), (1, 3, 16))
    assert (rf.grid, rf.size, rf.stride, rf.status) == ((16,), (16,), (1,), "exact")
    assert rf.lookahead == (0,)
    assert [rf.box((i,), clip=True)[0] for i in (0, 5, 15)] == [(0, 1), (0, 6), (0, 16)]
    rf = of(Spectral(4, 20, real), (1, 3, 16))
    assert (rf.size, rf.status) == ((4,), "exact")


def test_what_comes_round_is_a_bound_with_its_cause() -> None:
    rf = of(Spectral(16, 16), (1, 3, 16))
    assert (rf.clipped_size, rf.status) == ((16,), "bound")
    assert rf.causes == ("transform back from a product of spectra at (top)",)


def test_free_weights_of_a_spectrum_are_dense() -> None:
    class Filter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(3, 9, dtype=torch.cfloat))

        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.irfft(torch.fft.rfft(x) * self.w)

    rf = of(Filter(), (1, 3, 16))
    assert (rf.clipped_size, rf.status) == ((16,), "exact")
