"""An operation taught from outside takes part everywhere; one that came without traits gets answers that are sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal import extend
from foveal.core.errors import FovealError
from foveal.fields.measured.cropping import plan_crop
from foveal.ir import extension, ops
from foveal.ir.graph import Graph
from foveal.ir.relation import Read, Slide
from foveal.ir.rules import registry
from foveal.ir.rules.registry import RULES
from foveal.ir.traits import UNSAID, Alike
from foveal.report.costs import layer_cost
from foveal.tasks.audit import audit
from foveal.tasks.streaming.audit import BUFFERS, NEEDS
from foveal.tasks.tiling.plan import tile

TAPS, DELAY = 3, 4
DESCRIBED: dict[str, Any] = {
    "multiply_adds": lambda op, shapes, out: prod(out) * op.taps,
    "gain": "fixed",
    "alike": Alike(True, False),
    "shift": "",
    "size": "free",
}


@dataclass(frozen=True)
class Echo(extend.Operation):
    """Output o is the mean of inputs o, o - delay, o - 2 delay, ... (``taps`` of them) along the last axis."""

    taps: int
    delay: int


def relation(op: Echo, shapes: Any, out: Any, facts: Any) -> tuple[Read, ...]:
    axis = len(out) - 1
    window = Slide(axis, shapes[0][axis], out[axis], op.taps, 1, (op.taps - 1) * op.delay, op.delay)
    return (Read(0, (window,), fan=op.taps, averaged=True, edges=True),)


@torch.library.custom_op("traits_test::echo", mutates_args=())
def echo(x: Tensor, taps: int, delay: int) -> Tensor:
    padded = nn.functional.pad(x, ((taps - 1) * delay, 0))
    return torch.stack([padded[..., k * delay : k * delay + x.shape[-1]] for k in range(taps)]).mean(0)


@echo.register_fake
def _(x: Tensor, taps: int, delay: int) -> Tensor:
    return torch.empty_like(x)


class Echoing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.traits_test.echo(x, TAPS, DELAY)


def image_network() -> nn.Module:
    torch.manual_seed(0)
    first, last = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 2, 3, stride=2, padding=1)
    return nn.Sequential(first, nn.ReLU(), Echoing(), last).double().eval()


def stream_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.ReLU(), Echoing()).double().eval()


def picture() -> Tensor:
    return torch.randn(1, 2, 24, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def traced(model: nn.Module, *shape: int) -> Graph:
    return foveal.trace(model, shape)


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    lowerings, rules = dict(extension.REGISTRY.lowerings), dict(RULES)
    yield
    extension.REGISTRY.lowerings = lowerings
    RULES.clear()
    RULES.update(rules)
    registry._cached_reads.cache_clear()
    extension.REGISTRY.version += 1


def teach(*, with_rule: bool = True, **answers: Any) -> None:
    """Lower the custom operation to one of our own."""
    if with_rule:
        extend.rule(Echo, **answers)(relation)

    @extend.lower("traits_test::echo")
    def own(call: extend.Call) -> int:
        return call.emit(Echo(call.arguments["taps"], call.arguments["delay"]), *call.inputs)


def teach_a_pool() -> None:
    """The same operation in the vocabulary's own words."""

    @extend.lower("traits_test::echo")
    def pool(call: extend.Call) -> int:
        rank, before = len(call.shapes[0]) - 2, (TAPS - 1) * DELAY
        ones, none = (1,) * (rank - 1), ((0, 0),) * (rank - 1)
        window = ((*ones, TAPS), (*ones, 1), (*none, (before, 0)), (*ones, DELAY))
        return call.emit(ops.Pool(*window, "average"), *call.inputs)


@pytest.mark.parametrize("kind", ["support", "paths", "edges", "energy"])
def test_fields(kind: str) -> None:
    teach(**DESCRIBED)
    mine = traced(image_network(), 1, 2, 24, 96)
    assert any(isinstance(node.op, Echo) for node in mine.nodes)
    teach_a_pool()
    pooled = traced(image_network(), 1, 2, 24, 96)
    first, second = (foveal.field(graph, "3", kind=kind) for graph in (mine, pooled))
    assert first.status == second.status
    assert first.method == second.method
    np.testing.assert_allclose(first.values, second.values, rtol=1e-12)
    own = [foveal.field(graph, "3", kind="energy", weights="squares").values for graph in (mine, pooled)]
    np.testing.assert_allclose(*own, rtol=1e-12)


def test_brute_force() -> None:
    teach(**DESCRIBED)
    assert extend.check(image_network(), (1, 2, 12, 32)).agrees


def test_cost() -> None:
    teach(**DESCRIBED)
    graph = traced(image_network(), 1, 2, 24, 96)
    cost = layer_cost(graph, graph.layer("2"))
    assert (cost.status, cost.value) == ("exact", 3 * 24 * 96 * TAPS)
    row = next(row for row in foveal.analyze(graph).layers if row.name == "2")
    assert row.multiply_adds == cost


