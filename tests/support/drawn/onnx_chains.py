"""Random chains of ONNX operators with random attributes: one number, one file, every value an output."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

OPSET = 19
LARGEST = 6000
"""Elements a value may have."""


@dataclass
class Chain:
    """A network as it grows: the value that goes on, its shape, and what is written to the file."""

    rng: random.Random
    shape: tuple[int, ...]
    value: str = "x"
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weights(self, *shape: int) -> str:
        draw = np.random.default_rng(self.rng.randrange(1 << 30))
        return self.constant((draw.uniform(0.5, 1.5, shape) * draw.choice([-1, 1], shape)).astype(np.float32))

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, [self.value, *inputs], names, **given))
        self.value = names[self.rng.randrange(outputs)]
        return self.value

    @property
    def space(self) -> tuple[int, ...]:
        return self.shape[2:]

    @property
    def rank(self) -> int:
        return len(self.space)

    def each(self, *choices: Any) -> list[Any]:
        """One of the choices per spatial axis."""
        return [self.rng.choice(choices) for _ in self.space]


Step = Callable[[Chain], None]
STEPS: list[Step] = []


def step(function: Step) -> Step:
    STEPS.append(function)
    return function


def _padding(c: Chain, most: int) -> dict[str, Any]:
    auto = c.rng.choice([None, None, "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    explicit = auto in (None, "NOTSET")
    return {"auto_pad": auto, "pads": c.each(*range(most + 1)) + c.each(*range(most + 1)) if explicit else None}


@step
def convolution(c: Chain) -> None:
    kernel, groups = c.each(1, 2, 3, 4), c.rng.choice([1, 1, c.shape[1]])
    width = groups * c.rng.choice([1, 2])
    c.node("Conv", c.weights(width, c.shape[1] // groups, *kernel), kernel_shape=c.rng.choice([None, kernel]),
           strides=c.each(1, 1, 2, 3), dilations=c.each(1, 1, 2), group=groups, **_padding(c, 3))  # fmt: skip


@step
def transposed(c: Chain) -> None:
    kernel, strides = c.each(1, 2, 3, 4), c.each(1, 2, 3)
    more = [c.rng.randrange(s) for s in strides]
    how = c.rng.choice(["pads", "auto", "shape"])
    extra: dict[str, Any] = {"pads": c.each(0, 1) + c.each(0, 1), "output_padding": more} if how == "pads" else {}
    if how == "auto":
        extra = {"auto_pad": c.rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])}
    if how == "shape":
        extra = {"output_shape": [n * s + c.rng.choice([0, 0, 1]) for n, s in zip(c.space, strides, strict=True)],
                 "auto_pad": c.rng.choice([None, "SAME_UPPER", "SAME_LOWER"])}  # fmt: skip
    c.node("ConvTranspose", c.weights(c.shape[1], 2, *kernel), strides=strides, dilations=c.each(1, 1, 2), **extra)


@step
def pool(c: Chain) -> None:
    kind = c.rng.choice(["MaxPool", "AveragePool", "LpPool"])
    more: dict[str, Any] = {"dilations": c.each(1, 1, 2), "ceil_mode": c.rng.choice([0, 1])}
    if kind == "AveragePool":
        more["count_include_pad"] = c.rng.choice([0, 1])
    if kind == "LpPool":
        more = {}
    c.node(kind, kernel_shape=c.each(2, 3), strides=c.each(1, 2, 3), **more, **_padding(c, 1))


@step
def resize(c: Chain) -> None:
    mode = c.rng.choice(["nearest", "linear", "cubic"])
    way = c.rng.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"])
    more: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": way}
    if mode == "nearest":
        more["nearest_mode"] = c.rng.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
    if mode == "cubic":
        more["cubic_coeff_a"] = c.rng.choice([-0.75, -0.5])
        more["exclude_outside"] = c.rng.choice([0, 1])
    if mode != "nearest" and c.rng.random() < 0.25:
        more["antialias"] = 1
    if mode == "cubic" and c.rank != 2:
        return
    if c.rng.random() < 0.5:
        ratio = [0.5, 0.6, 1.0, 1.3, 1.5, 2.0, 2.5, 3.0, 1 / 3, 0.3333333, c.rng.uniform(0.3, 3), c.rng.uniform(0.3, 3)]
        scales = [1.0, 1.0, *c.each(*ratio)]
        c.node("Resize", "", c.constant(np.array(scales, np.float32)), **more)
    else:
        sizes = [*c.shape[:2], *(max(1, n + c.rng.randint(-n // 2, n)) for n in c.space)]
        c.node("Resize", "", "", c.constant(np.array(sizes, np.int64)), **more)


@step
def pad(c: Chain) -> None:
    mode = c.rng.choice(["constant", "reflect", "edge", "wrap"])
    low = -1 if mode == "constant" else 0
    ends = [[0, 0, *c.each(*range(low, 3))] for _ in range(2)]
    if min(c.space) > 3:
        c.node("Pad", c.constant(np.array(ends[0] + ends[1], np.int64)), mode=mode)


@step
def cut(c: Chain) -> None:
    axis = 2 + c.rng.randrange(c.rank)
    n, stride = c.shape[axis], c.rng.choice([1, 1, 2, 3, -1, -2])
    start, end = sorted((c.rng.randrange(n), c.rng.randrange(n + 1)))
    if stride < 0:
        start, end = end, start - 1 if start else -(1 << 40)
    c.node("Slice", *(c.constant(np.array([i], np.int64)) for i in (start, end, axis, stride)))


@step
def gather(c: Chain) -> None:
    axis = 2 + c.rng.randrange(c.rank)
    n = c.shape[axis]
    c.node(
        "Gather", c.constant(np.array([c.rng.randint(-n, n - 1) for _ in range(c.rng.randint(2, n + 2))])), axis=axis
    )


@step
def gather_elements(c: Chain) -> None:
    axis = 2 + c.rng.randrange(c.rank)
    index = np.random.default_rng(c.rng.randrange(1 << 30)).integers(0, c.shape[axis], c.shape)
    c.node("GatherElements", c.constant(index), axis=axis)


@step
def scatter(c: Chain) -> None:
    axis = 2 + c.rng.randrange(c.rank)
    index = np.random.default_rng(c.rng.randrange(1 << 30)).permuted(
        np.broadcast_to(
            np.arange(c.shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(c.shape))]), c.shape
        ),
        axis=axis,
    )
    c.node("ScatterElements", c.constant(index), c.value, axis=axis, reduction=c.rng.choice([None, "add", "none"]))


@step
def shuffle(c: Chain) -> None:
    order = [0, 1, *c.rng.sample(range(2, 2 + c.rank), c.rank)]
    c.node("Transpose", perm=order)


@step
def blocks(c: Chain) -> None:
    if c.rank == 2 and c.shape[1] % 4 == 0:
        c.node("DepthToSpace", blocksize=2, mode=c.rng.choice([None, "DCR", "CRD"]))
    elif c.rank == 2 and all(n % 2 == 0 for n in c.space):
        c.node("SpaceToDepth", blocksize=2)


@step
def pointwise(c: Chain) -> None:
    c.node(c.rng.choice(["Relu", "Sigmoid", "Tanh", "Softplus", "Elu", "LeakyRelu", "Neg", "Abs"]))


@step
def running(c: Chain) -> None:
    axis = 2 + c.rng.randrange(c.rank)
    c.node("CumSum", c.constant(np.array(axis)), exclusive=c.rng.choice([0, 1]), reverse=c.rng.choice([0, 1]))


@step
def mixed(c: Chain) -> None:
    c.node("Softmax", axis=c.rng.choice([1, 1, 2, -1]))


@step
def reduced(c: Chain) -> None:
    kind = c.rng.choice(["ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2"])
    axes, before = [c.rng.choice([1, 2, -1])], c.value
    given = [c.constant(np.array(axes))] if kind in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2") else []
    c.node(kind, *given, keepdims=1)
    c.nodes.append(helper.make_node("Add", [before, c.value], [f"a{len(c.nodes)}"]))
    c.value = f"a{len(c.nodes) - 1}"


@step
def normalized(c: Chain) -> None:
    """Not LRN: the runtime adds and takes away squares along the channels, so that rounding moves the others."""
    if c.rng.random() < 0.5:
        c.node("InstanceNormalization", c.weights(c.shape[1]), c.weights(c.shape[1]))
    else:
        axis = c.rng.randrange(1, len(c.shape))
        c.node("LayerNormalization", c.weights(*c.shape[axis:]), c.weights(*c.shape[axis:]), axis=axis)


@step
def matrix(c: Chain) -> None:
    c.node("MatMul", c.weights(c.shape[-1], c.rng.choice([c.shape[-1], 5])))


@step
def chosen(c: Chain) -> None:
    draw = np.random.default_rng(c.rng.randrange(1 << 30))
    other = c.value
    c.node("Neg")
    c.nodes.append(
        helper.make_node("Where", [c.constant(draw.random(c.space) < 0.5), other, c.value], [f"w{len(c.nodes)}"])
    )
    c.value = f"w{len(c.nodes) - 1}"


@step
def parts(c: Chain) -> None:
    axis = c.rng.randrange(1, 2 + c.rank)
    n = c.shape[axis]
    if n < 2:
        return
    first = c.rng.randrange(1, n)
    c.node("Split", c.constant(np.array([first, n - first])), outputs=2, axis=axis)


@step
def joined(c: Chain) -> None:
    axis, before = c.rng.randrange(1, 2 + c.rank), c.value
    c.node("Tanh")
    c.nodes.append(helper.make_node("Concat", [before, c.value], [f"j{len(c.nodes)}"], axis=axis))
    c.value = f"j{len(c.nodes) - 1}"


@step
def recurrent(c: Chain) -> None:
    if c.rank != 1:
        return
    way = c.rng.choice(["forward", "reverse", "bidirectional"])
    both, kind = 1 + (way == "bidirectional"), c.rng.choice(["GRU", "LSTM", "RNN"])
    gates = {"GRU": 3, "LSTM": 4, "RNN": 1}[kind]
    c.node("Transpose", perm=[2, 0, 1])
    c.node(kind, c.weights(both, gates * 3, c.shape[1]), c.weights(both, gates * 3, 3), hidden_size=3, direction=way)
    c.node("Transpose", perm=[2, 1, 3, 0])
    c.node("Reshape", c.constant(np.array([c.shape[0], 3 * both, -1])))


def chain(number: int) -> tuple[onnx.ModelProto, list[str]] | None:
    """The file of a number and its operators; None where no step fits."""
    rng = random.Random(number)
    rank = rng.choice([1, 2, 2, 3])
    sides = {1: (8, 14), 2: (5, 9), 3: (4, 6)}[rank]
    c = Chain(rng, (1, rng.choice([1, 2, 4]), *(rng.randint(*sides) for _ in range(rank))))
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, c.shape)
    for _ in range(rng.randint(1, 4)):
        before = (c.value, c.shape, list(c.nodes), list(c.constants))
        take = rng.choice(STEPS)
        try:
            take(c)
            c.shape = _shape(c, source)
            fits = len(c.shape) >= 3 and 0 < prod(c.shape) <= LARGEST and len(c.shape) - 2 == rank
        except Exception:
            fits = False
        if not fits or len(c.nodes) == len(before[2]):
            c.value, c.shape, c.nodes, c.constants = before
        else:
            c.kinds.append(take.__name__)
    return (_model(c, source, c.shape), c.kinds) if c.nodes else None


def _shape(c: Chain, source: Any) -> tuple[int, ...]:
    """The shape that the runtime gives the last value."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(
        _model(c, source, None).SerializeToString(), options, ["CPUExecutionProvider"]
    )
    shape = tuple(int(d.dim_value) for d in source.type.tensor_type.shape.dim)
    return tuple(session.run(None, {"x": np.ones(shape, np.float32)})[0].shape)


def _model(c: Chain, source: Any, shape: tuple[int, ...] | None) -> onnx.ModelProto:
    out = helper.make_tensor_value_info(c.value, TensorProto.FLOAT, shape)
    graph = helper.make_graph(c.nodes, "chain", [source], [out], c.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    return shape_inference.infer_shapes(model) if shape is None else model
