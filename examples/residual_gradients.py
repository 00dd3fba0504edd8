"""Does a shortcut keep the gradient alive? Measured on real networks at initialization, by depth, with and without it.

Networks: a 3x3 stem, then blocks of two 3x3 convolutions with ReLU at constant width and resolution. The number is the
root mean square of the loss gradient at the stem's output over that at the last block's output: 1 is "kept", 0 "gone".
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveal.views.plots.style import BLUE, INK, ORANGE, PALE, Picture, picture, styled

DEPTHS = (4, 8, 16, 32, 64)
"""Numbers of blocks of two layers."""
WIDTH, SIDE, BATCH, SEEDS = 16, 16, 16, (0, 1, 2)
SETTINGS = {
    "default": "PyTorch's default weights, no norm",
    "he": "He's weights, no norm",
    "norm": "He's weights, batch norm",
}


class Block(nn.Module):
    """Two convolutions, with or without the shortcut around them."""

    def __init__(self, shortcut: bool, norm: bool) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.first = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) if norm else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(x + inner if self.shortcut else inner)


def kept(blocks: int, shortcut: bool, setting: str, seed: int) -> float:
    """log10 of the gradient's root mean square at the stem's output over that at the last block's output."""
    torch.manual_seed(seed)
    stem = nn.Conv2d(3, WIDTH, 3, padding=1)
    body = [Block(shortcut, setting == "norm") for _ in range(blocks)]
    if setting != "default":
        for conv in (module for block in body for module in block.modules() if isinstance(module, nn.Conv2d)):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    x = stem(torch.randn(BATCH, 3, SIDE, SIDE)).double().detach().requires_grad_()
    y = x
    for block in body:
        y = block.double().train()(y)
    cotangent = torch.randn_like(y)
    (gradient,) = torch.autograd.grad(y, x, cotangent)
    there = cotangent.pow(2).mean().sqrt().item()
    here = gradient.pow(2).mean().sqrt().item()
    return math.log10(here / there) if here > 0 else -math.inf


def measure_gradients() -> list[dict[str, Any]]:
    """All settings and depths: the values over the seeds."""
    return [
        {"setting": s, "shortcut": c, "layers": 2 * d, "values": [kept(d, c, s, seed) for seed in SEEDS]}
        for s in SETTINGS
        for c in (True, False)
        for d in DEPTHS
    ]


def gradient_page(rows: list[dict[str, Any]]) -> tuple[Picture, dict[str, str]]:
    """The figure, and the numbers of the deepest networks for the text."""
    words = {}
    with styled():
        made = picture(10.0, 3.8, {"networks": len(rows), "seeds": list(SEEDS)})
        for axes, (setting, title) in zip(made.subplots(1, 3), SETTINGS.items()):
            for shortcut, color, dashes in ((True, BLUE, "-"), (False, ORANGE, "--")):
                own = [row for row in rows if row["setting"] == setting and row["shortcut"] == shortcut]
                layers = [row["layers"] for row in own]
                middle = [sum(row["values"]) / len(row["values"]) for row in own]
                axes.plot(layers, middle, color=color, linestyle=dashes, marker="o", markersize=3.5,
                          label="with shortcuts" if shortcut else "without")  # fmt: skip
                axes.fill_between(layers, [min(r["values"]) for r in own], [max(r["values"]) for r in own], color=color,
                                  alpha=0.2, linewidth=0)  # fmt: skip
                words[f"{setting}_{'with' if shortcut else 'without'}"] = f"{middle[-1]:+.1f}"
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.set_xscale("log", base=2)
            axes.set_xticks(layers, [str(n) for n in layers])
            axes.set_xlabel("weighted layers")
            axes.set_title(title)
            axes.grid(axis="y", color=PALE, alpha=0.3, linewidth=0.6)
        made.axes[0].set_ylabel("log10 of the gradient kept")
        made.axes[0].legend(frameon=False)
    return made, words
