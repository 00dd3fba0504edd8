"""Operations on tensors that depend neither on a source nor on weights: run for real on the CPU, kept by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from foveal.frontends.torch.dispatch.values import Handle, NeedsValues, memory_of, steps_of
from foveal.frontends.torch.lowering.table import Args, Kwargs, Overload, Result

if TYPE_CHECKING:
    from foveal.frontends.torch.dispatch.mode import Tracer
    from foveal.frontends.torch.tables import Entry

_CPU = torch.device("cpu")


def tensors_of(args: Args, kwargs: Kwargs) -> list[Tensor]:
    """All tensors among the arguments, lists of tensors included."""
    found: list[Tensor] = []
    for item in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            found.extend(part for part in item if isinstance(part, Tensor))
    return found


def to_meta(item: Any, twins: dict[int, tuple[Tensor, Tensor]]) -> Result:
    """The arguments with a meta tensor in place of each real one; ``twins`` keeps one and the same for each tensor."""
    if isinstance(item, Tensor):
        if item.is_meta:
            return item
        known = twins.get(id(item))
        if known is None or known[1].shape != item.shape:
            known = twins[id(item)] = (item, item.to("meta"))
        return known[1]
    if isinstance(item, (list, tuple)):
        return type(item)([to_meta(part, twins) for part in item]) if not hasattr(item, "_fields") else item
    if isinstance(item, dict):
        return {key: to_meta(part, twins) for key, part in item.items()}
    if isinstance(item, torch.device):
        return torch.device("meta")
    return item


def to_cpu(item: Any) -> Result:
    """The arguments with the meta device replaced by the CPU."""
    if isinstance(item, torch.device):
        return _CPU
    if isinstance(item, (list, tuple)) and any(isinstance(part, torch.device) for part in item):
        return type(item)(to_cpu(part) for part in item)
    if isinstance(item, dict):
        return {key: to_cpu(part) for key, part in item.items()}
    return item


def same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors share their storage."""
    return memory_of(a) == memory_of(b) != 0


