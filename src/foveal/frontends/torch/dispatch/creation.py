"""Keeps tensors that a model makes from numbers real, although their device argument says meta.

``torch.tensor([...], device=x.device)`` on the meta device would forget its numbers before the dispatch mode sees it,
and so would a list used as an index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from foveal.frontends.torch.dispatch.values import Handle, NeedsValues
from foveal.frontends.torch.lowering.table import Args, Kwargs, Overload, Result
from foveal.ir import ops

if TYPE_CHECKING:
    from foveal.frontends.torch.dispatch.mode import Tracer


class RealConstants(TorchFunctionMode):
    """Redirects the few functions that make tensors from Python numbers to the CPU, and sees numbers leave."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Overload, types: Args, args: Args = (), kwargs: Kwargs | None = None) -> Result:
        if func not in _SEEN:
            return func(*args, **kwargs) if kwargs else func(*args)
        special = _SPECIAL.get(func)
        if special is not None:
            return special(func, args, kwargs or {})
        if not torch._C._len_torch_dispatch_stack():  # the tracer itself, at an operation
            return func(*args, **kwargs or {})
        how = _WAYS_OUT.get(func)
        return _UNSEEN[func](self.tracer, func, args) if how is None else self._out(how, func, args, kwargs or {})

    def _out(self, how: str, func: Overload, args: Args, kwargs: Kwargs) -> Result:
        x = args[0]
        if how in _COPIES:
            if id(x) not in self.tracer.handles:
                return func(*args, **kwargs)
            made = x.detach() if how == "data" else x.clone()
            if how != "data":
                args[1][id(x)] = made
            return made
        self.tracer.leaks.give_memory(x, how)
        return func(*args, **kwargs)


def _from_numbers(func: Overload, args: Args, kwargs: Kwargs) -> Result:
    if args and not isinstance(args[0], Tensor) and "device" in kwargs and not _holds_tensor(args[0]):
        kwargs = {**kwargs, "device": "cpu"}
    return func(*args, **kwargs)


def _holds_tensor(item: object) -> bool:
    return isinstance(item, Tensor) or (isinstance(item, (list, tuple)) and any(map(_holds_tensor, item)))


def _new_tensor(func: Overload, args: Args, kwargs: Kwargs) -> Result:
    model, data = args[0], args[1] if len(args) > 1 else kwargs["data"]
    if not model.is_meta or isinstance(data, Tensor):
        return func(*args, **kwargs)
    return torch.tensor(data, dtype=kwargs.get("dtype") or model.dtype)


def _with_real_index(func: Overload, args: Args, kwargs: Kwargs) -> Result:
    x, index, *rest = args
    if isinstance(index, tuple):
        index = tuple(_real(item) for item in index)
    return func(x, _real(index), *rest, **kwargs)


def _real(item: Any) -> Result:
    if isinstance(item, (list, np.ndarray)) and not _holds_tensor(item):
        return torch.as_tensor(np.asarray(item)) if len(item) else torch.zeros(0, dtype=torch.long)
    return item


def _new_memory(t: Tracer, func: Overload, args: Args) -> None:
    """``x.data = other``: from now on both stand for the same memory."""
    x, other = args
    func(x, other)
    known = t.handles.get(id(other))
    if known is not None:
        t.handles[id(x)] = Handle(x, t.values.read(known), known)
    else:
        t.handles.pop(id(x), None)
        t.values.views[id(x)] = (x, other, ())


def _by_python(t: Tracer, func: Overload, args: Args) -> Result:
    """``x.map_(other, function)``: Python computes each element of x from those at its place."""
    *tensors, _ = args
    if not any(id(x) in t.handles for x in tensors):
        t.values.rewrote(tensors[:1])
        return func(*args)
    if not t.real:
        raise NeedsValues("Python computes each element")
    made = t.node(ops.Pointwise("map"), [t.value(x) for x in tensors], tuple(tensors[0].shape), "map")
    t.values.write(t.handles.get(id(tensors[0])) or t.values.promote(tensors[0]), made)
    return func(*args)


_UNSEEN = {
    Tensor.data.__set__: _new_memory,  # type: ignore[attr-defined]
    Tensor.apply_: _by_python,
    Tensor.map_: _by_python,
    Tensor.map2_: _by_python,
}
_COPIES = ("data", "deepcopy")
_WAYS_OUT: dict[Any, str] = {
    Tensor.numpy: "numpy()",
    Tensor.__array__: "a NumPy array",
    Tensor.tolist: "tolist()",
    Tensor.__dlpack__: "DLPack",
    Tensor.untyped_storage: "the storage",
    Tensor.storage: "the storage",
    Tensor.data_ptr: "data_ptr()",
    Tensor.__deepcopy__: "deepcopy",
    Tensor.data.__get__: "data",  # type: ignore[attr-defined]
}
_SPECIAL: dict[Any, Callable[[Overload, Args, Kwargs], Result]] = {
    torch.tensor: _from_numbers,
    torch.as_tensor: _from_numbers,
    Tensor.new_tensor: _new_tensor,
    Tensor.__getitem__: _with_real_index,
    Tensor.__setitem__: _with_real_index,
}
_SEEN = {*_SPECIAL, *_WAYS_OUT, *_UNSEEN}
