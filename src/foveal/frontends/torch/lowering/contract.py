"""Lowering of products: matmul and its kin, einsum, attention, recurrent layers, embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foveal.frontends import tables
from foveal.frontends.products import matmul_op
from foveal.frontends.torch.lowering.pointwise import times
from foveal.frontends.torch.lowering.reduce import mix_op, of_matrices
from foveal.frontends.torch.lowering.table import Made, Maybe, Outputs, Tracer, rule
from foveal.frontends.torch.lowering.views import RESHAPE
from foveal.ir import ops
from foveal.ir.rules.mixing import UNSURE


@rule("matmul", "mm", "bmm", "mv", "dot", "vdot", "linalg_matmul", "inner_product", "_sparse_mm")
def matmul(t: Tracer, out: Tensor, a: Tensor, b: Tensor, *_: object, **__: object) -> int:
    sparse = _by_entries(t, out, a, b)
    if sparse is not None:
        return sparse
    return t.node(matmul_op(a.dim(), b.dim()), (t.value(a), t.value(b)), out.shape, t.plain)


def _by_entries(t: Tracer, out: Tensor, a: Tensor, b: Tensor) -> int | None:
    """A constant matrix kept by its entries, of any size, times another one; None where it is another product."""
    if a.layout is torch.strided or id(a) in t.handles or a.dim() != 2:
        return None
    entries = a.detach().to_sparse_coo().coalesce()  # type: ignore[no-untyped-call]
    row, column = entries.indices().numpy()
    place = tables.back(row, a.shape[0])
    if place is None:
        return None
    index = np.where(place < 0, -1, column[place] if column.size else -1)
    values = np.abs(entries.values().numpy())
    weights = np.where(place < 0, 0.0, values[place] if values.size else 0.0)
    return t.node(ops.Take(0, np.where(weights == 0, -1, index), weights), (t.value(b),), out.shape, t.plain)


def _plus(t: Tracer, value: int, other: Tensor, shape: Sequence[int], beta: float = 1) -> int:
    """``value`` plus ``other`` times ``beta``; a bias of weights only is no input."""
    if beta == 0 or (not t.depends(other) and other.dim() <= 1):
        return value
    return t.node(ops.Pointwise("add"), (value, times(t, t.value(other), beta, other.shape)), shape, t.plain)


@rule("addmm", "baddbmm", "addmv", "addbmm", "_sparse_addmm")
def add_matmul(
    t: Tracer, out: Tensor, other: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1, **_: object
) -> int:
    summed_batch = ops.Contract(((0, 1, 2), (0, 2, 3)), (1, 3))
    op = summed_batch if t.plain == "addbmm" else matmul_op(a.dim(), b.dim())
    op = replace(op, biased=beta != 0 and not t.depends(other) and other.dim() <= 1)
    sparse = _by_entries(t, out, a, b)
    value = t.node(op, (t.value(a), t.value(b)), out.shape, t.plain) if sparse is None else sparse
    return _plus(t, times(t, value, alpha, out.shape), other, out.shape, beta)


@rule("linear")
def linear(t: Tracer, out: Tensor, x: Tensor, weight: Tensor, bias: Maybe = None) -> int:
    rank = x.dim()
    labels = (rank, rank - 1) if weight.dim() == 2 else (rank - 1,)
    biased = bias is not None and not t.depends(bias) and bias.dim() <= 1
    op = ops.Contract((tuple(range(rank)), labels), (*range(rank - 1), *labels[:-1]), biased)
    value = t.node(op, (t.value(x), t.value(weight)), out.shape, "linear")
    return value if bias is None else _plus(t, value, bias, out.shape)


@rule("_trilinear")
def trilinear(t: Tracer, out: Tensor, a: Tensor, b: Tensor, c: Tensor, *spread: Any) -> int:
    """The product of three, each spread along new axes, summed (``F.bilinear``)."""
    *added, summed = spread[:4]
    every = range(a.dim() + len(added[0]))
    labels = tuple(tuple(label for label in every if label not in new) for new in added)
    op = ops.Contract(labels, tuple(label for label in every if label not in summed))
    return t.node(op, [t.value(item) for item in (a, b, c)], out.shape, "bilinear")


@rule("einsum")
def einsum(t: Tracer, out: Tensor, equation: str, tensors: Sequence[Tensor], **_: object) -> Made:
    """A plain equation is one contraction; one with repeated letters in an operand is taken apart."""
    equation = equation.replace(" ", "")
    left, _arrow, right = equation.partition("->")
    terms = left.split(",")
    if not _arrow or any(len(set(term.replace("...", ""))) != len(term.replace("...", "")) for term in terms):
        return NotImplemented  # type: ignore[no-any-return]
    labels = [_letters(term, tensor.dim()) for term, tensor in zip(terms, tensors, strict=True)]
    widest = max((len([label for label in row if label < 0]) for row in labels), default=0)
    result = _letters(right, len(right.replace("...", "")) + widest * ("..." in right))
    op = ops.Contract(tuple(labels), result)
    return t.node(op, [t.value(tensor) for tensor in tensors], out.shape, "einsum")


def _letters(term: str, rank: int) -> tuple[int, ...]:
    """Labels of one operand; the axes of an ellipsis are -1 (last), -2 ..."""
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after) if dots else 0
    return (*map(ord, before), *range(-hidden, 0), *map(ord, after))


@rule("cdist", "_cdist_forward", "_euclidean_dist")
def distances(t: Tracer, out: Tensor, a: Tensor, b: Tensor, *_: object) -> int:
    batch = tuple(range(20 - (out.dim() - 2), 20))
    labels = ((*batch[len(batch) - a.dim() + 2 :], 30, 32), (*batch[len(batch) - b.dim() + 2 :], 31, 32))
    return t.node(ops.Contract(labels, (*batch, 30, 31)), (t.value(a), t.value(b)), out.shape, "cdist")


@rule("scaled_dot_product_attention")
def attention(
    t: Tracer,
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Maybe = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> int:
    """query key^T, plus mask, softmax, times value."""
    rank = query.dim()
    name = "scaled_dot_product_attention"
    heads = query.shape[-3] if rank > 2 else 1
    keys, key_shape = _shared_heads(t, key, heads)
    values, _ = _shared_heads(t, value, heads)
    batch = tuple(range(rank - 2))
    shape = (*out.shape[:-1], key_shape[-2])
    product = ops.Contract(((*batch, 90, 92), (*batch, 91, 92)), (*batch, 90, 91))
    scores = t.node(product, (t.value(query), keys), shape, name)
    if is_causal:
        allowed = np.tril(np.ones(shape[-2:], dtype=bool))
        scores = t.node(ops.Pointwise("add"), (scores, t.array(_additive(allowed))), shape, name)
    if mask is not None and mask.dtype.is_floating_point:
        scores = t.node(ops.Pointwise("add"), (scores, t.value(mask)), shape, name)
    elif mask is not None:
        scores = t.node(ops.Select(), (t.value(mask), scores, t.array(np.asarray(-np.inf))), shape, name)
    weights = t.node(mix_op((rank - 1,), "softmax"), (scores,), shape, name)
    second = ops.Contract(((*batch, 90, 91), (*batch, 91, 93)), (*batch, 90, 93))
    return t.node(second, (weights, values), out.shape, name)


def _additive(allowed: np.ndarray) -> np.ndarray:
    """A Boolean mask (true: take part) as numbers to add before a softmax."""
    return np.where(allowed, 0.0, -np.inf)


def _shared_heads(t: Tracer, tensor: Tensor, heads: int) -> tuple[int, tuple[int, ...]]:
    """Keys or values with each head repeated for the queries that share it."""
    shape = tuple(tensor.shape)
    if tensor.dim() < 3 or shape[-3] in (heads, 1):
        return t.value(tensor), shape
    index = np.repeat(np.arange(shape[-3]), heads // shape[-3])
    shape = (*shape[:-3], heads, *shape[-2:])
    return t.node(ops.Take(tensor.dim() - 3, index), (t.value(tensor),), shape, "repeat_heads"), shape


@rule("embedding")
def embedding(t: Tracer, out: Tensor, weight: Tensor, indices: Tensor, *_: object) -> int:
    if t.depends(weight) and id(indices) in t.handles:
        return t.node(ops.Sample("embedding"), (t.value(weight), t.value(indices)), out.shape, "embedding")
    if id(indices) in t.handles:
        return t.node(ops.Lookup(), (t.value(indices),), out.shape, "embedding")
    index = t.data(indices).reshape(-1)
    value = t.node(ops.Take(0, index), (t.value(weight),), (index.size, *weight.shape[1:]), "embedding")
    return t.node(RESHAPE, (value,), out.shape, "embedding")


@rule("linalg_solve_triangular", "triangular_solve")
def solve_triangular(t: Tracer, out: Outputs, a: Tensor, b: Tensor, *more: bool, **said: bool) -> Made:
    """A row of the solution reads that row of both and all rows that were solved before it, of the matrix the triangle.

    Zeros inside the triangle are not followed, nor those of a right side that no source reaches: then it is a bound.
    """
    if t.plain == "triangular_solve":  # of an older interface: the right side first, upper unless said otherwise
        a, b = b, a
        words: dict[str, Any] = {"upper": True} | dict(zip(("upper", "transpose", "unitriangular"), more)) | said
    else:
        words = {"left": True} | said
    left, transposed = words.get("left", True), words.get("transpose", False)
    x = out[0] if isinstance(out, (tuple, list)) else out
    unit = int(words.get("unitriangular", False))
    mask = torch.ones(a.shape[-1], a.shape[-1])
    mask = torch.triu(mask, unit) if words["upper"] else torch.tril(mask, -unit)
    rank, batch = x.dim(), tuple(x.shape[:-2])
    value = t.node(ops.Pointwise("multiply"), (t.value(a), t.array(mask.numpy())), a.shape, t.plain)
    rows = left is not transposed  # along which axis of the matrix a step of the solution lies
    value = t.node(ops.Reduce((a.dim() - 1 if rows else a.dim() - 2,), True, "sum"), (value,),
                   (*a.shape[:-2], a.shape[-1], 1) if rows else (*a.shape[:-2], 1, a.shape[-1]), t.plain)  # fmt: skip
    if transposed:
        shape = (*a.shape[:-2], a.shape[-1], 1)
        value = t.node(RESHAPE, (value,), shape, t.plain)
    value = t.node(ops.Pointwise("add"), (value, t.value(b)), (*batch, *x.shape[-2:]), t.plain)
    direction = "backward" if (words["upper"] is not transposed) is left else "forward"
    value = t.node(ops.Scan(rank - 2 if left else rank - 1, direction, t.plain), (value,), x.shape, t.plain)
    if not t.depends(b):
        value = t.node(mix_op((), UNSURE), (value,), x.shape, t.plain)
    return (value, t.value(a)) if isinstance(out, (tuple, list)) else value


@rule("_linalg_solve_ex")
def solve(t: Tracer, out: Sequence[Tensor], a: Tensor, b: Tensor, *, left: bool = True, **_: object) -> Made:
    """A column of the solution reads that column of the right side and all of the matrix."""
    x, vector = out[0], b.dim() == a.dim() - 1
    axis = x.dim() - (1 if vector or not left else 2)
    whole = t.node(ops.Reduce((a.dim() - 2, a.dim() - 1), not vector, "solve"), (t.value(a),),
                   tuple(a.shape[:-2]) if vector else (*a.shape[:-2], 1, 1), t.plain)  # fmt: skip
    if vector:
        whole = t.node(RESHAPE, (whole,), (*a.shape[:-2], 1), t.plain)
    value = t.node(mix_op((axis,), "solve"), (t.value(b),), b.shape, t.plain)
    value = t.node(ops.Pointwise("add"), (value, whole), x.shape, t.plain)
    return (value, *of_matrices(t, tuple(out[1:]), a))
