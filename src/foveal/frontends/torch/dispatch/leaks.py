"""Numbers that leave PyTorch: read by Python, or seen by code that is given their memory.

Such a run is one on real tensors. What Python has read may come back as a number of an operation, in a new tensor, or
in memory that foreign code writes. So from then on numbers that take part in arithmetic, tensors that no operation made
and memory that changed by itself read everything that was read. A length that data sets is such a number once the
model asks for it. What such numbers decide beside that - a branch, how often a loop runs, an index, a length, a setting
such as an activation's slope - is as the run at hand had it; the status says "data-dependent".
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.utils.dlpack
from torch import Tensor

from foveal.frontends.torch.dispatch.own import written
from foveal.frontends.torch.dispatch.restore import same_numbers
from foveal.frontends.torch.dispatch.values import NeedsValues
from foveal.frontends.torch.lowering.table import Args, Kwargs, Overload, Result
from foveal.frontends.torch.tables import Entry
from foveal.ir import ops

if TYPE_CHECKING:
    from foveal.frontends.torch.dispatch.mode import Tracer

_LIBRARIES = ("torch", "numpy", "foveal", "torchvision", "copy", "pickle", "threading", "concurrent", "contextlib")
_OWN_SLOPE = {"leaky_relu", "elu", "hardtanh", "celu", "softplus", "rrelu", "relu6", "selu", "hardswish"}
"""Activations, whose numbers are settings."""
_LENGTHS = {"arange", "linspace", "eye", "range"}
_FILLS = {("pad", "value")}
_ASKS = ("shape", "size", "numel", "nelement", "__len__")


class Leaks:
    """What Python has read of one run, and whose memory it was given."""

    def __init__(self, tracer: Tracer) -> None:
        self.t = tracer
        self.read: list[int] = []
        self.known: dict[int, Tensor] = {}
        self.exposed: list[tuple[Tensor, Tensor]] = []
        self.forget: Callable[[], None] = lambda: None
        self.lengths: set[int] = set()
        """Lengths that data set."""
        self.places: set[int] = set()
        """Whole numbers that were read from whole numbers: most often where to read next."""
        self.choices: list[int] = []
        """What was read as a yes or no alone."""
        self.foreign = False
        """Whether the operation at hand is given numbers that may have been read."""

    def read_number(self, value: int, choice: bool = False) -> None:
        """A number came out; where from, a note of the caller's says. choice: a yes or no, which most often decides a
        branch and counts as a number only where one such is given.
        """
        if choice:
            self.choices.append(value)
            return
        if not self.read:
            kinds = {Tensor, *_subclasses(Tensor)}
            self.known = {id(item): item for item in gc.get_objects() if type(item) in kinds}
        if value not in self.read:
            self.read.append(value)

    def give_memory(self, tensor: Tensor, how: str) -> None:
        """The numbers of ``tensor`` are handed to foreign code, which may write there as well."""
        if self.t.depends(tensor):
            self._refuse(how)
            self._tell(f"numbers leave PyTorch by {how}")
            self.read_number(self.t.value(tensor))
        if self.t.real and how != "tolist()" and tensor.layout is torch.strided:
            self.exposed.append((tensor, tensor.detach().clone()))

    def give_everything(self, how: str) -> None:
        """Work goes on where no operation is seen."""
        self._refuse(how)
        self._tell(how)
        for source in self.t.builder.graph.sources:
            self.read_number(source.value)

    def _refuse(self, how: str) -> None:
        if not self.t.real:
            raise NeedsValues(f"numbers leave PyTorch by {how}")

    def _tell(self, what: str) -> None:
        place = _line([module for module, _, _ in self.t.naming.stack])
        note = f"{what} at {place}; what is made of them afterwards is taken to read all of them"
        self.t.builder.note("foreign-memory", self.t.builder.scope, note)

    def read_place(self, number: Any) -> None:
        """A whole number was read."""
        if isinstance(number, int) and not isinstance(number, bool):
            self.places.add(number)

    def chosen(self, tensor: Tensor, x: Tensor, axis: int, start: int) -> None:
        """A part of ``x`` that begins at a place that was read reads all along that axis, and what told the place."""
        if start not in self.places:
            return
        shape, handle = tuple(x.shape), self.t.handles[id(tensor)]
        whole = self.t.node(ops.Mix((axis % x.dim(),), "part"), (self.t.value(x),), shape, "part")
        part = self.t.values.replay(whole, handle.steps)
        handle.value = self.t.node(ops.Pointwise("add"), (part, self._everything(())), tuple(tensor.shape), "part")

    def set_length(self, shape: Sequence[int]) -> None:
        """Data set the length of a result: from now on the model's own code that asks for it reads a number."""
        if self.t.real and not self.lengths:
            self.forget = _asked_for(self._length_asked)
        self.lengths.update(shape)

    def _length_asked(self, tensor: Tensor) -> None:
        if not self.lengths.isdisjoint(tensor.shape) and self.t.depends(tensor):
            self.read_number(self.t.value(tensor))

    def settle(self) -> None:
        """Bring in what was written into memory that was given away."""
        for place, (tensor, copy) in enumerate(self.exposed):
            if self.read and (_alike(copy) or not same_numbers(tensor, copy)):
                handle = self.t.handles.get(id(tensor)) or self.t.values.promote(tensor)
                self.t.values.write(handle, self._everything(tuple(tensor.shape)))
                self.exposed[place] = (tensor, tensor.detach().clone())

    def before(self, tensors: list[Tensor]) -> None:
        """Bring in what came about out of sight, before an operation."""
        self.settle()
        if self.read:
            for tensor in tensors:
                if id(tensor) not in self.t.handles and id(tensor) not in self.known:
                    self.t.values.bind(tensor, self._everything(tuple(tensor.shape)))

    def given(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> bool:
        """Whether an operation that is about to run is given numbers that may have been read."""
        numbers = [] if self.t.depth or not (self.read or self.choices) else _numbers(func, entry, args, kwargs)
        if self.choices and any(isinstance(item, bool) for item in numbers):
            for value in self.choices:
                self.read_number(value)
        return bool(numbers and self.read)

    def after(self, func: Overload, entry: Entry, args: Args, kwargs: Kwargs, result: Result) -> None:
        """Let numbers that were given from Python count; remember what operations made."""
        outputs = [item for item in (result if isinstance(result, (list, tuple)) else (result,))
                   if isinstance(item, Tensor)]  # fmt: skip
        if entry.writes:
            self.exposed = [(tensor, tensor.detach().clone()) for tensor, _ in self.exposed]
        if not self.read:
            return
        foreign = entry.plain == "set" or (not self.t.depth and self.foreign)
        for tensor in [*outputs, *(written(func, args, kwargs) if entry.writes else ())]:
            self.known[id(tensor)] = tensor
            if foreign:
                self._mix(tensor)

    def _mix(self, tensor: Tensor) -> None:
        shape, t = tuple(tensor.shape), self.t
        handle = t.handles.get(id(tensor))
        if handle is None:
            t.values.bind(tensor, self._everything(shape))
            return
        made = t.node(ops.Pointwise("add"), (t.values.read(handle), self._everything(())), shape, "number from Python")
        name = t.naming.operations.get(t.values.read(handle))
        if handle.parent is None and handle.version == 0:
            handle.value = made
        else:
            t.values.write(handle, made)
        if name is not None and name in t.builder.graph.layer_table:
            row = t.builder.graph.layer_table[name]
            t.builder.graph.layer_table[name] = row._replace(value=made)
            t.naming.operations[made] = name

    def _everything(self, shape: tuple[int, ...]) -> int:
        return self.t.node(ops.Sample("numbers read by Python"), self.read, shape, "numbers read by Python")


def _subclasses(kind: type) -> set[type]:
    own: list[type] = kind.__subclasses__()
    return {*own, *(found for each in own for found in _subclasses(each))}


def _alike(copy: Tensor) -> bool:
    """Whether moving its numbers would change nothing: an input of zeros, say."""
    return copy.numel() > 1 and bool((copy == copy.flatten()[0]).all())


def generic(item: Any) -> Any:
    """A number that was read is another one for another input: a factor of 0 is none."""
    return 0.5 if isinstance(item, (bool, int, float, complex)) and item == 0 else item


def _numbers(func: Overload, entry: Entry, args: Args, kwargs: Kwargs) -> list[Any]:
    """The numbers that take part in the arithmetic of a call."""
    found: list[Any] = []
    if entry.plain in _OWN_SLOPE:
        return found
    for place, argument in enumerate(func._schema.arguments):
        item: Any = args[place] if place < len(args) and not argument.kwarg_only else kwargs.get(argument.name)
        if not isinstance(item, (bool, int, float, complex)):
            continue
        length = entry.plain in _LENGTHS and isinstance(item, int)
        slope = argument.name == "alpha" and not argument.kwarg_only  # of an activation, not the factor of a sum
        kind = str(argument.type) in ("Tensor", "number", "Optional[number]") or (entry.plain, argument.name) in _FILLS
        if kind and not length and not slope:
            found.append(item)
    return found


def _line(modules: list[Any]) -> str:
    """File and line of the model's own code, as near to the event as possible."""
    homes = {type(module).__module__.split(".")[0] for module in modules} - {"torch"}
    for own in (True, False):
        frame: Any = sys._getframe(1)
        while frame is not None:
            home = str(frame.f_globals.get("__name__", "")).split(".")[0]
            if home in homes if own else home not in _LIBRARIES:
                return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
            frame = frame.f_back
    return "an unknown line"


def _asked_for(told: Callable[[Tensor], None]) -> Callable[[], None]:
    """Tell where a model's own code, not PyTorch's, asks how long a tensor is; returns what ends that."""
    home, before = threading.get_ident(), {name: getattr(Tensor, name) for name in _ASKS}
    own: dict[str, Any] = {name: vars(Tensor)[name] for name in _ASKS if name in vars(Tensor)}

    def ask(name: str) -> Any:
        method = before[name].__get__ if name == "shape" else before[name]

        def asked(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            caller = str(sys._getframe(1).f_globals.get("__name__", "")).split(".")[0]
            if caller not in _LIBRARIES and threading.get_ident() == home:
                told(tensor)
            return method(tensor, *args, **kwargs)

        return property(asked) if name == "shape" else asked

    def end() -> None:
        for name in _ASKS:
            setattr(Tensor, name, own[name]) if name in own else delattr(Tensor, name)

    for name in _ASKS:
        setattr(Tensor, name, ask(name))
    return end


@contextmanager
def handed_out(t: Tracer) -> Iterator[None]:
    """Within, what no mode sees is watched as well: pickling, copies, DLPack capsules, tensors that swap places."""
    home, reduce, swap = threading.get_ident(), Tensor.__reduce_ex__, torch.utils.swap_tensors
    capsules = [(place, place.to_dlpack) for place in (torch, torch.utils.dlpack)]

    def pickled(self: Tensor, protocol: Any) -> Any:
        if threading.get_ident() == home and t.depends(self):
            if sys._getframe(1).f_globals.get("__name__") == "copy":
                return torch.ops.aten.alias.default, (self,)
            t.leaks.give_memory(self, "pickling")
        return reduce(self, protocol)  # type: ignore[no-untyped-call]

    def capsule(tensor: Tensor) -> Any:
        if threading.get_ident() == home:
            t.leaks.give_memory(tensor, "DLPack")
        return capsules[0][1](tensor)

    def swapped(a: Tensor, b: Tensor) -> None:
        swap(a, b)  # type: ignore[no-untyped-call]
        first, second = t.handles.pop(id(a), None), t.handles.pop(id(b), None)
        for tensor, handle in ((a, second), (b, first)):
            if handle is not None:
                handle.tensor, t.handles[id(tensor)] = tensor, handle
        t.values.constants.clear()

    torch.utils.swap_tensors = swapped
    Tensor.__reduce_ex__ = pickled  # type: ignore[method-assign]
    for place, _ in capsules:
        place.to_dlpack = capsule  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.utils.swap_tensors = swap
        Tensor.__reduce_ex__ = reduce  # type: ignore[method-assign]
        for place, before in capsules:
            place.to_dlpack = before  # type: ignore[attr-defined]
        t.leaks.forget()
