"""Run an exported program node by node, under the module paths that the export recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

if TYPE_CHECKING:
    from foveal.frontends.torch.names import Naming

Path = tuple[str, str]
"""A module's dotted path and its class name."""


class ExportedModule(nn.Module):
    """The flat module of an exported program. A trace's naming is told of each module as its last operation ends."""

    def __init__(self, program: torch.export.ExportedProgram | fx.GraphModule) -> None:
        super().__init__()
        self.inner: Any = program if isinstance(program, fx.GraphModule) else program.module()
        self.naming: Naming | None = None

    def train(self, mode: bool = True) -> ExportedModule:
        """An exported program keeps the mode it was exported in."""
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.naming is None:
            return self.inner(*args, **kwargs)
        return _Walk(self.inner, self.naming).run(*args, *kwargs.values())


def is_exported(module: fx.GraphModule) -> bool:
    """Whether a graph is what ``ExportedProgram.module()`` gives: flat, with the paths of its modules."""
    nodes = [node for node in module.graph.nodes if node.op.startswith("call")]
    flat = all(node.op != "call_module" or node.target == "_guards_fn" for node in nodes)
    return flat and any("nn_module_stack" in node.meta for node in nodes)


def example_of(module: fx.GraphModule) -> tuple[torch.Tensor, ...] | None:
    """What the export was made with: the shapes and types that its placeholders keep, on the meta device."""
    values = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    if not values or not all(isinstance(value, torch.Tensor) for value in values):
        return None
    return tuple(torch.empty([_length(n) for n in v.shape], dtype=v.dtype, device="meta") for v in values)


def _length(length: Any) -> int:
    """A length; of an open one that of the example."""
    return length if isinstance(length, int) else int(length.node.hint)


class _Walk(fx.Interpreter):
    """Keeps the scope while it runs each node, and names what a module returned."""

    def __init__(self, module: fx.GraphModule, naming: Naming) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.naming = naming
        nodes = [node for node in module.graph.nodes if node.op.startswith("call")]
        self.paths = {node: _module_paths(node) for node in nodes}
        self.inside = {path for paths in self.paths.values() for path in paths}
        self.ends: dict[fx.Node, list[Path]] = {}
        for index, node in enumerate(nodes):
            following = self.paths[nodes[index + 1]] if index + 1 < len(nodes) else []
            self.ends[node] = [path for path in reversed(self.paths[node]) if path not in following]

    def run_node(self, n: fx.Node) -> Any:
        paths = self.paths.get(n)
        self.naming.builder.scope = paths[-1][0] if paths else ""
        result = super().run_node(n)
        for path, kind in self.ends.get(n, ()):
            own = dict(self._submodule(path)._parameters)
            leaf = not any(other.startswith(f"{path}.") for other, _ in self.inside)
            self.naming.module_output(path, kind, sum(p.numel() for p in own.values() if p is not None), leaf, result)
        return result

    def _submodule(self, path: str) -> nn.Module:
        try:
            return self.module.get_submodule(path)
        except AttributeError:
            return nn.Module()


def _module_paths(node: fx.Node) -> list[Path]:
    """The modules a node ran in, outermost first."""
    stack = node.meta.get("nn_module_stack") or {}
    return [(path, str(kind).rsplit(".", 1)[-1].rstrip("'>")) for path, kind in stack.values() if path]
