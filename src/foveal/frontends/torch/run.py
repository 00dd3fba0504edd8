"""Run a PyTorch model, watched or not, and read its layers under the names that a trace gives them."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveal.core.errors import FovealError, VerificationError, first_line
from foveal.frontends.torch.dispatch.creation import RealConstants
from foveal.frontends.torch.dispatch.leaks import handed_out
from foveal.frontends.torch.dispatch.mode import Tracer
from foveal.frontends.torch.dispatch.placeholders import Placeholders
from foveal.frontends.torch.dispatch.restore import unrecorded, untouched
from foveal.frontends.torch.dispatch.swap import float_buffers, in_number, seeded, stand_ins
from foveal.frontends.torch.dispatch.threads import followed
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.inputs import Inputs, Slot
from foveal.frontends.torch.lowering.higher import experts_by_token, uncompiled
from foveal.frontends.torch.names import Capture, Naming, Reached as Reached, Reader as Reader
from foveal.ir.backend import Target
from foveal.ir.graph import Graph, GraphBuilder

MEMORY = Path("/proc/meminfo")
"""Where Linux tells how much memory is free."""
SHARE = 0.8
"""Of the memory that is free, what the weights of a copy may take."""


@dataclass
class Attempt:
    """One run: the graph so far, and the error that ended it with the place where it arose."""

    graph: Graph
    error: Exception | None = None
    layer: str = ""
    place: str = ""


def run_once(
    model: nn.Module,
    given: Inputs,
    name: str,
    training: bool,
    weights: str,
    real: bool,
    capture: Capture | None = None,
    generic: frozenset[str] = frozenset(),
    placeholders: bool = False,
) -> Attempt:
    """One traced run on meta or on real tensors. Buffers that the model writes to are known by value no longer: where
    there are such, the model is run once more with them (``generic``) as weights. ``placeholders``: where a run on meta
    tensors needs numbers, it gets made-up ones.
    """
    builder = GraphBuilder(name)
    values = Values(builder)
    error: Exception | None = None
    changed: list[str] = []
    modules = list(model.named_modules())
    with untouched(model, changed, modules), unrecorded():
        args, kwargs = given.make(values, real)
        with stand_ins(model, training, weights == "values", real, generic, modules) as swapped:
            kept = float_buffers(modules)
            for stand_in, original, path in swapped:
                values.weights(stand_in, original, path)
            naming = Naming(model, values, capture, modules)
            tracer = Tracer(values, naming, real, Placeholders() if placeholders else None)
            try:
                naming.settle = tracer.leaks.settle if real else None
                threads = followed(tracer.in_thread, tracer.leaks.give_everything)
                with (
                    naming,
                    uncompiled(),
                    experts_by_token(),
                    threads,
                    handed_out(tracer),
                    RealConstants(tracer),
                    tracer,
                ):
                    naming.outputs(model(*args, **kwargs))
            except FovealError:
                raise
            except Exception as raised:
                error = raised
            written = frozenset(
                name for name, (table, key, item) in kept.items() if values.wrote(item) or table.get(key) is not item
            )
    naming.settle = None
    del tracer.leaks, tracer.set_length  # circles that would keep every tensor of the run
    for what in changed:
        builder.note("changed", "", f"the run changed what could not be given back: {what}")
    if written & kept.keys() - generic and capture is None and error is None:
        generic |= written & kept.keys()
        again = run_once(model, given, name, training, weights, real, None, generic, placeholders)
        if again.error is None:
            return again
    return Attempt(builder.graph, error, builder.scope, naming.place())


@dataclass(frozen=True)
class TorchRunner:
    """The model and how it was called."""

    model: nn.Module
    inputs: Inputs
    training: bool = False
    copies: dict[tuple[torch.dtype, int], nn.Module] = field(default_factory=dict, repr=False, compare=False)
    """The last copy of the model, by precision and by how often its tensors were written."""

    def example(self, seed: int) -> dict[str, np.ndarray]:
        """Seeded random inputs by source name: normal floats, integers that the example (or zero) gives."""
        generator = np.random.default_rng(seed)
        made: dict[str, np.ndarray] = {}
        for slot in self.inputs.slots():
            if not slot.axes:
                continue
            if slot.dtype.is_floating_point:
                made[slot.name] = generator.standard_normal(slot.shape)
            elif slot.example is not None and not slot.example.is_meta:
                made[slot.name] = slot.example.detach().cpu().numpy().copy()
            else:
                made[slot.name] = generator.integers(0, 2, slot.shape)
        return made

    def run(self, inputs: dict[str, np.ndarray], layers: list[str], dtype: str = "float64") -> dict[str, np.ndarray]:
        """The values of ``layers`` for ``inputs`` (by source name), computed on the CPU by a deep copy of the model.

        A layer is read when it is named, before a later in-place operation can change it. Raises VerificationError
        naming the framework's message where the model cannot be run, and the layers it did not reach.
        """
        number = getattr(torch, dtype)
        found: dict[str, np.ndarray] = {}
        wanted = set(layers)

        def keep(name: str, tensor: Tensor) -> None:
            if name in wanted:
                with torch._C.DisableTorchFunction():
                    found[name] = tensor.detach().cpu().resolve_conj().numpy().copy()

        given = with_examples(self.inputs, inputs, number)
        with default_dtype(number):
            attempt = run_once(self.copy(number), given, "run", self.training, "generic", real=True, capture=keep)
        if attempt.error is not None and wanted - set(found):
            raise VerificationError(f"the model cannot be run in {dtype}: {attempt.error} ({attempt.place})")
        missing = sorted(wanted - set(found))
        if missing:
            raise VerificationError(f"layers that a run on real tensors does not reach: {', '.join(missing)}")
        return found

    def probe(self, inputs: dict[str, np.ndarray], layers: list[str]) -> dict[str, np.ndarray]:
        """What modules return in a plain run, unwatched but for hooks, of a copy in double precision."""
        number, wanted = torch.float64, set(layers)
        found: dict[str, np.ndarray] = {}
        model, given = self.copy(number), with_examples(self.inputs, inputs, number)
        with untouched(model), default_dtype(number), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the model's own were shown when it was traced
            torch.default_generator.manual_seed(0)  # of the processor alone: the copy is there
            args, kwargs = given.make(Values(GraphBuilder("probe")), True)
            swapped = stand_ins(model, self.training, False, real=True)
            with swapped, experts_by_token(), Watched(model, wanted, found) as watched:
                try:
                    watched.outputs(model(*args, **kwargs))
                except Exception as error:
                    if wanted <= found.keys():  # what was traced before the run ends
                        return found
                    raise VerificationError(
                        f"the model cannot be run: {first_line(error)} ({watched.place()})"
                    ) from error
        return found

    def array(self, name: str) -> np.ndarray | None:
        """The parameter or buffer of that dotted name; None where there is none or it has no numbers (meta device)."""
        path, _, last = name.rpartition(".")
        found = self.settings(path).get(last)
        return found if isinstance(found, np.ndarray) else None

    def settings(self, path: str) -> dict[str, Any]:
        """A module's own parameters and buffers as arrays, and its plain numbers (``eps``, ``negative_slope`` ...).

        The arrays share the model's memory: they are for reading only.
        """
        try:
            module = self.model.get_submodule(path)
        except AttributeError:
            return {}
        tensors = {**module._parameters, **module._buffers}
        found: dict[str, Any] = {
            key: number for key, number in module.__dict__.items() if isinstance(number, (int, float))
        }
        for key, item in tensors.items():
            if item is not None and not item.is_meta:
                data = item.detach().cpu()
                found[key] = (data.float() if data.dtype in (torch.bfloat16, torch.float16) else data).numpy()
        return found

    def copy(self, number: torch.dtype) -> nn.Module:
        """A deep copy in ``number`` precision; parameters on the meta device get seeded values."""
        key = self.copied(number)
        if key not in self.copies:
            self.copies.clear()
            self.copies[key] = self.copied_anew(number)
        return self.copies[key]

    def copied(self, number: torch.dtype) -> tuple[torch.dtype, int]:
        """What a copy is kept by."""
        return number, sum(tensor._version for tensor in (*self.model.parameters(), *self.model.buffers()))

    def copied_anew(self, number: torch.dtype) -> nn.Module:
        """A copy that nobody else has."""
        _fits(self.model, number)
        try:
            with torch.inference_mode(False):  # what is copied inside could take part in no gradient
                model = copy.deepcopy(self.model, _computed(self.model))
        except Exception as error:
            raise VerificationError(f"the model cannot be copied: {error}") from error
        for path, module in model.named_modules():
            for table in (module._parameters, module._buffers):
                for name, item in list(table.items()):
                    if item is not None and item.is_meta:
                        table[name] = seeded(item, f"{path}.{name}")
            if not isinstance(module, torch.jit.ScriptModule):
                for name, item in list(module.__dict__.items()):
                    if isinstance(item, Tensor) and item.dtype.is_floating_point:
                        module.__dict__[name] = item.to(number)
        return in_number(model, number)


def _fits(model: nn.Module, number: torch.dtype) -> None:
    """Raises VerificationError where numbers for all weights would take more memory than is free."""
    needed = sum(item.numel() for item in (*model.parameters(), *model.buffers())) * number.itemsize
    room = _free()
    if room is not None and needed > SHARE * room:
        raise VerificationError(
            f"a copy of the model takes {needed / 1e9:.1f} GB, {room / 1e9:.1f} GB of memory are free: take a smaller "
            "one of its kind (fewer or narrower layers)"
        )


def _free() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", MEMORY.read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return None if found is None else int(found[1]) * 1024


def _computed(model: nn.Module) -> dict[int, Any]:
    """Copies of what modules keep as a result of others (a pruned weight), which refuses to be copied itself."""
    items = [item for module in model.modules() for item in vars(module).values() if isinstance(item, Tensor)]
    return {id(item): item.detach().clone() for item in items if not item.is_leaf}


def with_examples(given: Inputs, arrays: dict[str, np.ndarray], number: torch.dtype) -> Inputs:
    """The same call with these arrays as its examples."""

    def fill(slot: Slot) -> Slot:
        floating = slot.dtype.is_floating_point
        dtype, example = number if floating else slot.dtype, slot.example
        if slot.name in arrays:
            given = torch.as_tensor(np.asarray(arrays[slot.name])).to(dtype)
            if example is not None and example.shape == given.shape and not example.is_meta:
                example = torch.empty_like(example, dtype=dtype, device="cpu").copy_(given)
            else:
                example = given
        elif floating and example is not None:
            example = example.to(dtype)
        return replace(slot, dtype=dtype, example=example)

    return given.changed(fill)


def precision_of(model: nn.Module) -> torch.dtype:
    """The model's own floating type."""
    for item in (*model.parameters(), *model.buffers()):
        if item.dtype.is_floating_point:
            return item.dtype
    return torch.get_default_dtype()


