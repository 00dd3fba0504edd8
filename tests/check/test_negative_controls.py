"""Rules made wrong on purpose: the oracle must catch every one, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import nn
from torch.nn import functional as F

from foveal.ir import ops
from foveal.ir.relation import SAME, Read, Table
from foveal.ir.rules import registry
from foveal.testing import check
from support.drawn.random_steps import AxisMix, Branches, ChannelNorm, Do, Gate, WindowAttention
from support.networks import case_networks as nets

Change = Callable[[Any], Any]
MAP = (1, 2, 9, 12)


def rewritten(kind: type[ops.Operation], change: Change) -> dict[type[ops.Operation], registry.Rule]:
    """The rule of ``kind``, asked about another operation."""
    right = registry.RULES[kind]
    return {kind: lambda op, shapes, out, facts: right(change(op), shapes, out, facts)}


def identity(kind: type[ops.Operation]) -> dict[type[ops.Operation], registry.Rule]:
    """The output reads its own position of the first operand only: what an unknown operation is taken for elsewhere."""
    return {kind: lambda op, shapes, out, facts: (Read(0, registry.broadcast(shapes[0], out)),)}


def first_only(kind: type[ops.Operation]) -> dict[type[ops.Operation], registry.Rule]:
    """Only the first way of reading is kept."""
    right = registry.RULES[kind]
    return {kind: lambda op, shapes, out, facts: right(op, shapes, out, facts)[:1]}


def first_part_only(op: Any, shapes: registry.Shapes, out: registry.Shape, facts: Any) -> tuple[Read, ...]:
    """A concatenation that repeats its first operand."""
    index = (np.arange(out[op.axis]) % shapes[0][op.axis])[:, None]
    return (Read(0, (Table(op.axis, shapes[0][op.axis], out[op.axis], index, index),)),)


def blind(kind: type[ops.Operation]) -> dict[type[ops.Operation], registry.Rule]:
    """Known zeros are forgotten: the answer is too large."""
    right = registry.RULES[kind]
    return {kind: lambda op, shapes, out, facts: right(op, shapes, out, (registry.UNKNOWN,) * len(shapes))}


def swapped(op: Any) -> Any:
    return replace(op, padding=tuple((after, before) for before, after in op.padding))


def less_dilated(op: Any) -> Any:
    return replace(op, dilation=tuple(max(1, d - 1) for d in op.dilation))


def narrow(op: Any) -> Any:
    return replace(op, kernel=tuple(1 for _ in op.kernel))


def conv(**settings: Any) -> nn.Module:
    return nn.Conv2d(2, 2, **{"kernel_size": 3, "padding": 1, **settings})


CONTROLS: dict[str, tuple[Callable[[], dict[type[ops.Operation], registry.Rule]], Callable[[], nn.Module], Any]] = {
    "stride ignored": (
        lambda: rewritten(ops.Convolution, lambda op: replace(op, stride=(1, 1))), lambda: conv(stride=2), MAP),
    "dilation one less": (lambda: rewritten(ops.Convolution, less_dilated), lambda: conv(dilation=2), MAP),
    "padding sides swapped": (
        lambda: rewritten(ops.Convolution, swapped), lambda: nn.Conv2d(2, 2, 4, padding="same"), MAP),
    "padding ignored": (
        lambda: rewritten(ops.Convolution, lambda op: replace(op, padding=((0, 0),) * 2)), lambda: conv(), MAP),
    "axes swapped": (
        lambda: rewritten(ops.Convolution, lambda op: replace(op, kernel=op.kernel[::-1], padding=op.padding[::-1])),
        lambda: conv(kernel_size=(1, 5), padding=(0, 2)), MAP),
    "groups taken as one": (
        lambda: rewritten(ops.Convolution, lambda op: replace(op, groups=1)),
        lambda: nn.Sequential(
            Branches([nn.Conv2d(2, 1, 3, padding=1), nn.Conv2d(2, 1, 1)], "concatenate"), nn.Conv2d(2, 2, 1, groups=2)
        ), MAP),
    "pool as pointwise": (lambda: rewritten(ops.Pool, narrow), lambda: nn.MaxPool2d(2), MAP),
    "adaptive pool as identity": (lambda: identity(ops.AdaptivePool), lambda: nn.AdaptiveAvgPool2d(1), MAP),
    "transposed phases ignored": (
        lambda: rewritten(ops.TransposedConvolution, lambda op: replace(op, before=(0, 0))),
        nets.strided_and_back, MAP),
    "concatenation as its first part": (lambda: {ops.Concatenate: first_part_only}, nets.parallel, MAP),
    "addition as its first operand": (lambda: first_only(ops.Pointwise), nets.misaligned, MAP),
    "slice without its start": (
        lambda: rewritten(ops.Slice, lambda op: replace(op, start=0)), lambda: Do(lambda x: x[..., 3:], "cut"), MAP),
    "flip ignored": (lambda: identity(ops.Flip), lambda: Do(lambda x: x.flip(-1), "flip"), MAP),
    "roll the other way": (
        lambda: rewritten(ops.Roll, lambda op: replace(op, shifts=tuple(-s for s in op.shifts))),
        lambda: Do(lambda x: x.roll(2, -1), "roll"), MAP),
    "reflection as zeros": (
        lambda: rewritten(ops.Pad, lambda op: replace(op, mode="constant")),
        lambda: Do(lambda x: F.pad(x, (2, 2, 0, 0), mode="reflect"), "pad"), MAP),
    "corners aligned": (
        lambda: rewritten(ops.Resample, lambda op: replace(op, align_corners=True)),
        lambda: nn.Upsample(scale_factor=3, mode="bilinear"), MAP),
    "linear as nearest": (
        lambda: rewritten(ops.Resample, lambda op: replace(op, mode="nearest")),
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"), MAP),
    "antialias ignored": (
        lambda: rewritten(ops.Resample, lambda op: replace(op, antialias=False)),
        lambda: nets.resized(size=(3, 4), mode="bilinear", antialias=True), MAP),
    "gate left out": (lambda: identity(ops.Reduce), lambda: Gate(2), MAP),
    "group norm as batch norm": (lambda: identity(ops.Mix), lambda: nn.GroupNorm(1, 2), MAP),
    "permutation ignored": (
        lambda: identity(ops.Permute),
        lambda: nn.Sequential(Do(lambda x: x.transpose(2, 3), "swap"), conv()), (1, 2, 8, 8)),
    "matrix product as pointwise": (lambda: identity(ops.Contract), lambda: AxisMix(3, 12, 12, False), MAP),
    "triangular mask forgotten": (lambda: blind(ops.Contract), lambda: AxisMix(3, 12, 12, True), MAP),
    "window mask forgotten": (
        lambda: {**blind(ops.Contract), **blind(ops.Mix)},
        lambda: WindowAttention(4, (16,), (4,), (2,), masked=True), (1, 4, 16)),
    "running sum as pointwise": (lambda: identity(ops.Scan), lambda: Do(lambda x: x.cumsum(-1), "cumsum"), MAP),
    "running sum from the end": (
        lambda: rewritten(ops.Scan, lambda op: replace(op, direction="backward")),
        lambda: Do(lambda x: x.cumsum(-1), "cumsum"), MAP),
}  # fmt: skip


@pytest.fixture(autouse=True)
def fresh_rules() -> Iterator[None]:
    """Answers of wrong rules must not outlive the test."""
    registry._cached_reads.cache_clear()
    yield
    registry._cached_reads.cache_clear()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", CONTROLS)
def test_a_wrong_rule_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_rules, make_model, shape = CONTROLS[name]
    model, axes = make_model(), tuple(range(2, len(shape)))
    assert check(model, shape, axes=axes).agrees
    for kind, wrong in make_rules().items():
        monkeypatch.setitem(registry.RULES, kind, wrong)
    registry._cached_reads.cache_clear()
    try:
        found = check(model, shape, rounds=3, axes=axes)
    except (ValueError, IndexError, AssertionError):
        return  # shapes that no longer fit are a way of being caught
    assert not found.agrees


def test_an_unknown_operation_is_a_bound_and_never_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the rule of pooling the answer is everything; it holds as a bound, not as an exact value."""
    monkeypatch.delitem(registry.RULES, ops.Pool)
    registry._cached_reads.cache_clear()
    found = check(nn.MaxPool2d(2), MAP, rounds=3)
    assert all(m.predicted is not None and m.measured is not None for m in found.mismatches)
    assert all(m.predicted[0] <= m.measured[0] and m.measured[1] <= m.predicted[1] for m in found.mismatches)


def test_channel_norm_is_not_global() -> None:
    """The control of the controls: a norm over channels only must not be flagged."""
    assert check(ChannelNorm(4), (1, 4, 6, 7)).agrees
    assert SAME == ()
