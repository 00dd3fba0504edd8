"""Keeps tensors that a model makes from numbers real, although their device argument says meta.

``torch.tensor([...], device=x.device)`` on the meta device would forget its numbers before the dispatch mode sees it,
and so would a list used as an index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from foveal.frontends.torch.lowering.table import Args, Kwargs, Overload, Result


class RealConstants(TorchFunctionMode):
    """Redirects the few functions that make tensors from Python numbers to the CPU."""

    def __torch_function__(self, func: Overload, types: Args, args: Args = (), kwargs: Kwargs | None = None) -> Result:
        special = _SPECIAL.get(func)
        if special is not None:
            return special(func, args, kwargs or {})
        return func(*args, **kwargs) if kwargs else func(*args)


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


_SPECIAL = {
    torch.tensor: _from_numbers,
    torch.as_tensor: _from_numbers,
    Tensor.new_tensor: _new_tensor,
    Tensor.__getitem__: _with_real_index,
    Tensor.__setitem__: _with_real_index,
}
