"""Stands meta tensors in for a model's parameters while it is traced, and puts everything back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Swapped = list[tuple[Tensor, Tensor, str]]


@contextmanager
def stand_ins(model: nn.Module, training: bool, values: bool, keep: bool = False) -> Iterator[Swapped]:
    """Within: parameters are meta tensors, buffers are copies, modules are in the asked mode, MHA's fused path is off.

    Yields (stand-in, original, name) per parameter. ``values`` leaves the parameters out of the list, so that they count as
    constants; ``keep`` leaves the parameters themselves in place (a run on real tensors).
    """
    modules = list(model.named_modules())
    flags = [(module, module.training) for _, module in modules]
    saved: list[tuple[dict[str, Tensor | None], str, Tensor]] = []
    fused = torch.backends.mha.get_fastpath_enabled()
    swapped: Swapped = []
    try:
        if any(flag != training for _, flag in flags):
            model.train(training)
        torch.backends.mha.set_fastpath_enabled(False)
        known: dict[int, Tensor] = {}
        for path, module in modules:
            for table in (module._parameters, module._buffers):
                for name, original in table.items():
                    if original is None:
                        continue
                    new = known.get(id(original))
                    if new is None:
                        new = _stand_in(original, table is module._parameters, values, keep)
                        known[id(original)] = new
                        if new.is_meta or (table is module._parameters and not values):
                            swapped.append((new, original, f"{path}.{name}" if path else name))
                    if new is not original:
                        saved.append((table, name, original))
                        table[name] = new
        yield swapped
    finally:
        for table, name, original in saved:
            table[name] = original
        for module, flag in flags:
            module.training = flag
        torch.backends.mha.set_fastpath_enabled(fused)


def _stand_in(original: Tensor, weights: bool, values: bool, keep: bool) -> Tensor:
    if isinstance(original, nn.parameter.UninitializedTensorMixin):
        return original
    if not weights:
        return original if original.is_meta else original.detach().to("cpu", copy=True)
    if original.is_meta or values or keep:
        return original
    empty = torch.empty(original.shape, dtype=original.dtype, device="meta")
    return nn.Parameter(empty, requires_grad=False)
