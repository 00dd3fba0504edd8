"""Operations that write into what they are given: lists of tensors, and what their schema marks as mutable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from foveal.frontends.torch.lowering.table import Args, Kwargs, Overload, Result

if TYPE_CHECKING:
    from foveal.frontends.torch.dispatch.mode import Tracer

OWN = {"aten", "prim", "prims", "quantized", "torchvision", "_quantized", "mkldnn", "sparse", "profiler"}
"""Namespaces of PyTorch and torchvision; an operation of any other is a custom one."""


def written(func: Overload, args: Args, kwargs: Kwargs) -> Iterator[Tensor]:
    """The tensors that the schema lets an operation write into."""
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        given = args[place] if place < len(args) and not argument.kwarg_only else kwargs.get(argument.name)
        yield from (item for item in (given if isinstance(given, (list, tuple)) else (given,))
                    if isinstance(item, Tensor))  # fmt: skip


def each(t: Tracer, func: Overload, args: Args, kwargs: Kwargs) -> Result:
    """``_foreach_add_`` and the like, tensor by tensor; NotImplemented where one tensor has no such operation."""
    name = func._schema.name.removeprefix("aten::_foreach_")
    single = getattr(torch.ops.aten, "linalg_vector_norm" if name == "norm" else name, None)
    if single is None:
        return NotImplemented
    args = (*args, *(kwargs[argument.name] for argument in func._schema.arguments[len(args) :]
                     if argument.name in kwargs and argument.name != "alpha"))  # fmt: skip
    named = {"alpha": kwargs["alpha"]} if "alpha" in kwargs else {}
    made = []
    for place in range(len(args[0])):
        row = [item[place] if isinstance(item, (list, tuple)) else item for item in args]
        if name.startswith("addc") and len(row) == 4:
            named["value"] = row.pop()
        with t:
            made.append(single(*row, **named))
    return None if name.endswith("_") else made
