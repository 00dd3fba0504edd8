"""Names of the values of a traced run.

The rule. A module names each tensor it returns: its path in the model (``layer1.0.conv2``), and for a second call
``layer1.0.conv2#2``. A module that hangs at several places (one activation for all layers) goes by the place it is
called at. A module that returns a dict, list, tuple, dataclass or object names each tensor in it by key, position or
field: ``backbone.out``, ``backbone.0``; its path alone stands for the first. The traced module's own outputs are
``output``, ``output.out`` ... Where a child module has that name already, the element stands in brackets: ``cells[1]``
beside ``cells.1``. An operation is named after the module it runs in and itself, ``layer1.0.add`` (``layer1.0.add#2``
the second time), unless a module returns just this value: then only the module's name is kept. Moves that compute
nothing (reshape, permute, slice ...) have no name, but for a ``flatten`` in the traced module's own forward. Values
that do not depend on an input have none.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from foveal.frontends.torch.dispatch.own import Inside, own_module
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.files.export import ExportedModule
from foveal.frontends.torch.files.wrappers import named_modules, wrappers
from foveal.frontends.torch.lowering.table import Args, Result
from foveal.ir.backend import Target
from foveal.ir.extension import REGISTRY
from foveal.ir.graph import GraphBuilder


def tensors_in(item: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested containers with their dotted paths."""
    if isinstance(item, Tensor):
        yield path, item
    elif isinstance(item, dict):
        for key, part in item.items():
            yield from tensors_in(part, f"{path}.{key}")
    elif isinstance(item, tuple) and hasattr(item, "_fields"):
        for key in item._fields:
            yield from tensors_in(getattr(item, key), f"{path}.{key}")
    elif isinstance(item, (list, tuple)):
        for key, part in enumerate(item):
            yield from tensors_in(part, f"{path}.{key}")
    elif dataclasses.is_dataclass(item) and not isinstance(item, type):
        for field in dataclasses.fields(item):
            yield from tensors_in(getattr(item, field.name), f"{path}.{field.name}")
    elif hasattr(item, "__dict__") and not isinstance(item, (nn.Module, type)) and not callable(item):
        for key, part in vars(item).items():
            yield from tensors_in(part, f"{path}.{key}")


Capture = Callable[[str, Tensor], None]


def shape_text(shape: Sequence[int]) -> str:
    """A shape as 1x3x224x224."""
    return "x".join(map(str, shape)) or "scalar"


