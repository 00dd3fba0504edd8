"""What to do with one ATen operation: looked up once per overload, then kept."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import torch

from foveal.frontends.torch.dispatch.own import own_rule
from foveal.frontends.torch.lowering import (
    contract as torch_lowering_contract,
    index as torch_lowering_index,
    pointwise as torch_lowering_pointwise,
    quantized as torch_lowering_quantized,
    recurrent as torch_lowering_recurrent,
    reduce as torch_lowering_reduce,
    resample as torch_lowering_resample,
    scatter as torch_lowering_scatter,
    table as table,
    views as torch_lowering_views,
    windows as torch_lowering_windows,
)
from foveal.ir.extension import REGISTRY

FAMILIES = (
    torch_lowering_contract,
    torch_lowering_index,
    torch_lowering_pointwise,
    torch_lowering_quantized,
    torch_lowering_recurrent,
    torch_lowering_reduce,
    torch_lowering_resample,
    torch_lowering_scatter,
    torch_lowering_views,
    torch_lowering_windows,
)
"""Importing a family fills the table."""


class Entry(NamedTuple):
    """How one overload is handled.

    ``title`` names the layer. kind: "same", "view", "rule", "decompose" or "opaque". ``plain`` is the name without
    namespace and trailing underscore; ``writes`` tells an in-place operation, ``out`` one that fills an ``out=``
    tensor; ``random`` one that draws numbers; ``spatial`` the number of spatial axes that the name tells
    (``avg_pool2d``: 2).
    """

    kind: str
    plain: str
    title: str
    function: Any
    writes: bool
    out: bool
    random: bool
    spatial: int


_ENTRIES: dict[table.Overload, Entry] = {}
_VERSIONS = {"taught": 0}


def entry_of(func: table.Overload) -> Entry:
    """The entry of an overload."""
    if _VERSIONS["taught"] != REGISTRY.version:
        _VERSIONS["taught"] = REGISTRY.version
        _ENTRIES.clear()
    entry = _ENTRIES.get(func)
    if entry is None:
        entry = _ENTRIES[func] = _look_up(func)
    return entry


def _look_up(func: table.Overload) -> Entry:
    schema = func._schema
    name = schema.name.removeprefix("aten::")
    writes = bool(schema.is_mutable)
    out = any(argument.is_out for argument in schema.arguments)
    plain = name.rstrip("_") if writes and not name.startswith("__") else name
    taught = own_rule((schema.name, f"{schema.name}.{schema.overload_name}"))
    kind, function = ("rule", taught) if taught is not None else _find(func, plain, schema.overload_name)
    digit = re.search(r"([123])d", name)
    random = torch.Tag.nondeterministic_seeded in func.tags
    short = plain.split("::")[-1]
    return Entry(kind, short, short.lstrip("_"), function, writes, out, random, int(digit.group(1)) if digit else 0)


def _find(func: table.Overload, plain: str, overload: str) -> tuple[str, Any]:
    composite = func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)
    if composite and plain.startswith("conv") and own_rule(("aten::convolution",)) is not None:
        return "decompose", None
    for name in (f"{plain}.{overload}", plain):
        if name in table.SAME:
            return "same", None
        if name in table.VIEWS:
            return "view", table.VIEWS[name]
        if name in table.RULES:
            return "rule", table.RULES[name]
    return ("decompose" if composite else "opaque"), None
