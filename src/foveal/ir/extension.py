"""What users taught foveal: lowerings by operation and by module class. :mod:`foveal.extend` is the public face."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

from foveal.core.errors import FovealError, first_line
from foveal.ir.ops import Operation
from foveal.ir.rules.registry import RULES

GROUP = "foveal.rules"
FRAMEWORKS = ("torch", "onnx", "jax")
Lowering = Callable[["Call"], Any]


@dataclass(frozen=True)
class Call:
    """One call of an operation, as a lowering sees it. Values are numbers that stand for arrays of the network."""

    name: str
    inputs: tuple[int, ...]
    """The values of the array operands, in order."""
    shapes: tuple[tuple[int, ...], ...]
    """Their shapes."""
    outputs: tuple[tuple[int, ...], ...]
    """The shapes of the results."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The other arguments, by the names of the operation's schema; for a module ``{"module": the module}``."""
    node: Callable[..., int] = field(default=lambda *_: 0, repr=False)
    array: Callable[[np.ndarray], int] = field(default=lambda _: 0, repr=False)
    note: Callable[[str], None] = field(default=lambda _: None, repr=False)

    def emit(self, operation: Operation, *inputs: int, shape: Sequence[int] | None = None) -> int:
        """Add a neutral operation; ``shape`` of its result defaults to that of the first output."""
        return self.node(operation, inputs, tuple(self.outputs[0] if shape is None else shape))

    def constant(self, array: Any) -> int:
        """A value known by its numbers."""
        return self.array(np.asarray(array))

    def data_dependent(self, reason: str) -> None:
        """What follows is what the operation can reach; what it does reach is set by data."""
        self.note(reason)


@dataclass
class Registry:
    """What was registered. ``version`` counts the changes, for those who keep what they looked up."""

    lowerings: dict[tuple[str, str], Lowering] = field(default_factory=dict)
    modules: dict[type, Lowering] = field(default_factory=dict)
    version: int = 0
    loaded: bool = False

    def find(self, framework: str, *names: str) -> Lowering | None:
        """The lowering of an operation under any of its names."""
        for name in names if self.lowerings else ():
            if (framework, name) in self.lowerings:
                return self.lowerings[framework, name]
        return None


REGISTRY = Registry()


def lower(name: str, framework: str = "torch") -> Callable[[Lowering], Lowering]:
    """Register what an operation means: a function of a :class:`Call` that returns its value (one per output).

    ``name``: ``"library::operation"`` as in ``torch.library`` (``"aten::relu"`` replaces a rule of foveal's own),
    ``"domain::Operator"`` for ONNX, the name of a primitive for JAX. Raises FovealError for an unknown framework.
    """
    if framework not in FRAMEWORKS:
        raise FovealError(f"unknown framework '{framework}'; known: {', '.join(FRAMEWORKS)}")

    def register(function: Lowering) -> Lowering:
        REGISTRY.lowerings[framework, name] = function
        REGISTRY.version += 1
        return function

    return register


def one_operation(kind: type) -> Callable[[Lowering], Lowering]:
    """Register what a PyTorch module class (and its subclasses) means as a whole; see :func:`lower`.

    The ``Call`` has the module's positional tensors as inputs and the module itself as ``arguments["module"]``. The
    module returns one tensor, or a tuple of them.
    """
    if not isinstance(kind, type):
        raise FovealError(f"one_operation takes a module class, not a {type(kind).__name__}")

    def register(function: Lowering) -> Lowering:
        REGISTRY.modules[kind] = function
        REGISTRY.version += 1
        return function

    return register


def forget(what: Any, framework: str = "torch") -> None:
    """Take back the registration of an operation's name, of a module class or of an :class:`Operation` class.

    Raises FovealError where there is none.
    """
    tables: tuple[tuple[dict[Any, Any], Any], ...] = (
        (REGISTRY.lowerings, (framework, what)), (REGISTRY.modules, what), (RULES, what),
    )  # fmt: skip
    for table, key in tables:
        if key in table:
            del table[key]
            REGISTRY.version += 1
            return
    raise FovealError(f"nothing is registered for {what!r}")


def load() -> tuple[str, ...]:
    """Import what installed packages ship under the entry point group ``foveal.rules``; the names of those loaded.

    An entry point is a module that registers when it is imported, or a function that does when it is called. One that
    fails is warned about and left out. Called by the first trace; later calls do it again.
    """
    REGISTRY.loaded = True
    names = []
    for entry in metadata.entry_points(group=GROUP):
        try:
            found = entry.load()
            if callable(found):
                found()
        except Exception as error:
            warnings.warn(
                f"rules '{entry.name}' ({entry.value}) could not be loaded: {first_line(error)}", stacklevel=2
            )
            continue
        names.append(entry.name)
    return tuple(names)


def results(call: Call, made: Any) -> tuple[int, ...]:
    """The values a lowering returned, one per output. Raises FovealError where their number is another."""
    values = tuple(made) if isinstance(made, (tuple, list)) else (made,)
    if len(values) != len(call.outputs) or not all(isinstance(value, int) for value in values):
        raise FovealError(
            f"the lowering of '{call.name}' returned {made!r}; expected {len(call.outputs)} value(s) from call.emit"
        )
    return values
