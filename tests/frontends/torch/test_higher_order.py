"""Operations that take functions: loops, scans and maps are run step by step, attention as its definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.associative_scan import associative_scan
from torch._higher_order_ops.map import map as mapped
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.utils import parametrizations

import foveal

LENGTH = 16


class Model(nn.Module):
    """A function with a convolution of three taps and a linear map."""

    def __init__(self, run: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__()
        self.run = run
        self.conv, self.linear = nn.Conv1d(4, 4, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def three_times(m: Model, x: Tensor) -> Tensor:
    return while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, m.conv(y)), (torch.tensor(0), x))[1]  # type: ignore


def recurrent(m: Model, x: Tensor) -> Tensor:
    def step(state: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.tanh(m.linear(torch.cat([state, part], -1)))
        return state, state.clone()

    return scan(step, torch.zeros(1, 4), x.permute(2, 0, 1), dim=0)[1].permute(1, 2, 0)  # type: ignore


def backward(m: Model, x: Tensor) -> Tensor:
    step = lambda state, part: (state + part, state + part)  # noqa: E731
    return scan(step, torch.zeros(1, 4), x.permute(2, 0, 1), reverse=True)[1].permute(1, 2, 0)  # type: ignore


def running(mode: str) -> Callable[[Model, Tensor], Tensor]:
    """A gated sum, as state-space networks write it."""
    step = lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1])  # noqa: E731
    return lambda m, x: associative_scan(step, (torch.sigmoid(x), x), dim=2, combine_mode=mode)[1]


def each(m: Model, x: Tensor) -> Tensor:
    return mapped(lambda y: torch.relu(y), x.permute(2, 0, 1)).permute(1, 2, 0)  # type: ignore


def window(m: Model, x: Tensor) -> Tensor:
    q = x.transpose(1, 2)[:, None]
    block = create_block_mask(lambda b, h, i, j: (j <= i) & (i - j <= 4), None, None, LENGTH, LENGTH, device="cpu")
    return flex_attention(q, q, q, block_mask=block)[:, 0].transpose(1, 2)  # type: ignore


def scored(m: Model, x: Tensor) -> Tensor:
    q = x.transpose(1, 2)[:, None]
    score = lambda s, b, h, i, j: torch.where(j >= i, s, -float("inf"))  # noqa: E731
    return flex_attention(q, q, q, score_mod=score)[:, 0].transpose(1, 2)  # type: ignore


@pytest.mark.parametrize(
    ("run", "before", "after"),
    [(three_times, 3, 3), (recurrent, LENGTH, 0), (backward, 0, LENGTH), (each, 0, 0), (window, 4, 0),
     (scored, 0, LENGTH), (running("pointwise"), LENGTH, 0), (running("generic"), LENGTH, 0)],
)  # fmt: skip
def test_functions_are_traced(run: Callable[[Model, Tensor], Tensor], before: int, after: int) -> None:
    """How far a unit reads back and ahead."""
    field = foveal.receptive_field(foveal.trace(Model(run).eval(), torch.rand(1, 4, LENGTH), axes=(2,)), "output")
    assert field.status == "exact"
    expected = [((max(0, i - before), min(LENGTH, i + after + 1)),) for i in range(LENGTH)]
    assert [field.box(i, clip=True) for i in range(LENGTH)] == expected


def test_an_operation_without_a_rule_on_weights_alone_concerns_nobody() -> None:
    model = nn.Sequential(parametrizations.orthogonal(nn.Conv1d(4, 4, 3))).eval()
    graph = foveal.trace(model, (1, 4, 16))
    assert (foveal.analyze(graph).findings, foveal.receptive_field(graph, "0").status) == ((), "exact")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weight_normalisation_has_a_rule() -> None:
    model = nn.Sequential(nn.utils.weight_norm(nn.Conv1d(4, 4, 3)), nn.utils.weight_norm(nn.Conv1d(4, 4, 5), dim=None))
    report = foveal.analyze(foveal.trace(model, (1, 4, LENGTH)))
    assert [row.size.value for row in report.layers] == [(3,), (7,)]
    assert "operation-without-rule" not in {finding.code for finding in report.findings}