class Naming:
    """Keeps the path of the module that runs, and names values as the module's docstring says."""

    def __init__(
        self,
        model: nn.Module,
        values: Values,
        capture: Capture | None = None,
        modules: Sequence[tuple[str, nn.Module]] | None = None,
    ) -> None:
        self.values = values
        self.builder = values.builder
        ours = type(model).__module__.startswith("foveal.")  # a user's class may mean something else by these words
        names = getattr(model, "layer_names", None) if ours else None
        modules = list(model.named_modules()) if modules is None else modules
        self.wrappers = wrappers([module for path, module in modules if path])
        """Those inside, which have no name of their own: what they hold goes by theirs."""
        if self.wrappers:
            modules = named_modules(model)
        self.paths: dict[int, str] = names() if names else {id(m): name for name, m in modules}
        self.modules = set(self.paths.values())
        self.shared = set() if names else self._shared(modules)
        self.owners: dict[int, str] = {}
        self.describe = getattr(model, "describe", None) if ours else None
        self.model = model
        self.stack: list[tuple[nn.Module, str, Any]] = []
        self.threads = {threading.get_ident()}
        self.calls: dict[str, int] = {}
        self.operations: dict[int, str] = {}
        self.capture = capture
        self.quiet = 0
        self.inside: dict[int, Inside] = {}
        self.settle: Callable[[], None] | None = None
        """Called before outputs are named: brings in what foreign code wrote into memory (in runs on real tensors)."""

    def __enter__(self) -> Naming:
        module = torch.nn.modules.module
        self.hooks = [
            module.register_module_forward_pre_hook(self._enter),
            module.register_module_forward_hook(self._leave),
        ]
        if isinstance(self.model, ExportedModule):
            self.model.naming = self
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()
        if isinstance(self.model, ExportedModule):
            self.model.naming = None

    def _enter(self, module: nn.Module, args: Args) -> None:
        if threading.get_ident() not in self.threads:  # nothing there is watched
            return
        one = id(module)
        path = self.paths.get(one) if one not in self.shared else self._called_at(module)
        if path is None:
            path = ".".join(part for part in (self.builder.scope, type(module).__name__.lower()) if part)
        self.stack.append((module, path, args))
        self.builder.scope = path
        if REGISTRY.modules and own_module(module) is not None:
            self.inside[one] = Inside(self)

    def _shared(self, modules: Sequence[tuple[str, nn.Module]]) -> set[int]:
        """The modules that hang at several places, and what is in them."""
        shared: set[int] = set()
        if sum(map(len, [module._modules for _, module in modules])) < len(modules):  # each hangs at one place
            return shared
        seen: set[int] = set()
        for path, module in modules:
            for name, child in module._modules.items():
                if id(child) in seen and child is not None:
                    shared.update(map(id, child.modules()))
                    self.modules.add(f"{path}.{name}" if path else name)
                seen.add(id(child))
        return shared

    def _called_at(self, module: nn.Module) -> str | None:
        """The path of a shared module below the one that calls it; its first path where it is not in there."""
        if self.stack:
            caller, path, _ = self.stack[-1]
            above = f"{path}." if path else ""
            own = [above + name for name, part in caller._modules.items() if part is module]
            if own:
                return min(own, key=lambda place: self.calls.get(place, 0))
            for name, part in caller.named_modules():
                if part is module and name:
                    return f"{above}{name}"
        return self.paths.get(id(module))

    def _leave(self, module: nn.Module, args: Args, output: Result) -> None:
        if threading.get_ident() not in self.threads:
            return
        if self.settle is not None:
            self.settle()
        path = ""
        while self.stack:
            top, path, _ = self.stack.pop()
            if top is module:
                break
        self.builder.scope = self.stack[-1][1] if self.stack else ""
        if id(module) in self.wrappers:
            return
        own = 0
        for parameter in module._parameters.values() if module._parameters else ():
            own += 0 if parameter is None else parameter.numel()
        if own and self.shared and id(module) in self.shared and self.owners.setdefault(id(module), path) != path:
            own = 0  # counted where it was met first
        leaf, seen = not module._modules, self.inside.pop(id(module), None) if self.inside else None
        taught = own_module(module) if seen is not None else None
        if taught is not None and seen is not None:
            seen.replace(self, taught, module, path, args, output)
            leaf = True
        if self.describe is not None:
            own, leaf = self.describe(module, own, leaf)
        self.module_output(path or "output", type(module).__name__, own, leaf, output)

    def module_output(self, path: str, kind: str, parameters: int, leaf: bool, output: Result) -> None:
        """Name each tensor that a module returned."""
        base = self._count(path)
        for name, tensor in tensors_in(output, base):
            name = name if name is base else self._apart(name, base)
            self._name_output(name, tensor, kind, parameters, leaf)
            if name != base and name in self.builder.graph.layer_table:
                self.builder.graph.aliases.setdefault(base, name)

    def _apart(self, name: str, base: str) -> str:
        """An element of a container that would be named like a child module, or like what that returns, in brackets."""
        first, _, rest = name[len(base) + 1 :].partition(".")
        if not first or f"{base}.{first}" not in self.modules:
            return name
        return f"{base}[{first}]" + (f".{rest}" if rest else "")

    def outputs(self, output: Result) -> None:
        """Name the traced model's outputs where no hook did (a scripted module)."""
        if "output" not in self.calls:
            self.module_output("output", type(self.model).__name__, 0, False, output)

    def place(self) -> str:
        """Where the run stands: the innermost module, its type and the shapes it was called with."""
        if not self.stack:
            return "before the first layer"
        module, path, args = self.stack[-1]
        shapes = ", ".join(shape_text(tensor.shape) for _, tensor in tensors_in(args, ""))
        where = f"at layer '{path}'" if path else "in the model's own forward"
        return f"{where} ({type(module).__name__}), input shape {shapes or 'none'}"

    def _count(self, name: str) -> str:
        count = self.calls.get(name, 0) + 1
        self.calls[name] = count
        return name if count == 1 else f"{name}#{count}"

    def _name_output(self, name: str, tensor: Tensor, kind: str, parameters: int, leaf: bool) -> None:
        handle = self.values.handles.get(id(tensor))
        value = None if handle is None else self.values.read(handle)
        if value is None or value not in self.values.depends:
            # a single whole number is the books of a cache, no map of the network's
            counter = tensor.dim() == 0 and not tensor.is_floating_point()
            is_output = name.partition(".")[0] == "output" and not counter
            if value is not None or is_output or isinstance(tensor, nn.Parameter):
                self.builder.graph.constants[name] = is_output
            return
        replaced = self.operations.pop(value, None)
        if replaced is not None:
            self.builder.graph.layer_table.pop(replaced, None)
        self.builder.layer(name, value, "module", kind, parameters, leaf)
        if self.capture is not None:
            self.capture(name, tensor)

    def operation(self, plain: str, value: int, tensor: Tensor) -> None:
        """Name what an operation computed."""
        if self.quiet or value in self.operations or value not in self.values.depends:
            return
        scope = self.builder.scope
        name = self._count(f"{scope}.{plain}" if scope else plain)
        self.operations[value] = name
        self.builder.layer(name, value, "operation", plain)
        if self.capture is not None:
            self.capture(name, tensor)


