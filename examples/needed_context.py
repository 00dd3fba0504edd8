"""How far can a network see? Networks of equal cost and field learn whether the mark d further on equals this one.

    python examples/needed_context.py            # trains what has no line yet; then draws and writes the page's part
    python examples/needed_context.py --draw     # only draws what was trained before

A line of random marks (+1 or -1) goes in, clean or in noise; at each position the network says whether the mark d
positions further on is the same. Nothing but that mark helps, so the task needs a context of exactly d. All networks
have eight 3-wide convolutions of sixteen channels, the same cost and parameters, and all reach sixteen positions to
either side. What differs is how much of the energy of their field lies at d.
"""

from __future__ import annotations

import sys
import time
from math import log, sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import torch
from experiments_common import DOCS, lines, put, resumed, until_flat
from partial_ranks import Statistic, partial, resampled, told
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.fields.metrics import level_of
from foveal.views.plots.style import BLUE, GREEN, INK, ORANGE, PALE, picture, styled

CHANNELS, LENGTH, BATCH = 16, 96, 16
RATE, LEAST, MOST = 5e-3, 600, 1200
DISTANCES, NOISES, SEEDS = (8, 12, 16), (0.0, 0.7), (0, 1, 2, 3, 4)
LINES = DOCS / "data" / "needed-context.jsonl"


class Plan(NamedTuple):
    """Dilations, two layers to a block; scale: of what a block adds to its shortcut, None without shortcuts."""

    dilations: tuple[int, ...]
    scale: float | None = 1.0


ALIKE, ONE_LARGE = (1, 1, 2, 2, 2, 2, 3, 3), (1, 1, 1, 1, 1, 1, 1, 9)
NETWORKS = {
    "alike": Plan(ALIKE),
    "alike, blocks halved": Plan(ALIKE, 0.5),
    "alike, blocks quartered": Plan(ALIKE, 0.25),
    "two large": Plan((1, 1, 1, 5, 1, 1, 1, 5)),
    "one large": Plan(ONE_LARGE),
    "alike, plain": Plan(ALIKE, None),
    "one large, plain": Plan(ONE_LARGE, None),
}


class Block(nn.Module):
    """Two convolutions with batch norm, and a shortcut around them where they have a scale."""

    def __init__(self, width: int, dilations: tuple[int, int], scale: float | None) -> None:
        super().__init__()
        first, second = (
            nn.Conv1d(inputs, CHANNELS, 3, padding=wide, dilation=wide, bias=False)
            for inputs, wide in zip((width, CHANNELS), dilations)
        )
        self.body = nn.Sequential(first, nn.BatchNorm1d(CHANNELS), nn.ReLU(), second, nn.BatchNorm1d(CHANNELS))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        made = self.body(x)
        return torch.relu(made if self.scale is None else x + self.scale * made)


def network(plan: Plan) -> nn.Sequential:
    """A 1-wide convolution, four blocks, a 1-wide convolution to the answer."""
    pairs = zip(plan.dilations[::2], plan.dilations[1::2])
    blocks = [Block(CHANNELS, pair, plan.scale) for pair in pairs]
    return nn.Sequential(nn.Conv1d(1, CHANNELS, 1), *blocks, nn.Conv1d(CHANNELS, 1, 1))


