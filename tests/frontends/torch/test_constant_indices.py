"""Constant indices of every kind, and sampling at constant points: each against perturbation of the real operation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import foveal
from foveal.testing import check

G = torch.Generator().manual_seed(0)
LINE, MAP = (1, 3, 12), (1, 2, 8, 9)
Function = Callable[[Tensor, Tensor], Tensor]


def index(n: int, *shape: int) -> Tensor:
    return torch.randint(0, n, shape, generator=G)


def numbers(*shape: int) -> Tensor:
    return torch.rand(shape, generator=G, dtype=torch.float64)


class Indexed(nn.Module):
    """A function of the input and of one buffer; floating buffers take the precision of the input."""

    def __init__(self, function: Function, known: Tensor) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("known", known)

    def forward(self, x: Tensor) -> Tensor:
        known = self.known.to(x.dtype) if self.known.is_floating_point() else self.known
        return self.function(x, known)


def assigned(x: Tensor, mask: Tensor) -> Tensor:
    y = x * 2
    y[mask] = torch.roll(x, 4, 2)[mask]
    return y


def reducing(name: str, keeps: bool) -> Function:
    return lambda x, e: (x * 2).scatter_reduce(2, e.expand(1, 3, -1), torch.roll(x, 3, 2), name, include_self=keeps)


def along(name: str, keeps: bool) -> Function:
    return lambda x, e: (x * 2).index_reduce(2, e, torch.roll(x, 3, 2), name, include_self=keeps)


def sampler(mode: str, padding: str, align: bool) -> Function:
    return lambda x, g: F.grid_sample(x, g, mode, padding, align)


BOTH = (True, False)
EDGES, PLACES = index(12, 12), torch.randperm(12, generator=G)[:5]
CASES: dict[str, tuple[Function, Tensor, tuple[int, ...]]] = {
    "index_add": (lambda x, e: x.index_add(2, e, torch.roll(x, 3, 2), alpha=2), EDGES, LINE),
    "scatter_add along": (lambda x, e: x.scatter_add(2, e.expand(1, 3, -1), torch.roll(x, 3, 2)), EDGES, LINE),
    "scatter_add": (lambda x, i: x.scatter_add(2, i, torch.roll(x, 3, 2)), index(12, 1, 2, 7), LINE),
    "scatter": (lambda x, i: x.scatter(2, i.expand(1, 3, -1), torch.roll(x, 3, 2)), PLACES, LINE),
    "scatter a zero factor": (lambda x, i: x.scatter(2, i, 0.0, reduce="multiply"), index(12, 1, 3, 5), LINE),
    "scatter a factor": (lambda x, i: x.scatter(2, i, 2.0, reduce="multiply"), index(12, 1, 3, 5), LINE),
    "index_put": (
        lambda x, i: x.index_put((torch.tensor([0]), i[0], i[1]), torch.roll(x, 4, 2)[0, 0, :8], accumulate=True),
        torch.stack([index(3, 8), index(12, 8)]), LINE,
    ),
    "put": (lambda x, i: x.put(i, torch.roll(x, 4, 2)[0, 0, :8], accumulate=True), index(36, 8), LINE),
    "put_": (lambda x, i: (x * 1).put_(i, torch.roll(x, 4, 2)[0, 0, :5]), PLACES, LINE),
    "masked_scatter": (lambda x, m: x.masked_scatter(m, torch.roll(x, 4, 2)), numbers(1, 3, 12) > 0.5, LINE),
    "masked_select": (lambda x, m: x.masked_select(m), numbers(3, 12) > 0.5, LINE),
    "bincount": (lambda x, e: torch.bincount(e, x[0, 0], 14), EDGES, LINE),
    "a mask that is assigned to": (assigned, numbers(1, 3, 12) > 0.5, LINE),
    "index_copy": (lambda x, i: x.index_copy(2, i, torch.roll(x, 4, 2)[:, :, :5]), PLACES, LINE),
    "index_fill": (lambda x, i: x.index_fill(2, i, 0.0), PLACES, LINE),
    "index_fill computed": (lambda x, i: x.index_fill(2, i, x.mean()), PLACES, LINE),
    "take": (lambda x, i: x.take(i), index(36, 1, 3, 12), LINE),
    "take_along_dim": (lambda x, i: torch.take_along_dim(x, i, 2), index(12, 1, 3, 9), LINE),
    "gather": (lambda x, i: torch.gather(x, 2, i), index(12, 1, 3, 9), LINE),
    "sparse matrix": (
        lambda x, a: torch.sparse.mm(a.to_sparse(), x[0].T).T[None], numbers(12, 12) * (numbers(12, 12) > 0.7), LINE,
    ),
    "three axes": (sampler("bilinear", "reflection", False), numbers(1, 3, 4, 5, 3) * 2.4 - 1.2, (1, 1, 4, 5, 6)),
    "three axes, nearest": (sampler("nearest", "zeros", True), numbers(1, 3, 4, 5, 3) * 2.4 - 1.2, (1, 1, 4, 5, 6)),
    "affine_grid": (
        lambda x, t: F.grid_sample(x, F.affine_grid(t, [1, 2, 7, 6], align_corners=False), align_corners=False),
        torch.tensor([[[0.7, 0.31, 0.1], [-0.2, 0.9, 0.17]]]), MAP,
    ),
    "a turned map": (
        lambda x, t: F.grid_sample(x, F.affine_grid(t, list(x.shape), align_corners=True), align_corners=True),
        torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]]), MAP,
    ),
    "fractional pool": (
        lambda x, r: F.fractional_max_pool2d(x, 2, output_size=(5, 4), _random_samples=r),
        numbers(1, 2, 2), (1, 2, 11, 9),
    ),
    "fractional pool, channels alike": (
        lambda x, r: F.fractional_max_pool2d(x, (2, 3), output_size=(5, 4), _random_samples=r.expand(1, 2, 2)),
        numbers(1, 1, 2), (1, 2, 11, 9),
    ),
    "fractional pool of three axes": (
        lambda x, r: F.fractional_max_pool3d(x, 2, output_size=(3, 3, 2), _random_samples=r),
        numbers(1, 1, 3), (1, 1, 6, 7, 5),
    ),
}  # fmt: skip
CASES |= {f"scatter_reduce {n} {k}": (reducing(n, k), EDGES, LINE) for n in ("sum", "prod", "amax") for k in BOTH}
CASES |= {f"index_reduce {n} {k}": (along(n, k), EDGES, LINE) for n in ("mean", "amin") for k in BOTH}
CASES |= {
    f"{mode} {padding} {align}": (sampler(mode, padding, align), numbers(1, 3, 4, 2) * 3 - 1.5, MAP)
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
    for align in (False, True)
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_is_exact(name: str) -> None:
    function, known, shape = CASES[name]
    model = Indexed(function, known)
    found = check(model, shape)
    assert found.agrees, str(found)
    graph = foveal.trace(model, shape)
    rf = foveal.receptive_field(graph, graph.layers[-1])
    assert rf.status == "exact"
    assert rf.grid


def test_sampling_in_place_is_a_copy() -> None:
    whole = Indexed(
        lambda x, t: F.grid_sample(x, F.affine_grid(t, list(x.shape), align_corners=False), align_corners=False),
        torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]),
    )
    rf = foveal.receptive_field(foveal.trace(whole, (1, 2, 15, 13)), "output")
    assert (rf.size, rf.stride, rf.start) == ((1, 1), (1, 1), (0, 0))


def test_points_that_the_input_sets_are_data_dependent() -> None:
    model = Indexed(lambda x, t: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False), torch.zeros(1))
    assert foveal.receptive_field(foveal.trace(model, (1, 2, 8, 9)), "output").status == "data-dependent"
