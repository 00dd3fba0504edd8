"""Output shapes of frequent operations, worked out here because the framework's own meta kernels are slow.

Each function returns a meta tensor like the one the framework would return, or None where anything is unusual; then
the framework is asked. Only for operands of one floating type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from foveal.frontends.torch.lowering.table import Ints, Maybe, Operand, Sizes
from foveal.ir.lengths import window_outputs

Shape = tuple[int, ...]
ShapeRule = Callable[..., Tensor | None]

SHAPES: dict[str, ShapeRule] = {}


def shape_of(*names: str) -> Callable[[ShapeRule], ShapeRule]:
    """Register a shape under the plain names of operations."""

    def register(function: ShapeRule) -> ShapeRule:
        SHAPES.update(dict.fromkeys(names, function))
        return function

    return register


def _meta(shape: Ints, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _broadcast(a: Shape, b: Shape) -> Shape | None:
    if a == b:
        return a
    rank = max(len(a), len(b))
    first, second = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    out = []
    for left, right in zip(first, second, strict=True):
        if left != right and left != 1 and right != 1:
            return None
        out.append(right if left == 1 else left)
    return tuple(out)


def channels_last(x: Tensor) -> bool:
    """Whether the framework takes the memory of ``x`` for "channels last", and makes results like that."""
    rank = x.dim()
    if rank not in (4, 5) or (x.stride(1) != 1 and x.is_contiguous()):
        return False
    return _strides_speak(tuple(x.shape), x.stride())


@lru_cache(maxsize=4096)
def _strides_speak(shape: Shape, strides: Shape) -> bool:
    """Channels nearest in memory, then the spatial axes from the last; axes of length 1 do not decide alone."""
    least = 0
    if not strides[1]:
        return False
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        if not shape[axis] or strides[axis] < least or (axis == 0 and least == strides[1]):
            return False
        least = strides[axis] * max(shape[axis], 1)
    return True


def blank(shape: Ints, dtype: torch.dtype, last: bool) -> Tensor:
    """A meta tensor in row-major order, or with channels last."""
    if not last:
        return torch.empty(shape, dtype=dtype, device="meta")
    order = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    return torch.empty(shape, dtype=dtype, device="meta", memory_format=order)


def convolved(x: Tensor, weight: Tensor, shape: Ints) -> Tensor:
    """What a convolution makes: channels last where its input or its weights are."""
    if len(shape) == 3:  # a line runs as a plane of height 1, from a copy of the input in row-major order
        speaks = weight.dim() == 3 and weight.stride(1) == 1 and channels_last(weight.unsqueeze(2))
        return blank((shape[0], shape[1], 1, shape[2]), x.dtype, speaks).squeeze(2)
    return blank(shape, x.dtype, channels_last(x) or channels_last(weight))


_AS_THE_FIRST = """batch_norm native_batch_norm native_group_norm group_norm reflection_pad2d replication_pad2d roll
reflection_pad3d replication_pad3d channel_shuffle native_channel_shuffle""".split()  # noqa: SIM905


def settled(plain: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
    """What the framework's meta kernel returned, laid out as its kernel for the CPU does it."""
    if not isinstance(out, Tensor) or out.dim() not in (3, 4, 5) or not isinstance(args[0], Tensor):
        return out
    if plain.startswith("conv"):
        return convolved(args[0], args[1], out.shape)
    if plain in _AS_THE_FIRST or (plain == "pad" and {"reflect", "replicate"} & {*args[2:3], kwargs.get("mode")}):
        last = channels_last(args[0])
    else:
        return out
    return blank(out.shape, out.dtype, last) if last != channels_last(out) or not last else out


def like(x: Tensor) -> Tensor:
    """A meta tensor as ``x``, laid out as the framework does it: without gaps, the axes in the order of memory."""
    return _meta(x.shape, x.dtype) if x.is_contiguous() else torch.empty_like(x, device="meta")


@shape_of("add", "sub", "mul", "div", "maximum", "minimum")
def _binary(a: Operand, b: Operand, **kwargs: Any) -> Tensor | None:
    if not isinstance(a, Tensor) or not a.dtype.is_floating_point or kwargs.get("rounding_mode"):
        return None
    if not isinstance(b, Tensor):
        return None if isinstance(b, complex) else like(a)
    if a.dtype is not b.dtype and (b.dim() or b.dtype.is_complex or not a.dim()):
        return None
    shape = _broadcast(tuple(a.shape), tuple(b.shape))
    if a.is_contiguous() and b.is_contiguous():
        return _meta(shape, a.dtype) if shape else None
    return like(a) if shape == a.shape and 0 not in a.stride() else None


_LIKE = "exp sqrt rsqrt neg abs sin cos softplus mish clamp_min clamp_max reciprocal flip prelu log square erf"
_CONTIGUOUS = "tril triu softmax log_softmax _softmax _safe_softmax layer_norm"


@shape_of(*_LIKE.split())
def _unary(x: Tensor, *args: object, **kwargs: Any) -> Tensor | None:
    recast = kwargs.get("dtype") is not None or any(isinstance(a, torch.dtype) for a in args)
    return None if recast or not x.dtype.is_floating_point else like(x)


@shape_of(*_CONTIGUOUS.split())
def _contiguous_unary(x: Tensor, *args: object, **kwargs: Any) -> Tensor | None:
    out = _unary(x, *args, **kwargs)
    return None if out is None else _meta(x.shape, x.dtype)


