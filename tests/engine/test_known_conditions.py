"""A condition that is known says which side is read, of however many elements it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.fields.receptive_field import receptive_field, unit_bounds
from foveal.ir.fixed import SMALL

LENGTHS = (SMALL, SMALL + 1)
WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    # x, an order of its elements, a mask true everywhere -> what reads one element each
    "where": lambda x, order, mask: torch.where(mask, x, x.flip(-1)),
    "masked_fill": lambda x, order, mask: x.masked_fill(mask, 0.0) + x.flip(-1),
    "index_copy": lambda x, order, mask: x.index_copy(2, order, x),
    "scatter": lambda x, order, mask: x.scatter(2, order[None, None], x),
}


def _order(length: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(length)


class Chosen(nn.Module):
    def __init__(self, way: str, length: int) -> None:
        super().__init__()
        self.way, self.order = WAYS[way], torch.from_numpy(_order(length))
        self.register_buffer("mask", torch.ones(length, dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x, self.order, self.mask)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("way", WAYS)
def test_a_condition_true_everywhere_reads_one_side(way: str, length: int) -> None:
    read = foveal.trace(Chosen(way, length), (1, 1, length))
    ((first, last),) = unit_bounds(read, read.layers[-1])
    back = np.argsort(_order(length))
    expected = {"where": np.arange(length), "masked_fill": np.arange(length)[::-1]}.get(way, back)
    assert first.reshape(-1).tolist() == last.reshape(-1).tolist() == expected.tolist()


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_written_over_is_not_read_in_onnx(length: int) -> None:
    order = _order(length)
    index = onnx.numpy_helper.from_array(order.reshape(1, 1, -1).astype(np.int64), "i")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 1, length)) for name in "xy"]
    node = onnx.helper.make_node("ScatterElements", ["x", "i", "x"], ["y"], axis=2)
    made = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [index])
    read = foveal.trace(onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 18)]), axes=(2,))
    ((first, last),) = unit_bounds(read, read.layers[-1])
    assert receptive_field(read, read.layers[-1]).status == "exact"
    assert first.reshape(-1).tolist() == last.reshape(-1).tolist() == np.argsort(order).tolist()
