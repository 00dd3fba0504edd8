"""Numbers that a run on meta tensors does not have, for operations whose result has a shape that depends on some.

A detector runs large maps through convolutions and then chooses among what it found. The first part needs shapes only.
Where ``nonzero``, a mask or ``nms`` asks for numbers, its operands get made-up ones (masks: a few places are true), and
what follows runs on real tensors, up to the next operation that sums products: its result is on the meta device again.
A graph holds nothing of such numbers but how many were chosen, which it says is data-dependent. A number of the
network's own that Python reads is never made up.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from foveal.frontends.torch.dispatch.constants import to_cpu
from foveal.frontends.torch.dispatch.values import memory_of
from foveal.frontends.torch.lowering import table
from foveal.frontends.torch.lowering.table import Args, Kwargs, Overload, Result
from foveal.frontends.torch.tables import Entry
from foveal.ir.graph import Graph

CHOSEN = 64
"""Places of a mask that are true."""
BLOCK = 1 << 16
"""Different numbers in a tensor of made-up ones."""
LARGE = 1 << 25
"""Elements that a network computes before it asks for numbers, from which on it gets made-up ones."""
_SUMS = """linear matmul mm bmm addmm addbmm baddbmm einsum scaled_dot_product_attention roi_align roi_pool ps_roi_align
ps_roi_pool deform_conv2d convolution conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d""".split()  # noqa: SIM905
SUMS = set(_SUMS)


class Placeholders:
    """The made-up numbers of one run. real: memory that holds what was computed from them, and a tensor that keeps it;
    made: meta tensors and their numbers.
    """

    def __init__(self) -> None:
        self.real: dict[int, Tensor] = {}
        self.made: dict[int, tuple[Tensor, Tensor]] = {}
        self.generator = torch.Generator().manual_seed(0)

    def wanted(self, entry: Entry, tensors: list[Tensor]) -> bool:
        """Whether an operation runs on numbers."""
        if entry.plain in table.DATA_DEPENDENT or any(map(self._is_real, tensors)):
            return entry.plain not in SUMS
        masks = (torch.bool, torch.uint8)
        return "index" in entry.plain and any(tensor.is_meta and tensor.dtype in masks for tensor in tensors)

    def run(self, func: Overload, args: Args, kwargs: Kwargs) -> Result:
        """The operation on numbers; what it wrote into is given back as it came."""
        result = func(*to_cpu(self._numbers(args)), **to_cpu(self._numbers(kwargs)))
        came = {id(numbers): meta for meta, numbers in self.made.values()}
        return self._taken(result, came)

    def of(self, tensor: Tensor) -> Tensor | None:
        """The numbers of a tensor, None where it has none yet."""
        if tensor.is_meta:
            known = self.made.get(id(tensor))
            return None if known is None else known[1]
        return tensor if self._is_real(tensor) else None

    def _is_real(self, tensor: Tensor) -> bool:
        return not tensor.is_meta and memory_of(tensor) in self.real

    def _taken(self, result: Result, came: dict[int, Tensor]) -> Result:
        if isinstance(result, (list, tuple)):
            return type(result)([self._taken(item, came) for item in result])
        if not isinstance(result, Tensor):
            return result
        if id(result) in came:
            return came[id(result)]
        self.real.setdefault(memory_of(result), result)
        return result

    def _numbers(self, item: Any) -> Any:
        if isinstance(item, Tensor) and item.is_meta:
            if id(item) not in self.made:
                self.made[id(item)] = (item, self._make(item))
            return self.made[id(item)][1]
        if isinstance(item, (list, tuple)) and not hasattr(item, "_fields"):
            return type(item)([self._numbers(part) for part in item])
        if isinstance(item, dict):
            return {key: self._numbers(part) for key, part in item.items()}
        return item

    def _make(self, meta: Tensor) -> Tensor:
        """Normal numbers, over and over; a few that are true; whole numbers are 0, which every axis has as an index."""
        count = meta.numel()
        made = torch.zeros(count, dtype=meta.dtype)
        if meta.dtype is torch.bool:
            made[:: max(1, count // CHOSEN)] = True
        elif meta.dtype.is_floating_point or meta.dtype.is_complex:
            numbers = torch.randn(min(count, BLOCK), dtype=torch.float32, generator=self.generator)
            made.copy_(numbers.repeat(-(-count // max(1, numbers.numel())))[:count])
        return made.view(meta.shape)


def large(graph: Graph) -> bool:
    """Whether a run on real tensors would compute much before it comes to where numbers are needed."""
    return sum(prod(value.shape) for value in graph.values if value.kind == "computed") > LARGE
