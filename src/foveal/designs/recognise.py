"""A traced network as data of the design space: its stem, its stages of blocks, its classes.

Only what the space can say is recognised: a stem, then blocks one after the other (``network``), then pooling and a
linear layer. Fields and multiply-adds of the recognised network are compared with those of the trace; anything else is
refused with the layer at which it stops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from foveal.core.errors import FovealError
from foveal.designs.closed.evaluate import evaluate
from foveal.designs.network import Head, Network, Stage, Stem, fault
from foveal.engine.cost import multiply_adds
from foveal.engine.forward.bounds import bounds
from foveal.fields.receptive_field import receptive_field
from foveal.ir import ops
from foveal.ir.graph import Graph, Node
from foveal.ir.rules import traits
from foveal.ir.traits import Window

ENDS = (ops.AdaptivePool, ops.Reduce, ops.Contract, ops.Reshape)


@dataclass(frozen=True)
class Block:
    """One block, or (kind "pool") a pooling of that kernel and stride."""

    kind: str
    width: int = 0
    kernel: int = 1
    stride: int = 1
    dilation: int = 1


def recognise(graph: Graph) -> Network:
    """The network of a graph; raises FovealError where it is not of the design space."""
    walk = _Walk(graph)
    blocks, end = walk.blocks()
    network = _assembled(graph, blocks)
    wrong = fault(network)
    if wrong:
        raise _refused(graph, wrong)
    _compare(graph, network, end)
    return network


class _Walk:
    """Follows the one path of blocks; maps that move nothing are stepped over."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        states = bounds(graph).states
        self.root: dict[int, int] = {graph.sources[0].value: graph.sources[0].value}
        self.readers: dict[int, list[tuple[Node, tuple[int, ...]]]] = {}
        for node in graph.nodes:
            signals = tuple(self.root[i] for i in node.inputs if i in states and i in self.root)
            if not signals:
                continue
            if isinstance(node.op, ops.Pointwise | ops.Mix) and len(signals) == 1:
                self.root[node.output] = signals[0]
                continue
            self.root[node.output] = node.output
            for signal in dict.fromkeys(signals):
                self.readers.setdefault(signal, []).append((node, signals))

    def blocks(self) -> tuple[list[Block], int]:
        """All blocks and the value after the last one."""
        found: list[Block] = []
        value = self.graph.sources[0].value
        while True:
            readers = [node for node, _ in self.readers.get(value, [])]
            if not readers or all(isinstance(node.op, ENDS) for node in readers):
                return found, value
            block, value = self._block(value, readers)
            found.append(block)

    def _block(self, value: int, readers: list[Node]) -> tuple[Block, int]:
        convs = [node for node in readers if _convolution(node)]
        if len(readers) == 1 and isinstance(readers[0].op, ops.Pool):
            op = readers[0].op
            if op.name != "max" or op.padding[0] not in ((0, 0), (1, 1)):
                raise _refused(self.graph, f"the pooling at {readers[0].scope}")
            return Block("pool", 0, op.kernel[0], op.stride[0], op.padding[0][0]), readers[0].output
        if len(readers) == 1 and convs:
            return self._single(convs[0])
        return self._residual(value, readers, convs)

    def _single(self, node: Node) -> tuple[Block, int]:
        op, width = self._conv(node)
        if op.groups == 1:
            return Block("plain", width, op.kernel[0], op.stride[0], op.dilation[0]), node.output
        after = [n for n, _ in self.readers.get(node.output, [])]
        if op.groups == width and len(after) == 1 and _convolution(after[0]):
            mixed, outputs = self._conv(after[0])
            if mixed.kernel[0] == 1 and mixed.groups == 1:
                return Block("separable", outputs, op.kernel[0], op.stride[0], op.dilation[0]), after[0].output
        raise _refused(self.graph, f"the grouped convolution at {node.scope}")

    def _residual(self, value: int, readers: list[Node], convs: list[Node]) -> tuple[Block, int]:
        for start in convs:
            path, value_now = [start], start.output
            while True:
                after = self.readers.get(value_now, [])
                if len(after) != 1:
                    break
                node, signals = after[0]
                if _convolution(node):
                    path.append(node)
                    value_now = node.output
                    continue
                if traits(node.op).joins(node.op) == "sum" and len(signals) == 2:
                    other = signals[0] if signals[1] == value_now else signals[1]
                    shortcut = [n for n in convs if n is not start and n.output == other]
                    if (other == value or shortcut) and not (shortcut and self._conv(shortcut[0])[0].kernel[0] > 1):
                        return self._named(path), node.output
                break
        where = readers[0].scope if readers else "the input"
        raise _refused(self.graph, f"the branches at {where}")

    def _named(self, path: list[Node]) -> Block:
        made = [self._conv(node) for node in path]
        kernels = [op.kernel[0] for op, _ in made]
        groups = [op.groups for op, _ in made]
        strides = [op.stride[0] for op, _ in made]
        width = made[-1][1]
        if len(made) == 1 and groups == [1]:
            return Block("dilated", width, kernels[0], strides[0], made[0][0].dilation[0])
        if len(made) == 2 and groups == [1, 1] and kernels[0] == kernels[1] and strides[1] == 1:
            return Block("residual", width, kernels[0], strides[0], made[0][0].dilation[0])
        inner = made[0][1]
        narrow = groups == [1, 1, 1] and kernels[0] == kernels[2] == 1 and 4 * inner == width
        if narrow and strides[0] == strides[2] == 1 and made[1][1] == inner:
            return Block("bottleneck", width, kernels[1], strides[1], made[1][0].dilation[0])
        if len(made) == 3 and groups[0] == inner == width and made[1][1] == 4 * width and kernels[1:] == [1, 1]:
            return Block("large", width, kernels[0], strides[0], made[0][0].dilation[0])
        raise _refused(self.graph, f"the block at {path[0].scope}")

    def _conv(self, node: Node) -> tuple[Window, int]:
        op = _convolution(node)
        assert op is not None
        if any(len(set(numbers)) > 1 for numbers in (op.kernel, op.stride, op.dilation)):
            raise _refused(self.graph, f"the unequal axes at {node.scope}")
        return op, self.graph.values[node.output].shape[1]


