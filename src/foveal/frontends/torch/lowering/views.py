"""Lowering of moves that may share memory with their input: each returns its steps as (operation, shape after)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from foveal.frontends.torch.lowering.table import Outputs, Sizes, Tracer, axis_of, rule, view
from foveal.ir import ops

Path = list[tuple[ops.Operation, tuple[int, ...]]]

RESHAPE = ops.Reshape()
EXPAND = ops.Expand()

_RESHAPES = """
view reshape _unsafe_view flatten unflatten squeeze unsqueeze _reshape_alias ravel view_copy view_as
reshape_as _reshape_copy squeeze_copy unsqueeze_copy""".split()  # noqa: SIM905


@lru_cache(maxsize=1024)
def slice_op(axis: int, start: int, step: int = 1) -> ops.Slice:
    """One slice per place."""
    return ops.Slice(axis, start, step)


@lru_cache(maxsize=1024)
def permute_op(order: tuple[int, ...]) -> ops.Permute:
    """One permutation per order."""
    return ops.Permute(order)


@view(*_RESHAPES)
def reshape(x: Tensor, out: Tensor, *_: object, **__: object) -> Path:
    return [(RESHAPE, tuple(out.shape))]


@view("view.dtype")
def bit_cast(x: Tensor, out: Tensor, dtype: torch.dtype) -> Path:
    if out.shape == x.shape:
        return [(ops.Pointwise("bit_cast"), tuple(out.shape))]
    return [(ops.Opaque("aten::view.dtype"), tuple(out.shape))]


@view("permute", "permute_copy")
def permute(x: Tensor, out: Tensor, order: Sequence[int]) -> Path:
    rank = x.dim()
    return [(permute_op(tuple(axis_of(axis, rank) for axis in order)), tuple(out.shape))]


@view("transpose", "swapaxes", "swapdims", "transpose_copy")
def transpose(x: Tensor, out: Tensor, first: int, second: int) -> Path:
    return _swapped(x, out, axis_of(first, x.dim()), axis_of(second, x.dim())) if x.dim() else []


def _swapped(x: Tensor, out: Tensor, first: int, second: int) -> Path:
    order = list(range(x.dim()))
    order[first], order[second] = order[second], order[first]
    return [(permute_op(tuple(order)), tuple(out.shape))]


@view("t", "t_copy", "numpy_T", "mT", "mH", "adjoint", "matrix_H")
def swap_last(x: Tensor, out: Tensor) -> Path:
    return _swapped(x, out, x.dim() - 2, x.dim() - 1) if x.dim() >= 2 else []


@view("slice.Tensor", "slice_copy")
def slice_axis(
    x: Tensor, out: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Path:
    return _sliced(x, out, dim, start, step)


def _sliced(x: Tensor, out: Tensor, dim: int, start: int | None, step: int) -> Path:
    shape = tuple(out.shape)
    if shape == tuple(x.shape) and step == 1:
        return []
    axis = axis_of(dim, x.dim())
    return [(slice_op(axis, _start(start, x.shape[axis]), step), shape)]


def _start(start: int | None, length: int) -> int:
    first = 0 if start is None else int(start)
    return min(max(first + length if first < 0 else first, 0), length)


@view("narrow", "narrow_copy")
def narrow(x: Tensor, out: Tensor, dim: int, start: int, length: int) -> Path:
    return _sliced(x, out, dim, start, 1)


@view("select.int", "select_copy")
def select(x: Tensor, out: Tensor, dim: int, index: int) -> Path:
    axis = axis_of(dim, x.dim())
    return _pick(x, axis, int(index) + (x.shape[axis] if index < 0 else 0))


def _pick(x: Tensor, axis: int, index: int) -> Path:
    shape = tuple(x.shape)
    after = (*shape[:axis], *shape[axis + 1 :])
    if shape[axis] == 1:
        return [(RESHAPE, after)]
    return [(slice_op(axis, index), (*shape[:axis], 1, *shape[axis + 1 :])), (RESHAPE, after)]


@view("unbind.int", "unbind_copy")
def unbind(x: Tensor, out: Outputs, dim: int = 0) -> list[Path]:
    axis = axis_of(dim, x.dim())
    return [_pick(x, axis, index) for index in range(len(out))]


@view(
    "split.Tensor",
    "split.sizes",
    "split_with_sizes",
    "chunk",
    "unsafe_chunk",
    "unsafe_split.Tensor",
    "unsafe_split_with_sizes",
    "split_copy.Tensor",
    "split_with_sizes_copy",
)
def split(x: Tensor, out: Outputs, size: Sizes, dim: int = 0) -> list[Path]:
    axis = axis_of(dim, x.dim())
    paths: list[Path] = []
    start = 0
    for part in out:
        paths.append([(slice_op(axis, start), tuple(part.shape))] if part.shape != x.shape else [])
        start += part.shape[axis]
    return paths


@view("expand", "expand_copy")
def expand(x: Tensor, out: Tensor, size: Sizes, **_: object) -> Path:
    return [] if out.shape == x.shape else [(EXPAND, tuple(out.shape))]


@view("unfold", "unfold_copy")
def unfold(x: Tensor, out: Tensor, dimension: int, size: int, step: int) -> Path:
    if x.dim() == 0:
        return [(RESHAPE, tuple(out.shape))]
    return [(ops.Unroll(axis_of(dimension, x.dim()), size, step), tuple(out.shape))]


@view("diagonal", "diagonal_copy")
def diagonal(x: Tensor, out: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Path:
    index = positions(x).diagonal(offset, dim1, dim2)
    return [(ops.Gather(index.contiguous().numpy()), tuple(out.shape))]


def positions(x: Tensor) -> Tensor:
    """The row-major position of each element."""
    return torch.arange(x.numel()).reshape(x.shape)


@view("as_strided", "as_strided_copy")
def as_strided(x: Tensor, out: Tensor, size: Sequence[int], stride: Sequence[int], offset: int | None = None) -> Path:
    """By the places in memory; what lies between the elements of ``x`` is not known from ``x`` alone."""
    start = x.storage_offset() if offset is None else int(offset)
    if (tuple(out.shape), tuple(stride), start) == (tuple(x.shape), tuple(x.stride()), x.storage_offset()):
        return []
    where = _in_memory(x.shape, x.stride(), x.storage_offset())  # type: ignore[arg-type]
    wanted = _in_memory(size, stride, start)  # type: ignore[arg-type]
    memory = torch.full((1 + max(_last(where), _last(wanted)),), -1)
    memory[where.flatten()] = torch.arange(x.numel())
    index = memory[wanted]
    if bool((index < 0).any()):
        return [(ops.Opaque("aten::as_strided"), tuple(out.shape))]
    return [(ops.Gather(index.contiguous().numpy()), tuple(out.shape))]


def _in_memory(size: Sequence[int], stride: Sequence[int], start: int) -> Tensor:
    """The place of each element."""
    where = torch.full(tuple(size), start)
    for axis, (length, step) in enumerate(zip(size, stride, strict=True)):
        where += (torch.arange(length) * step).reshape([-1 if i == axis else 1 for i in range(len(size))])
    return where


def _last(where: Tensor) -> int:
    return int(where.max()) if where.numel() else 0


@view("view_as_real", "view_as_real_copy")
def view_as_real(x: Tensor, out: Tensor) -> Path:
    shape = tuple(x.shape)
    return [(RESHAPE, (*shape, 1)), (EXPAND, (*shape, 2))]


@view("view_as_complex", "view_as_complex_copy")
def view_as_complex(x: Tensor, out: Tensor) -> Path:
    return [(ops.Reduce((x.dim() - 1,), False, "complex"), tuple(out.shape))]


@view("real", "imag", "conj", "_conj", "_neg_view")
def part(x: Tensor, out: Tensor) -> Path:
    return [(ops.Pointwise("part"), tuple(out.shape))]


@rule("repeat")
def repeat(t: Tracer, out: Tensor, x: Tensor, repeats: Sequence[int]) -> int:
    lead = len(repeats) - x.dim()
    shape = (*(1,) * lead, *x.shape)
    value = t.value(x)
    if lead:
        value = t.node(RESHAPE, (value,), shape, "repeat")
    spread = [size for length in shape for size in (1, length)]
    target = [size for count, length in zip(repeats, shape, strict=True) for size in (count, length)]
    value = t.node(RESHAPE, (value,), spread, "repeat")
    value = t.node(EXPAND, (value,), target, "repeat")
    return t.node(RESHAPE, (value,), out.shape, "repeat")
