"""Experiment (e): same field, same cost, more effective: more accurate? Or is it the fit to the object that counts?

    python examples/experiments_fit.py            # trains what has no line yet; then draws and writes the page's part
    python examples/experiments_fit.py --draw     # only draws what was trained before
    python examples/experiments_fit.py --backwards    # beside the first: a second process that begins at the other end

Networks of seven convolutions with the same theoretical field, parameters and (within 3 %) multiply-adds, but unlike
effective field: by dilations, kernel sizes, the order of strides and scaled shortcuts. Tasks whose objects have known
sizes (scenes.py). Each training is one line of docs/data/experiments/fit.jsonl; seeds come last, so that a run that
was stopped has all networks, tasks and sizes for the seeds it reached.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Any

import fit_page
import torch
from experiments_common import DATA, SEEDS, lines, resumed, until_flat
from scenes import CLASSES, GROUND, SIZES, TASKS, Scenes, scenes
from torch import Tensor, nn

import foveal
from foveal.fields.metrics.effective import effective
from foveal.report.costs import total_cost

WIDTH, WIDE = 8, 128
"""Channels of every layer; side of the image on which no field is cut off."""
RATE, BATCH, LEAST, MOST = 1e-2, 32, 300, 600
LINES = DATA / "fit.jsonl"


@dataclass(frozen=True)
class Plan:
    """Six layers behind a 3-wide stem. spread: channels of a layer that have its dilation, the others have 1; scale: of
    what a layer adds to a shortcut around it, None without shortcuts.
    """

    dilations: tuple[int, ...]
    kernels: tuple[int, ...] = (3,) * 6
    strides: tuple[int, ...] = (1,) * 6
    stem: int = 2
    spread: int = WIDTH
    scale: float | None = None


NETWORKS = {
    "dilations alike": Plan((2, 2, 1, 1, 1, 1)),
    "dilation in 1 of 8 channels": Plan((2, 2, 1, 1, 1, 1), spread=1),
    "5-wide and 1-wide kernels": Plan((2, 1, 1, 2, 1, 1), kernels=(5, 1, 1, 5, 1, 1)),
    "strides late": Plan((1, 1, 1, 1, 1, 1), strides=(1, 2, 2, 1, 1, 2), stem=1),
    "shortcuts": Plan((2, 2, 1, 1, 1, 1), scale=1.0),
    "shortcuts, layers halved": Plan((2, 2, 1, 1, 1, 1), scale=0.5),
    "shortcuts, layers quartered": Plan((2, 2, 1, 1, 1, 1), scale=0.25),
}


class Layer(nn.Module):
    """Convolution, norm, rectifier; some channels dilated, and with a scale a shortcut around convolution and norm."""

    def __init__(self, kernel: int, dilation: int, stride: int, spread: int, scale: float | None) -> None:
        super().__init__()
        parts = {spread: dilation, WIDTH - spread: 1} if spread < WIDTH else {WIDTH: dilation}
        self.parts = nn.ModuleList(
            nn.Conv2d(WIDTH, width, kernel, stride, kernel // 2 * wide, wide, bias=False)
            for width, wide in parts.items()
        )
        self.norm, self.scale = nn.BatchNorm2d(WIDTH), scale

    def forward(self, x: Tensor) -> Tensor:
        made = torch.cat([part(x) for part in self.parts], 1) if len(self.parts) > 1 else self.parts[0](x)
        made = self.norm(made)
        return torch.relu(made if self.scale is None else x + self.scale * made)


def build(plan: Plan) -> nn.Sequential:
    """Stem, six layers, the mean over positions, class scores."""
    stem = nn.Sequential(nn.Conv2d(1, WIDTH, 3, plan.stem, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
    kinds = zip(plan.kernels, plan.dilations, plan.strides, strict=True)
    body = [Layer(*kind, plan.spread, plan.scale) for kind in kinds]
    return nn.Sequential(
        nn.Sequential(stem, *body), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, CLASSES))
    )


def known(plan: Plan) -> dict[str, Any]:
    """What is known before training: field and effective field of a unit of the last map, where nothing cuts them off,
    and cost on the ground of the scenes.
    """
    model = build(plan).eval()
    wide = foveal.trace(model, (1, 1, WIDE, WIDE))
    sides = foveal.field(wide, "0", "energy").effective()
    field = foveal.receptive_field(wide, "0")
    cost = total_cost(foveal.trace(model, (1, 1, GROUND, GROUND))).value
    assert sides is not None
    return {
        "rf": field.size[0], "effective": sides.side, "side_90": sides.side_90, "multiply_adds": cost,
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip


def trained_side(model: nn.Module, images: Tensor, count: int = 6) -> float:
    """Effective side after training: root mean square gradient of the middle unit of the last map over its channels and
    images, each a mosaic of 3 x 3 scenes, so that nothing cuts the field off.
    """
    tiles = images[: 9 * count].reshape(count, 3, 3, GROUND, GROUND).permute(0, 1, 3, 2, 4)
    x = tiles.reshape(count, 1, 3 * GROUND, 3 * GROUND).clone().requires_grad_()
    out = model[0](x)  # type: ignore[index]
    middle = out[:, :, out.shape[2] // 2, out.shape[3] // 2]
    energy = sum(torch.autograd.grad(middle[:, c].sum(), x, retain_graph=True)[0] ** 2 for c in range(WIDTH))
    found = effective(energy.mean((0, 1)).numpy(), (0, 0), x.shape[2:], squared=True)  # type: ignore[union-attr]
    return 0.0 if found is None else found.side


@cache
def _scenes(task: str, size: int) -> Scenes:
    x, y, test_x, test_y = scenes(task, size)
    last = torch.channels_last
    return x.to(memory_format=last), y, test_x.to(memory_format=last), test_y


def run(name: str) -> dict[str, Any]:
    """One training."""
    network, task, size, seed = name.split("/")
    data = _scenes(task, int(size))
    torch.manual_seed(int(seed))
    model = build(NETWORKS[network]).to(memory_format=torch.channels_last)
    x, y, test_x, test_y = data
    begun = time.process_time()

    def loss_of() -> Tensor:
        part = torch.randint(0, len(x), (BATCH,))
        return nn.functional.cross_entropy(model(x[part]), y[part])

    steps, flat = until_flat(model, loss_of, RATE, LEAST, MOST, log(CLASSES))
    model.eval()
    with torch.inference_mode():
        accuracy = float((model(test_x).argmax(1) == test_y).float().mean())
    side = trained_side(model, test_x)
    return {
        "network": network, "task": task, "size": int(size), "seed": int(seed), "accuracy": accuracy, "steps": steps,
        "flat": flat, "trained_side": round(side, 2), "seconds": round(time.process_time() - begun, 1),
    }  # fmt: skip


def names() -> list[str]:
    """All trainings, seed by seed."""
    return [f"{n}/{t}/{size}/{seed}" for seed in SEEDS for size in SIZES for t in TASKS for n in NETWORKS]


def rows() -> list[dict[str, Any]]:
    """All trainings so far, with what was known of their networks before."""
    kept = lines(LINES)
    return [kept[row["network"]] | row for row in kept.values() if "seed" in row]


def main() -> None:
    """Train what has no line yet, and draw all there is."""
    torch.set_num_threads(1)
    todo = names()[::-1] if "--backwards" in sys.argv else names()
    resumed(LINES, list(NETWORKS), lambda name: known(NETWORKS[name]))
    resumed(LINES, [] if "--draw" in sys.argv else todo, run)
    fit_page.draw(rows())


if __name__ == "__main__":
    main()
