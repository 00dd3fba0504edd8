"""Gives back what a forward pass may change beside a module's own dictionaries.

Containers and objects that hang on the model, on its classes and on the modules that define them (a cache in a
dictionary, a list, a configuration object, a module global, ``functools.cache``), the random streams of PyTorch, NumPy
and Python, the default type, autocast and the hooks of all modules. What cannot be given back is told.
"""

from __future__ import annotations

import functools
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LARGE = 1 << 22
"""Elements of a tensor in a container up to which its numbers are kept, so that they can be given back."""
MOST = 100_000
"""Containers and objects that are looked at."""

_PLAIN = {int, bool, float, complex, str, bytes, type(None), type, torch.dtype, torch.device, torch.Size}
_PLAIN |= {FunctionType, BuiltinFunctionType, MethodType, nn.Parameter}
_NOT_OWN = {"torch", "torchvision", "timm", "foveal", "builtins", "numpy", "collections", "typing", "functools", "abc"}
"""Packages whose globals and classes keep nothing of a run; for torchvision and timm ``make untouched`` proves it."""
_TABLES = {dict, OrderedDict, list, set}
_REGISTERED = {"_parameters", "_buffers", "_modules"}
_EMPTY = {name for name, item in vars(nn.Module()).items() if type(item) in _TABLES} - _REGISTERED
"""Tables of hooks and the like, which a module has from the start and mostly has nothing in."""
_USUAL = _EMPTY | _REGISTERED | {"training"}
_empty_of = itemgetter(*_EMPTY)
_LRU = type(functools.cache(len))


