"""Layer names of a walked jaxpr: named scopes are modules, the rest are operations.

A scope is a layer where something that was computed inside it is used outside; a second visit (with something else
between) is ``name#2``, several such values are ``name.0``, ``name.1``. Operations are named ``scope.operation``. Inside
a scope without scopes of its own only convolutions, pools and products are told apart, and these only where there are
several. Moves have no name. A small jitted function (``relu``) is one operation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jax.extend.core import Literal

from foveal.frontends.jax.lowering.table import HEAVY
from foveal.frontends.jax.lowering.tracer import Cell, Equation, Jaxpr, Variable
from foveal.ir.graph import GraphBuilder

ABSOLUTE = "foveal:"
"""A scope of this form holds a whole dotted path."""


def scope_path(eqn: Equation) -> tuple[str, ...]:
    """The named scopes around an equation, without what transformations add."""
    stack = eqn.source_info.name_stack.stack
    return tuple(part for entry in stack if type(entry).__name__ == "Scope" for part in _parts(entry.name))


def _parts(name: str) -> list[str]:
    return [name] if name.startswith(ABSOLUTE) else name.split("/")


@dataclass(eq=False)
class Named:
    """A layer to be: its name, cell, kind, type and whether it is a leaf."""

    name: str
    cell: Cell
    kind: str
    type: str
    leaf: bool = True
    heavy: bool = False
    gone: bool = False


class Names:
    """Collects layers during a walk. ``root``: the outermost scope is the model itself."""

    def __init__(self, root: bool = False, types: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.types = types or {}
        self.found: list[Named] = []
        self.quiet = 0
        self.scope = ""

    def dotted(self, path: Sequence[str]) -> str:
        """A scope path as a layer name."""
        absolute = [index for index, part in enumerate(path) if part.startswith(ABSOLUTE)]
        if absolute:
            return ".".join((path[absolute[-1]].removeprefix(ABSOLUTE), *path[absolute[-1] + 1 :])).strip(".")
        return ".".join(path[1:] if self.root else path)

    def scopes(self, jaxpr: Jaxpr, env: Mapping[Variable, Cell], prefix: tuple[str, ...]) -> Scopes:
        """The scopes of one jaxpr."""
        return Scopes(self, jaxpr, env, prefix)

    def operation(self, title: str, primitive: str, cells: Sequence[Cell]) -> None:
        """Name what an operation computed."""
        if self.quiet:
            return
        heavy = primitive in HEAVY
        for number, cell in enumerate(cells):
            name = title if len(cells) == 1 else f"{title}.{number}"
            full = f"{self.scope}.{name}" if self.scope else name
            self.found.append(Named(full, cell, "operation", primitive, heavy=heavy))

    def forget(self, values: Sequence[int]) -> None:
        """Take back the names of operations that turned out to be parts of another."""
        gone = set(values)
        for item in self.found:
            item.gone |= item.kind == "operation" and item.cell.value in gone

    def write(self, builder: GraphBuilder, dependent: set[int], parameters: Mapping[str, int]) -> dict[str, Cell]:
        """Put the layers into the graph; returns the cells by layer name."""
        modules = {item.cell.value for item in self.found if item.kind == "module"}
        cells: dict[str, Cell] = {}
        done: set[int] = set()
        for item in self.found:
            value = item.cell.value
            if (
                item.gone
                or value not in dependent
                or (item.kind == "operation" and (value in modules or value in done))
            ):
                continue
            if item.kind == "operation":
                done.add(value)
            own = parameters.get(item.name, 0) if item.kind == "module" else 0
            builder.layer(item.name, value, item.kind, item.type, own, item.leaf)
            cells[next(reversed(builder.graph.layer_table))] = item.cell
        return cells


@dataclass
class _Open:
    """A scope that the walk is in: since which equation, how many layers were named before, whether it has scopes."""

    first: int
    before: int
    inner: bool = False


class Scopes:
    """Follows the scopes through the equations of one jaxpr."""

    def __init__(self, names: Names, jaxpr: Jaxpr, env: Mapping[Variable, Cell], prefix: tuple[str, ...]) -> None:
        self.names, self.jaxpr, self.env = names, jaxpr, env
        self.prefix = prefix
        self.path = prefix
        self.open: list[_Open] = []
        self.last = _last_uses(jaxpr)

    def move(self, index: int, path: tuple[str, ...]) -> None:
        """Leave and enter scopes before equation ``index`` (their number: the end)."""
        common = 0
        while common < min(len(path), len(self.path)) and path[common] == self.path[common]:
            common += 1
        while len(self.path) > max(common, len(self.prefix)):
            self._leave(index)
        for part in path[len(self.path) :]:
            if self.open:
                self.open[-1].inner = True
            self.path = (*self.path, part)
            self.open.append(_Open(index, len(self.names.found)))
        self.names.scope = self.names.dotted(self.path)

    def _leave(self, index: int) -> None:
        opened, name = self.open.pop(), self.names.dotted(self.path)
        self.path = self.path[:-1]
        if not name or self.names.quiet:
            return
        inside = self.names.found[opened.before :]
        leaf = not opened.inner and not any(item.kind == "module" for item in inside)
        if leaf:
            heavy = [item for item in inside if item.heavy]
            self.names.found[opened.before :] = heavy if len(heavy) > 1 else []
        cells = [
            self.env[var]
            for eqn in self.jaxpr.eqns[opened.first : index]
            for var in eqn.outvars
            if self.last.get(var, -1) >= index and self.env[var].data is None
        ]
        kind = self.names.types.get(name, "scope")
        for number, cell in enumerate(cells):
            title = name if len(cells) == 1 else f"{name}.{number}"
            self.names.found.append(Named(title, cell, "module", kind, leaf))


def _last_uses(jaxpr: Jaxpr) -> dict[Variable, float]:
    """Which equation reads each variable last; infinity for outputs."""
    last: dict[Variable, float] = {}
    for index, eqn in enumerate(jaxpr.eqns):
        last.update((var, index) for var in eqn.invars if not isinstance(var, Literal))
    last.update((var, math.inf) for var in jaxpr.outvars if not isinstance(var, Literal))
    return last
