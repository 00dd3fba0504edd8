"""What a JAX function is called with: shapes or example arrays in any nesting, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from foveal.core.errors import TraceError
from foveal.frontends.jax.lowering.tracer import Array, Arrays, Jaxpr, Variable
from foveal.ir.layout import by_name


@dataclass(frozen=True)
class Slot:
    """One array of the call."""

    name: str
    shape: tuple[int, ...]
    dtype: Any
    example: Array = None


@dataclass(frozen=True)
class Call:
    """The arguments with their arrays taken out: ``tree`` puts them back."""

    slots: tuple[Slot, ...]
    tree: Any
    fixed: dict[int, Any]

    def arguments(self, arrays: Arrays) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments with these arrays, in the order of the slots."""
        given = iter(arrays)
        total = len(self.slots) + len(self.fixed)
        leaves = [self.fixed[k] if k in self.fixed else next(given) for k in range(total)]
        args, kwargs = jax.tree_util.tree_unflatten(self.tree, leaves)
        return tuple(args), kwargs


def _is_shape(item: object) -> bool:
    return isinstance(item, (tuple, list)) and len(item) > 0 and all(type(part) is int for part in item)


def _is_array(item: object) -> bool:
    return hasattr(item, "shape") and hasattr(item, "dtype")


def read_call(inputs: Any, dtype: Any = None) -> Call:
    """Read a shape, several shapes, a dict of them (keyword arguments), or example arrays; other items are passed on.

    A shape stands for floating numbers of ``dtype`` (default: JAX's own float). Raises TraceError.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, dict):
        kwargs = inputs
    elif _is_shape(inputs) or _is_array(inputs):
        args = (inputs,)
    elif isinstance(inputs, (tuple, list)) and len(inputs):
        args = tuple(inputs)
    else:
        raise TraceError(f"cannot read inputs {inputs!r}: give a shape such as (1, 224, 224, 3), shapes, or arrays")
    number = dtype or jnp.zeros(()).dtype
    paths, tree = jax.tree_util.tree_flatten_with_path((args, kwargs), is_leaf=_is_shape)
    slots, fixed = [], {}
    for index, (path, item) in enumerate(paths):
        name = _name(path, len(args) == 1 and not kwargs)
        if _is_shape(item):
            slots.append(Slot(name, tuple(item), np.dtype(number)))
        elif _is_array(item):
            example = None if isinstance(item, jax.ShapeDtypeStruct) else item
            slots.append(Slot(name, tuple(item.shape), jax.dtypes.canonicalize_dtype(item.dtype), example))
        else:
            fixed[index] = item
    if not slots:
        raise TraceError(f"inputs {inputs!r} hold no array: give a shape such as (1, 224, 224, 3), shapes, or arrays")
    return Call(tuple(slots), tree, fixed)


def _name(path: Any, single: bool) -> str:
    parts = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", "")))) for key in path[1:]]
    if path[0].idx == 1:
        return ".".join(parts)
    return ".".join(["input" if single else f"input{parts[0]}", *parts[1:]])


def counted_axes(slot: Slot, axes: Any, index: int, jaxpr: Jaxpr, var: Variable) -> tuple[int, ...] | None:
    """The axes of an input whose positions are counted; None where it has none.

    ``axes``: numbers or letters (``"NHWC"``), one for all or a dict by name. By default those over which the first
    convolution or window slides that the input reaches unchanged; without one all but the first and the last, which is
    the layout of JAX's own libraries (axis 1 of two).
    """
    given = by_name(axes, slot.name) if isinstance(axes, Mapping) else axes
    if isinstance(given, (tuple, list)) and given and not all(isinstance(item, int) for item in given):
        given = given[index] if index < len(given) else None
    rank = len(slot.shape)
    if isinstance(given, str):
        if len(given) != rank:
            raise TraceError(f"axes {given!r} has {len(given)} letters but input '{slot.name}' has shape {slot.shape}")
        return tuple(axis for axis, letter in enumerate(given.upper()) if letter not in "NBC")
    if given is not None:
        found = tuple(axis + rank if axis < 0 else axis for axis in given)
        if any(not 0 <= axis < rank for axis in found):
            raise TraceError(f"axes {tuple(given)} do not exist in input '{slot.name}' of shape {slot.shape}")
        return found
    if rank < 2:
        return None
    slides = _slid_over(jaxpr, {var: tuple(range(rank))})
    return slides or ((1,) if rank == 2 else tuple(range(1, rank - 1)))


_WIRES = {"convert_element_type", "copy", "mul", "add", "sub", "div", "pad", "stop_gradient", "max", "min"}


def _slid_over(jaxpr: Jaxpr, known: dict[Variable, tuple[int, ...]]) -> tuple[int, ...] | None:
    """Axes of the input over which the first convolution or window slides. ``known``: variable -> input's axes."""
    for eqn in jaxpr.eqns:
        hits = [var for var in eqn.invars if not hasattr(var, "val") and var in known]
        if not hits:
            continue
        own, name = known[hits[0]], eqn.primitive.name
        if name == "conv_general_dilated":
            return tuple(sorted(own[axis] for axis in eqn.params["dimension_numbers"].lhs_spec[2:]))
        if name.startswith("reduce_window"):
            sizes = eqn.params["window_dimensions"]
            return tuple(sorted(own[axis] for axis, size in enumerate(sizes) if size > 1)) or None
        if name == "transpose":
            known[eqn.outvars[0]] = tuple(own[axis] for axis in eqn.params["permutation"])
        elif name in _WIRES and len(eqn.outvars[0].aval.shape) == len(own):
            known[eqn.outvars[0]] = own
        else:
            inner = [item for item in eqn.params.values() if hasattr(item, "eqns") or hasattr(item, "jaxpr")]
            for item in inner[:1]:
                body = item if hasattr(item, "eqns") else item.jaxpr
                if len(body.invars) == len(eqn.invars):
                    pairs = zip(body.invars, eqn.invars)
                    below = {a: known[b] for a, b in pairs if not hasattr(b, "val") and b in known}
                    found = _slid_over(body, below)
                    if found:
                        return found
                    for a, b in zip(body.outvars, eqn.outvars):
                        if not hasattr(a, "val") and a in below:
                            known[b] = below[a]
    return None
