"""Convolution taps that only ever meet padding at the size the network was traced for (docs/cases.md C22)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from foveal.ir.graph import Graph, Node
from foveal.ir.rules import traits
from foveal.ir.traits import Window


@dataclass(frozen=True)
class IdleTaps:
    """A convolution some of whose taps read padding at every output position.

    layer: the module it runs in; kernel and dilation: per axis, slowest first; live: per axis how many taps read a real
    position somewhere; shape: lengths of the map it reads.
    """

    layer: str
    kernel: tuple[int, ...]
    dilation: tuple[int, ...]
    live: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def idle(self) -> int:
        """Taps of the kernel that never read a real position."""
        return prod(self.kernel) - prod(self.live)

    def __str__(self) -> str:
        kernel, shape = "x".join(map(str, self.kernel)), "x".join(map(str, self.shape))
        spread = f" with dilation {'x'.join(map(str, self.dilation))}" if max(self.dilation) > 1 else ""
        return f"{self.idle} of {prod(self.kernel)} taps ({kernel}{spread}) meet only padding on a {shape} map"


def idle_taps(graph: Graph, value: int) -> tuple[IdleTaps, ...]:
    """The convolutions on the way to ``value`` with idle taps, in order of execution.

    Zero padding counts whether the convolution or a constant pad just before it puts it there.
    """
    producers = graph.producers()
    behind, stack = {value}, [value]
    while stack:
        node = producers.get(stack.pop())
        fresh = [] if node is None else [i for i in node.inputs if i not in behind]
        behind.update(fresh)
        stack += fresh
    found = []
    for node in graph.nodes:
        window = traits(node.op).convolution(node.op) if node.output in behind else None
        if window is not None:
            taps = _of(graph, node, window, producers)
            if taps.idle:
                found.append(taps)
    return tuple(found)


def _of(graph: Graph, node: Node, op: Window, producers: dict[int, Node]) -> IdleTaps:
    axes = len(op.kernel)
    shape, out = graph.values[node.inputs[0]].shape[-axes:], graph.values[node.output].shape[-axes:]
    before_it = producers.get(node.inputs[0])
    padding = None if before_it is None else traits(before_it.op).pads(before_it.op)
    widths = ((0, 0),) * axes
    if padding is not None and padding.constant:
        widths = tuple((max(a, 0), max(b, 0)) for a, b in padding.widths[-axes:])
    live = tuple(_live(op, axis, shape[axis], out[axis], widths[axis]) for axis in range(axes))
    real = tuple(n - a - b for n, (a, b) in zip(shape, widths))
    return IdleTaps(node.scope, op.kernel, op.dilation, live, real)


def _live(op: Window, axis: int, length: int, outputs: int, widths: tuple[int, int]) -> int:
    """Taps along ``axis`` that read a position between the paddings for at least one output."""
    first = np.arange(outputs) * op.stride[axis] - op.padding[axis][0]
    places = first[:, None] + np.arange(op.kernel[axis]) * op.dilation[axis]
    inside = (places >= widths[0]) & (places < length - widths[1])
    return int(inside.any(axis=0).sum())
