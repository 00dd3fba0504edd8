"""What an ONNX model is called with: shapes by the caller where the file leaves lengths open, and counted axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import ModelProto

from foveal.core.errors import SourceError
from foveal.frontends.onnx.load import LONGEST_AXIS, check_dimensions, first_line

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """One input: counted ``axes`` (None: not a source), ``example``: its numbers where the caller gave them."""

    name: str
    shape: Shape
    dtype: np.dtype[np.generic]
    axes: Shape | None
    example: np.ndarray | None


def read_inputs(model: ModelProto, inputs: Any = None, axes: Any = None) -> list[Entry]:
    """The inputs of the model (those that no initialiser fills), in order.

    inputs: a shape (of the first input that has positions), several shapes in order, or a dict name -> shape or array;
    None where the file says all lengths. An input without axes takes a number. A batch axis of open length is 1. axes:
    per input, numbers or letters ("NHWC"); by default all but the first two, axis 1 of two. Raises SourceError.
    """
    filled = {tensor.name for tensor in model.graph.initializer}
    filled |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    declared = [_declared(item) for item in model.graph.input if item.name not in filled]
    if not declared:
        raise SourceError("the model has no input that is not a weight")
    given = _by_name(inputs, declared)
    found = []
    for index, (name, dims, dtype) in enumerate(declared):
        item = given.get(name)
        example = item if isinstance(item, np.ndarray) else None
        if dims == () and example is None and item is not None:
            example = _scalar(name, item, dtype)
            item = example
        wanted = None if item is None else tuple(int(n) for n in np.shape(item)) if example is not None else tuple(item)
        shape = _shape(name, dims, wanted)
        counted = _axes(axes, name, index, shape)
        found.append(Entry(name, shape, dtype, counted, example))
    if all(entry.axes is None for entry in found):
        raise SourceError(f"no input has positions to count: {', '.join(f'{e.name} {list(e.shape)}' for e in found)}")
    return found


def _declared(item: onnx.ValueInfoProto) -> tuple[str, tuple[int | None, ...] | None, np.dtype[np.generic]]:
    kind = item.type.WhichOneof("value")
    if kind != "tensor_type":
        raise SourceError(f"input '{item.name}' is a {kind or 'value of no type'}; only tensors can be traced")
    tensor = item.type.tensor_type
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, ValueError, TypeError) as error:
        raise SourceError(
            f"input '{item.name}' has an element type that does not exist ({tensor.elem_type})"
        ) from error
    if not tensor.HasField("shape"):
        return item.name, None, dtype
    lengths = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim]
    return item.name, tuple(lengths), dtype


def _by_name(inputs: Any, declared: Sequence[Any]) -> dict[str, Any]:
    """What the caller said, by input name."""
    names = [name for name, _, _ in declared]
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        unknown = [name for name in inputs if name not in names]
        if unknown:
            raise SourceError(f"the model has no input '{unknown[0]}'; it has {', '.join(names)}")
        return dict(inputs)
    if isinstance(inputs, np.ndarray) or all(isinstance(n, (int, np.integer)) for n in inputs):
        main = next((name for name, dims, _ in declared if dims is None or len(dims) >= 2), names[0])
        return {main: inputs}
    if len(inputs) > len(names):
        raise SourceError(f"{len(inputs)} shapes for {len(names)} inputs: {', '.join(names)}")
    return dict(zip(names, inputs, strict=False))


def _shape(name: str, dims: tuple[int | None, ...] | None, wanted: Shape | None) -> Shape:
    if wanted is not None:
        if dims is not None and len(dims) != len(wanted):
            raise SourceError(f"input '{name}' has {len(dims)} axes {_text(dims)}; given: {list(wanted)}")
        shape = wanted
    elif dims is None or any(n is None for n in dims[1:]):
        hint = ",".join("1" if i == 0 else "224" if n is None else str(n) for i, n in enumerate(dims or (None,) * 4))
        raise SourceError(f"input '{name}' {_text(dims)} has open lengths: give them, for example --input {hint}")
    else:
        shape = tuple(1 if n is None else n for n in dims)
    check_dimensions(shape, name)
    if any(n < 1 or n > LONGEST_AXIS for n in shape):
        raise SourceError(f"input '{name}' of shape {list(shape)}: lengths must be from 1 to {LONGEST_AXIS}")
    return shape


def _scalar(name: str, item: Any, dtype: np.dtype[np.generic]) -> np.ndarray:
    """An input without axes is given by its number."""
    numbers = np.asarray(item).reshape(-1)
    if numbers.size != 1:
        raise SourceError(f"input '{name}' is a single number, such as --input {name}=16000; given: {list(numbers)}")
    return numbers.reshape(()).astype(dtype)


def _text(dims: tuple[int | None, ...] | None) -> str:
    return "of unknown rank" if dims is None else f"[{', '.join('?' if n is None else str(n) for n in dims)}]"


def _axes(axes: Any, name: str, index: int, shape: Shape) -> Shape | None:
    rank = len(shape)
    if isinstance(axes, Mapping):
        axes = axes.get(name)
    elif axes is not None and not isinstance(axes, str) and not all(isinstance(a, (int, np.integer)) for a in axes):
        axes = axes[index] if index < len(axes) else None
    if axes is None:
        return None if rank < 2 else (1,) if rank == 2 else tuple(range(2, rank))
    if isinstance(axes, str):
        if len(axes) != rank:
            raise SourceError(f"axes {axes!r} has {len(axes)} letters but input '{name}' has shape {list(shape)}")
        return tuple(i for i, letter in enumerate(axes.upper()) if letter not in "NBC")
    try:
        return tuple(range(rank)[int(axis)] for axis in axes) or None
    except IndexError as error:
        raise SourceError(f"axes {tuple(axes)} do not exist in input '{name}': {first_line(error)}") from error
