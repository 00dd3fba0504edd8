"""The operations of one run, recorded at two lengths of the source: what differs between them is time.

A value whose shape differs along one axis between the two runs is a stream, and that axis is its time; a value that the
source does not reach is kept as it was made.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from foveal.core.errors import FovealError, first_line
from foveal.frontends.torch.dispatch.restore import unrecorded, untouched
from foveal.frontends.torch.names import tensors_in


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
        return _growing(self.short, self.long)

    @property
    def lengths(self) -> tuple[int, int]:
        """Units at both lengths."""
        time = self.time
        assert time is not None
        return self.short[time], self.long[time]


@cache
def _growing(short: tuple[int, ...], long: tuple[int, ...]) -> int | None:
    axes = [k for k, (a, b) in enumerate(zip(short, long)) if a != b]
    if len(axes) > 1:
        raise Refused("relates every position to every other")
    return axes[0] if axes else None


class Reached(Exception):
    """The layer that is wanted has been made: nothing behind it is run."""


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
    """calls in order; shapes of every stream; fixed: the values that no source reaches, at both lengths; notes: what
    these do not tell.
    """

    source: str
    output: str
    calls: list[Call] = field(default_factory=list)
    shapes: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def recorded(model: nn.Module, call: Callable[[int], tuple[Any, Any]], lengths: tuple[int, int], layer: str) -> Program:
    """The program of ``model`` called with ``call(length)``, (args, kwargs), at two lengths of the source; of a layer
    (what a module returns, by the name that a trace gives it; "": the first output).

    Raises FovealError where the model does not run so, or where the two runs are not alike.
    """
    short, long = (Recorder(model, *call(length), layer) for length in lengths)
    if [row.func for row in short.rows] != [row.func for row in long.rows]:
        raise FovealError(
            "the model runs other operations at another length of the source, as a loop over positions does"
        )
    pairs = [(name, t, long.fixed[name]) for name, t in short.fixed.items() if name.startswith("in")]
    source = next((name for name, a, b in pairs if a.shape != b.shape), "")
    if not source:
        raise FovealError("no input grows with the source")
    if not short.output:
        raise Refused(f"layer '{layer}' is not what a module returns: only those run with state")
    found = Program(source, short.output)
    found.shapes[source] = _shapes(short.fixed[source], long.fixed[source])
    alias: dict[str, str] = {}
    for row, other in zip(short.rows, long.rows):
        used = [alias.get(name, name) for name in names_in(row.given)]
        if row.plain in FACTORIES or not any(name in found.shapes for name in used):
            continue
        if row.plain in VALUES:
            raise Refused(f"{row.plain} at {row.scope or '(top)'}: the model reads a number of the stream")
        given, longer = ({k: _renamed(item, alias) for k, item in each.given.items()} for each in (row, other))
        found.shapes[row.name] = shapes = _shapes(row.made, other.made)
        found.calls.append(Call(row.name, row.func, row.plain, given, longer, shapes, row.scope))
        if row.written:  # in place: from now on the operand is the result
            for old in [row.written, *(old for old, new in alias.items() if new == row.written)]:
                alias[old] = row.name
    found.output = alias.get(found.output, found.output)
    known = (each.fixed for each in (short, long))
    a, b = ({k: t for k, t in each.items() if k not in found.shapes} for each in known)
    found.fixed = {name: (t, b.get(name, t)) for name, t in a.items()}
    keep = _behind(found)
    found.calls = [call for call in found.calls if call.name in keep]
    return found


FACTORIES = ("new_zeros", "new_ones", "new_full", "new_empty")
"""What reads only the type of its operand."""
CONVERSIONS = ("_to_copy", "to", "type_as")
VALUES = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal")


class Row(NamedTuple):
    """One operation as it ran. given: arguments by name; made: what it returned; written: the operand it changed."""

    name: str
    func: Any
    plain: str
    given: dict[str, Any]
    made: Any
    written: str
    scope: str


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs a model on real tensors and keeps what ran; results that are several get a row each to pick one."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled: importing the compiler would take seconds."""
        return False

    def __init__(self, model: nn.Module, args: Any, kwargs: Any, layer: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows: list[Row] = []
        self.fixed: dict[str, Any] = {}
        self.names: dict[int, str] = {}
        self.output = ""
        self.scopes: list[str] = []
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self._keep(name, tensor)
        for number, leaf in enumerate(pytree.tree_leaves((args, kwargs))):
            if isinstance(leaf, Tensor):
                self._keep(f"in{number}", leaf)
        hooks = [handle for name, module in model.named_modules() for handle in self._hooks(name, module, layer)]
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with untouched(model), unrecorded(), self:
                model(*args, **kwargs)
        except Reached:
            pass
        except FovealError:
            raise
        except Exception as error:
            raise FovealError(f"the model does not run on real tensors: {first_line(error)}") from error
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            for handle in hooks:
                handle.remove()

    def rounding(self) -> float:
        """Unit of the last place of the lowest precision that numbers are converted to or from, 0 without any."""
        lowest = 0.0
        for row in self.rows:
            if row.plain in CONVERSIONS and isinstance(row.made, tuple):
                types = {row.made[1], *(self.fixed[name].dtype for name in names_in(row.given))}
                if len(types) > 1 and all(each.is_floating_point for each in types):
                    lowest = max(lowest, *(float(torch.finfo(each).eps) for each in types))
        return lowest

    def _hooks(self, name: str, module: nn.Module, layer: str) -> Iterator[Any]:
        yield module.register_forward_pre_hook(lambda *_: self.scopes.append(name))
        yield module.register_forward_hook(lambda _, given, made: self._leave(made, name or "output", layer))

    def _leave(self, made: Any, path: str, layer: str) -> None:
        if self.scopes:
            self.scopes.pop()
        for name, tensor in tensors_in(made, path) if (layer or "output").startswith(path) else ():
            first, _, rest = name[len(path) + 1 :].partition(".")
            if layer in (name, f"{path}[{first}]" + (f".{rest}" if rest else "")) or (not layer and path == "output"):
                self.output = self.names.get(id(tensor), "")
                raise Reached

    def _keep(self, name: str, tensor: Tensor) -> str:
        self.fixed[name] = tensor  # keeps it alive, so that its id stays its own
        self.names[id(tensor)] = name
        return name

    def _ref(self, item: Any) -> Any:
        if not isinstance(item, Tensor):
            return item
        name = self.names.get(id(item)) or self._keep(f"fixed{len(self.fixed)}", item)
        return Ref(name)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = pytree.tree_map(self._ref, _by_name(func, args, kwargs or {}))
        made = func(*args, **(kwargs or {}))
        if func.namespace == "prim" or made is None:
            return made
        name, scope = f"v{len(self.rows)}", self.scopes[-1] if self.scopes else ""
        written = self.names.get(id(made), "") if isinstance(made, Tensor) else ""
        func, plain = _functional(func)
        self.rows.append(Row(name, func, plain, given, _lengths(made), written, scope))
        if isinstance(made, Tensor):
            self._keep(name, made)
        for k, part in enumerate(made if isinstance(made, (tuple, list)) else ()):
            if isinstance(part, Tensor):
                one, pick = self._keep(f"{name}.{k}", part), {"0": Ref(name), "1": k}
                self.rows.append(Row(one, operator.getitem, "getitem", pick, _lengths(part), "", scope))
        return made


def _lengths(made: Any) -> Any:
    """Shapes for tensors."""
    if isinstance(made, (tuple, list)):
        return [_lengths(part) for part in made]
    return (tuple(made.shape), made.dtype) if isinstance(made, Tensor) else made


def _renamed(item: Any, alias: dict[str, str]) -> Any:
    return pytree.tree_map(
        lambda leaf: Ref(alias.get(leaf.name, leaf.name)) if isinstance(leaf, Ref) else leaf, item, is_leaf=_is_ref
    )


def _is_ref(item: Any) -> bool:
    return isinstance(item, Ref)


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
    for leaf in pytree.tree_leaves(item, is_leaf=_is_ref):
        if isinstance(leaf, Ref):
            yield leaf.name


def filled_in(item: Any, values: Any) -> Any:
    """An argument with values for their names."""
    return pytree.tree_map(lambda leaf: values[leaf.name] if isinstance(leaf, Ref) else leaf, item, is_leaf=_is_ref)


DIRECT = {
    f"aten::{name}": getattr(torch, name)
    for name in (
        "conv1d",
        "conv2d",
        "conv3d",
        "relu",
        "tanh",
        "sigmoid",
        "prelu",
        "layer_norm",
        "add",
        "mul",
        "transpose",
    )
} | {f"aten::{name}": getattr(nn.functional, name) for name in ("linear", "gelu")}
"""PyTorch's own functions of the same arguments, which are called faster than an operation by its schema."""


class Prepared:
    """A call whose arguments are looked up once: ``prepared(values, {name: another value})``."""

    def __init__(self, func: Any, given: dict[str, Any]) -> None:
        schema = getattr(func, "_schema", None)
        self.func = func if schema is None else DIRECT.get(schema.name, func)
        order = [a.name for a in schema.arguments if not a.kwarg_only] if schema is not None else []
        first = list(takewhile(given.__contains__, order))
        self.args = [given[key] for key in first]
        self.more = {key: item for key, item in given.items() if key not in first}
        plain = {place: item.name for place, item in enumerate(self.args) if isinstance(item, Ref)}
        self.places = list(plain.items())
        self.nested = [k for k, item in enumerate(self.args) if k not in plain and any(names_in(item))]
        self.late = any(names_in(self.more))

    def __call__(self, values: Any, own: Any) -> Any:
        args = self.args.copy()
        for place, name in self.places:
            args[place] = own[name] if name in own else values[name]
        for place in self.nested:
            args[place] = [
                item if not isinstance(item, Ref) else own[item.name] if item.name in own else values[item.name]
                for item in args[place]
            ]
        return self.func(*args, **(filled_in(self.more, values | dict(own)) if self.late else self.more))


def _functional(func: Any) -> tuple[Any, str]:
    """The operation that does not write into its operand, and its plain name."""
    plain = func._schema.name.split("::")[-1]
    if plain.endswith("_") and not plain.startswith("_") and hasattr(torch.ops.aten, plain[:-1]):
        packet = getattr(torch.ops.aten, plain[:-1])
        overload = func._schema.overload_name or "default"
        if hasattr(packet, overload):
            return getattr(packet, overload), plain[:-1]
    return func, plain


def _by_name(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    schema = func._schema.arguments
    given = {a.name: item for a, item in zip(schema, args)} | dict(kwargs)
    defaults = {a.name: a.default_value for a in schema if a.has_default_value() and a.name not in given}
    return given | defaults


def _shapes(short: Any, long: Any) -> Any:
    if isinstance(short, list):
        return [_shapes(a, b) for a, b in zip(short, long)]
    if isinstance(short, Tensor):
        short, long = _lengths(short), _lengths(long)
    return Shapes(short[0], long[0], short[1]) if isinstance(short, tuple) else None
