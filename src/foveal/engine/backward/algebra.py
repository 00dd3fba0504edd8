"""The (add, multiply) pairs that a backward pass can run with.

A flow is an array over a value: what each element contributes to one unit. Like a hull it has length 1 along axes that
do not matter and may hold runs of alike elements; adding up over an axis therefore needs to know how often an element
counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Runs = dict[int, tuple[int, ...]]
Crop = dict[int, tuple[int, int]]
"""Axis to the first position that is held, and the whole length (:mod:`foveal.engine.backward.cropped`)."""


@dataclass(frozen=True, eq=False, slots=True)
class Flow:
    """Contributions of a value's elements to the unit; ``scale`` is the natural logarithm of a factor taken out."""

    data: np.ndarray
    runs: Runs
    scale: float = 0.0
    crop: Crop = field(default_factory=dict)


@dataclass(frozen=True)
class Algebra:
    """One (add, multiply) pair.

    multiplicity(n, role): how often an element counts that stands for n alike ones along an axis of that role ("s"
    position, "c" feature, "b" batch). weigh: whether gains and tap weights multiply, squared, as second moments do.
    """

    name: str
    dtype: type
    multiplicity: Callable[[int, str], int]
    weigh: bool = False

    @property
    def logical(self) -> bool:
        """Whether adding is "or"."""
        return self.dtype in (bool, np.uint64)

    def total(self, flow: Flow, axis: int, n: int, role: str) -> Flow:
        """Add up along an axis of ``n`` elements; the axis stays with length 1."""
        data, runs = flow.data, flow.runs.get(axis)
        if data.shape[axis] == 1 and runs is None:
            times = self.multiplicity(n, role)
            return flow if times == 1 or self.logical else replace(flow, data=self.times(data, times))
        if self.logical:
            result = either(data, axis, keepdims=True)
        elif runs is not None:
            counts = np.array([self.multiplicity(int(m), role) for m in np.diff((0, *runs))])
            along = counts.reshape((-1,) + (1,) * (data.ndim - axis - 1))
            result = self.times(data, along).sum(axis=axis, keepdims=True)
        else:
            result = self.safe(data, data.shape[axis]).sum(axis=axis, keepdims=True)
        return Flow(result, {a: e for a, e in flow.runs.items() if a != axis}, flow.scale)

    def times(self, data: np.ndarray, factor: Any) -> np.ndarray:
        """Multiply; whole numbers become floating point before they could overflow."""
        largest = float(np.max(factor)) * max(1, data.shape[-1] if data.ndim else 1)
        return np.asarray(self.safe(data, largest) * factor)

    def safe(self, data: np.ndarray, growth: float) -> np.ndarray:
        """The data, as floating point where whole numbers times ``growth`` might not fit."""
        if data.dtype.kind in "iu" and data.size and float(np.abs(data).max()) * growth >= 2.0**62:
            return data.astype(np.float64)
        return data

    def add(self, a: Flow | None, b: Flow) -> Flow:
        """Contributions by two ways."""
        if a is None:
            return b
        x, y = _same_scale(a, b)
        x, y = _same_runs(x, y)
        if self.logical:
            return Flow(x.data | y.data, x.runs)
        if {x.data.dtype.kind, y.data.dtype.kind} != {"i"}:
            return Flow(x.data + y.data, x.runs, x.scale)
        return Flow(self.safe(x.data, 2) + self.safe(y.data, 2), x.runs, x.scale)

    def rescaled(self, flow: Flow) -> Flow:
        """Keep floating point numbers near one; the factor goes into ``scale``."""
        if flow.data.dtype.kind != "f" or not flow.data.size:
            return flow
        largest = max(float(flow.data.max()), -float(flow.data.min()))
        if largest == 0 or 1e-100 < largest < 1e100:
            return flow
        return replace(flow, data=flow.data / largest, scale=flow.scale + float(np.log(largest)))


SUPPORT = Algebra("support", bool, lambda n, role: 1)
SETS = Algebra("support of 64 units", np.uint64, lambda n, role: 1)
"""Each bit is the support of a unit of its own."""
PATHS = Algebra("paths", np.int64, lambda n, role: n if role == "s" else 1)
ENERGY = Algebra("energy", np.float64, lambda n, role: 1 if role == "b" else n, weigh=True)


def either(data: np.ndarray, axis: int, keepdims: bool = False) -> np.ndarray:
    """ "Or" along an axis."""
    if data.dtype == bool:
        return np.asarray(data.any(axis=axis, keepdims=keepdims))
    joined = np.asarray(np.bitwise_or.reduce(data, axis=axis))
    return np.expand_dims(joined, axis) if keepdims else joined


def dense(flow: Flow, axis: int, n: int) -> Flow:
    """The flow with the axis at its own length."""
    runs = flow.runs.get(axis)
    if runs is not None:
        data = np.repeat(flow.data, np.diff((0, *runs)), axis=axis)
        return Flow(data, {a: e for a, e in flow.runs.items() if a != axis}, flow.scale)
    if flow.data.shape[axis] == n:
        return flow
    shape = list(flow.data.shape)
    shape[axis] = n
    return replace(flow, data=np.broadcast_to(flow.data, shape))


def with_runs(flow: Flow, axis: int) -> Flow:
    """The flow with alike neighbours along an axis gathered into runs."""
    n = flow.data.shape[axis]
    if n == 1 or axis in flow.runs:
        return flow
    rest = np.moveaxis(flow.data, axis, 0).reshape(n, -1)
    ends = np.append(np.flatnonzero((rest[1:] != rest[:-1]).any(axis=1)) + 1, n)
    if ends.size == 1:
        return replace(flow, data=flow.data.take([0], axis=axis))
    if ends.size == n:
        return flow
    return Flow(flow.data.take(ends - 1, axis=axis), {**flow.runs, axis: tuple(int(e) for e in ends)}, flow.scale)


def _same_scale(a: Flow, b: Flow) -> tuple[Flow, Flow]:
    if a.scale == b.scale:
        return a, b
    scale = max(a.scale, b.scale)
    return tuple(  # type: ignore[return-value]
        f if f.scale == scale else Flow(f.data * np.exp(f.scale - scale), f.runs, scale) for f in (a, b)
    )


def _same_runs(a: Flow, b: Flow) -> tuple[Flow, Flow]:
    for axis in a.runs.keys() | b.runs.keys():
        p, q = a.runs.get(axis), b.runs.get(axis)
        if p == q:
            continue
        n = (p or q or (1,))[-1]
        p = p or ((n,) if a.data.shape[axis] == 1 else tuple(range(1, n + 1)))
        q = q or ((n,) if b.data.shape[axis] == 1 else tuple(range(1, n + 1)))
        ends = tuple(sorted(set(p) | set(q)))
        a, b = (_refined(f, axis, own, ends) for f, own in ((a, p), (b, q)))
    return a, b


def _refined(flow: Flow, axis: int, own: tuple[int, ...], ends: tuple[int, ...]) -> Flow:
    index = np.searchsorted(np.array(own), np.array(ends), side="left")
    return Flow(flow.data.take(index, axis=axis), {**flow.runs, axis: ends}, flow.scale)
