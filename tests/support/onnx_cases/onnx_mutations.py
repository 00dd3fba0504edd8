"""Damaged ONNX files, made on purpose: bytes cut, flipped and moved; shapes, names, attributes and places changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper

from support.onnx_cases import onnx_models as models

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LENGTHS = (0, -1, 1, 2, 3, 7, 255, 65535, 2**31 - 1, 2**31, 2**40, 2**62, -(2**40))
REALS = (0.0, -0.0, -1.0, 0.5, 1e-30, 3e38, float("nan"), float("inf"), -float("inf"))
WORDS = (b"", b"nearest", b"SAME_UPPER", b"reverse", b"ab->", b"abcd->aa", b"...", b"\xff\xfe", b"x" * 5000)


def recurrent() -> ModelProto:
    """A small LSTM, a resize, a slice and a reshape in one file."""
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["h", "", ""], name="lstm", hidden_size=3),
        helper.make_node("Squeeze", ["h", "one"], ["s"], name="squeeze"),
        helper.make_node("Slice", ["s", "zero", "four", "zero"], ["c"], name="slice"),
        helper.make_node("Reshape", ["c", "to"], ["v"], name="reshape"),
        helper.make_node("Resize", ["v", "", "scales"], ["y"], name="resize", mode="linear"),
    ]
    arrays = {
        "w": models.weights(1, 12, 4), "r": models.weights(1, 12, 3), "one": np.asarray([1]), "zero": np.asarray([0]),
        "four": np.asarray([4]), "to": np.asarray([1, 1, 4, 3]), "scales": np.asarray([1, 1, 2, 2], np.float32),
    }  # fmt: skip
    return models.model(models.graph(nodes, [models.info("x", [6, 1, 4])], [models.info("y", None)], arrays))


def external() -> ModelProto:
    """A convolution whose weights lie in another file (which is not there)."""
    model = models.cnn()
    for tensor in model.graph.initializer:
        place(tensor, "weights.bin")
    return model


def place(tensor: TensorProto, location: str, **more: str) -> None:
    """Say that the data of a tensor lies elsewhere."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)


