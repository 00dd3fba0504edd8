"""Each family of PyTorch operations: its lowering against brute force on the real operation, unit by unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foveal import trace
from foveal.testing import check

IMAGE = (1, 2, 8, 6)
LINE = (1, 3, 10)


class Function(nn.Module):
    """A function between two pointwise mixtures, so that channels cannot hide a dependency."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def in_place_window(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, 1::2] += y[:, :, ::2]
    y[:, 0, ::2] = x[:, 1, ::2]
    return y


def promoted_buffer(x: Tensor) -> Tensor:
    buffer = torch.zeros(1, 2, 9, 6)
    view = buffer[:, :, 1:]
    view.copy_(x)
    buffer[:, :, 0] = x[:, :, -1]
    return buffer * 1.5 + view.flip(2).mean(2, keepdim=True)


def stale_view(x: Tensor) -> Tensor:
    y = x * 2
    view = y.permute(0, 2, 3, 1)[:, 1:]
    y.add_(torch.roll(y, 1, 2))
    return view.unsqueeze(1).squeeze(1)


def reshaped_write(x: Tensor) -> Tensor:
    y = x * 1.0
    y.view(1, 2, 48)[:, :, 3:9].zero_()
    y.transpose(2, 3).select(2, 0).mul_(0)
    return y


def matrix(x: Tensor) -> Tensor:
    return x @ x.mT + 4 * torch.eye(x.shape[2], dtype=x.dtype)


def causal_mask(x: Tensor) -> Tensor:
    tokens = x.transpose(1, 2)
    scores = tokens @ x
    return scores.masked_fill(torch.ones(10, 10).triu(1).bool(), float("-inf")).softmax(-1) @ tokens


def window_mask(x: Tensor) -> Tensor:
    tokens = x.transpose(1, 2)
    place = torch.arange(10, device=x.device)
    mask = torch.where((place[:, None] - place[None]).abs() > 2, -100.0, 0.0)
    return ((tokens @ x + mask).softmax(-1)) @ tokens


MOVES: dict[str, Callable[..., Any]] = {
    "narrow_cat": lambda x: torch.cat([x.narrow(2, 3, 4), x[:, :, :2, :], x[..., -1:, :]], 2),
    "split_stack": lambda x: torch.stack([part * (k + 1) for k, part in enumerate(x.split(2, 2))], 1),
    "chunk_unbind": lambda x: sum(k * part for k, part in enumerate(x.chunk(2, 3)[1].unbind(3), 1)),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "pixel_shuffle": lambda x: F.pixel_shuffle(torch.cat([x, x * 2], 1), 2),
    "channel_shuffle": lambda x: F.channel_shuffle(torch.cat([x, x.flip(2)], 1), 2),
    "roll": lambda x: torch.roll(x, (2, -1), (2, 3)),
    "roll_flat": lambda x: torch.roll(x, 5),
    "flip": lambda x: torch.flip(x, (2,)),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "repeat": lambda x: x.repeat(1, 2, 2, 1),
    "tile": lambda x: x.tile(2, 3),
    "repeat_interleave": lambda x: x.repeat_interleave(3, dim=2),
    "expand": lambda x: x[:, :1].expand(-1, 4, -1, -1),
    "unfold_axis": lambda x: x.unfold(2, 3, 2),
    "diagonal": lambda x: torch.diagonal(x, 1, 2, 3),
    "diag_embed": lambda x: torch.diag_embed(x[:, 0]),
    "as_strided": lambda x: x.clone().as_strided((1, 4, 3), (1, 12, 3), 2),
    "movedim_swap": lambda x: x.movedim(1, 3).swapaxes(1, 2).unflatten(3, (2, 1)),
    "view_reshape": lambda x: x.reshape(1, 2, 4, 2, 6).permute(0, 1, 3, 2, 4).flatten(1, 2),
    "index_list": lambda x: x[:, :, [0, 3, 3, -1]],
    "index_grid": lambda x: x[:, :, torch.tensor([[0], [2]]), torch.tensor([[1, 5, 2]])],
    "index_apart": lambda x: x[:, torch.tensor([0, 1, 1]), :, torch.tensor([3, 0, 5])],
    "index_none": lambda x: x[..., None, ::2],
    "index_mask": lambda x: x[:, :, torch.tensor([True, False] * 4)],
    "index_mask_2d": lambda x: x[:, :, torch.eye(8, 6).bool()],
    "index_select": lambda x: x.index_select(3, torch.tensor([4, 0])),
    "gather": lambda x: x.gather(2, torch.tensor([3, 1]).view(1, 1, 2, 1).expand(1, 2, 2, 6)),
    "take": lambda x: x.take(torch.tensor([[5, 17], [40, 3]])),
    "scatter": lambda x: x.scatter(2, torch.tensor([3, 1]).view(1, 1, 2, 1).expand(1, 2, 2, 6), x[:, :, 6:]),
    "index_put": lambda x: x.index_put((torch.tensor([0]), torch.tensor([1]), torch.tensor([2])), x[0, 0, 5]),
    "index_copy": lambda x: x.index_copy(2, torch.tensor([0, 4]), x[:, :, 6:]),
    "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :, :2], 2, 4, 6),
    "where_constant": lambda x: torch.where(torch.arange(6) > 2, x, x.flip(2)),
    "masked_fill": lambda x: x.masked_fill(torch.arange(6) > 2, 0.0),
    "triu": lambda x: torch.triu(x) + torch.tril(x.flip(3), -2),
    "constant_zero": lambda x: x * torch.tensor([0.0, 1, 1, 0, 1, 0]),
    "in_place_window": in_place_window,
    "promoted_buffer": promoted_buffer,
    "stale_view": stale_view,
    "reshaped_write": reshaped_write,
    "unsqueeze_": lambda x: (x * 2).unsqueeze_(0).squeeze_(0).transpose_(2, 3)[:, :, 1:],
    "complex": lambda x: torch.view_as_real(torch.view_as_complex(x.permute(0, 2, 3, 1).contiguous()) * (1 + 2j)),
}

