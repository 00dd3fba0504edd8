"""Squared weights at work: how a convolution, a transposed convolution and a linear layer carry squared gradients back.

``squares`` are the squared weights in the operation's own layout. With ``whole`` each weight counts, channel by
channel; without it they are averaged over channels first, so that channels stay alike and one weight per tap is left.
"""

from __future__ import annotations

from itertools import product as product_of
from typing import NamedTuple

import numpy as np

from foveal.engine.backward.adjoint import adjoint
from foveal.engine.backward.algebra import ENERGY, Flow, dense
from foveal.engine.backward.stages import Stage
from foveal.engine.forward.bounds import bounds
from foveal.engine.roles import roles
from foveal.ir import relation as rel
from foveal.ir.graph import Graph, Node
from foveal.ir.traits import Product, Window

Shape = tuple[int, ...]


class Way(NamedTuple):
    """Where taps lead, per spatial axis: lengths of the operand, strides, offset of tap t = t * dilation - before.

    forward: output o came from o * stride + offset (convolution); else operand i went to i * stride + offset.
    """

    lengths: Shape
    stride: Shape
    dilation: Shape
    before: Shape
    forward: bool


def convolved(
    window: Window, squares: np.ndarray, flow: Flow, path: tuple[Stage, ...], shape: Shape, whole: bool
) -> Flow:
    """Back through a convolution, or a transposed one, to its input of ``shape``."""
    first, groups = len(shape) - len(window.kernel), window.groups
    before = tuple(low for low, _ in window.padding)
    way = Way(shape[first:], window.stride, window.dilation, before, not window.transposed)
    flow = _out_dense(flow, path, first)
    if not whole:
        flow = _channels_added(flow, path)
        squares, groups = squares.mean(axis=(0, 1), keepdims=True, dtype=np.float64), 1
    elif window.transposed:
        # (C, O / groups) to the layout of a convolution, (O, C / groups)
        parts = squares.reshape(groups, -1, *squares.shape[1:])
        squares = np.concatenate([part.swapaxes(0, 1) for part in parts])
    return _over_taps(flow, squares, groups, way)


def contracted(
    product: Product, operand: int, squares: np.ndarray, flow: Flow, graph: Graph, node: Node, whole: bool
) -> Flow:
    """Back through a sum of products with a parameter to the operand that carries the signal."""
    mine, other, out = product.labels[operand], product.labels[1 - operand], product.out
    lengths = dict(zip(mine, graph.values[node.inputs[operand]].shape, strict=True))
    lengths |= {label: n for label, n in zip(other, squares.shape, strict=True) if n > 1 or label not in lengths}
    placed = _positional(graph, node, operand, mine, out)
    kinds = roles(graph)[node.output]
    for axis, label in enumerate(out):
        if label in other and (whole or label in placed):
            flow = dense(flow, axis, lengths[label])
        elif label not in mine:
            flow = ENERGY.total(flow, axis, lengths[label], kinds[axis])
        elif axis in flow.runs:
            flow = dense(flow, axis, lengths[label])
    if not whole:
        merged = tuple(axis for axis, label in enumerate(other) if label not in placed)
        squares = squares.mean(axis=merged, keepdims=True, dtype=np.float64) if merged else squares
    data, squares, scale = _single(flow.data, squares) if whole else (flow.data, squares, 0.0)
    names = {label: i for i, label in enumerate(dict.fromkeys((*mine, *other, *out)))}
    present = [label for label in mine if label in other or label in out]
    data = np.einsum(
        squares, [names[x] for x in other], data, [names[x] for x in out], [names[x] for x in present],
        optimize=True,
    )  # fmt: skip
    index = tuple(slice(None) if label in present else None for label in mine)
    return Flow(np.asarray(data[index]), {}, flow.scale + scale)