def originals() -> list[bytes]:
    """The files that are damaged."""
    made = [
        models.cnn(), models.mask(), models.branches(True), models.branches(False), models.loop(4),
        models.loop(None), models.scan(10), models.functions(), recurrent(), external(),
    ]  # fmt: skip
    files = [LIGHT / f"light_{name}.onnx" for name in ("squeezenet", "shufflenet", "bvlc_alexnet")]
    return [model.SerializeToString() for model in made] + [path.read_bytes() for path in files if path.exists()]


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(what was done, the damaged file), ``count`` times."""
    rng = random.Random(seed)
    files = originals()
    names = list(MUTATIONS)
    for number in range(count):
        name = names[number % len(names)]
        data = MUTATIONS[name](rng, rng.choice(files))
        if data and rng.random() < 0.2:
            data = _flip(rng, data)
        yield name, data


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _move(rng: random.Random, data: bytes) -> bytes:
    a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    part = data[a : min(b, a + 400)]
    where = rng.randrange(len(data))
    return data[:where] + part + (data[where:] if rng.random() < 0.5 else data[where + len(part) :])


def _parsed(change: Callable[[random.Random, ModelProto], None]) -> Callable[[random.Random, bytes], bytes]:
    def mutate(rng: random.Random, data: bytes) -> bytes:
        model = ModelProto()
        model.ParseFromString(data)
        change(rng, model)
        return model.SerializeToString()

    return mutate


def _nodes(model: ModelProto) -> list[NodeProto]:
    found = list(model.graph.node)
    for node in model.graph.node:
        for attribute in node.attribute:
            found += attribute.g.node
    return found + [node for function in model.functions for node in function.node]


def _dimensions(rng: random.Random, model: ModelProto) -> None:
    tensors = list(model.graph.initializer)
    if tensors and rng.random() < 0.7:
        tensor = rng.choice(tensors)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(LENGTHS)
    else:
        item = rng.choice(list(model.graph.input))
        if item.type.tensor_type.shape.dim:
            rng.choice(list(item.type.tensor_type.shape.dim)).dim_value = rng.choice(LENGTHS)


def _numbers(rng: random.Random, model: ModelProto) -> None:
    """Other numbers in an integer initialiser: shapes, axes, counts."""
    whole = [t for t in model.graph.initializer if t.data_type == TensorProto.INT64]
    if not whole:
        return _dimensions(rng, model)
    tensor = rng.choice(whole)
    array = onnx.numpy_helper.to_array(tensor).copy().reshape(-1)
    if array.size:
        array[rng.randrange(array.size)] = rng.choice(LENGTHS)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array.reshape(tuple(tensor.dims)), tensor.name))
    return None


def _kinds(rng: random.Random, model: ModelProto) -> None:
    kind = rng.randrange(0, 30)
    if model.graph.initializer and rng.random() < 0.5:
        rng.choice(list(model.graph.initializer)).data_type = kind
    else:
        rng.choice(list(model.graph.input)).type.tensor_type.elem_type = kind


def _wires(rng: random.Random, model: ModelProto) -> None:
    """A cycle, a name that nothing makes, an output made twice, an input too many or too few."""
    nodes = _nodes(model)
    node, other = rng.choice(nodes), rng.choice(nodes)
    names = [name for item in nodes for name in (*item.input, *item.output)] + ["nobody", ""]
    what = rng.randrange(4)
    if what == 0 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif what == 1 and node.output:
        node.output[0] = rng.choice(names)
    elif what == 2:
        node.input.append(rng.choice(names))
    elif node.input and other.output:
        node.input[0] = other.output[0]


def _attributes(rng: random.Random, model: ModelProto) -> None:
    node = rng.choice(_nodes(model))
    if not node.attribute or rng.random() < 0.1:
        node.attribute.append(
            helper.make_attribute(rng.choice(("axis", "group", "pads", "strides")), rng.choice(LENGTHS))
        )
        return
    attribute = rng.choice(list(node.attribute))
    if attribute.ints and rng.random() < 0.8:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(LENGTHS)
    elif rng.random() < 0.3:
        attribute.type = rng.randrange(0, 15)
    elif rng.random() < 0.3:
        attribute.name = rng.choice(("axis", "pads", "strides", "body", "value", "nothing"))
    else:
        attribute.i = rng.choice(LENGTHS)
        attribute.ints.append(rng.choice(LENGTHS))


def _extremes(rng: random.Random, model: ModelProto) -> None:
    """All numbers of one attribute, or a whole one of the operator's, far off; words that are none."""
    node = rng.choice(_nodes(model))
    schemas = [schema for schema in onnx.defs.get_all_schemas() if schema.name == node.op_type]
    names = [name for schema in schemas for name in schema.attributes] or ["axis"]
    name = rng.choice(names)
    for attribute in list(node.attribute):
        if attribute.name == name:
            node.attribute.remove(attribute)
    count = rng.choice((0, 1, 2, 2, 4, 9))
    node.attribute.append(
        rng.choice(
            (
                AttributeProto(name=name, type=AttributeProto.INTS, ints=[rng.choice(LENGTHS) for _ in range(count)]),
                AttributeProto(name=name, type=AttributeProto.INT, i=rng.choice(LENGTHS)),
                AttributeProto(name=name, type=AttributeProto.FLOAT, f=rng.choice(REALS)),
                AttributeProto(name=name, type=AttributeProto.FLOATS, floats=[rng.choice(REALS)] * count),
                AttributeProto(name=name, type=AttributeProto.STRING, s=rng.choice(WORDS)),
            )
        )
    )


def _reals(rng: random.Random, model: ModelProto) -> None:
    """Scales, borders and ratios far off: other numbers in a small floating initialiser."""
    few = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and 0 < np.prod(t.dims) < 9]
    if not few:
        return _extremes(rng, model)
    tensor = rng.choice(few)
    array = onnx.numpy_helper.to_array(tensor).copy().reshape(-1)
    array[rng.randrange(array.size)] = rng.choice(REALS)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array.reshape(tuple(tensor.dims)), tensor.name))
    return None