def test_tiling() -> None:
    teach(**DESCRIBED)
    model = image_network()
    plan = tile(traced(model, 1, 2, 24, 96), tile=(24, 48))
    assert plan.exact, plan.obstacles
    assert plan.axes[1].need == (10, 1)
    check = plan.check(model, picture())
    assert check.largest <= 1e-12 * max(1.0, check.scale)
    thin = replace(plan.axes[1], halo=(plan.axes[1].halo[0] - plan.axes[1].multiple, plan.axes[1].halo[1]))
    thin = replace(thin, tile=thin.tile - thin.multiple)
    assert replace(plan, axes=(plan.axes[0], thin)).check(model, picture()).largest > 1e-6


def test_cropping() -> None:
    teach(**DESCRIBED)
    model = image_network()
    graph = traced(model, 1, 2, 24, 96)
    rf = foveal.receptive_field(graph, "3")
    crop = plan_crop(graph, [rf], [(6, 24)], lambda box: traced(model, 1, 2, *(b - a for a, b in box)))
    assert not isinstance(crop, str), crop


def test_streaming() -> None:
    teach(**DESCRIBED)
    found = audit(traced(stream_network(), 1, 2, 64), "streaming")
    numbers = dict(zip(found.table(NEEDS).column("quantity"), found.table(NEEDS).column("positions"), strict=True))
    assert (numbers["lookback"], numbers["lookahead"]) == (9, 1)
    past = {row[0]: row for row in found.table(BUFFERS).rows}
    assert past["2"][2:4] == ((TAPS - 1) * DELAY, (TAPS - 1) * DELAY * 3)


def test_known_zeros_pass() -> None:
    """A trait may ask what is known about operands: what reads zeros only is zero, and annuls what it multiplies."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0] * 10 + [1.0] * 22).reshape(1, 1, 32))

        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(-1) * Echoing()(x * self.mask)

    def status(**answers: Any) -> np.ndarray:
        teach(**DESCRIBED, **answers)
        return np.array(
            [foveal.receptive_field(traced(Masked(), 1, 1, 32), "output").box((i,), clip=True) for i in (5, 20)]
        )

    blind, seeing = status(), status(zero=lambda op, known: known.only_zeros_read())
    assert blind[0, 0].tolist() == [0, 6]
    assert seeing[0, 0, 0] == seeing[0, 0, 1]
    assert seeing[1].tolist() == blind[1].tolist() == [[0, 21]]


def test_without_traits_answers_are_sound() -> None:
    """The relation is believed; what else was not said is withheld, refused or a bound, with the operation named."""
    teach(**DESCRIBED)
    exact = foveal.field(traced(image_network(), 1, 2, 24, 96), "3", kind="paths")
    teach()
    model = image_network()
    graph = traced(model, 1, 2, 24, 96)
    assert np.array_equal(foveal.field(graph, "3", kind="paths").values, exact.values)
    assert layer_cost(graph, graph.layer("2")).status == "bound"
    assert foveal.analyze(graph).totals.multiply_adds.status == "bound"
    for weights in ("unit", "model", "squares"):
        with pytest.raises(FovealError, match=r"'energy' is not available here: .* at 2 has no fixed gain"):
            foveal.field(graph, "3", kind="energy", weights=weights)
    plan = tile(graph, tile=(24, 48))
    assert not plan.exact
    assert plan.obstacles == ("echo at 2: may know where a position stands",)
    reason = plan_crop(graph, [foveal.receptive_field(graph, "3")], [(6, 24)], lambda box: None)
    assert isinstance(reason, str)
    assert "at 2 may depend on the size of the source" in reason


def test_without_a_rule_it_is_a_bound_and_listed() -> None:
    teach(with_rule=False)
    graph = traced(image_network(), 1, 2, 24, 96)
    assert foveal.receptive_field(graph, "3").status == "bound"
    found = foveal.analyze(graph).findings
    assert [(item.code, item.layer) for item in found] == [("operation-without-rule", "2")]
    assert layer_cost(graph, graph.layer("2")).status == "bound"
    with pytest.raises(FovealError, match=r"no position along source axis 0 \(echo at 2\): it cannot be tiled"):
        tile(graph, tile=(24, 96))
    leak = audit(traced(stream_network(), 1, 2, 64), "streaming").findings[0]
    assert (leak.code, leak.severity) == ("STR01", "error")
    assert "may read everything" in leak.text


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(FovealError, match="unknown trait 'linear'; known: apply, alike, along"):
        extend.rule(Echo, linear=True)


def test_every_trait_is_told_about() -> None:
    """An operation of the vocabulary says all that a default would withhold, or withholds it on purpose."""
    from foveal.ir.rules.registry import TRAITS

    withheld = {kind for kind, known in TRAITS.items() if kind.__module__ == ops.__name__ and not known.gain(None)}
    assert withheld == {ops.Scan, ops.Sample, ops.Opaque}
    assert set(UNSAID) | {"apply"} == set(TRAITS[ops.Convolution].__dataclass_fields__)
