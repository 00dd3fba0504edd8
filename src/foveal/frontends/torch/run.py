"""Run a traced PyTorch model for real and read its layers, under the names that the trace gave them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveal.core.errors import VerificationError
from foveal.frontends.torch.dispatch.swap import seeded
from foveal.frontends.torch.inputs import Inputs, Slot


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
            if slot.axes is None:
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
        from foveal.frontends.torch.trace import run_once

        number = getattr(torch, dtype)
        found: dict[str, np.ndarray] = {}
        wanted = set(layers)

        def keep(name: str, tensor: Tensor) -> None:
            if name in wanted:
                found[name] = tensor.detach().cpu().resolve_conj().numpy().copy()

        given = _with_examples(self.inputs, inputs, number)
        with _default_dtype(number):
            attempt = run_once(self._copy(number), given, "run", self.training, "generic", real=True, capture=keep)
        if attempt.error is not None and wanted - set(found):
            raise VerificationError(f"the model cannot be run in {dtype}: {attempt.error} ({attempt.place})")
        missing = sorted(wanted - set(found))
        if missing:
            raise VerificationError(f"layers that a run on real tensors does not reach: {', '.join(missing)}")
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

    def _copy(self, number: torch.dtype) -> nn.Module:
        """A deep copy in ``number`` precision; parameters on the meta device get seeded values."""
        key = (number, sum(tensor._version for tensor in (*self.model.parameters(), *self.model.buffers())))
        if key not in self.copies:
            self.copies.clear()
            self.copies[key] = self._copy_anew(number)
        return self.copies[key]

    def _copy_anew(self, number: torch.dtype) -> nn.Module:
        try:
            model = copy.deepcopy(self.model)
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
        return model.cpu().to(number)


def _with_examples(given: Inputs, arrays: dict[str, np.ndarray], number: torch.dtype) -> Inputs:
    """The same call with these arrays as its examples."""

    def fill(item: Any) -> Any:
        if isinstance(item, Slot):
            floating = item.dtype.is_floating_point
            dtype = number if floating else item.dtype
            example = item.example
            if item.name in arrays:
                example = torch.as_tensor(np.asarray(arrays[item.name])).to(dtype)
            elif floating and example is not None:
                example = example.to(dtype)
            return replace(item, dtype=dtype, example=example)
        if isinstance(item, dict):
            return {key: fill(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return type(item)(fill(part) for part in item)
        return item

    return Inputs(fill(given.args), fill(given.kwargs))


@contextmanager
def _default_dtype(number: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(number)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
