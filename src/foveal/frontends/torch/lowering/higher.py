"""Operations that take functions: both branches of a condition are run, loops step by step, attention as its own
definition."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree

from foveal.frontends.torch.lowering.table import Args, Kwargs, Result


def _cond(predicate: Any, one: Callable[..., Any], other: Callable[..., Any], operands: Args = ()) -> Result:
    """Each output may come from either branch, and the predicate says from which."""
    first, second = (pytree.tree_flatten(branch(*operands)) for branch in (one, other))
    chosen = [torch.where(predicate, a, b) for a, b in zip(first[0], second[0], strict=True)]
    return pytree.tree_unflatten(chosen, first[1])


def _attention(*args: Any, **kwargs: Any) -> Result:
    """Scores, what the user makes of them, softmax and product, as PyTorch itself defines them."""
    from torch._higher_order_ops.flex_attention import math_attention

    return math_attention(*args, **kwargs)


def _while(condition: Callable[..., Any], body: Callable[..., Any], carried: Args, more: Args = ()) -> Result:
    """As a loop of Python's; where data says how often it runs, it is traced for the input at hand."""
    while bool(condition(*carried, *more)):
        carried = tuple(body(*carried, *more))
    return tuple(carried)


def _scan(combine: Callable[..., Any], state: Any, parts: Any, more: Args = ()) -> Result:
    """The state goes from one slice along the first axis to the next; what each step gives is stacked."""
    rows, count = [], len(state)
    for index in range(parts[0].shape[0]):
        result = combine(*state, *(part[index] for part in parts), *more)
        state = result[:count]
        rows.append(result[count:])
    return [*state, *(torch.stack(column) for column in zip(*rows, strict=True))]


def _map(function: Callable[..., Any], parts: Any, more: Args = ()) -> Result:
    """Each slice along the first axis by itself."""
    found = [pytree.tree_flatten(function(*(part[i] for part in parts), *more)) for i in range(parts[0].shape[0])]
    stacked = [torch.stack(column) for column in zip(*(flat for flat, _ in found), strict=True)]
    return pytree.tree_unflatten(stacked, found[0][1])


def _associative_scan(combine: Callable[..., Any], parts: Any, more: Args = ()) -> Result:
    """Halves that are combined, as PyTorch itself defines it."""
    from torch._higher_order_ops.associative_scan import generic_associative_scan

    each = torch.vmap(combine, in_dims=(0,) * 2 * len(parts) + (None,) * len(more))
    return generic_associative_scan(each, parts, additional_inputs=more)  # type: ignore[no-untyped-call]


HIGHER: dict[str, Callable[..., Result]] = {
    "associative_scan": _associative_scan,
    "cond": _cond,
    "flex_attention": _attention,
    "map_impl": _map,
    "scan": _scan,
    "while_loop": _while,
}


@contextmanager
def uncompiled() -> Iterator[None]:
    """Within: attention and loops with functions of the user's are not compiled first, as nothing is under a dispatch
    mode.
    """
    module, name = sys.modules.get("torch.nn.attention.flex_attention"), "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"
    before, compiled = getattr(module, name, None), torch.compile
    try:
        if before is not None:
            setattr(module, name, True)
        if "torch._higher_order_ops" in sys.modules:
            torch.compile = _as_it_is  # type: ignore[assignment]
        yield
    finally:
        torch.compile = compiled
        if before is not None:
            setattr(module, name, before)


@contextmanager
def experts_by_token() -> Iterator[None]:
    """Within: a mixture of experts of transformers takes each token's own experts (its ``batched_mm``) instead of
    sorting the tokens by expert and back: the same numbers, but which token goes where does not hang on data.
    """
    table = getattr(sys.modules.get("transformers.integrations.moe"), "ALL_EXPERTS_FUNCTIONS", None)
    own = getattr(table, "_local_mapping", None)
    if table is None or not isinstance(own, dict) or "batched_mm" not in table:
        yield
        return
    before, by_token = dict(own), table["batched_mm"]
    own.update(dict.fromkeys(("eager", "grouped_mm", "deepgemm", "sonicmoe"), by_token))
    try:
        yield
    finally:
        own.clear()
        own.update(before)


def _as_it_is(function: Any = None, **_: Any) -> Any:
    return function if function is not None else lambda one: one


def higher(func: Any, args: Args, kwargs: Kwargs) -> Result:
    """What such an operation returns; raises NotImplementedError with the name of one that is not known."""
    name = func.name()
    if name not in HIGHER:
        raise NotImplementedError(f"{name} takes functions and has no rule")
    kwargs = {key: item for key, item in kwargs.items() if key != "mutated_arg_indices"}
    return HIGHER[name](*args, **kwargs)
