"""How far can a network see? Networks of equal cost learn whether the mark at distance d equals the mark here.

    python examples/needed_context.py            # about 6 minutes on one free CPU core; writes into docs/

A line of random marks (+1 or -1) goes in; at each position the network says whether the mark d positions further on is
the same. Nothing but that mark helps, so the task needs a context of exactly d. All networks have sixteen 3-wide
convolutions of sixteen channels and so the same cost and parameters; only their dilations differ. They have the same
number of training steps. Accuracy is compared with what the theoretical and the effective receptive field reach.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.fields.metrics import level_of

NETWORKS: dict[str, list[int]] = {
    "A": [1] * 16,
    "B": [1] * 15 + [5],
    "C": [1] * 8 + [2] * 8,
    "D": [1] * 15 + [9],
    "E": [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4,
}
"""Dilations, first layer first. B and C have the same ERF and unlike TRFs; C and D the same TRF and unlike ERFs."""
CHANNELS, LENGTH, BATCH = 16, 96, 32
DISTANCES = {
    "A": range(2, 19, 2), "B": range(2, 23, 2), "C": range(2, 27, 2), "D": range(4, 29, 4), "E": range(4, 45, 4),
}  # fmt: skip
STEPS, SEEDS = 150, (0, 1, 2)
LONGER = ("A",)
"""Networks that are also trained four times as long, beyond what the ERF reaches."""
SOLVED = 0.75


def network(dilations: list[int]) -> nn.Sequential:
    """3-wide convolutions with batch norm and ReLU, and a 1-wide one to the answer."""
    layers: list[nn.Module] = []
    for number, dilation in enumerate(dilations):
        width = CHANNELS if number else 1
        convolution = nn.Conv1d(width, CHANNELS, 3, padding=dilation, dilation=dilation)
        layers += [convolution, nn.BatchNorm1d(CHANNELS), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv1d(CHANNELS, 1, 1))


def marks(count: int, distance: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lines (count, 1, LENGTH) of marks and the answers (count, 1, LENGTH - distance)."""
    lines = torch.randint(0, 2, (count, 1, LENGTH), generator=draw).float() * 2 - 1
    return lines, (lines[..., :-distance] == lines[..., distance:]).float()


def accuracy(dilations: list[int], distance: int, seed: int, steps: int) -> float:
    """Share of right answers on new lines after training; 0.5 is chance."""
    torch.manual_seed(seed)
    model = network(dilations)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    draw = torch.Generator().manual_seed(1000 + seed)
    for _ in range(steps):
        lines, answers = marks(BATCH, distance, draw)
        loss = F.binary_cross_entropy_with_logits(model(lines)[..., :-distance], answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        lines, answers = marks(256, distance, draw)
        right = (model(lines)[..., :-distance] > 0) == (answers > 0)
    return float(right.float().mean())


def reaches(dilations: list[int]) -> dict[str, float]:
    """How far a unit in the middle sees to one side: TRF, and before training the position furthest off that counts
    for the effective side.
    """
    graph = foveal.trace(network(dilations).eval(), (1, 1, 161))
    field = foveal.field(graph, "output", "energy")
    weights = field.normalized()
    offsets = np.arange(weights.size) + field.origin[0] - field.unit[0]
    return {
        "trf": float(foveal.receptive_field(graph, "output").lookahead[0] or 0),
        "erf": float(offsets[weights > level_of(squared=True) * weights.max()].max()),
        "sigma": math.sqrt(float((weights * offsets**2).sum())),
    }


def run_all(fast: bool) -> dict[str, Any]:
    """Every network, distance and seed; progress on standard error."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {"steps": STEPS, "channels": CHANNELS, "length": LENGTH, "batch": BATCH, "networks": []}
    begun = time.time()
    for name, dilations in NETWORKS.items():
        reach = reaches(dilations)
        model = network(dilations)
        entry: dict[str, Any] = {
            "name": name,
            "dilations": dilations,
            **reach,
            "parameters": sum(p.numel() for p in model.parameters()),
            "runs": [],
        }
        budgets = [STEPS] if fast or name not in LONGER else [STEPS, 4 * STEPS]
        for steps in budgets:
            seeds = SEEDS[:1] if fast else SEEDS if steps == STEPS else SEEDS[:2]
            for distance in DISTANCES[name][:: 4 if fast else 1]:
                if steps > STEPS and not reach["erf"] < distance <= reach["trf"]:
                    continue
                found = [accuracy(dilations, distance, seed, steps) for seed in seeds]
                entry["runs"].append({"steps": steps, "distance": distance, "accuracy": found})
                print(f"{time.time() - begun:5.0f} s  {name} {steps} steps, d {distance}: {found}", file=sys.stderr)
        entry["horizon"] = horizon(entry["runs"], STEPS)
        results["networks"].append(entry)
    return results


def horizon(runs: list[dict[str, Any]], steps: int) -> int:
    """The largest distance up to which the mean accuracy is at least ``SOLVED`` at every distance tried."""
    reached = 0
    for run in sorted((r for r in runs if r["steps"] == steps), key=lambda r: int(r["distance"])):
        if np.mean(run["accuracy"]) < SOLVED:
            break
        reached = int(run["distance"])
    return reached


def interval(values: list[float]) -> tuple[float, float]:
    """Smallest and largest over the seeds."""
    return min(values), max(values)


def draw(results: dict[str, Any], path: Path) -> None:
    """Accuracy against the distance, with both reaches marked, one panel per network."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(results["networks"]), 1, figsize=(7.5, 9.5), sharex=True, layout="constrained")
    for panel, entry in zip(panels, results["networks"], strict=True):
        for steps, colour in ((results["steps"], "#1f4e79"), (4 * results["steps"], "#c55a11")):
            runs = [run for run in entry["runs"] if run["steps"] == steps]
            if not runs:
                continue
            x = [run["distance"] for run in runs]
            mean = [float(np.mean(run["accuracy"])) for run in runs]
            low, high = zip(*(interval(run["accuracy"]) for run in runs))
            panel.plot(x, mean, "o-", color=colour, markersize=3.5, label=f"{steps} steps")
            panel.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.axvline(entry["trf"], color="black", linewidth=1.2, label="TRF reaches")
        panel.axvline(entry["erf"], color="#2e7d32", linewidth=1.2, linestyle="--", label="effective side reaches")
        panel.set_ylim(0.45, 1.03)
        panel.set_ylabel("accuracy")
        panel.set_title(f"{entry['name']}: dilations {short(entry['dilations'])}", fontsize=9, loc="left")
    panels[0].legend(fontsize=8, loc="lower right")
    panels[-1].set_xlabel("needed context d (positions)")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def short(dilations: list[int]) -> str:
    """``8 x 1, 8 x 2``."""
    return ", ".join(f"{dilations.count(d)} x {d}" for d in dict.fromkeys(dilations))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of data/ and images/")
    parser.add_argument("--fast", action="store_true", help="few distances and one seed, to see that it runs")
    chosen = parser.parse_args()
    results = run_all(chosen.fast)
    for folder in ("data", "images"):
        (chosen.out / folder).mkdir(parents=True, exist_ok=True)
    (chosen.out / "data" / "needed-context.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, chosen.out / "images" / "needed-context.png")
    for entry in results["networks"]:
        print(
            f"{entry['name']}: TRF {entry['trf']:.0f}, ERF {entry['erf']:.0f}, sigma {entry['sigma']:.1f}; "
            f"solved up to d = {entry['horizon']}"
        )


if __name__ == "__main__":
    main()