@contextmanager
def default_dtype(number: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(number)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Watched(Naming):
    """Copies out what modules return, under the names that a trace gives it."""

    def __init__(self, model: nn.Module, wanted: set[str], found: dict[str, np.ndarray]) -> None:
        super().__init__(model, Values(GraphBuilder("probe")))
        self.wanted, self.found = wanted, found

    def _name_output(self, name: str, tensor: Tensor, kind: str, parameters: int, leaf: bool) -> None:
        if name in self.wanted:
            self.found[name] = tensor.detach().cpu().resolve_conj().numpy().copy()


class TorchLayer:
    """A module as a function from a part of the source to one layer's value, both on the CPU as arrays.

    The module runs as it is: its mode, precision and device are the caller's business.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        self.model = model
        self.layer = layer
        sample = next((p for p in (*model.parameters(), *model.buffers()) if p.dtype.is_floating_point), None)
        self.device = sample.device if sample is not None else torch.device("cpu")
        self.number = sample.dtype if sample is not None else None

    def __call__(self, part: np.ndarray) -> np.ndarray:
        """The layer for one part; raises FovealError with the model's own message, or where the layer is not met."""
        given = torch.as_tensor(np.ascontiguousarray(part)).to(self.device)
        if self.number is not None and given.dtype.is_floating_point:
            given = given.to(self.number)
        reader = Reader(self.model, [Target(self.layer, ())])
        with untouched(self.model), torch.inference_mode(False), torch.no_grad():
            try:
                with reader:
                    reader.outputs(self.model(given))
            except Reached:
                pass
            except Exception as error:
                shape = "x".join(map(str, part.shape))
                raise FovealError(
                    f"the model does not run on a tile of {shape}: {first_line(error)} ({reader.place()})"
                ) from error
        if not reader.found:
            raise FovealError(f"layer '{self.layer}': no module returns it, so that it cannot be read while tiling")
        found = reader.found[0].detach().cpu()
        array: np.ndarray = (found.float() if found.dtype == torch.bfloat16 else found).numpy()
        return array
