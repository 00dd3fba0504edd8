"""Lowering of reductions, norms, softmax, sorting, running sums and Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from foveal.frontends.products import ORIGIN, undone
from foveal.frontends.torch.lowering.pointwise import affine, with_all_of
from foveal.frontends.torch.lowering.table import Made, Maybe, Outputs, Tracer, axes_of, axis_of, rule
from foveal.frontends.torch.lowering.views import RESHAPE, permute_op
from foveal.ir import ops
from foveal.ir.graph import Node
from foveal.ir.rules.mixing import UNSURE

_REDUCTIONS = """
sum mean prod amax amin max min argmax argmin any all norm linalg_vector_norm var std var_mean std_mean logsumexp
special_logsumexp count_nonzero median nanmedian nansum nanmean aminmax kthvalue mode std.correction var.correction
frobenius_norm nuclear_norm linalg_norm linalg_matrix_norm""".split()  # noqa: SIM905


_LAST: dict[str, int | tuple[int, int]] = {"kthvalue": -1, "mode": -1, "linalg_matrix_norm": (-2, -1)}
"""Axes of those that take the last ones, not all, where none are named."""


@lru_cache(maxsize=2048)
def reduce_op(axes: tuple[int, ...], keepdims: bool, name: str) -> ops.Reduce:
    """One reduction per axes and name."""
    return ops.Reduce(axes, keepdims, name)


@lru_cache(maxsize=2048)
def mix_op(axes: tuple[int, ...], name: str, groups: tuple[int, int] | None = None) -> ops.Mix:
    """One mix per axes and name."""
    return ops.Mix(axes, name, groups)


@rule(*_REDUCTIONS)
def reduce(t: Tracer, out: Outputs, *args: Any, **kwargs: Any) -> Made:
    """Reads ``dim`` and ``keepdim`` by the names of the schema; two tensors (``maximum``) are element by element."""
    if len(args) > 1 and isinstance(args[1], Tensor) and not isinstance(out, (tuple, list)):
        name = {"max": "maximum", "min": "minimum"}.get(t.plain, t.plain)
        return t.node(ops.Pointwise(name), (t.value(args[0]), t.value(args[1])), out.shape, t.plain)
    given = t.arguments(args, kwargs)
    x = args[0]
    first = out[0] if isinstance(out, (tuple, list)) else out
    axes = axes_of(given.get("dim", given.get("axis", _LAST.get(t.plain))), x.dim())
    op = reduce_op(axes, bool(given.get("keepdim", False)), t.plain)
    value = t.node(op, (t.value(x),), first.shape, t.plain)
    return (value,) * len(out) if isinstance(out, (tuple, list)) else value


@rule("_linalg_det", "_linalg_slogdet", "linalg_inv_ex", "_linalg_svd", "linalg_eig", "_linalg_eigvals",
      "linalg_matrix_exp")  # fmt: skip
def of_matrices(t: Tracer, out: Outputs, x: Tensor, *_: object, **__: object) -> tuple[int, ...]:
    """All that is made of a matrix reads all of it, and nothing of the matrices beside it."""
    rank, lead = x.dim() - 2, tuple(x.shape[:-2])
    value = t.node(reduce_op((rank, rank + 1), False, t.plain), (t.value(x),), lead, t.plain)
    made = []
    for item in out if isinstance(out, (tuple, list)) else (out,):
        more = item.dim() - rank
        row = t.node(RESHAPE, (value,), (*lead, *[1] * more), t.plain) if more else value
        made.append(t.node(ops.Expand(), (row,), item.shape, t.plain) if more else row)
    return tuple(made)


@rule("histc")
def histogram(t: Tracer, out: Tensor, x: Tensor, *_: object, **__: object) -> int:
    """Any element may count in any place."""
    value = t.node(reduce_op(tuple(range(x.dim())), False, "histc"), (t.value(x),), (), "histc")
    value = t.node(RESHAPE, (value,), (1,) * out.dim(), "histc")
    return t.node(ops.Expand(), (value,), out.shape, "histc")


@rule("softmax", "_softmax", "_safe_softmax", "special_softmax")
def softmax(t: Tracer, out: Tensor, x: Tensor, dim: int, *_: object, **__: object) -> int:
    return _softmax(t, out, x, dim, "softmax")


@rule("log_softmax", "_log_softmax", "special_log_softmax")
def log_softmax(t: Tracer, out: Tensor, x: Tensor, dim: int, *_: object, **__: object) -> int:
    return _softmax(t, out, x, dim, "log_softmax")


def _softmax(t: Tracer, out: Tensor, x: Tensor, dim: int, name: str) -> int:
    axes = (axis_of(dim, x.dim()),) if x.dim() else ()
    return t.node(mix_op(axes, name), (t.value(x),), out.shape, name)


def normalize(t: Tracer, x: Tensor, axes: tuple[int, ...], origin: str, groups: tuple[int, int] | None = None) -> int:
    """Element plus statistics over ``axes``."""
    return t.node(mix_op(axes, "normalize", groups), (t.value(x),), x.shape, origin)


@rule("layer_norm", "rms_norm", "native_layer_norm", "_fused_rms_norm")
def layer_norm(
    t: Tracer, out: Outputs, x: Tensor, shape: Sequence[int], weight: Maybe = None, bias: object = None, *_: object
) -> Made:
    axes = tuple(range(x.dim() - len(shape), x.dim()))
    vectors = [item for item in (weight, bias) if isinstance(item, Tensor)]  # rms_norm has its eps in the place of one
    value = affine(t, normalize(t, x, axes, t.plain), x.shape, None, *vectors)
    if isinstance(out, (tuple, list)):
        return (value, *(t.node(reduce_op(axes, True, "mean"), (t.value(x),), part.shape, t.plain) for part in out[1:]))
    return value


@rule("renorm")
def renorm(t: Tracer, out: Tensor, x: Tensor, p: float, dim: int, *_: object) -> int:
    """Each slice along ``dim`` by its own norm."""
    return normalize(t, x, tuple(axis for axis in range(x.dim()) if axis != axis_of(dim, x.dim())), "renorm")


@rule("nll_loss_forward", "nll_loss2d_forward", "nll_loss_nd")
def nll_loss(
    t: Tracer, out: Outputs, x: Tensor, target: Tensor, weight: Maybe = None, reduction: int = 1, *_: object
) -> Made:
    """The score of one class at each position, which may be any where the target is computed."""
    first = out[0] if isinstance(out, (tuple, list)) else out
    axis = 0 if x.dim() == 1 else 1
    shape = [n for k, n in enumerate(x.shape) if k != axis]
    value = t.node(reduce_op((axis,), False, "nll_loss"), (t.value(x),), shape, "nll_loss")
    if t.depends(target):
        value = t.node(ops.Pointwise("nll_loss"), (value, t.value(target)), shape, "nll_loss")
    value = with_all_of(t, value, shape, weight)
    if reduction != 0 and shape:
        name = {1: "mean", 2: "sum"}[reduction]
        value = t.node(reduce_op(tuple(range(len(shape))), False, name), (value,), first.shape, "nll_loss")
    return (value, None) if isinstance(out, (tuple, list)) else value


@rule("group_norm")
def group_norm(
    t: Tracer, out: Tensor, x: Tensor, count: int, weight: Maybe = None, bias: Maybe = None, *_: object
) -> int:
    value = normalize(t, x, tuple(range(1, x.dim())), "group_norm", (1, count))
    return affine(t, value, x.shape, 1, weight, bias)


@rule("native_group_norm")
def native_group_norm(
    t: Tracer, out: Outputs, x: Tensor, weight: Maybe, bias: Maybe, n: int, c: int, hw: int, count: int, eps: float
) -> tuple[int, None, None]:
    return group_norm(t, out[0], x, count, weight, bias), None, None


@rule("instance_norm")
def instance_norm(
    t: Tracer, out: Tensor, x: Tensor, w: Maybe, b: Maybe, mean: Maybe, var: Maybe, use_input_stats: bool, *_: object
) -> int:
    if not use_input_stats:
        value = t.node(ops.Pointwise("batch_norm"), (t.value(x),), out.shape, "instance_norm")
        return affine(t, value, out.shape, 1, w, b, mean, var)
    return affine(t, normalize(t, x, tuple(range(2, x.dim())), "instance_norm"), out.shape, 1, w, b)


def _batch_norm(t: Tracer, x: Tensor, training: bool, w: Maybe, b: Maybe, *given: Maybe) -> int:
    if training:
        return affine(t, normalize(t, x, (0, *range(2, x.dim())), "batch_norm"), x.shape, 1, w, b)
    value = t.node(ops.Pointwise("batch_norm"), (t.value(x),), x.shape, "batch_norm")
    return affine(t, value, x.shape, 1, w, b, *given)


@rule("batch_norm")
def batch_norm(
    t: Tracer, out: Tensor, x: Tensor, w: Maybe, b: Maybe, mean: Maybe, var: Maybe, training: bool, *_: object
) -> int:
    return _batch_norm(t, x, training, w, b, mean, var)


@rule(
    "native_batch_norm", "_native_batch_norm_legit", "_batch_norm_impl_index", "cudnn_batch_norm", "miopen_batch_norm"
)
def native_batch_norm(
    t: Tracer, out: Outputs, x: Tensor, w: Maybe, b: Maybe, mean: Maybe, var: Maybe, training: bool, *_: object
) -> tuple[int, None, None]:
    return _batch_norm(t, x, training, w, b, mean, var), None, None


@rule("_native_batch_norm_legit.no_stats")
def batch_norm_no_stats(
    t: Tracer, out: Outputs, x: Tensor, w: Maybe, b: Maybe, training: bool, *_: object
) -> tuple[int, None, None]:
    return _batch_norm(t, x, training, w, b), None, None


@rule("_native_batch_norm_legit_no_training", "_batch_norm_no_update")
def batch_norm_inference(
    t: Tracer, out: Outputs, x: Tensor, w: Maybe, b: Maybe, mean: Maybe, var: Maybe, *_: object
) -> tuple[int, None, None]:
    return _batch_norm(t, x, False, w, b, mean, var), None, None


@rule("sort", "argsort", "msort")
def sort(t: Tracer, out: Outputs, x: Tensor, *args: Any, **kwargs: Any) -> Made:
    given = t.arguments((x, *args), kwargs)
    dim = given.get("dim", 0 if t.plain == "msort" else -1)
    value = t.node(mix_op((axis_of(dim, x.dim()),), "sort"), (t.value(x),), x.shape, t.plain)
    return (value, value) if isinstance(out, (tuple, list)) else value


@rule("topk")
def topk(t: Tracer, out: Outputs, x: Tensor, k: int, dim: int = -1, *_: object) -> tuple[int, int]:
    axis = axis_of(dim, x.dim())
    value = t.node(mix_op((axis,), "sort"), (t.value(x),), x.shape, "topk")
    value = t.node(ops.Slice(axis, 0), (value,), out[0].shape, "topk")
    return value, value


@rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
def running(t: Tracer, out: Outputs, x: Tensor, dim: int, **_: object) -> Made:
    if x.dim() == 0:
        return t.value(x)
    value = t.node(ops.Scan(axis_of(dim, x.dim()), "forward", t.plain), (t.value(x),), x.shape, t.plain)
    return (value, value) if isinstance(out, (tuple, list)) else value


class Transformed(NamedTuple):
    """A forward transform: what was transformed without the zeros behind it, along which axis, their lengths."""

    value: int
    axis: int
    length: int
    used: int


@rule("_fft_c2c")
def fft(t: Tracer, out: Tensor, x: Tensor, dim: Sequence[int], norm: int = 0, forward: bool = True) -> int:
    axes = axes_of(dim, x.dim())
    if forward:
        return t.node(mix_op(axes, "fft"), (t.value(x),), out.shape, "fft")
    found = _convolved(t, out, x, axes)
    if found is not None:
        return found
    unsure = undone(t.builder.graph, t.value(x), t.moves)
    return t.node(mix_op(axes, UNSURE if unsure else "ifft"), (t.value(x),), out.shape, ORIGIN if unsure else "ifft")


@rule("_fft_r2c", "_fft_c2r")
def real_fft(t: Tracer, out: Tensor, x: Tensor, dim: Sequence[int], *_: object) -> int:
    """Each output reads everything along the transformed axes, whatever their new length."""
    axes, name, origin = axes_of(dim, x.dim()), "fft", "fft"
    if t.plain == "_fft_c2r":
        found = _convolved(t, out, x, axes)
        if found is not None:
            return found
        name, origin = (UNSURE, ORIGIN) if undone(t.builder.graph, t.value(x), t.moves) else ("ifft", "ifft")
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    value = t.node(reduce_op(axes, True, name), (t.value(x),), shape, origin)
    return t.node(ops.Expand(), (value,), out.shape, origin)


def _makers(t: Tracer) -> dict[int, Node]:
    return {node.output: node for node in t.builder.graph.nodes}


def _convolved(t: Tracer, out: Tensor, x: Tensor, axes: tuple[int, ...]) -> int | None:
    """The product of the spectra of a signal and of weights, both filled up with zeros so far that nothing comes round:
    a plain causal convolution. None where that is not proved.
    """
    makers, graph = _makers(t), t.builder.graph
    node = makers.get(t.value(x))
    if node is None or not isinstance(node.op, ops.Pointwise) or node.op.name != "multiply" or len(node.inputs) != 2:
        return None
    signals = [i for i in node.inputs if t.moves(i)]
    if len(signals) != 1 or len(axes) != 1:
        return None
    (other,) = [i for i in node.inputs if i != signals[0]]
    signal, kernel = _transformed(t, makers, signals[0]), _transformed(t, makers, other)
    if signal is None or kernel is None:
        return None
    behind = x.dim() - axes[0]
    if any(len(graph.values[item.value].shape) - item.axis != behind for item in (signal, kernel)):
        return None
    n, weights = out.shape[axes[0]], graph.values[kernel.value]
    fits = signal.length == kernel.length == n and signal.used + kernel.used - 1 <= n
    if not fits or (weights.kind == "constant" and not np.all(weights.data)):
        return None
    shape = [signal.used if k == axes[0] else size for k, size in enumerate(x.shape)]
    own, value = graph.values[signal.value].shape, signal.value
    if len(own) < len(shape):
        value = t.node(RESHAPE, (value,), (1,) * (len(shape) - len(own)) + tuple(own), "convolution")
    if tuple(graph.values[value].shape) != tuple(shape):
        value = t.node(ops.Expand(), (value,), shape, "convolution")
    order = (*(k for k in range(len(shape)) if k != axes[0]), axes[0])
    turned = [shape[k] for k in order]
    value = t.node(permute_op(order), (value,), turned, "convolution") if order != tuple(range(len(order))) else value
    pool = ops.Pool((kernel.used,), (1,), ((kernel.used - 1, n - signal.used),), (1,), "convolution")
    value = t.node(pool, (value,), [*turned[:-1], n], "convolution")
    if order == tuple(range(len(order))):
        return value
    back = tuple(order.index(k) for k in range(len(order)))
    return t.node(permute_op(back), (value,), out.shape, "convolution")


def _transformed(t: Tracer, makers: dict[int, Node], value: int) -> Transformed | None:
    graph, node = t.builder.graph, makers.get(value)
    while node is not None and isinstance(node.op, (ops.Expand, ops.Reshape)):
        before, after = graph.values[node.inputs[0]].shape, graph.values[node.output].shape
        if isinstance(node.op, ops.Reshape) and [n for n in before if n > 1] != [n for n in after if n > 1]:
            return None
        node = makers.get(node.inputs[0])
    if node is None or not isinstance(node.op, (ops.Mix, ops.Reduce)) or node.op.name != "fft":
        return None
    if len(node.op.axes) != 1:
        return None
    axis, source = node.op.axes[0], node.inputs[0]
    length = used = graph.values[source].shape[axis]
    padded = makers.get(source)
    if padded is not None and isinstance(padded.op, ops.Pad) and padded.op.mode == "constant" and not padded.op.value:
        widths = padded.op.widths
        if widths[axis][0] == 0 <= widths[axis][1] and not any(any(w) for k, w in enumerate(widths) if k != axis):
            source, used = padded.inputs[0], length - widths[axis][1]
    return Transformed(source, axis, length, used)


@rule("_weight_norm_interface")
def weight_norm(t: Tracer, out: Outputs, direction: Tensor, size: Tensor, dim: int = 0) -> tuple[int, int]:
    """The direction over its norm along all axes but one, times the size."""
    axes = tuple(axis for axis in range(direction.dim()) if axis != axis_of(dim, direction.dim()))
    norm = t.node(ops.Reduce(axes, True, "norm"), (t.value(direction),), size.shape)
    scale = t.node(ops.Pointwise("divide"), (t.value(size), norm), size.shape)
    return t.node(ops.Pointwise("multiply"), (t.value(direction), scale), direction.shape), norm