def marks(count: int, distance: int, noise: float, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lines (count, 1, LENGTH) of marks, noise added, and the answers (count, 1, LENGTH - distance)."""
    clean = torch.randint(0, 2, (count, 1, LENGTH), generator=draw).float() * 2 - 1
    answers = (clean[..., :-distance] == clean[..., distance:]).float()
    return clean + noise * torch.randn(clean.shape, generator=draw), answers


def best(noise: float) -> float:
    """The accuracy of one who compares the signs of the two marks: both right or both wrong."""
    right = NormalDist().cdf(1 / noise) if noise else 1.0
    return right**2 + (1 - right) ** 2


def reaches(plan: Plan) -> dict[str, Any]:
    """How far a unit in the middle sees to one side: theoretical field, and before training the position furthest off
    that counts for the effective side; the share of the energy at each distance.
    """
    graph = foveal.trace(network(plan).eval(), (1, 1, 161))
    field = foveal.field(graph, "output", "energy")
    weights = field.normalized()
    offsets = np.arange(weights.size) + field.origin[0] - field.unit[0]
    shares = weights / weights.sum()
    return {
        "trf": int(foveal.receptive_field(graph, "output").lookahead[0] or 0),
        "erf": int(offsets[weights > level_of(squared=True) * weights.max()].max()),
        "sigma": sqrt(float((shares * offsets**2).sum())),
        "shares": {str(d): float(shares[offsets == d].sum()) for d in DISTANCES},
    }


def run(name: str) -> dict[str, Any]:
    """One training."""
    label, distance, noise, seed = name.split("/")
    torch.manual_seed(int(seed))
    model = network(NETWORKS[label])
    draw = torch.Generator().manual_seed(1000 + int(seed))
    begun = time.process_time()

    def loss_of() -> Tensor:
        seen, answers = marks(BATCH, int(distance), float(noise), draw)
        return F.binary_cross_entropy_with_logits(model(seen)[..., : -int(distance)], answers)

    steps, flat = until_flat(model, loss_of, RATE, LEAST, MOST, log(2))
    model.eval()
    with torch.inference_mode():
        seen, right_ones = marks(256, int(distance), float(noise), draw)
        right = (model(seen)[..., : -int(distance)] > 0) == (right_ones > 0)
    return {
        "network": label, "distance": int(distance), "noise": float(noise), "seed": int(seed),
        "accuracy": round(float(right.float().mean()), 4), "steps": steps, "flat": flat,
        "seconds": round(time.process_time() - begun, 1),
    }  # fmt: skip


def names() -> list[str]:
    """All trainings, seed by seed."""
    return [f"{n}/{d}/{noise}/{seed}" for seed in SEEDS for noise in NOISES for d in DISTANCES for n in NETWORKS]


def rows() -> list[dict[str, Any]]:
    """All trainings so far, with the share of the energy at their distance before training."""
    kept = lines(LINES)
    trained = [row for row in kept.values() if "seed" in row]
    return [row | {"share": kept[row["network"]]["shares"][str(row["distance"])]} for row in trained]


def cell(found: list[dict[str, Any]], **where: Any) -> list[dict[str, Any]]:
    """The trainings with these properties."""
    return [row for row in found if all(row[name] == value for name, value in where.items())]


def table(found: list[dict[str, Any]]) -> str:
    """Networks by their share of energy at 12: what was known, and mean accuracy by noise and distance."""
    columns = [(noise, d) for noise in NOISES for d in DISTANCES]
    head = ["network", "sigma", "ERF", *(f"energy at {d}" for d in DISTANCES)]
    head += [f"{'clean' if not noise else 'noise'}, {d}" for noise, d in columns]
    made = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    kept = lines(LINES)
    for name in sorted(NETWORKS, key=lambda name: -kept[name]["shares"]["12"]):
        known = kept[name]
        scores = [[row["accuracy"] for row in cell(found, network=name, noise=n, distance=d)] for n, d in columns]
        said = [f"{100 * np.mean(part):.1f}" if part else "–" for part in scores]
        shares = [f"{known['shares'][str(d)]:.0e}" for d in DISTANCES]
        made.append("| " + " | ".join([name, f"{known['sigma']:.1f}", str(known["erf"]), *shares, *said]) + " |")
    return "\n".join(made)


def answers(found: list[dict[str, Any]]) -> str:
    """Partial rank correlations given the distance, with intervals over networks; how much was trained."""
    made = ["| | clean | noise |", "|---|---|---|"]
    for words, value in (("accuracy", "accuracy"), ("steps until flat", "steps")):
        row = [words]
        for noise in NOISES:
            own = cell(found, noise=noise)
            share, d, y = (np.array([one[name] for one in own]) for name in ("share", "distance", value))
            statistic = partial_given(share, y, d)
            row.append(told(resampled(statistic, [one["network"] for one in own])))
        made.append(f"| {' | '.join(row)} |")
    seeds = {row["seed"] for row in found}
    whole = [s for s in sorted(seeds) if len(cell(found, seed=s)) == len(NETWORKS) * len(DISTANCES) * len(NOISES)]
    minutes = sum(row["seconds"] for row in found) / 60
    made.append(
        f"\n{len(found)} trainings, {minutes:.0f} core-minutes on a machine shared with other work; seeds complete: "
        f"{', '.join(map(str, whole)) or 'none'} (of five); flat before the limit of steps: "
        f"{sum(row['flat'] for row in found)}."
    )
    return "\n".join(made)


def partial_given(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> Statistic:
    """Of the trainings with these numbers: the rank correlation of x and y given a third."""
    return lambda drawn: partial(x[drawn], y[drawn], [given[drawn]])


def draw(found: list[dict[str, Any]]) -> None:
    """Accuracy against the share of energy at the distance, clean and in noise."""
    with styled():
        figure = picture(9.6, 4.4, {"experiment": "needed-context", "seeds": sorted({row["seed"] for row in found})})
        panels = figure.subplots(1, 2, sharey=True)
        for axes, noise in zip(panels, NOISES):
            for distance, color in zip(DISTANCES, (BLUE, GREEN, ORANGE)):
                for name, marker in zip(NETWORKS, "osD^vPX"):
                    own = cell(found, network=name, noise=noise, distance=distance)
                    look = {"color": color, "linestyle": "none"}
                    axes.plot([row["share"] for row in own], [100 * row["accuracy"] for row in own], marker=".",
                              alpha=0.5, markersize=4, **look)  # fmt: skip
                    if own:
                        mean = 100 * float(np.mean([row["accuracy"] for row in own]))
                        axes.plot([own[0]["share"]], [mean], marker=marker, markersize=6, **look)
            axes.axhline(100 * best(noise), color=PALE, linestyle=":", linewidth=1)
            axes.set_xscale("log")
            axes.set_xlabel("share of the field's energy at the distance, before training")
            axes.set_title(f"marks in noise of {noise}" if noise else "clean marks")
            axes.grid(color=PALE, alpha=0.3, linewidth=0.6)
        panels[0].set_ylabel("accuracy on new lines (%); dotted: the best there is")
        for distance, color in zip(DISTANCES, (BLUE, GREEN, ORANGE)):
            panels[0].plot([], [], color=color, label=f"needed context {distance}")
        for name, marker in zip(NETWORKS, "osD^vPX"):
            panels[0].plot([], [], color=INK, marker=marker, linestyle="none", label=name)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.save(DOCS / "images" / "needed-context.png")


def main() -> None:
    """Train what has no line yet; picture and tables of all there is."""
    torch.set_num_threads(1)
    todo = names()[::-1] if "--backwards" in sys.argv else names()
    resumed(LINES, list(NETWORKS), lambda name: reaches(NETWORKS[name]))
    resumed(LINES, [] if "--draw" in sys.argv else todo, run)
    found = rows()
    draw(found)
    put(DOCS / "needed-context.md", {"networks": table(found), "answers": answers(found)})


if __name__ == "__main__":
    main()