@contextmanager
def untouched(
    model: nn.Module,
    changed: list[str] | None = None,
    modules: Iterable[tuple[str, nn.Module]] | None = None,
    kept: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Within, the model may run; afterwards all is as it was. ``changed`` is told what is not. ``kept``: what brings
    back what hangs on the model, where it runs many times (:func:`kept_of`).
    """
    told = [] if changed is None else changed
    held = kept or _held(model.named_modules() if modules is None else modules, told).undo
    undo = [_streams(), _settings(), held]
    try:
        yield
    finally:
        for each in undo:
            each()


@contextmanager
def unrecorded() -> Iterator[None]:
    """Within: nothing is kept for a backward pass, and operations reach a dispatch mode whole.

    Not inference mode: what the model caches meanwhile could never take part in training again.
    """
    versions = torch._C.DispatchKeySet(torch._C.DispatchKey.ADInplaceOrView)
    guards = torch._C._AutoDispatchBelowAutograd, torch._C._ExcludeDispatchKeyGuard
    with torch.inference_mode(False), torch.no_grad(), guards[0](), guards[1](versions):  # each where it is made
        yield


def _streams() -> Callable[[], None]:
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]

    def undo() -> None:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    return undo


def _settings() -> Callable[[], None]:
    kinds = ("cpu", "cuda")
    cast = [(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds]
    cached, number, gradients = torch.is_autocast_cache_enabled(), torch.get_default_dtype(), torch.is_grad_enabled()
    hooks = [(table, dict(table)) for name, table in vars(nn.modules.module).items() if name.startswith("_global_")
             and isinstance(table, dict)]  # fmt: skip

    def undo() -> None:
        for kind, enabled, dtype in cast:
            torch.set_autocast_enabled(kind, enabled)
            torch.set_autocast_dtype(kind, dtype)
        torch.set_autocast_cache_enabled(cached)
        torch.set_default_dtype(number)
        torch.set_grad_enabled(gradients)
        for table, before in hooks:
            _refill(table, before)

    return undo


def kept_of(model: nn.Module) -> Callable[[], None]:
    """Brings back what hangs on the model now, as often as it is called."""
    return partial(_held(model.named_modules(), []).undo, last=False)


def _held(modules: Iterable[tuple[str, nn.Module]], told: list[str]) -> _Kept:
    kept = _Kept(told)
    kinds: dict[type, None] = {}
    for _, module in modules:
        kinds[type(module)] = None
        if not isinstance(module, torch.jit.ScriptModule):
            kept.module(module)
    classes = [kind for kind in dict.fromkeys(k for kind in kinds for k in kind.__mro__) if _own(kind.__module__)]
    for space in _spaces(classes):
        kept.dictionary(space)
    for kind in classes:
        kept.attributes_of(kind)
    return kept


def _own(module: str) -> bool:
    return module.split(".")[0] not in _NOT_OWN


def _spaces(classes: list[type]) -> list[dict[str, Any]]:
    """The globals of the modules that define the model's classes, and of what these use of the same package."""
    first = [sys.modules.get(name) for name in dict.fromkeys(kind.__module__ for kind in classes)]
    found = {id(vars(module)): vars(module) for module in first if module is not None}
    for space in list(found.values()):
        home = str(space.get("__name__", "")).split(".")[0]
        for item in list(space.values()):
            other = vars(item) if isinstance(item, ModuleType) else None
            other = item.__globals__ if isinstance(item, FunctionType) else other
            if isinstance(other, dict) and str(other.get("__name__", "")).split(".")[0] in (home, "__main__"):
                found.setdefault(id(other), other)
    return list(found.values())


def _set_state(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)


class _Kept:
    """What was there before, and how to bring it back."""

    def __init__(self, told: list[str]) -> None:
        self.told = told
        self.seen: dict[int, Any] = {}
        self.undoing: list[Callable[[], None]] = []
        self.empty: list[Any] = []

    def module(self, module: nn.Module) -> None:
        """What hangs on a module; most of it is empty tables of hooks. Its own tensors have their own way back."""
        own = module.__dict__
        names: Any = own.keys()
        if names >= _EMPTY:
            tables = _empty_of(own)
            if not any(tables):
                self.empty += tables
                names = names - _USUAL
        children = own["_modules"]
        if children:
            self.undoing.append(partial(_refill, children, dict(children)))
        for name in names:
            item = own[name]
            kind = type(item)
            if (
                name in _REGISTERED
                or kind in _PLAIN
                or (kind is tuple and (not item or type(item[0]) is int or _plain(item)))
            ):
                continue
            if kind in _TABLES and not item:
                self.empty.append(item)
            else:
                self.inside((item,))

    def undo(self, last: bool = True) -> None:
        """All as it was; ``last``: it is not asked for again."""
        if any(self.empty):
            for table in self.empty:
                table.clear()
        for each in reversed(self.undoing):
            each()
        if last:
            self.undoing.clear()  # they hold this object, and with it all that was kept
            self.seen.clear()

    def inside(self, items: Any) -> None:
        """All that these hold, at any depth."""
        stack = list(items)
        while stack:
            item = stack.pop()
            if type(item) in _PLAIN or id(item) in self.seen or len(self.seen) > MOST:
                continue
            if isinstance(item, (tuple, frozenset)):
                stack.extend(item)
                continue
            self.seen[id(item)] = item
            stack.extend(self._keep(item))

    def dictionary(self, table: dict[str, Any]) -> None:
        """A module's globals: itself, and the containers in it."""
        before = dict(table)
        self.undoing.append(lambda: _refill(table, before))
        self.inside(item for name, item in before.items() if not name.startswith("__"))

    def attributes_of(self, kind: type) -> None:
        """What stands on a class."""
        before = dict(vars(kind))

        def undo() -> None:
            for name, item in list(vars(kind).items()):
                if name not in before:
                    delattr(kind, name)
                elif item is not before[name]:
                    setattr(kind, name, before[name])

        self.undoing.append(undo)
        self.inside(item for name, item in before.items() if not name.startswith("__"))

    def _keep(self, item: Any) -> list[Any]:
        """Remember one object; returns what it holds."""
        undo: Callable[[], None] | None = None
        held: list[Any] = []
        if isinstance(item, dict):
            pairs = dict(_plain_kind(item).items(item))
            held, undo = list(pairs.values()), lambda: _refill(item, pairs)
        elif isinstance(item, (list, deque)):
            held = list(item)
            undo = lambda: _refill_list(item, held)  # noqa: E731
        elif isinstance(item, set):
            members = set(item)
            undo = lambda: _refill_set(item, members)  # noqa: E731
        elif isinstance(item, Tensor):
            undo = self._numbers(item)
        elif isinstance(item, np.ndarray):
            undo = _elements(item)
        elif isinstance(item, _LRU):
            used = item.cache_info().misses
            undo = lambda: item.cache_clear() if item.cache_info().misses != used else None  # noqa: E731
            held = [getattr(item, "__wrapped__", None)]
        elif isinstance(item, torch.Generator):
            undo = partial(_set_state, item, item.get_state())
        elif isinstance(item, np.random.Generator):
            stream = item.bit_generator
            place = stream.state
            undo = lambda: setattr(stream, "state", place)  # noqa: E731
        elif isinstance(item, random.Random):
            at = item.getstate()
            undo = lambda: item.setstate(at)  # noqa: E731
        elif isinstance(item, (nn.Module, ModuleType)):
            return []
        elif _own(type(item).__module__) and isinstance(getattr(item, "__dict__", None), dict):
            own = vars(item)
            pairs = dict(own)
            held, undo = list(pairs.values()), lambda: _refill(own, pairs)
        if undo is not None:
            self.undoing.append(undo)
        return held

    def _numbers(self, tensor: Tensor) -> Callable[[], None] | None:
        if tensor.is_meta or isinstance(tensor, nn.Parameter) or tensor.layout is not torch.strided:
            return None
        copy = tensor.detach().clone() if tensor.numel() <= LARGE else None
        total = None if copy is not None else _total(tensor)

        def undo() -> None:
            if copy is None:
                if _total(tensor) != total:
                    self.told.append(f"a tensor of shape {tuple(tensor.shape)} that the model keeps in a container")
            elif copy.shape != tensor.shape:
                tensor.data = copy
            elif not same_numbers(copy, tensor):
                tensor.data.copy_(copy)  # through .data, which leaves the version that a backward pass may wait for

        return undo


def _total(tensor: Tensor) -> tuple[float, tuple[int, ...]]:
    return float(tensor.detach().abs().sum(dtype=torch.float64)), tuple(tensor.shape)


def same_numbers(a: Tensor, b: Tensor) -> bool:
    """The same shape and numbers; not a number is the same as itself."""
    a, b = a.detach(), b.detach()
    return a.shape == b.shape and bool(((a == b) | (a != a) & (b != b)).all())


def _plain(items: tuple[Any, ...]) -> bool:
    return not items or type(items[0]) is int or all(type(item) in _PLAIN for item in items)


def _elements(array: np.ndarray) -> Callable[[], None] | None:
    if array.size > LARGE or array.dtype.hasobject or not array.flags.writeable:
        return None
    before = array.copy()

    def undo() -> None:
        if array.shape == before.shape:
            array[...] = before

    return undo


def _plain_kind(table: dict[Any, Any]) -> Any:
    """The class whose methods read a table as it is: one of a library's own may make something at each reading."""
    return OrderedDict if isinstance(table, OrderedDict) else dict


def _refill(table: dict[Any, Any], before: dict[Any, Any]) -> None:
    kind = _plain_kind(table)
    if kind.__len__(table) != len(before) or any(kind.get(table, k, table) is not item for k, item in before.items()):
        kind.clear(table)
        for key, item in before.items():
            kind.__setitem__(table, key, item)


def _refill_list(items: Any, before: list[Any]) -> None:
    if len(items) != len(before) or any(a is not b for a, b in zip(items, before, strict=True)):
        items.clear()
        items.extend(before)


def _refill_set(items: set[Any], before: set[Any]) -> None:
    if items != before:
        items.clear()
        items.update(before)
