"""One network in PyTorch, in JAX and as ONNX."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import foveal
from foveal.ir.graph import Graph

SIDE = 28


class Small(nn.Module):
    """A residual block with stride, a dilated convolution, a pool, upsampling and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.down = nn.Conv2d(4, 4, 3, 2, 1)
        self.short = nn.Conv2d(4, 4, 1, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.wide = nn.Conv2d(4, 4, 3, dilation=2, padding=2)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2)
        self.head = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        x = self.down(x) + self.short(x)
        y = self.wide(self.pool(x)).relu()
        return self.head(self.up(y) + x)


def in_jax(x: Any) -> Any:
    """The same network written for JAX, channels last."""
    import jax
    from jax import lax

    def conv(y: Any, taps: int, out: int, stride: int = 1, dilation: int = 1) -> Any:
        pad = (taps - 1) * dilation // 2
        kernel = jax.numpy.ones((taps, taps, y.shape[-1], out), y.dtype)
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            y, kernel, (stride,) * 2, ((pad, pad),) * 2, rhs_dilation=(dilation,) * 2, dimension_numbers=layout
        )

    x = jax.nn.relu(conv(x, 3, 4) * 0.5)
    x = conv(x, 3, 4, 2) + conv(x, 1, 4, 2)
    y = lax.reduce_window(x, -np.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = jax.nn.relu(conv(y, 3, 4, dilation=2))
    layout = ("NHWC", "HWIO", "NHWC")
    kernel = jax.numpy.ones((2, 2, 4, 4), x.dtype)
    up = lax.conv_general_dilated(y, kernel, (1, 1), ((1, 1),) * 2, lhs_dilation=(2, 2), dimension_numbers=layout)
    return conv(up + x, 3, 2)


def eager(side: int = SIDE) -> Graph:
    return foveal.trace(Small().eval(), (1, 3, side, side))


def onnx_graph(model: nn.Module, shape: tuple[int, ...], dynamo: bool) -> Graph:
    onnx = pytest.importorskip("onnx")
    if dynamo:
        pytest.importorskip("onnxscript")
        program = torch.onnx.export(model.eval(), (torch.zeros(shape),), dynamo=True, verbose=False)
        return foveal.trace(program.model_proto)
    buffer = io.BytesIO()
    torch.onnx.export(model.eval(), (torch.zeros(shape),), buffer, dynamo=False)
    return foveal.trace(onnx.load_from_string(buffer.getvalue()))
