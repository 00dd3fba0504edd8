"""The operations of one run, exported at two lengths of the source: what differs between them is time.

``torch.export`` keeps convolutions, recurrent layers and attention whole. A value whose shape differs along one axis
between the two lengths is a stream, and that axis is its time; a value that no source reaches is computed once.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from foveal.core.errors import FovealError, first_line


class Ref(NamedTuple):
    """Stands in an argument for the value of that name."""

    name: str


class Shapes(NamedTuple):
    """Of a tensor at both lengths. time: the axis along which they differ, None where they do not."""

    short: tuple[int, ...]
    long: tuple[int, ...]
    dtype: torch.dtype

    @property
    def time(self) -> int | None:
        """The one axis that grows with the source; raises Refused where several do."""
        axes = [k for k, (a, b) in enumerate(zip(self.short, self.long)) if a != b]
        if len(axes) > 1:
            raise Refused("relates every position to every other")
        return axes[0] if axes else None

    @property
    def lengths(self) -> tuple[int, int]:
        """Units at both lengths."""
        time = self.time
        assert time is not None
        return self.short[time], self.long[time]


class Refused(FovealError):
    """An operation that cannot be run with state; the reason, without its name."""


@dataclass(frozen=True)
class Call:
    """One operation that a source reaches. given: its arguments by name, ``Ref`` where a value stands; longer: the
    same at the greater length; shapes: of the result (a list where it makes several).
    """

    name: str
    func: Any
    plain: str
    given: dict[str, Any]
    longer: dict[str, Any]
    shapes: Any
    scope: str

    @property
    def place(self) -> str:
        """The operation and its module, for messages."""
        return f"{self.plain} at {self.scope or '(top)'}"


@dataclass
class Program:
    """calls in order; shapes of every stream; fixed: the values that no source reaches, at both lengths."""

    source: str
    output: str
    calls: list[Call] = field(default_factory=list)
    shapes: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def exported(model: nn.Module, call: Callable[[int], tuple[Any, Any]], lengths: tuple[int, int], axis: int) -> Program:
    """The program of ``model`` called with ``call(length)``, (args, kwargs), at two lengths of the source's ``axis``.

    Raises FovealError where PyTorch cannot export the model, or where the two runs are not alike.
    """
    short, long = (_export(model, *call(length)) for length in lengths)
    rows = [[node for node in each.graph.nodes if node.op == "call_function"] for each in (short, long)]
    if [node.target for node in rows[0]] != [node.target for node in rows[1]]:
        raise FovealError("the model runs other operations at another length of the source")
    values = [_constants(each, *call(length)) for each, length in zip((short, long), lengths)]
    source = next(n for n in values[0] if _differs(values[0][n], values[1][n], axis))
    found = Program(source, _output(short))
    found.shapes[source] = Shapes(tuple(values[0][source].shape), tuple(values[1][source].shape), values[0][source].dtype)
    fixed = ({k: v for k, v in each.items() if k != source} for each in values)
    _read(found, zip(*rows), *fixed)
    return found


def _export(model: nn.Module, args: Any, kwargs: Any) -> Any:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(model, tuple(args), dict(kwargs), strict=False)
    except Exception as error:
        raise FovealError(f"the model cannot be exported by torch.export: {first_line(error)}") from error


def _constants(program: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Weights, buffers and inputs by the name of their placeholder."""
    signature, given = program.graph_signature, pytree.tree_leaves((tuple(args), dict(kwargs)))
    found: dict[str, Any] = {}
    for table in (signature.inputs_to_parameters, signature.inputs_to_buffers):
        for name, path in table.items():
            found[name] = program.state_dict[path] if path in program.state_dict else program.constants[path]
    for name, path in signature.inputs_to_lifted_tensor_constants.items():
        found[name] = program.constants[path]
    names = [node.name for node in program.graph.nodes if node.op == "placeholder" and node.name not in found]
    return found | dict(zip(names, given))


