"""Tensors that Python fills, exchanges or gives other memory, out of sight of every operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal

LENGTH = 12


class Net(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def later(x: Tensor) -> Tensor:
    """Each element two places on."""
    return x.roll(-2, 2).contiguous()


def first_half(x: Tensor) -> Tensor:
    made = x.clone()
    made[:, :, :6].map_(x[:, :, 6:], lambda a, b: a * b)
    return made


def new_memory(x: Tensor) -> Tensor:
    made = x.clone()
    made.data = later(x)
    return made


def constant_memory(x: Tensor) -> Tensor:
    made = later(x)
    made.data = torch.ones(1, 1, LENGTH)
    return x * made


def exchanged(x: Tensor) -> Tensor:
    made, other = x.clone(), later(x)
    torch.utils.swap_tensors(made, other)
    return made


def own(i: int) -> set[int]:
    return {i}


def both(i: int) -> set[int]:
    return {i, (i + 2) % LENGTH}


@pytest.mark.parametrize(
    ("function", "reads"),
    [
        (lambda x: x.clone().map_(later(x), lambda a, b: a * b), both),
        (lambda x: torch.ones(1, 1, LENGTH).map_(later(x), lambda a, b: a + b), lambda i: {(i + 2) % LENGTH}),
        (lambda x: x.clone().map2_(x, later(x), lambda a, b, c: a * b + c), both),
        (first_half, lambda i: {i, i + 6} if i < 6 else {i}),
        (lambda x: x.clone().apply_(abs), own),
        (lambda x: x * torch.zeros(LENGTH).apply_(lambda a: a + 1), own),
        (new_memory, lambda i: {(i + 2) % LENGTH}),
        (constant_memory, own),
        (exchanged, lambda i: {(i + 2) % LENGTH}),
    ],
)
def test_each_unit_reads_what_python_put_there(
    function: Callable[[Tensor], Tensor], reads: Callable[[int], set[int]]
) -> None:
    graph = foveal.trace(Net(function), (1, 1, LENGTH))
    for i in range(LENGTH):
        support = foveal.field(graph, graph.layers[-1], kind="support", at=(i,)).full()
        assert set(np.flatnonzero(support).tolist()) == reads(i), i


def test_memory_of_equal_numbers_may_have_been_moved_as_well() -> None:
    """An input of zeros looks the same behind ``roll``."""

    def moved(x: Tensor) -> Tensor:
        made: Any = x.clone()
        made.numpy()[:] = np.roll(made.numpy(), 3)
        return made

    graph = foveal.trace(Net(moved), torch.zeros(1, 1, LENGTH))
    rf = foveal.receptive_field(graph, graph.layers[-1])
    assert (rf.status, rf.sizes) == ("data-dependent", ((LENGTH, LENGTH),))
