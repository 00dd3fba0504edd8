"""Operations and modules that users taught foveal (:mod:`foveal.extend`), in a PyTorch trace, and operations that write
into what they are given: lists of tensors, and what their schema marks as mutable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from foveal.frontends.torch.lowering.table import Args, Kwargs, Made, Outputs, Overload, Result, Rule, Tracer
from foveal.ir.extension import REGISTRY, Call, Lowering, results

if TYPE_CHECKING:
    from foveal.frontends.torch.dispatch.mode import Tracer as Mode
    from foveal.frontends.torch.names import Naming


def own_rule(names: tuple[str, ...]) -> Rule | None:
    """The table's kind of rule for an operation that was taught; None where none was."""
    lowering = REGISTRY.find("torch", *names)
    if lowering is None:
        return None

    def rule(t: Tracer, out: Outputs, *args: Any, **kwargs: Any) -> Made:
        given = t.arguments(args, kwargs)
        tensors = [part for item in given.values() for part in _flat(item)]
        outputs = out if isinstance(out, (tuple, list)) else (out,)
        call = Call(
            names[0],
            tuple(t.value(tensor) for tensor in tensors),
            tuple(tuple(tensor.shape) for tensor in tensors),
            tuple(tuple(item.shape) for item in outputs),
            {key: item for key, item in given.items() if not _flat(item)},
            lambda op, inputs, shape: t.node(op, inputs, shape, t.plain),
            t.array,
            lambda reason: t.builder.note("data-dependent", t.builder.scope, reason),
        )
        made = results(call, lowering(call))
        return made if isinstance(out, (tuple, list)) else made[0]

    return rule


def _flat(item: object) -> list[Tensor]:
    if isinstance(item, Tensor):
        return [item]
    return [part for part in item if isinstance(part, Tensor)] if isinstance(item, (tuple, list)) else []


def own_module(module: nn.Module) -> Lowering | None:
    """The lowering of a module's class, or of the nearest class above it."""
    for kind in type(module).__mro__ if REGISTRY.modules else ():
        if kind in REGISTRY.modules:
            return REGISTRY.modules[kind]
    return None


class Inside:
    """What a trace had made when a module was entered that counts as one operation."""

    def __init__(self, naming: Naming) -> None:
        graph = naming.builder.graph
        self.layers, self.notes = set(graph.layer_table), len(graph.notes)

    def replace(
        self, naming: Naming, lowering: Lowering, module: nn.Module, path: str, args: Args, output: Result
    ) -> None:
        """Give the module's outputs the meaning that was taught, and forget what was seen inside."""
        graph, values = naming.builder.graph, naming.values
        for name in [name for name in graph.layer_table if name not in self.layers]:
            naming.operations.pop(graph.layer_table.pop(name).value, None)
        del graph.notes[self.notes :]
        tensors = [part for item in args for part in _flat(item)]
        outputs = output if isinstance(output, (tuple, list)) else (output,)
        kind = type(module).__name__
        call = Call(
            kind,
            tuple(values.value(tensor) for tensor in tensors),
            tuple(tuple(tensor.shape) for tensor in tensors),
            tuple(tuple(item.shape) for item in outputs),
            {"module": module},
            lambda op, inputs, shape: values.node(op, inputs, shape, kind),
            values.array,
            lambda reason: naming.builder.note("data-dependent", path, reason),
        )
        for tensor, value in zip(outputs, results(call, lowering(call))):
            values.bind(tensor, value)


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


def each(t: Mode, func: Overload, args: Args, kwargs: Kwargs) -> Result:
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
