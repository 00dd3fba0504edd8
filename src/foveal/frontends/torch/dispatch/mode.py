"""Watches a PyTorch run operation by operation and writes the graph.

The mode sees each ATen operation. One whose tensors are all constants is run for real on the CPU, so that constants
stay known by value. Any other is run on meta tensors (or on real ones, in a real run), lowered by the table and its
outputs bound to the new values.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from foveal.frontends.torch.dispatch import constants as constants
from foveal.frontends.torch.dispatch.creation import RealConstants
from foveal.frontends.torch.dispatch.fast import FAST
from foveal.frontends.torch.dispatch.leaks import Leaks, generic
from foveal.frontends.torch.dispatch.own import OWN, each, own_rule, written
from foveal.frontends.torch.dispatch.placeholders import Placeholders
from foveal.frontends.torch.dispatch.restore import unrecorded
from foveal.frontends.torch.dispatch.shapes import SHAPES, settled
from foveal.frontends.torch.dispatch.values import Handle, NeedsValues, Values, steps_of, to_array
from foveal.frontends.torch.lowering import table as table
from foveal.frontends.torch.lowering.higher import higher
from foveal.frontends.torch.lowering.table import Args, Kwargs, Maybe, Overload, Result
from foveal.frontends.torch.names import Naming
from foveal.frontends.torch.tables import Entry, entry_of
from foveal.ir import ops
from foveal.ir.extension import REGISTRY

_NO_MATTER = {"out", "memory_format", "layout", "device", "pin_memory", "non_blocking", "generator"}

_MOVES = (ops.Reshape, ops.Permute, ops.Expand, ops.Slice)


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The dispatch mode. ``real`` tells a run on real tensors."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No wrapper around each operation, which would import the compiler and its symbols at the first one."""
        return False

    def __init__(self, values: Values, naming: Naming, real: bool, placeholders: Placeholders | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values = values
        self.naming = naming
        self.real = real
        self.placeholders = placeholders
        self.plainly = not real  # no numbers are there yet
        self.handles = values.handles
        self.node = values.node
        self.value = values.value
        self.builder = values.builder
        self.array = values.array
        self.twins: dict[int, tuple[Tensor, Tensor]] = {}
        self.precise: dict[int, tuple[Tensor, np.ndarray]] = {}
        self.spatial = 0
        self.plain = ""
        taught = any(name.startswith("aten::") for _, name in REGISTRY.lowerings)
        self.fast = {func: short for func, short in FAST.items() if _untaught(func)} if taught else FAST
        self.func: Overload = None
        self.leaks = Leaks(self)
        self.set_length = self.leaks.set_length
        self.depth = 0
        self.lock = threading.RLock()

    def data(self, tensor: Tensor) -> np.ndarray:
        """The numbers of a constant."""
        return self.precise[id(tensor)][1] if id(tensor) in self.precise else to_array(tensor)

    def depends(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on a source."""
        handle = self.handles.get(id(tensor))
        return handle is not None and self.values.read(handle) in self.values.depends

    def moves(self, value: int) -> bool:
        """Whether a source can change a value of the graph."""
        return value in self.values.depends

    def arguments(self, args: Args, kwargs: Kwargs) -> Kwargs:
        """The arguments of the operation at hand by the names of its schema."""
        given = {argument.name: item for argument, item in zip(self.func._schema.arguments, args, strict=False)}
        return {**given, **kwargs}

    def __torch_dispatch__(self, func: Overload, types: Args, args: Args = (), kwargs: Kwargs | None = None) -> Result:
        fast = self.fast.get(func) if self.plainly else None
        if fast is not None:
            result = fast(self, *args, **kwargs) if kwargs else fast(self, *args)
            if result is not NotImplemented:
                return result
        elif isinstance(func, HigherOrderOperator):
            with self:
                return higher(func, args, kwargs or {})
        if self.plainly:
            return self._general(func, entry_of(func), args, kwargs or {})
        return self._watched(func, entry_of(func), args, kwargs or {})

    def _watched(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
        """An operation of a run on real tensors, where numbers may come and go out of sight."""
        self.leaks.before(constants.tensors_of(args, kwargs))
        self.leaks.foreign = self.leaks.given(func, entry, args, kwargs) if not self.depth else self.leaks.foreign
        self.depth += 1
        try:
            result = self._general(func, entry, args, kwargs)
        finally:
            self.depth -= 1
        self.leaks.after(func, entry, args, kwargs, result)
        return result

    @contextmanager
    def in_thread(self) -> Iterator[None]:
        """Within, another thread is watched as well, one operation at a time."""
        self.__class__ = _Shared
        self.naming.threads.add(threading.get_ident())
        with unrecorded(), RealConstants(self), self:
            yield

    def _general(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
        tensors = constants.tensors_of(args, kwargs)
        traced = False
        for tensor in tensors:
            if id(tensor) in self.handles:
                traced = True
            elif tensor.is_meta:
                self._unknown_meta(tensor)
                traced = True
        if not traced:
            return constants.run(self, func, entry, args, kwargs)
        special = constants.SPECIAL.get(entry.plain)
        if special is not None:
            result = special(self, func, entry, args, kwargs)
            if result is not NotImplemented:
                return result
        if entry.kind == "opaque" and entry.plain.startswith("_foreach_"):
            result = each(self, func, args, kwargs)
            if result is not NotImplemented:
                return result
        if entry.kind == "decompose":
            return self._decompose(func, entry, args, kwargs)
        return self._lower(func, entry, args, kwargs, tensors)

    def _unknown_meta(self, tensor: Tensor) -> None:
        raise NeedsValues("a tensor made on the device of the input has values that the meta device does not keep")

    def _decompose(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
        self.naming.quiet += 1
        try:
            with self:
                result = func.decompose(*args, **kwargs)
        finally:
            self.naming.quiet -= 1
        if result is NotImplemented:
            return self._lower(func, entry, args, kwargs, constants.tensors_of(args, kwargs))
        self._name_all(entry, result)
        return result

    def _name_all(self, entry: Entry, result: Result) -> None:
        """Name what an operation made of others returned, unless it only moves data."""
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        for output in outputs:
            handle = self.handles.get(id(output)) if isinstance(output, Tensor) else None
            if handle is None or handle.parent is not None:
                continue
            value = self.values.read(handle)
            node = next((node for node in reversed(self.builder.graph.nodes) if node.output == value), None)
            if node is not None and not isinstance(node.op, _MOVES):
                self.naming.operation(entry.title, value, output)

    def _lower(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs, tensors: list[Tensor]) -> Result:
        if entry.writes and entry.kind in ("view", "same"):
            return self._move_in_place(func, entry, args, kwargs)
        if entry.plain in table.DATA_DEPENDENT:
            return self._sample(func, entry, args, kwargs, tensors)
        out = self._execute(func, entry, args, kwargs, tensors)
        if entry.writes and not self.real:
            out = self._originals(out)
        if entry.kind == "same":
            return self._bind_same(args[0], out)
        if entry.kind == "view":
            return self._bind_view(entry, args, kwargs, out)
        mutable = list(written(func, args, kwargs)) if entry.writes else []
        if entry.kind == "rule":
            self.spatial, self.plain, self.func = entry.spatial, entry.plain, func
            rule: table.Rule = entry.function
            if self.leaks.foreign:
                args, kwargs = tuple(map(generic, args)), {k: generic(v) for k, v in kwargs.items()}
            made = rule(self, out, *args, **{k: v for k, v in kwargs.items() if k not in _NO_MATTER})
            if made is NotImplemented:
                return self._decompose(func, entry, args, kwargs)
        else:
            made = self._opaque(func, tensors, mutable, out)
        return self._bind(entry, mutable, out, made)

    def _computed_index(self, indices: Sequence[Maybe]) -> bool:
        return any(item is not None and id(item) in self.handles for item in indices)

    def _move_in_place(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> Result:
        """``unsqueeze_`` and the like: from now on the tensor is a view of what it was."""
        x = args[0]
        before = tuple(x.shape)
        if entry.kind == "same":
            return x
        old = x.view(x.shape) if entry.plain != "as_strided" else x.as_strided(x.shape, x.stride(), x.storage_offset())
        handle = self.handles.get(id(x)) or self.values.promote(x)
        out = func(*args, **kwargs)
        steps = steps_of(before, entry.function(old, out, *args[1:], **kwargs))
        self.values.bind_view(x, handle, steps, entry.plain)
        return out

    def _sample(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs, tensors: list[Tensor]) -> Result:
        """An output whose very shape depends on data: only a real run can tell it."""
        if not self.real and self.placeholders is None:
            raise NeedsValues(f"the shape of the result of {entry.plain} depends on data")
        if any(self.depends(tensor) for tensor in tensors):
            self.builder.note(
                "data-dependent", self.builder.scope, f"the shape of the result of {entry.plain} depends on data"
            )
        out = self._execute(func, entry, args, kwargs, tensors)
        inputs = [self.value(tensor) for tensor in tensors]
        outputs = out if isinstance(out, (list, tuple)) else (out,)
        if any(self.depends(tensor) for tensor in tensors):
            self.set_length([length for item in outputs for length in item.shape])
        made = [self.node(ops.Sample(entry.plain), inputs, item.shape, entry.plain) for item in outputs]
        return self._bind(entry, [], out, made if isinstance(out, (list, tuple)) else made[0])

    def _execute(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs, tensors: list[Tensor]) -> Result:
        """The framework's own output: shapes only on the meta device."""
        if self.real:
            return func(*args, **kwargs)
        if self.placeholders is not None and self.placeholders.wanted(entry, tensors):
            self.plainly = False
            return self.placeholders.run(func, args, kwargs)
        if entry.writes and not entry.out and entry.kind == "rule":
            return args[0]
        known = SHAPES.get(entry.plain)
        if known is not None and not entry.writes and not (entry.plain == "index" and self._computed_index(args[1])):
            out = known(*args, **kwargs)
            if out is not None:
                return out
        try:
            given = constants.to_meta(args, self.twins)
            return settled(entry.plain, given, kwargs, func(*given, **constants.to_meta(kwargs, self.twins)))
        except RuntimeError:
            if entry.plain in ("view", "_unsafe_view"):
                # The meta stand-in of an earlier output may have another memory layout than the real one.
                return args[0].reshape(args[1])
            raise

    def _bind_same(self, x: Tensor, out: Result) -> Result:
        if isinstance(out, Tensor) and out is not x:
            handle = self.handles.get(id(x))
            if handle is not None and self._shares(x, out) and tuple(out.shape) == tuple(x.shape):
                self.handles[id(out)] = Handle(out, self.values.read(handle), handle, ())
            else:
                self.values.bind(out, self.value(x))
        return out

    def _bind_view(self, entry: Entry, args: Args, kwargs: Kwargs, out: Result) -> Result:
        x = args[0]
        outputs = out if isinstance(out, (list, tuple)) else (out,)
        paths = entry.function(x, out, *args[1:], **kwargs)
        if not isinstance(out, (list, tuple)):
            paths = (paths,)
        handle = self.handles.get(id(x)) or self.values.promote(x)
        if entry.plain.startswith("as_strided"):
            x, handle, paths = self._from_root(x, handle, entry, args, kwargs, out)
        for tensor, path in zip(outputs, paths, strict=True):
            if tensor is x:
                continue
            steps = steps_of(tuple(x.shape), path)
            if self._shares(x, tensor):
                value = self.values.bind_view(tensor, handle, steps, entry.plain)
                if self.leaks.places and entry.plain in ("select", "slice", "narrow") and len(args) > 2:
                    self.leaks.chosen(tensor, x, args[1], args[2])
            else:
                value = self.values.replay(self.values.read(handle), steps, entry.plain)
                self.values.bind(tensor, value)
            if entry.plain == "flatten" and not self.builder.scope:
                self.naming.operation("flatten", value, tensor)
        return out

    def _from_root(self, x: Tensor, handle: Handle, entry: Entry, args: Args, kwargs: Kwargs, out: Tensor) -> Any:
        """A view by places in memory, as a view of the tensor that owns the memory: it may show more than ``x``."""
        root = handle.root.tensor
        given = dict(zip(("size", "stride", "storage_offset"), args[1:], strict=False)) | kwargs
        if given.get("storage_offset") is None:
            given["storage_offset"] = x.storage_offset()
        whole = tuple(root.shape) == self.builder.graph.values[handle.root.value].shape and self._shares(root, x)
        if whole:
            x, handle = root, handle.root
        return x, handle, (entry.function(x, out, *given.values()),)

    def _shares(self, x: Tensor, out: Tensor) -> bool:
        """Whether the result of an operation shares the memory of its operand (or of what stood in for it)."""
        numbers = None if self.placeholders is None else self.placeholders.of(x)
        if numbers is not None:
            return constants.same_memory(numbers, out)
        twin = self.twins.get(id(x))
        return constants.same_memory(x if twin is None or self.real else twin[1], out)

    def _originals(self, out: Result) -> Result:
        """What was written into, where the framework returns the meta tensor that stood in for it."""
        if isinstance(out, (list, tuple)):
            return type(out)([self._originals(item) for item in out])
        found = next((real for real, meta in self.twins.values() if meta is out), out)
        if found is not out and found.shape != out.shape:
            raise NeedsValues("a result does not have the shape of the tensor that it is written into")
        return found

    def _opaque(self, func: Overload, tensors: list[Tensor], mutable: list[Tensor], out: Result) -> Result:
        """An operation without a rule reads all that it is given, and writes that into all that it may write."""
        name = str(func._schema.name)
        outputs = out if isinstance(out, (list, tuple)) else (out,)
        inputs = [self.value(tensor) for tensor in tensors]
        space = name.split("::")[0]
        if space not in OWN:
            self.builder.note("custom-operation", self.builder.scope, f"{name} is not an operation of PyTorch")
        told = mutable or any(isinstance(item, Tensor) for item in outputs)
        if told and any(map(self.depends, (*tensors, *mutable))):  # what is made of weights alone are weights
            self.builder.note("opaque", self.builder.scope, name)
        returned = {id(item) for item in outputs}
        for tensor in {id(item): item for item in mutable if id(item) not in returned}.values():
            handle = self.handles.get(id(tensor)) or self.values.promote(tensor)
            self.values.write(handle, self.node(ops.Opaque(name), inputs, tensor.shape, name))
        made = tuple(
            self.node(ops.Opaque(name), inputs, item.shape, name) if isinstance(item, Tensor) else None
            for item in outputs
        )
        return made if isinstance(out, (list, tuple)) else made[0]

    def _bind(self, entry: Entry, mutable: list[Tensor], out: Result, made: Any) -> Result:
        if isinstance(out, Tensor) and (any(out is item for item in mutable) or (entry.writes and not mutable)):
            handle = self.handles.get(id(out)) or self.values.promote(out)
            if made != self.values.read(handle):  # Dropout that is switched off writes nothing.
                self.values.write(handle, made)
            self.naming.operation(entry.title, made, out)
            return out
        outputs = out if isinstance(out, (list, tuple)) else (out,)
        for tensor, value in zip(outputs, made if isinstance(made, (list, tuple)) else (made,), strict=False):
            if value is not None and isinstance(tensor, Tensor):
                if any(tensor is item for item in mutable):
                    self.values.write(self.handles.get(id(tensor)) or self.values.promote(tensor), value)
                else:
                    self.values.bind(tensor, value)
                self.naming.operation(entry.title, value, tensor)
        return out


class _Shared(Tracer):  # type: ignore[no-untyped-call]
    """A tracer that several threads meet."""

    def __torch_dispatch__(self, func: Overload, types: Args, args: Args = (), kwargs: Kwargs | None = None) -> Result:
        with self.lock:
            return super().__torch_dispatch__(func, types, args, kwargs)


def _untaught(func: Overload) -> bool:
    """Whether no rule of a user's own is passed over: not one for it, and none for a part of what it consists of."""
    name = func._schema.name
    own = own_rule((name, f"{name}.{func._schema.overload_name}"))
    return own is None and entry_of(func).kind != "decompose"