@shape_of("roll", "group_norm", "rms_norm")
def _by_channels(x: Tensor, *args: object, **kwargs: Any) -> Tensor | None:
    return blank(x.shape, x.dtype, channels_last(x)) if x.dtype.is_floating_point else None


@shape_of("index")
def _index(x: Tensor, indices: Sequence[Maybe]) -> Tensor | None:
    """A constant Boolean index (real data) has a known count; one that is computed has not."""
    if not any(item is not None and item.dtype is torch.bool and not item.is_meta for item in indices):
        return None
    given: list[Tensor | None] = []
    for item in indices:
        if item is None:
            given.append(None)
        elif item.dtype is torch.bool and not item.is_meta:
            given.extend(part.to("meta") for part in item.nonzero(as_tuple=True))
        else:
            given.append(item.to("meta"))
    result: Tensor = torch.ops.aten.index.Tensor(x.to("meta"), given)
    return result


@shape_of("masked_fill")
def _masked_fill(x: Tensor, mask: Tensor, value: Operand) -> Tensor | None:
    shape = _broadcast(tuple(x.shape), tuple(mask.shape))
    return None if shape != tuple(x.shape) else _meta(shape, x.dtype)


@shape_of("contiguous")
def _contiguous(x: Tensor, **kwargs: Any) -> Tensor | None:
    if kwargs.get("memory_format") not in (None, torch.contiguous_format):
        return None
    return x if x.is_contiguous() else _meta(x.shape, x.dtype)


@shape_of("clone")
def _clone(x: Tensor, **kwargs: Any) -> Tensor | None:
    return None if kwargs.get("memory_format") not in (None, torch.preserve_format) else like(x)


@shape_of("matmul", "bmm", "mm")
def _matmul(a: Tensor, b: Tensor) -> Tensor | None:
    if a.dim() < 2 or b.dim() < 2 or a.dtype is not b.dtype or a.shape[-1] != b.shape[-2]:
        return None
    batch = _broadcast(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    return None if batch is None else _meta((*batch, a.shape[-2], b.shape[-1]), a.dtype)


@shape_of("scaled_dot_product_attention")
def _attention(query: Tensor, key: Tensor, value: Tensor, *args: object, **kwargs: Any) -> Tensor | None:
    fits = query.dim() == key.dim() == value.dim() == 4 and query.shape[:2] == key.shape[:2] == value.shape[:2]
    if not fits or query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        return None
    if query.shape[-1] == value.shape[-1] and query.stride(-1) == key.stride(-1) == value.stride(-1) == 1:
        return like(query)
    return _meta((*query.shape[:-1], value.shape[-1]), query.dtype)


@shape_of("pad", "constant_pad_nd")
def _pad(x: Tensor, widths: Ints, mode: str | float = "constant", value: float | None = None) -> Tensor | None:
    if not x.is_contiguous() or channels_last(x) or (isinstance(mode, str) and mode != "constant"):
        return None
    shape = list(x.shape)
    for index in range(len(widths) // 2):
        shape[-1 - index] += widths[2 * index] + widths[2 * index + 1]
    return None if min(shape) < 0 else _meta(shape, x.dtype)


@shape_of("mean", "sum", "amax", "amin")
def _reduce(x: Tensor, dim: Sizes | None = None, keepdim: bool = False, **kwargs: Any) -> Tensor | None:
    if not x.dtype.is_floating_point or kwargs.get("dtype") is not None or isinstance(dim, torch.dtype):
        return None
    axes = range(x.dim()) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    gone = {axis % x.dim() for axis in axes} if x.dim() else set()
    if keepdim:
        return _meta([1 if axis in gone else size for axis, size in enumerate(x.shape)], x.dtype)
    return _meta([size for axis, size in enumerate(x.shape) if axis not in gone], x.dtype)


@shape_of("adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_avg_pool1d")
def _adaptive(x: Tensor, size: Ints) -> Tensor | None:
    return (
        _meta((*x.shape[: -len(size)], *size), x.dtype)
        if x.dim() > len(size) and x.is_contiguous() and not channels_last(x)
        else None
    )


@shape_of("max_pool2d", "max_pool1d", "max_pool3d")
def _max_pool(
    x: Tensor, kernel: Ints, stride: Ints = (), padding: Ints = (0,), dilation: Ints = (1,), ceil_mode: bool = False
) -> Tensor | None:
    return _pooled(x, kernel, stride, padding, dilation, ceil_mode)


@shape_of("avg_pool2d", "avg_pool1d", "avg_pool3d")
def _average_pool(
    x: Tensor, kernel: Ints, stride: Ints = (), padding: Ints = (0,), ceil_mode: bool = False, *_: object
) -> Tensor | None:
    return _pooled(x, kernel, stride, padding, (1,), ceil_mode)


def _pooled(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> Tensor | None:
    count = len(kernel)
    if x.dim() <= count or not x.is_contiguous() or channels_last(x) or not x.dtype.is_floating_point:
        return None

    def each(item: Ints) -> Ints:
        return list(item) * count if len(item) == 1 else item

    steps = each(stride) if len(stride) else kernel
    sides, lengths = each(padding), x.shape[-count:]
    space = list(map(window_outputs, lengths, kernel, steps, zip(sides, sides), each(dilation), [ceil_mode] * count))
    if min(space) < 1 or any(2 * pad > size for pad, size in zip(sides, kernel, strict=True)):
        return None
    return _meta((*x.shape[:-count], *space), x.dtype)