def run(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Run an operation on constants. What draws random numbers counts as weights from then on: unknown, never zero."""
    if entry.kind == "decompose":
        with t:
            result = func.decompose(*to_cpu(args), **to_cpu(kwargs))
        if result is not NotImplemented:
            return result
    if not t.real:
        args, kwargs = to_cpu(args), to_cpu(kwargs)
    result = func(*args, **kwargs)
    if entry.writes:
        t.values.rewrote(tensors_of((kwargs.get("out", args[0] if args else None),), {}))
    if entry.plain.startswith("empty") and isinstance(result, Tensor):
        result.zero_()
    if entry.plain == "affine_grid_generator":
        t.precise[id(result)] = (result, func(args[0].double(), *args[1:], **kwargs).numpy())
    if entry.random and isinstance(result, Tensor):
        t.values.parameter(result)
    elif entry.kind in ("view", "same"):
        _remember_view(t, entry, args, kwargs, result)
    return result


def _remember_view(t: Tracer, entry: Entry, args: Args, kwargs: Kwargs, result: Result) -> None:
    """Keep how a constant view was made, in case its memory is written with traced data later."""
    x = args[0]
    outputs = result if isinstance(result, (list, tuple)) else (result,)
    if entry.writes or not isinstance(x, Tensor) or not outputs or not same_memory(x, outputs[0]):
        return
    paths = entry.function(x, result, *args[1:], **kwargs) if entry.kind == "view" else []
    for tensor, path in zip(outputs, paths if isinstance(result, (list, tuple)) else (paths,), strict=True):
        if tensor is not x:
            t.values.views[id(tensor)] = (tensor, x, steps_of(tuple(x.shape), path))


Special = Callable[["Tracer", Overload, "Entry", Args, Kwargs], Result]
SPECIAL: dict[str, Special] = {}


def special(*names: str) -> Callable[[Special], Special]:
    """Register what must be handled before lowering."""

    def register(function: Special) -> Special:
        SPECIAL.update(dict.fromkeys(names, function))
        return function

    return register


@special(
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty",
    "new_empty_strided",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "rand_like",
    "randn_like",
    "randint_like",
)
def factory_like(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """A new tensor that takes only shape, type and the order in memory from a traced one is a constant."""
    model = args[0]
    stand_in = torch.zeros((), dtype=model.dtype).expand(model.shape)
    named = {key: part for key, part in to_cpu(kwargs).items() if key != "memory_format"}
    named.pop("device", None)
    result = func(stand_in, *args[1:], **named)
    if "empty" in entry.plain:
        result.zero_()
    if entry.plain.endswith("_like"):
        result = _laid_out_as(model, kwargs.get("memory_format"), result)
    if entry.random:
        t.values.parameter(result)
    return result


def _laid_out_as(model: Tensor, order: torch.memory_format | None, made: Tensor) -> Tensor:
    """``made`` with the order in memory that the framework gives a tensor like ``model``."""
    strides = torch.empty_like(model, device="meta", memory_format=order or torch.preserve_format).stride()
    if made.stride() == strides:
        return made
    return torch.empty_strided(made.shape, strides, dtype=made.dtype).copy_(made)


@special("type_as", "to")
def cast_constant(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """A constant cast to the type of a traced tensor stays a constant."""
    x = args[0]
    if id(x) in t.handles or len(args) < 2 or not isinstance(args[1], Tensor):
        return NotImplemented
    return x.to(args[1].dtype)


@special("_pack_padded_sequence")
def packed(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Lengths that are constants say which step of which sequence each row is."""
    x, lengths, batch_first = args
    if id(lengths) in t.handles:
        return NotImplemented
    sizes = [int((lengths > step).sum()) for step in range(int(lengths.max()))]
    with t:
        steps = x.transpose(0, 1) if batch_first else x
        index = [step * steps.shape[1] + row for step, size in enumerate(sizes) for row in range(size)]
        return steps.flatten(0, 1).index_select(0, torch.tensor(index)), torch.tensor(sizes)


@special("lstm", "gru", "rnn_tanh", "rnn_relu")
def run_over_packed(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Packed sequences of one length are a plain batch; others go step by step."""
    if func._overloadname != "data" or id(args[1]) in t.handles or int(args[1].min()) != int(args[1].max()):
        return NotImplemented
    rows, sizes, *rest = args
    with t:
        steps = rows.unflatten(0, (len(sizes), int(sizes[0])))
        out, *states = func._overloadpacket.input(steps, *rest, batch_first=False)
        return out.flatten(0, 1), *states


@special("equal", "allclose")
def compared(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Whether whole tensors are the same, told to Python without a tensor of the answer."""
    traced = [x for x in args if isinstance(x, Tensor) and id(x) in t.handles]
    read = [value for value in (t.values.read(t.handles[id(x)]) for x in traced) if t.values.depends.get(value)]
    if read:
        t.builder.note("data-dependent", t.builder.scope, "a value computed from the input is read by the model")
    if any(x.is_meta for x in traced):
        raise NeedsValues("computed tensors are compared by the model")
    for value in read:
        t.leaks.read_number(value)
    return func(*args, **kwargs)


@special("item", "_local_scalar_dense", "is_nonzero")
def read_value(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """A value read by the model's control flow."""
    x = args[0]
    handle: Handle = t.handles[id(x)]
    if t.values.depends.get(t.values.read(handle)):
        t.builder.note("data-dependent", t.builder.scope, "a value computed from the input is read by the model")
    if x.is_meta and handle.original is not None:
        return func(handle.original)
    if x.is_meta:
        raise NeedsValues("a computed value is read by the model")
    if t.values.depends.get(t.values.read(handle)):
        t.leaks.read_number(t.values.read(handle), choice=entry.plain == "is_nonzero")
        t.leaks.read_place(func(x))
    return func(x)


@special("masked_select")
def select_known(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """What a constant mask selects is known."""
    if id(args[1]) in t.handles:
        return NotImplemented
    with t:
        shape = torch.broadcast_shapes(args[0].shape, args[1].shape)  # type: ignore[no-untyped-call]
        return args[0].expand(shape)[args[1].expand(shape)]


@special("bincount")
def counted(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Weights of constant classes are sums at constant places."""
    given = dict(zip(("self", "weights", "minlength"), args, strict=False)) | kwargs
    classes, weights = given["self"], given.get("weights")
    if id(classes) in t.handles or weights is None:
        return NotImplemented
    count = max(given.get("minlength", 0), int(classes.max()) + 1 if classes.numel() else 0)
    with t:
        return torch.zeros(count, dtype=torch.float64).index_add(0, classes, weights.double())


@special("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def bags(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Rows of a table in bags that begin at known places."""
    names = [argument.name for argument in func._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    indices, offsets, skipped = given["indices"], given["offsets"], given.get("padding_idx")
    known = id(indices) not in t.handles
    if id(offsets) in t.handles or (skipped not in (None, -1) and not known):
        return NotImplemented
    ends = [*offsets[1 : -1 if given.get("include_last_offset") else None].tolist(), len(indices)]
    owners = torch.repeat_interleave(torch.tensor(ends) - offsets[: len(ends)])
    places = torch.arange(len(owners)) + offsets[0]
    if known and skipped not in (None, -1):
        places = places[indices[places] != skipped]
    with t:
        rows = torch.embedding(given["weight"], indices[places])
        if given.get("per_sample_weights") is not None:
            rows = rows * given["per_sample_weights"][places, None]
        made = _together(rows, owners[places - offsets[0]], len(ends), ("sum", "mean", "amax")[given.get("mode", 0)])
    return made, owners, torch.bincount(owners, minlength=len(ends)), owners


@special("segment_reduce")
def segments(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Neighbours in groups of known lengths."""
    x, lengths = args[0], kwargs.get("lengths")
    if lengths is None or id(lengths) in t.handles or lengths.dim() != 1 or kwargs.get("axis", 0):
        return NotImplemented
    how = str({"max": "amax", "min": "amin"}.get(args[1], args[1]))
    with t:
        return _together(x, torch.repeat_interleave(lengths), len(lengths), how)


def _together(rows: Tensor, owners: Tensor, count: int, how: str) -> Tensor:
    """Rows of the same owner by sum, mean, product or extreme."""
    empty = torch.zeros(count, *rows.shape[1:], dtype=rows.dtype)
    if how == "sum":
        return empty.index_add(0, owners, rows)
    return empty.index_reduce(0, owners, rows, how, include_self=False)


@special("block_diag")
def blocks(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """Each matrix between zeros."""
    with t:
        parts = [part if part.dim() == 2 else part.reshape(1, -1) for part in args[0]]
        width, made = sum(part.shape[1] for part in parts), list[Tensor]()
        for part in parts:
            before = sum(other.shape[1] for other in parts[: len(made)])
            zeros = [part.new_zeros(part.shape[0], n) for n in (before, width - before - part.shape[1])]
            made.append(torch.cat((zeros[0], part, zeros[1]), 1))
        return torch.cat(made)


@special("_pdist_forward")
def pairs(t: Tracer, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
    """The distance of each pair of rows."""
    first, second = torch.triu_indices(len(args[0]), len(args[0]), 1)
    with t:
        return torch.linalg.vector_norm(args[0][first] - args[0][second], *args[1:], dim=-1)