def _differs(a: Any, b: Any, axis: int) -> bool:
    return isinstance(a, Tensor) and a.dim() > axis and a.shape != b.shape


def _output(program: Any) -> str:
    made = pytree.tree_leaves(next(node for node in program.graph.nodes if node.op == "output").args)
    name: str = made[0].name
    return name


def _read(found: Program, pairs: Iterator[Any], short: dict[str, Any], long: dict[str, Any]) -> None:
    """Fold what no source reaches; keep the rest as calls."""
    alias: dict[str, str] = {}

    def refs(item: Any) -> Any:
        return torch.fx.node.map_arg(item, lambda node: Ref(alias.get(node.name, node.name)))

    for node, other in pairs:
        given, longer = ({"args": refs(each.args), "kwargs": refs(each.kwargs)} for each in (node, other))
        used = list(names_in(given))
        if any(name in found.shapes for name in used):
            func, plain = _functional(node.target)
            if func is not node.target:  # in place: from now on the operand is the result
                alias[used[0]] = node.name
                for old in [old for old, new in alias.items() if new == used[0]]:
                    alias[old] = node.name
            by_name = (_by_name(func, each["args"], each["kwargs"]) for each in (given, longer))
            found.shapes[node.name] = shapes = _shapes(node.meta["val"], other.meta["val"])
            found.calls.append(Call(node.name, func, plain, *by_name, shapes, _scope(node)))
        else:
            for values, each in ((short, given), (long, longer)):
                filled = filled_in(each, values)
                with torch.no_grad():
                    values[node.name] = node.target(*filled["args"], **filled["kwargs"])
    found.fixed = {name: (short[name], long[name]) for name in short}
    keep = _behind(found)
    found.calls = [call for call in found.calls if call.name in keep]


def _behind(found: Program) -> set[str]:
    calls, keep, stack = {call.name: call for call in found.calls}, set[str](), [found.output]
    while stack:
        name = stack.pop()
        if name not in keep:
            keep.add(name)
            stack += names_in(calls[name].given) if name in calls else ()
    return keep


def names_in(item: Any) -> Iterator[str]:
    """The names of the values in an argument."""
    for leaf in pytree.tree_leaves(item, is_leaf=lambda each: isinstance(each, Ref)):
        if isinstance(leaf, Ref):
            yield leaf.name


def filled_in(item: Any, values: Any) -> Any:
    """An argument with values for their names."""
    return pytree.tree_map(
        lambda leaf: values[leaf.name] if isinstance(leaf, Ref) else leaf, item, is_leaf=lambda x: isinstance(x, Ref)
    )


def _functional(func: Any) -> tuple[Any, str]:
    """The operation that does not write into its operand, and its plain name."""
    if func is operator.getitem:
        return func, "getitem"
    if not hasattr(func, "_schema"):
        return func, str(func)
    plain = func._schema.name.split("::")[-1]
    if plain.endswith("_") and not plain.startswith("_") and hasattr(torch.ops.aten, plain[:-1]):
        packet = getattr(torch.ops.aten, plain[:-1])
        overload = func._schema.overload_name or "default"
        if hasattr(packet, overload):
            return getattr(packet, overload), plain[:-1]
    return func, plain


def _by_name(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    if not hasattr(func, "_schema"):
        return dict(enumerate(args)) | dict(kwargs)  # type: ignore[arg-type]
    schema = func._schema.arguments
    given = {a.name: item for a, item in zip(schema, args)} | dict(kwargs)
    defaults = {a.name: a.default_value for a in schema if a.has_default_value() and a.name not in given}
    return given | defaults


def _shapes(short: Any, long: Any) -> Any:
    if isinstance(short, (list, tuple)):
        return [_shapes(a, b) for a, b in zip(short, long)]
    if not hasattr(short, "shape"):
        return None
    return Shapes(tuple(map(int, short.shape)), tuple(map(int, long.shape)), short.dtype)


def _scope(node: Any) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""
