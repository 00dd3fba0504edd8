"""A text specification as PyTorch code: an ordinary ``nn.Module`` that people read, change and keep.

The tree is walked as the front end walks it, with the same builders, so that every layer's shape is known: paddings of
the "SAME" rule and flattened lengths are written as numbers, for the given input.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter

from foveal.core.errors import SourceError
from foveal.frontends.text.layers import BUILDERS
from foveal.frontends.text.model import BranchSpec, Item, LayerSpec, RepeatSpec, ScopeSpec, Specification
from foveal.frontends.text.pytorch_parts import HELPERS, Written, written
from foveal.frontends.text.site import Site, shape_text
from foveal.ir.graph import GraphBuilder

_JOINS = {"add": " + ", "mul": " * "}
_TAKEN = frozenset(
    re.findall(
        r"\w+",
        "T add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval "
        "extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict "
        "modules mtia named_buffers named_children named_modules named_parameters parameters register_buffer "
        "register_module register_parameter requires_grad_ set_extra_state set_submodule share_memory state_dict to "
        "to_empty train training type xpu zero_grad",
    )
)
"""What ``nn.Module`` calls its own."""


def pytorch_code(spec: Specification, lengths: tuple[int, ...]) -> str:
    """The source of a module with a class ``Net`` for inputs (N, *lengths).

    Raises SourceError with the place of a layer that does not fit or that PyTorch has no operation for.
    """
    emitter = _Emitter(spec, lengths)
    last, _ = emitter.sequence(spec.items, "x", emitter.builder.source((1, *lengths)))
    text = "\n".join(
        [
            "class Net(nn.Module):",
            f'    """{_title(spec.name)}."""',
            "",
            "    def __init__(self):",
            "        super().__init__()",
            *emitter.modules,
            "",
            "    def forward(self, x):",
            *emitter.lines,
            f"        return {last}",
        ]
    )
    whole = "\n\n".join([*(HELPERS[name] for name in HELPERS if name in emitter.helpers), text])
    functional = "import torch.nn.functional as F\n" if "F." in whole else ""
    shape = ", ".join(map(str, (1, *lengths)))
    tail = f'if __name__ == "__main__":\n    print(Net().eval()(torch.zeros({shape})).shape)\n'
    return f"import torch\n{functional}from torch import nn\n\n\n{whole}\n\n\n{tail}"


def _title(name: str) -> str:
    return re.sub(r"[^\w .,:()-]", "", name) or "A network"


class _Emitter:
    """Writes one line of ``forward`` per layer, and one of ``__init__`` per layer that has weights."""

    def __init__(self, spec: Specification, lengths: tuple[int, ...]) -> None:
        self.builder = GraphBuilder(spec.name)
        self.modules: list[str] = []
        self.lines: list[str] = []
        self.helpers: set[str] = set()
        self.saved: dict[str, tuple[str, int]] = {}
        self.counts: Counter[str] = Counter()
        self.scope = ""
        self.branches = 0
        self.identifiers: dict[str, str] = {}

    def sequence(self, items: tuple[Item, ...], variable: str, value: int) -> tuple[str, int]:
        """Write items in a row; returns the variable and the value they end in."""
        for item in items:
            variable, value = self._item(item, variable, value)
        return variable, value

    def _item(self, item: Item, variable: str, value: int) -> tuple[str, int]:
        if isinstance(item, LayerSpec):
            return self._layer(item, variable, value)
        if isinstance(item, BranchSpec):
            return self._branches(item, variable, value)
        if isinstance(item, ScopeSpec):
            outer, self.scope = self.scope, self._fresh(f"{self.scope}.{item.name}" if self.scope else item.name)
            found = self.sequence(item.items, variable, value)
            self.scope = outer
            return found
        assert isinstance(item, RepeatSpec)
        for _ in range(item.times):
            variable, value = self.sequence(item.items, variable, value)
        return variable, value

    def _layer(self, spec: LayerSpec, variable: str, value: int) -> tuple[str, int]:
        if spec.kind == "id":
            return variable, value
        if spec.kind == "save":
            name = self._variable(spec.reference)
            self.lines.append(f"        {name} = {variable}")
            self.saved[spec.reference] = name, value
            return variable, value
        if spec.kind == "from":
            kept, value = self._kept(spec)
            self.lines.append(f"        {variable} = {kept}")
            return variable, value
        if spec.reference:
            return self._joined(spec, variable, value)
        name = self._name(spec.name or spec.kind, counted=not spec.name)
        before = self._shape(value)
        result = BUILDERS[spec.kind](Site(self.builder, spec), value)
        made = written(spec, before, self._shape(result))
        self._write(made, name, variable, self._shape(result))
        return variable, result

    def _write(self, made: Written, name: str, variable: str, shape: tuple[int, ...]) -> None:
        attribute = self._identifier(name)
        self.helpers |= set(made.helpers)
        if made.module:
            self.modules.append(f"        self.{attribute} = {made.module}")
        call = made.call.format(x=variable, layer=f"self.{attribute}")
        comment = f"  # {shape_text(shape[1:])}" if made.module or made.reshapes else ""
        self.lines.append(f"        {variable} = {call}{comment}")

    def _branches(self, item: BranchSpec, variable: str, value: int) -> tuple[str, int]:
        ends = []
        for path in item.paths:
            if all(isinstance(part, LayerSpec) and part.kind == "id" for part in path):
                ends.append((variable, value))
                continue
            self.branches += 1
            own = f"b{self.branches}"
            self.lines.append(f"        {own} = {variable}")
            ends.append(self.sequence(path, own, value))
        return self._join(item.join, ends, variable, item.where)

    def _joined(self, spec: LayerSpec, variable: str, value: int) -> tuple[str, int]:
        kept, other = self._kept(spec)
        given, wanted = self._shape(other), self._shape(value)
        if "crop" in spec.flags and len(given) == len(wanted) and given[2:] != wanted[2:]:
            if any(n < m for n, m in zip(given[2:], wanted[2:], strict=True)):
                raise SourceError(f"{spec.where}: cannot crop {shape_text(given)} to the larger {shape_text(wanted)}")
            starts = [(n - m) // 2 for n, m in zip(given[2:], wanted[2:], strict=True)]
            cut = ", ".join(f"{a}:{a + m}" for a, m in zip(starts, wanted[2:], strict=True))
            kept, shape = f"{kept}[..., {cut}]", (*given[:2], *wanted[2:])
            other = self.builder.source(shape)
        return self._join(spec.kind, [(variable, value), (kept, other)], variable, spec.where)

    def _join(self, join: str, ends: list[tuple[str, int]], variable: str, where: str) -> tuple[str, int]:
        shapes = [self._shape(value) for _, value in ends]
        compared = [(s[0], *s[2:]) if join == "cat" else s for s in shapes]
        if len({len(shape) for shape in shapes}) > 1 or len(set(compared)) > 1:
            raise SourceError(f"{where}: shapes {' and '.join(map(shape_text, shapes))} do not fit together")
        names = [name for name, _ in ends]
        shape = shapes[0]
        if join == "cat":
            shape = (shape[0], sum(s[1] for s in shapes), *shape[2:])
            text = f"torch.cat([{', '.join(names)}], dim=1)"
        else:
            text = _JOINS[join].join(names)
        self.lines.append(f"        {variable} = {text}  # {shape_text(shape[1:])}")
        return variable, self.builder.source(shape)

    def _kept(self, spec: LayerSpec) -> tuple[str, int]:
        if spec.reference not in self.saved:
            known = ", ".join(self.saved) or "none"
            raise SourceError(f"{spec.where}: nothing was saved as '{spec.reference}' before; saved: {known}")
        return self.saved[spec.reference]

    def _variable(self, word: str) -> str:
        return self._identifier(f"kept {word}")

    def _identifier(self, name: str) -> str:
        """A Python name for a layer's name: one of its own, and none that ``nn.Module`` uses itself."""
        if name not in self.identifiers:
            plain = re.sub(r"\W", "_", name, flags=re.ASCII)
            plain = f"{plain}_" if keyword.iskeyword(plain) or plain in _TAKEN or plain.startswith("__") else plain
            while plain in self.identifiers.values():
                plain += "_"
            self.identifiers[name] = plain
        return self.identifiers[name]

    def _name(self, word: str, counted: bool) -> str:
        whole = f"{self.scope}.{word}" if self.scope else word
        self.counts[whole] += 1
        return f"{whole}{self.counts[whole]}" if counted else self._taken(whole, self.counts[whole])

    def _fresh(self, name: str) -> str:
        self.counts[name] += 1
        return self._taken(name, self.counts[name])

    def _taken(self, name: str, count: int) -> str:
        return name if count == 1 else f"{name}#{count}"

    def _shape(self, value: int) -> tuple[int, ...]:
        return self.builder.graph.values[value].shape
