"""Read ONNX files safely: nothing is executed, nothing outside the model's folder is opened, and a file that is not
what it says is one clear line.

Weights stay where they are, in the file or outside, until their numbers are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from foveal.core import errors
from foveal.core.errors import FovealError, SourceError
from foveal.frontends.onnx.nodes.slim import WRITTEN, without_numbers

LARGEST_FILE = 2**31
LONGEST_AXIS = 2**22
LARGEST_TENSOR = 2**33
"""Elements; nothing of this size is ever allocated, but beyond it a file is taken for damaged."""
NODES = 200_000
DEEPEST = 20
"""Subgraphs within subgraphs, and functions within functions."""
OLDEST = 7
LONGEST_MESSAGE = 300
_STANDARD = ("", "ai.onnx")


class OnnxFile(NamedTuple):
    """A model with the folder that its external data may lie in; ``opsets``: version by domain."""

    model: ModelProto
    folder: Path | None
    name: str
    opsets: dict[str, int]


def read_file(path: str | Path) -> OnnxFile:
    """The model in a file, checked. Raises SourceError in one line."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise SourceError(f"{path}: not a file")
        if size > LARGEST_FILE:
            raise SourceError(f"{path}: {size} bytes, more than the 2 GiB a protobuf file can have; use external data")
        data = without_numbers(path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    return read_bytes(data, path.parent, path.stem, str(path))


def read_bytes(data: bytes, folder: Path | None, name: str, where: str = "") -> OnnxFile:
    """The model in ``data``, checked. ``folder``: where external data may lie, None for nowhere."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # the parser's own error belongs to a package without types
        raise SourceError(f"{where or name}: not an ONNX model (damaged or cut short)") from error
    return adopt(model, folder, name, where)


def adopt(model: ModelProto, folder: Path | None, name: str, where: str = "") -> OnnxFile:
    """A model in memory, checked, with local functions inlined."""
    where = where or name
    try:
        opsets = _opsets(model)
        if not model.graph.node and not model.graph.output:
            raise SourceError("not an ONNX model (it has no graph)")
        _check_size(model)
        _check_functions(model)
        if model.functions:
            model = _inlined(model)
            opsets = _opsets(model)
        _check_graph(model.graph, set(), folder, 0)
    except FovealError as error:
        raise SourceError(one_line(f"{where}: {error}")) from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:  # names that are no text, numbers out of range
        raise SourceError(f"{where}: not an ONNX model (damaged: {first_line(error)})") from error
    return OnnxFile(model, folder, name, opsets)


def _opsets(model: ModelProto) -> dict[str, int]:
    opsets: dict[str, int] = {}
    for item in model.opset_import:
        domain = "" if item.domain in _STANDARD else item.domain
        opsets[domain] = max(item.version, opsets.get(domain, 0))
    if not opsets:
        raise SourceError("not an ONNX model (it names no operator set)")
    newest = onnx.defs.onnx_opset_version()
    version = opsets.setdefault("", 1 if model.ir_version < 3 else newest)
    if version > newest:
        raise SourceError(
            f"operator set {version} is newer than the installed onnx package knows ({newest}): update onnx"
        )
    if version < OLDEST:
        raise SourceError(f"operator set {version} is older than {OLDEST}: convert it with onnx.version_converter")
    return opsets


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node holds as attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(nodes: Any, depth: int = 0) -> Iterator[NodeProto]:
    """All nodes, those of subgraphs after the one that holds them."""
    if depth > DEEPEST:
        raise SourceError(f"subgraphs are nested more than {DEEPEST} deep")
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from all_nodes(graph.node, depth + 1)


def _check_size(model: ModelProto) -> None:
    count = 0
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    for body in bodies:
        for _ in all_nodes(body):
            count += 1
            if count > NODES:
                raise SourceError(f"more than {NODES} nodes")


def _check_functions(model: ModelProto) -> None:
    """Local functions may not call themselves, and their expansion stays finite and small."""
    bodies = {(f.domain, f.name, getattr(f, "overload", "")): f for f in model.functions}
    sizes: dict[tuple[str, str, str], int] = {}

    def size(key: tuple[str, str, str], path: tuple[tuple[str, str, str], ...]) -> int:
        if key in path:
            raise SourceError(f"the local function {key[1]} calls itself")
        if len(path) > DEEPEST:
            raise SourceError(f"local functions are nested more than {DEEPEST} deep")
        if key not in sizes:
            sizes[key] = total(bodies[key].node, (*path, key))
        return sizes[key]

    def total(nodes: Any, path: tuple[tuple[str, str, str], ...]) -> int:
        count = 0
        for node in all_nodes(nodes):
            key = (node.domain, node.op_type, getattr(node, "overload", ""))
            count += size(key, path) if key in bodies else 1
            if count > NODES:
                raise SourceError(f"more than {NODES} nodes once local functions are expanded")
        return count

    for key in bodies:
        size(key, ())
    total(model.graph.node, ())


def _inlined(model: ModelProto) -> ModelProto:
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise SourceError(f"local functions cannot be expanded: {first_line(error)}") from error


def _check_graph(graph: GraphProto, outer: set[str], folder: Path | None, depth: int) -> None:
    """Every value is made once, before it is used; every stored tensor has sensible dimensions and data."""
    if depth > DEEPEST:
        raise SourceError(f"subgraphs are nested more than {DEEPEST} deep")
    made = set(outer)
    for tensor in graph.initializer:
        check_tensor(tensor, folder)
        made.add(tensor.name)
    for sparse in graph.sparse_initializer:
        check_tensor(sparse.values, folder)
        check_tensor(sparse.indices, folder)
        check_dimensions(sparse.dims, sparse.values.name)
        made.add(sparse.values.name)
    made.update(item.name for item in graph.input)
    _check_names((*made, *(item.name for item in graph.output)))
    own: set[str] = set()
    later = {name for node in graph.node for name in node.output if name}
    for node in graph.node:
        _check_names((node.name, node.op_type, node.domain, *node.input, *node.output))
        for name in node.input:
            if name and name not in made:
                why = "before it is made (a cycle, or nodes out of order)" if name in later else "but nothing makes it"
                raise SourceError(f"node {title(node)} uses '{name}' {why}")
        for attribute in node.attribute:
            for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
                check_tensor(tensor, folder)
        for inner in subgraphs(node):
            _check_graph(inner, made, folder, depth + 1)
        for name in node.output:
            if name in own:
                raise SourceError(f"'{name}' is made twice, the second time by node {title(node)}")
            if name:
                own.add(name)
        made.update(own)
    for item in graph.output:
        if item.name not in made:
            raise SourceError(f"nothing makes the output '{item.name}'")


def _check_names(names: Iterable[Any]) -> None:
    """Protocol buffers give what is no UTF-8 as bytes."""
    for name in names:
        if isinstance(name, bytes):
            raise SourceError(f"the name {name[:60]!r} is not text in UTF-8")


def title(node: NodeProto) -> str:
    """How a node is called in messages."""
    return f"'{node.name}' ({node.op_type})" if node.name else f"of type {node.op_type}"


def check_dimensions(dims: Any, name: str) -> tuple[int, ...]:
    """The shape. Raises SourceError where it is negative or beyond all measure."""
    shape = tuple(int(n) for n in dims)
    if any(n < 0 for n in shape):
        raise SourceError(f"'{name}' has a negative dimension: {list(shape)}")
    if any(n > LARGEST_TENSOR for n in shape) or prod(shape) > LARGEST_TENSOR:
        raise SourceError(f"'{name}' has dimensions beyond all measure: {list(shape)}")
    return shape


def check_tensor(tensor: TensorProto, folder: Path | None) -> None:
    """Raises SourceError where dimensions, element type and data do not belong together."""
    shape = check_dimensions(tensor.dims, tensor.name)
    width = bits_of(tensor)
    if tensor.data_location == TensorProto.EXTERNAL:
        entries = {item.key: item.value for item in tensor.external_data}
        needed = -(-prod(shape) * width // 8)
        if WRITTEN in entries and tensor.data_type != TensorProto.STRING and entries["length"] != str(needed):
            raise SourceError(_misfit(tensor, entries["length"], needed))
        external_place(tensor, folder)
        return
    if tensor.data_type == TensorProto.STRING:
        stored, needed = len(tensor.string_data), prod(shape)
    elif tensor.HasField("raw_data"):
        stored, needed = len(tensor.raw_data), -(-prod(shape) * width // 8)
    else:
        return  # typed fields: checked by the reader once the numbers are asked for
    if stored != needed:
        raise SourceError(_misfit(tensor, stored, needed))


def _misfit(tensor: TensorProto, stored: object, needed: int) -> str:
    unit = "strings" if tensor.data_type == TensorProto.STRING else "bytes"
    return f"'{tensor.name}' of shape {list(tensor.dims)} has {stored} {unit} where {needed} are needed"


def bits_of(tensor: TensorProto) -> int:
    """Bits per element. Raises SourceError for an element type that does not exist."""
    try:
        name = TensorProto.DataType.Name(tensor.data_type)
        if tensor.data_type == TensorProto.STRING:
            return 0
        if name.endswith("2") and name in ("INT2", "UINT2"):
            return 2
        if name in ("INT4", "UINT4", "FLOAT4E2M1"):
            return 4
        return 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"'{tensor.name}' has an element type that does not exist ({tensor.data_type})") from error


class Place(NamedTuple):
    """Where external data lies."""

    path: Path
    offset: int
    length: int


def external_place(tensor: TensorProto, folder: Path | None) -> Place:
    """Where the external data of a tensor lies. Raises SourceError unless that is a file in the model's folder."""
    entries = {item.key: item.value for item in tensor.external_data}
    location = entries.get("location", "")
    shown = location if len(location) < 80 else f"{location[:80]} ..."
    if folder is None:
        raise SourceError(f"'{tensor.name}' keeps its data in '{shown}', but the model was not read from a folder")
    try:
        path = _inside(folder, location)
        if path is None:
            raise SourceError(f"'{tensor.name}' keeps its data in '{shown}', outside the model's folder: not opened")
        if not path.is_file():
            raise SourceError(f"'{tensor.name}' keeps its data in '{shown}', which is not there")
        offset, needed = int(entries.get("offset") or 0), -(-prod(tensor.dims) * bits_of(tensor) // 8)
        length = int(entries.get("length") or needed)
        status = path.stat()
        if entries.get(WRITTEN, str(status.st_mtime_ns)) != str(status.st_mtime_ns):
            raise SourceError(f"'{tensor.name}' was in '{shown}', which has been written anew since: trace it again")
        if offset < 0 or length != needed or offset + length > status.st_size:
            raise SourceError(f"'{tensor.name}' needs {needed} bytes of '{shown}' from byte {offset}: not there")
    except (ValueError, OSError, RuntimeError) as error:
        raise SourceError(f"'{tensor.name}' keeps its data in '{shown}', which cannot be read") from error
    return Place(path, offset, length)


@lru_cache(maxsize=64)
def _inside(folder: Path, location: str) -> Path | None:
    """Where a location leads that is within the folder; None for any other."""
    root = folder.resolve()
    path = (root / location).resolve()
    inside = bool(location) and "\0" not in location and path.is_relative_to(root)
    return path if inside and not Path(location).is_absolute() else None


def numbers(tensor: TensorProto, folder: Path | None, seen: bool = False) -> np.ndarray:
    """The numbers of a stored tensor; ``seen``: to be looked at and let go at once, without a copy of what lies outside
    the model. Raises SourceError where they do not fill its shape.
    """
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            place = external_place(tensor, folder)
            kind, shape = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)), tuple(tensor.dims)
            if kind.kind in "fiub" and kind.isbuiltin and bits_of(tensor) >= 8 and place.length:
                kind = kind.newbyteorder("<")
                if seen:
                    return np.memmap(place.path, kind, "r", place.offset, shape)
                found = np.fromfile(place.path, kind, prod(shape), offset=place.offset)
                return found.reshape(shape).astype(kind.newbyteorder("="), copy=False)
            with place.path.open("rb") as file:
                file.seek(place.offset)
                inner = TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=file.read(place.length))
            return onnx.numpy_helper.to_array(inner)
        return onnx.numpy_helper.to_array(tensor)
    except FovealError:
        raise
    except Exception as error:
        raise SourceError(
            f"'{tensor.name}' of shape {list(tensor.dims)} does not hold its numbers: {first_line(error)}"
        ) from error


def one_line(text: str) -> str:
    """The text without line breaks and other white space that names in a damaged file may hold."""
    return " ".join(text.split())


def first_line(error: Exception) -> str:
    """The first line of a message, cut where it is long, or the name of the error."""
    line = errors.first_line(error)
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} ..."