def _convolution(node: Node) -> Window | None:
    return traits(node.op).convolution(node.op)


def _assembled(graph: Graph, blocks: list[Block]) -> Network:
    shape = graph.values[graph.sources[0].value].shape
    stem, rest = Stem(width=0), list(blocks)
    if rest and rest[0].kind == "plain" and rest[0].dilation == 1:
        first = rest.pop(0)
        stem = Stem(first.kernel, first.stride, first.width)
        if rest and rest[0] == Block("pool", 0, 3, 2, 1):
            stem, rest = replace(stem, pool=True), rest[1:]
    stages: list[Stage] = []
    pooled = 1
    for block in rest:
        if block.kind == "pool":
            if block.kernel != block.stride or block.dilation:
                raise _refused(graph, f"a pooling of {block.kernel} with stride {block.stride} inside the stages")
            if pooled > 1:
                stages.append(Stage("plain", 4, 0, 1, pooled, (1,), True))
            pooled = block.stride
            continue
        last = stages[-1] if stages else None
        alike = last is not None and (last.block, last.width, last.kernel) == (block.kind, block.width, block.kernel)
        if last is not None and alike and block.stride == 1 and pooled == 1:
            stages[-1] = replace(last, count=last.count + 1, dilation=(*last.dilation, block.dilation))
        else:
            stride = max(block.stride, pooled)
            stages.append(Stage(block.kind, block.width, 1, block.kernel, stride, (block.dilation,), pooled > 1))
            pooled = 1
    if pooled > 1:
        stages.append(Stage("plain", 4, 0, 1, pooled, (1,), True))
    stages = [replace(s, dilation=s.dilation[:1]) if len(set(s.dilation)) == 1 else s for s in stages]
    classes = [graph.values[n.output].shape[-1] for n in graph.nodes if traits(n.op).product(n.op)]
    head = Head("classification", classes[-1] if classes else 10)
    return Network(tuple(shape[1:]), stem, tuple(stages), head=head, name=graph.name.split(":")[-1] or "network")


def _compare(graph: Graph, network: Network, end: int) -> None:
    """The recognised network and the traced one up to the pooling: field and multiply-adds of convolutions."""
    found = evaluate(network)
    layer = next((name for name, own in graph.layer_table.items() if own.value == end), None)
    if layer is not None:
        size = receptive_field(graph, layer).size
        if any(own is not None and own != found.levels[0].size for own in size):
            raise _refused(graph, f"its field at {layer} is {size}, that of the blocks {found.levels[0].size}")
    costs = multiply_adds(graph)
    outputs = {node.output for node in graph.nodes if _convolution(node)}
    traced = sum(count for value, count in costs.items() if value in outputs)
    last_width = next((s.width for s in reversed(network.stages) if s.count), network.stem.width)
    linear = last_width * network.head.classes
    if traced != found.multiply_adds - linear:
        raise _refused(
            graph, f"its convolutions cost {traced:,} multiply-adds, the blocks {found.multiply_adds - linear:,}"
        )


def _refused(graph: Graph, what: str) -> FovealError:
    return FovealError(
        f"{graph.name} is not made of the design space's blocks: {what}; write the network as YAML (docs/design.md)"
    )