class Reached(BaseException):
    """Ends a forward pass once every layer was read; no model catches it."""


class Reader(Naming):
    """Copies the units' features out as their layers are named, before an in-place operation can change them.

    ``makers``: the modules that returned them in a run before, where these alone need to be watched.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Sequence[Target],
        modules: Sequence[tuple[str, nn.Module]] | None = None,
        makers: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(model, Values(GraphBuilder("run")), modules=modules)
        self.targets = targets
        self.found: dict[int, Tensor] = {}
        self.makers: dict[int, nn.Module | None] = {}
        self.watched = tuple(dict.fromkeys(makers))
        self.leaving: nn.Module | None = None

    def __enter__(self) -> Naming:
        if not self.watched:
            return super().__enter__()
        self.hooks = [module.register_forward_hook(self._made) for module in self.watched]
        return self

    def _made(self, module: nn.Module, _args: Args, output: Result) -> None:
        if threading.get_ident() in self.threads:
            self.module_output(self.paths[id(module)] or "output", type(module).__name__, 0, False, output)

    def _leave(self, module: nn.Module, args: Args, output: Result) -> None:
        self.leaving = module
        super()._leave(module, args, output)

    @property
    def alone(self) -> tuple[nn.Module, ...]:
        """The modules that returned the features, if one may watch these alone: each has one name, which it has from
        its place in a model of PyTorch's own making; else none.
        """
        found = [self.makers.get(number) for number in range(len(self.targets))]
        plain = self.describe is None and not REGISTRY.modules and not isinstance(self.model, ExportedModule)
        if not plain or any(module is None or id(module) in self.shared for module in found):
            return ()
        return tuple(module for module in found if module is not None and id(module) in self.paths)

    def _name_output(self, name: str, tensor: Tensor, kind: str, parameters: int, leaf: bool) -> None:
        for number, target in enumerate(self.targets):
            if target.layer == name and number not in self.found:
                index = tuple(slice(None) if i is None else i for i in target.place)
                self.found[number] = tensor[index].clone()
                self.makers[number] = self.leaving
        if len(self.found) == len(self.targets):
            raise Reached