def _single(data: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Both in single precision, the contributions relative to the largest; and its logarithm. What is lost is below
    1e-38 of it.
    """
    peak = float(data.max(initial=0)) or 1.0
    return np.asarray(data / peak, dtype=np.float32), squares.astype(np.float32, copy=False), float(np.log(peak))


def _over_taps(flow: Flow, squares: np.ndarray, groups: int, way: Way) -> Flow:
    """Sum over taps of the moved contributions, weighted; channels are mixed where ``squares`` has them.

    Only the box that holds anything is worked on. Products of channels are in single precision.
    """
    taps = squares.shape[2:]
    mixing = squares.shape[0] > 1 or squares.shape[1] > 1
    data = dense(flow, 1, squares.shape[0]).data if mixing else flow.data
    first = data.ndim - len(taps)
    data, start = _cropped(data, first)
    data, squares, scale = _single(data, squares) if mixing else (data, squares, 0.0)
    depthwise = groups == data.shape[1] and squares.shape[1] == 1
    every = _every_tap(data, squares, groups) if mixing and not depthwise else None
    channels = squares.shape[1] * groups if mixing else data.shape[1]
    result = np.zeros((data.shape[0], channels, *way.lengths), dtype=data.dtype)
    flat = squares.reshape(*squares.shape[:2], -1)
    for number, tap in enumerate(product_of(*(range(k) for k in taps))):
        routes = [_route(way, i, t, start[i], data.shape[first + i]) for i, t in enumerate(tap)]
        weight = flat[:, :, number]
        if any(route is None for route in routes):
            continue
        target, origin = zip(*[route for route in routes if route is not None], strict=True)
        part = (data if every is None else every[number])[(slice(None), slice(None), *origin)]
        if depthwise and mixing:
            part = part * weight.reshape(-1, *[1] * len(taps))
        moved = part if mixing else part * float(weight[0, 0])
        result[(slice(None), slice(None), *target)] += moved
    runs = {axis: ends for axis, ends in flow.runs.items() if axis != 1 or not mixing}
    return Flow(result, runs, flow.scale + scale)


def _cropped(data: np.ndarray, first: int) -> tuple[np.ndarray, list[int]]:
    """The box of spatial positions that holds anything, and where it starts."""
    filled: np.ndarray = np.logical_or.reduce(data != 0, axis=tuple(range(first)))
    start = []
    for axis in range(filled.ndim):
        used = np.flatnonzero(filled.any(axis=tuple(a for a in range(filled.ndim) if a != axis)))
        low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
        data = data[(slice(None),) * (first + axis) + (slice(low, high),)]
        start.append(low)
    return data, start


def _route(way: Way, i: int, tap: int, start: int, count: int) -> tuple[slice, slice] | None:
    """Which operand positions take which of the ``count`` outputs from ``start`` on, for one tap; None for none."""
    n, stride = way.lengths[i], way.stride[i]
    offset = tap * way.dilation[i] - way.before[i]
    offset, steps, room = (offset + start * stride, count, n) if way.forward else (offset - start, n, count)
    low, high = max(0, -(offset // stride)), min(steps, (room - 1 - offset) // stride + 1)
    if high <= low:
        return None
    begin = offset + low * stride
    strided, single = slice(begin, begin + (high - low - 1) * stride + 1, stride), slice(low, high)
    return (strided, single) if way.forward else (single, strided)


def _every_tap(data: np.ndarray, squares: np.ndarray, groups: int) -> np.ndarray:
    """For each tap the sum over the output channels of each group: (N, O, ...) to (taps, N, C, ...), in one product."""
    n, channels, *space = data.shape
    blocked = data.reshape(n, groups, channels // groups, -1)
    weights = squares.reshape(groups, channels // groups, -1).swapaxes(1, 2)  # each row an input channel and a tap
    moved = (weights[None] @ blocked).reshape(n, groups * squares.shape[1], -1, *space)
    return np.moveaxis(moved, 2, 0)


def _out_dense(flow: Flow, path: tuple[Stage, ...], first: int) -> Flow:
    after = path[-1].after if path else ()
    for axis in range(first, len(after)):
        flow = dense(flow, axis, after[axis])
    return flow


def _channels_added(flow: Flow, path: tuple[Stage, ...]) -> Flow:
    """Back through the steps of a window's relation that concern channels."""
    kept = tuple(stage for stage in path if isinstance(stage.step, rel.Blocks))
    return adjoint(tuple(stage.step for stage in kept), flow, kept, ENERGY)


def _positional(graph: Graph, node: Node, operand: int, mine: Shape, out: Shape) -> set[int]:
    """Labels along which positions differ, so that each weight counts even where channels are alike."""
    value = node.inputs[operand]
    kinds, found = roles(graph), set()
    for axis, label in enumerate(mine):
        boxes = [box for state in bounds(graph).states[value].values() for box in state.strict]
        if kinds[value][axis] == "s" or any(hull.lengths[axis] > 1 for box in boxes for hull in box):
            found.add(label)
    return found | {label for axis, label in enumerate(out) if kinds[node.output][axis] == "s"}