WINDOWS: dict[str, Callable[..., Any]] = {
    "conv_same": lambda x: F.conv2d(x, torch.ones(3, 2, 4, 3).to(x), padding="same"),
    "conv_dilated": lambda x: F.conv2d(x, torch.ones(2, 1, 3, 3).to(x), groups=2, padding=2, dilation=2, stride=(2, 1)),
    "conv_unbatched": lambda x: F.conv2d(x[0], torch.ones(3, 2, 3, 3).to(x), padding=1),
    "conv_transpose": lambda x: F.conv_transpose2d(
        x, torch.ones(2, 3, 3, 3).to(x), stride=2, padding=1, output_padding=1
    ),
    "conv_kernel_zero": lambda x: F.conv2d(x, torch.tensor([[[[0.0, 0, 1]]] * 2]).to(x)),
    "max_pool_ceil": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "avg_pool": lambda x: F.avg_pool2d(x, (2, 3), 1, (1, 1)),
    "lp_pool": lambda x: F.lp_pool2d(x.abs() + 1, 2, 2),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive_max": lambda x: F.adaptive_max_pool2d(x, (3, 4)),
    "max_unpool": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "nearest": lambda x: F.interpolate(x, scale_factor=1.5),
    "nearest_exact": lambda x: F.interpolate(x, size=(5, 9), mode="nearest-exact"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear_corners": lambda x: F.interpolate(x, size=(5, 11), mode="bilinear", align_corners=True),
    "bilinear_antialias": lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True),
    "bicubic": lambda x: F.interpolate(x, size=(11, 4), mode="bicubic"),
    "reflect": lambda x: F.pad(x, (2, 1, 0, 3), mode="reflect"),
    "replicate": lambda x: F.pad(x, (2, 1, 1, 3), mode="replicate"),
    "circular": lambda x: F.pad(x, (2, 1, 0, 3), mode="circular"),
    "constant_pad": lambda x: F.pad(x, (2, -1, 1, -3)),
    "unfold_fold": lambda x: F.fold(F.unfold(x, 3, padding=1, stride=2), (8, 6), 3, padding=1, stride=2),
    "unfold": lambda x: F.unfold(x, (3, 2), dilation=(2, 1)),
    "local_response_norm": lambda x: F.local_response_norm(x, 3),
}

