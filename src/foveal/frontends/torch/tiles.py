"""Run a PyTorch module on parts of an image, on whatever device it stands, and read one layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveal.core.errors import FovealError
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.names import Naming
from foveal.ir.graph import GraphBuilder


class _Reached(BaseException):
    """Ends a forward pass once the layer was read; no model catches it."""


class _Reader(Naming):
    """Copies one layer's value out as it is named, before an in-place operation can change it."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__(model, Values(GraphBuilder("tile")))
        self.layer = layer
        self.found: Tensor | None = None

    def _name_output(self, name: str, tensor: Tensor, kind: str, parameters: int, leaf: bool) -> None:
        if name == self.layer:
            self.found = tensor.detach().to("cpu", copy=True)
            raise _Reached


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
        reader = _Reader(self.model, self.layer)
        with torch.inference_mode():
            try:
                with reader:
                    reader.outputs(self.model(given))
            except _Reached:
                pass
            except Exception as error:
                line = (str(error).strip().splitlines() or [type(error).__name__])[0]
                shape = "x".join(map(str, part.shape))
                raise FovealError(f"the model does not run on a tile of {shape}: {line} ({reader.place()})") from error
        if reader.found is None:
            raise FovealError(f"layer '{self.layer}': no module returns it, so that it cannot be read while tiling")
        found = reader.found
        array: np.ndarray = (found.float() if found.dtype == torch.bfloat16 else found).numpy()
        return array


def to_array(image: Any) -> np.ndarray:
    """A tensor as an array on the CPU."""
    found: np.ndarray = image.detach().cpu().numpy()
    return found


def to_tensor(array: np.ndarray) -> Tensor:
    """An array as a tensor."""
    return torch.from_numpy(array)