def _bytes(rng: random.Random, data: bytes) -> bytes:
    """A name, word for word everywhere, becomes bytes that are no UTF-8, or acts on a terminal."""
    model = ModelProto()
    model.ParseFromString(data)
    node = rng.choice(_nodes(model))
    name = rng.choice([*node.input, *node.output, node.name, node.op_type]).encode()
    other = (rng.choice((b"\xff\xfe\x80", b"\x1b[2J", b"\xe2\x80\xae", b"\n\x07\0")) * len(name))[: len(name)]
    return data.replace(name, other) if name else data


def _operators(rng: random.Random, model: ModelProto) -> None:
    names = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    rng.choice(_nodes(model)).op_type = rng.choice([*names, "NoSuchThing", ""])


def _opsets(rng: random.Random, model: ModelProto) -> None:
    model.opset_import[0].version = rng.choice((0, 1, 6, 7, 9, 11, 13, 18, 24, 99, 2**31 - 1, -1))
    model.ir_version = rng.choice((0, 3, 8, 99))


def _places(rng: random.Random, model: ModelProto) -> None:
    """External data outside the folder, of absurd length, or nowhere."""
    tensors = list(model.graph.initializer)
    if not tensors:
        return _dimensions(rng, model)
    paths = (
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "\0",
        ".",
        "",
        "~/x",
        "C:\\x",
        "..",
        "/dev/zero",
        "x" * 5000,
    )
    more = {"offset": str(rng.choice(LENGTHS)), "length": str(rng.choice((*LENGTHS, "many")))}
    place(rng.choice(tensors), rng.choice(paths), **(more if rng.random() < 0.5 else {}))
    return None


def _nested(rng: random.Random, model: ModelProto) -> None:
    """A branch within a branch within a branch."""
    inner: Any = model.graph
    for _ in range(rng.choice((1, 5, 21, 28))):
        node = helper.make_node("If", ["c"], ["y"])
        node.attribute.append(AttributeProto(name="then_branch", type=AttributeProto.GRAPH, g=inner))
        node.attribute.append(AttributeProto(name="else_branch", type=AttributeProto.GRAPH, g=models.graph([], [], [])))
        inner = models.graph([node], [models.info("c", [], models.BOOL)], [models.info("y", None)])
    model.graph.CopyFrom(inner)


def _functions(rng: random.Random, model: ModelProto) -> None:
    """Functions that call themselves or each other without end."""
    model.CopyFrom(models.functions(itself=True) if rng.random() < 0.5 else _bomb())


def _bomb() -> ModelProto:
    """Each function calls the next one ten times: 10^12 nodes once expanded."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    made = []
    for level in range(12):
        name = "Relu" if level == 11 else f"F{level + 1}"
        domain = "" if level == 11 else "own"
        nodes = [helper.make_node(name, [f"t{i}"], [f"t{i + 1}"], domain=domain) for i in range(10)]
        made.append(helper.make_function("own", f"F{level}", ["t0"], ["t10"], nodes, opsets))
    body = models.graph(
        [helper.make_node("F0", ["x"], ["y"], domain="own")], [models.info("x", [1, 1, 4])], [models.info("y", None)]
    )
    return helper.make_model(body, opset_imports=opsets, ir_version=8, functions=made)


MUTATIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "cut": _cut, "flip": _flip, "move": _move, "dimensions": _parsed(_dimensions), "numbers": _parsed(_numbers),
    "kinds": _parsed(_kinds), "wires": _parsed(_wires), "attributes": _parsed(_attributes),
    "operators": _parsed(_operators), "opsets": _parsed(_opsets), "places": _parsed(_places),
    "extremes": _parsed(_extremes), "reals": _parsed(_reals), "bytes": _bytes,
    "nested": _parsed(_nested), "functions": _parsed(_functions),
}  # fmt: skip