MIXING: dict[str, Callable[..., Any]] = {
    "mean_keep": lambda x: x - x.mean((2,), keepdim=True),
    "amax_argmax": lambda x: x.amax(3) + x.norm(dim=3) + x.std(3) + x.logsumexp(3),
    "max_dim": lambda x: x.max(2)[0] + x.min(2).values,
    "var_mean": lambda x: torch.var_mean(x, 2)[0] + x.sum(2),
    "full": lambda x: x[:, :, :4].sum() + x[..., 0],
    "softmax": lambda x: (x.softmax(3), x.log_softmax(2)),
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "group_norm": lambda x: F.group_norm(torch.cat([x, x.flip(3)], 1), 2),
    "instance_norm": lambda x: F.instance_norm(x),
    "cumsum": lambda x: x.cumsum(2),
    "sort": lambda x: x.sort(3)[0],
    "topk": lambda x: x.topk(2, 3)[0],
    "fft": lambda x: torch.fft.rfft(x, dim=3).abs(),
    "fft2": lambda x: torch.fft.fft(x, dim=2).abs(),
    "glu": lambda x: F.glu(x, 3),
    "einsum": lambda x: torch.einsum("bchw,bcvw->bhv", x, x.flip(2)),
    "einsum_ellipsis": lambda x: torch.einsum("...hw,kw->...hk", x, torch.ones(3, 6).to(x)),
    "matmul": lambda x: x @ x[:, :1].transpose(2, 3),
    "matmul_vector": lambda x: x @ torch.tensor([1.0, 0, 0, 2, 0, 0]).to(x),
    "bmm": lambda x: torch.bmm(x[0], x[0].transpose(1, 2)),
    "addmm": lambda x: torch.addmm(x[0, 0, :, :4], x[0, 1], torch.ones(6, 4).to(x)),
    "cdist": lambda x: torch.cdist(x[0], x[0, :, :3].exp()),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.2, 0.3]).to(x)),
    "solve_triangular": lambda x: torch.linalg.solve_triangular(matrix(x), x.flip(2), upper=False),
    "solve_triangular from the right": lambda x: torch.linalg.solve_triangular(
        matrix(x), x.mT, upper=True, left=False, unitriangular=True
    ),
    "triangular_solve": lambda x: torch.triangular_solve(x.flip(2), matrix(x), transpose=True)[0],
    "solve": lambda x: torch.linalg.solve(matrix(x), x.flip(2)),
    "solve of a vector": lambda x: torch.linalg.solve(matrix(x), x[..., 0]),
    "histc": lambda x: torch.histc(x[:, :, 2:5], 4, -1, 1),
    "clamp_chain": lambda x: torch.addcmul(x, x.exp(), x.sigmoid()).clamp(-3, 3).lerp(x, 0.5),
}

SEQUENCES: dict[str, Callable[..., Any]] = {
    "attention": lambda x: F.scaled_dot_product_attention(x.transpose(1, 2), x.transpose(1, 2), x.transpose(1, 2)),
    "attention_causal": lambda x: F.scaled_dot_product_attention(*(x.transpose(1, 2),) * 3, is_causal=True),
    "attention_mask": lambda x: F.scaled_dot_product_attention(
        *(x.transpose(1, 2),) * 3, attn_mask=torch.ones(10, 10).tril(2).bool()
    ),
    "causal_mask": causal_mask,
    "window_mask": window_mask,
    "subtracted_mask": lambda x: (
        (x.transpose(1, 2) @ x - torch.ones(10, 10).triu(1) * 1e9).softmax(-1) @ x.transpose(1, 2)
    ),
    "conv1d_reflect": lambda x: F.conv1d(F.pad(x, (3, 0), mode="reflect"), torch.ones(2, 3, 4).to(x)),
    "avg_pool1d": lambda x: F.avg_pool1d(x, 3, 2),
    "interpolate1d": lambda x: F.interpolate(x, scale_factor=1.7, mode="linear"),
}


def agrees(function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    graph = trace(Function(function), shape).verify()
    assert [note for note in graph.notes if note.code != "data-dependent"] == []
    found = check(Function(function), shape)
    assert found.agrees, str(found)
    assert found.exact > 0


@pytest.mark.parametrize("name", MOVES)
def test_moves(name: str) -> None:
    agrees(MOVES[name], IMAGE)


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str) -> None:
    agrees(WINDOWS[name], IMAGE)


@pytest.mark.parametrize("name", MIXING)
def test_mixing(name: str) -> None:
    agrees(MIXING[name], IMAGE)


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name: str) -> None:
    agrees(SEQUENCES[name], LINE)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.cell = kind(3, 4, batch_first=True, **options)

    def forward(self, x: Tensor) -> Any:
        out, state = self.cell(x.transpose(1, 2))
        return out, state


@pytest.mark.parametrize(
    ("kind", "options"),
    [(nn.LSTM, {}), (nn.GRU, {"bidirectional": True}), (nn.RNN, {"num_layers": 2}), (nn.LSTM, {"proj_size": 2})],
)
def test_recurrent_layers(kind: type[nn.RNNBase], options: dict[str, Any]) -> None:
    found = check(Recurrent(kind, **options), LINE)
    assert found.agrees, str(found)


def test_sampling_is_data_dependent() -> None:
    graph = trace(Function(lambda x: F.grid_sample(x, torch.zeros(1, 3, 3, 2) + x.mean(), align_corners=False)), IMAGE)
    assert any(type(node.op).__name__ == "Sample" for node in graph.nodes)


def test_an_operation_without_a_lowering_is_opaque_and_listed() -> None:
    graph = trace(Function(lambda x: torch.linalg.cholesky(x[..., :6, :6])), IMAGE)
    assert [note.code for note in graph.notes] == ["opaque"]
    assert any(type(node.op).__name__ == "Opaque" for node in graph.nodes)
