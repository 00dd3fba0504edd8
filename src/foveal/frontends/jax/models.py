"""What can be traced through a jaxpr: functions, Flax modules (linen and nnx); each as a function of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import jax
import numpy as np

from foveal.core.errors import SourceError
from foveal.frontends.jax.inputs import Call
from foveal.frontends.jax.lowering.tracer import Array, Arrays
from foveal.frontends.jax.names import ABSOLUTE


@dataclass(frozen=True)
class Adapted:
    """A model as ``call(weights, *args, **kwargs)`` with its weights by dotted name (arrays, or shapes of them).

    ``root``: its outermost scope is the model itself. ``types``: class name of each module path. ``parameters``: which
    of the weights count as such.
    """

    call: Callable[..., Any]
    weights: tuple[Array, ...] = ()
    names: tuple[str, ...] = ()
    root: bool = False
    types: dict[str, str] = field(default_factory=dict)
    name: str = ""
    fixed: tuple[bool, ...] = ()
    """Which of the weights are tables that are known by value."""
    trained: tuple[bool, ...] = ()
    """Which of the weights count as parameters (running statistics do not)."""


def adapt(model: Any, call: Call) -> Adapted:
    """The model as a function of its weights. Raises SourceError."""
    module, kinds = type(model).__module__, [kind.__module__ for kind in type(model).__mro__]
    if isinstance(model, tuple) and len(model) == 2 and hasattr(model[0], "apply"):
        return _linen(model[0], model[1])
    if any(kind.startswith("flax.nnx") for kind in kinds):
        return _nnx(model)
    if any(kind.startswith("flax.linen") for kind in kinds):
        variables = model.variables if getattr(model, "scope", None) is not None else _shapes_of(model, call)
        return _linen(model.unbind()[0] if getattr(model, "scope", None) is not None else model, variables)
    if callable(model):
        return Adapted(lambda weights, *args, **kwargs: model(*args, **kwargs), name=_title(model))
    raise SourceError(f"cannot trace a {module}.{type(model).__name__}: give a function or a Flax module")


def _title(model: object) -> str:
    return str(getattr(model, "__name__", type(model).__name__))


def _shapes_of(model: Any, call: Call) -> Any:
    """The shapes of a linen module's variables, without making them."""

    def init(*arrays: Array) -> Any:
        args, kwargs = call.arguments(arrays)
        keys = {name: jax.random.key(0) for name in ("params", "dropout")}
        return model.init(keys, *args, **kwargs)

    struct: Any = jax.ShapeDtypeStruct
    shapes = [struct(slot.shape, slot.dtype) for slot in call.slots]
    return jax.eval_shape(init, *shapes)


def _linen(model: Any, variables: Any) -> Adapted:
    leaves, tree = jax.tree_util.tree_flatten_with_path(variables)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    mutable = [key for key in variables if key not in ("params", "batch_stats")]

    def call(weights: Arrays, *args: Any, **kwargs: Any) -> Any:
        given = jax.tree_util.tree_unflatten(tree, weights)
        keys = {"dropout": jax.random.key(0)}
        if mutable:
            return model.apply(given, *args, rngs=keys, mutable=mutable, **kwargs)[0]
        return model.apply(given, *args, rngs=keys, **kwargs)

    short = tuple(name.partition(".")[2] for name in names)
    trained = tuple(name.startswith("params.") for name in names)
    arrays = tuple(leaf for _, leaf in leaves)
    return Adapted(call, arrays, short, True, {}, type(model).__name__, _tables(arrays), trained)


def _nnx(model: Any) -> Adapted:
    nnx: Any = import_module("flax.nnx")
    definition, state = nnx.split(model)
    leaves, tree = jax.tree_util.tree_flatten_with_path(state)
    kinds = {tuple(map(str, path)): type(item).__name__ for path, item in nnx.to_flat_state(state)}
    paths = {".".join(map(str, path)): type(part).__name__ for path, part in nnx.iter_modules(model) if path}
    names, trained = [], []
    for path, _ in leaves:
        parts = [str(getattr(key, "key", getattr(key, "idx", ""))) for key in path]
        parts = [part for part in parts if part]
        names.append(".".join(parts))
        trained.append(kinds.get(tuple(parts), "Param") == "Param")

    def call(weights: Arrays, *args: Any, **kwargs: Any) -> Any:
        merged = nnx.merge(definition, jax.tree_util.tree_unflatten(tree, weights))
        with _scoped(nnx, merged):
            return merged(*args, **kwargs)

    arrays = tuple(leaf for _, leaf in leaves)
    return Adapted(call, arrays, tuple(names), False, paths, type(model).__name__, _tables(arrays), tuple(trained))


@contextmanager
def _scoped(nnx: Any, model: Any) -> Iterator[None]:
    """Within: each part of a merged copy, which nobody else holds, runs in a named scope of its path."""
    changed = []
    for path, part in nnx.iter_modules(model):
        kind = type(part)
        if path and callable(part):
            object.__setattr__(part, "__class__", _scoped_class(kind, ".".join(map(str, path))))
            changed.append((part, kind))
    try:
        yield
    finally:
        for part, kind in changed:
            object.__setattr__(part, "__class__", kind)


def _scoped_class(kind: type, path: str) -> type:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        with jax.named_scope(f"{ABSOLUTE}{path}"):
            return kind.__call__(self, *args, **kwargs)

    return type(kind.__name__, (kind,), {"__call__": run, "__module__": kind.__module__})


def _tables(arrays: tuple[Array, ...]) -> tuple[bool, ...]:
    """Whole numbers and Booleans that are known."""
    return tuple(
        not isinstance(array, jax.ShapeDtypeStruct)
        and not jax.numpy.issubdtype(array.dtype, jax.dtypes.extended)
        and np.dtype(array.dtype).kind in "iub"
        for array in arrays
    )
