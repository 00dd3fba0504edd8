"""How well simple rules put candidates of equal cost in order, from the records of ``design_learning``.

    python benchmarks/design_fit.py [--records FILE ...]

A rule gives each network a number before training. Within a cell (one task, one budget) it is right about a pair if the
better network has the larger number: Kendall's tau over all pairs of all cells, with a 95 % interval by drawing cells
again. Fitted rules are tried on sizes that they were not fitted on. The fit is least squares on the logit of the
accuracy above chance, less its mean in the cell.
"""

from __future__ import annotations

import argparse
import json
from math import log2
from pathlib import Path
from typing import Any

import numpy as np

import kept_lines
from design_learning import RECORDS
from design_tasks import CLASSES
from foveal.designs.closed.evaluate import evaluate
from foveal.designs.closed.steps import lay_out
from foveal.designs.network import from_yaml
from foveal.designs.targets import ROOM

DRAWS = 2_000
KEPT = RECORDS.with_name("design-rules.json")
CHOSEN = "fit: narrow, wide, coarse, narrowest, parameters"
FITS = {
    "fit: narrow, wide": ("narrow", "wide"),
    "fit: narrow, wide, parameters": ("narrow", "wide", "parameters"),
    "fit: narrow, wide, coarse, parameters": ("narrow", "wide", "coarse", "parameters"),
    "fit: narrow, wide, coarse, narrowest": ("narrow", "wide", "coarse", "narrowest"),
    CHOSEN: ("narrow", "wide", "coarse", "narrowest", "parameters"),
    "fit: and depth": ("narrow", "wide", "coarse", "narrowest", "parameters", "depth"),
    "fit: and entry": ("narrow", "wide", "coarse", "narrowest", "parameters", "entry"),
}
"""Terms of the fitted rules, by name."""
SHIPPED = RECORDS.parents[2] / "src" / "foveal" / "designs" / "choice" / "rule.json"


def terms(record: dict[str, Any]) -> dict[str, float]:
    """Numbers known before training; lengths and counts as logarithms to base 2."""
    network = from_yaml(record["network"])
    found = evaluate(network)
    level, steps = found.levels[0], lay_out(network).steps
    windows = [step for step in steps if step.kernel > 1 and step.kind in ("conv", "maxpool")]
    ratio = log2(level.fits / record["size"])
    return {
        "off": abs(ratio - log2(ROOM)), "narrow": max(0.0, log2(ROOM) - ratio), "wide": max(0.0, ratio - log2(ROOM)),
        "coarse": max(0.0, log2(2 * float(level.stride) / record["size"])), "stride": log2(float(level.stride)),
        "parameters": log2(found.parameters), "depth": log2(len(windows)), "idle": float(len(found.unproductive) > 0),
        "entry": log2(network.stem.stride * (1 + network.stem.pool)),
        "narrowest": log2(found.narrowest), "ratio": ratio,
    }  # fmt: skip


def tau(numbers: np.ndarray, scores: np.ndarray, cells: np.ndarray, draws: int = DRAWS) -> tuple[float, float, float]:
    """Kendall's tau within cells, and its 95 % interval by drawing cells again."""
    right, pairs = [], []
    for cell in np.unique(cells):
        own = np.flatnonzero(cells == cell)
        a = np.sign(numbers[own][:, None] - numbers[own])
        b = np.sign(scores[own][:, None] - scores[own])
        right.append((a * b).sum() / 2)
        pairs.append((b != 0).sum() / 2)
    drawn = np.random.default_rng(0).integers(0, len(right), (draws, len(right)))
    spread = np.array(right)[drawn].sum(1) / np.array(pairs)[drawn].sum(1)
    low, high = np.quantile(spread, (0.025, 0.975))
    return float(sum(right) / sum(pairs)), float(low), float(high)


def fitted(names: tuple[str, ...], x: dict[str, np.ndarray], y: np.ndarray, cells: np.ndarray, on: np.ndarray) -> Any:
    """Coefficients by least squares within cells, over the rows ``on``."""
    a = np.stack([_centred(x[name], cells) for name in names], 1)
    # A little ridge: few rows, terms that go together.
    return np.linalg.solve(a[on].T @ a[on] + 0.5 * np.eye(len(names)), a[on].T @ _centred(y, cells)[on])


def held_out(
    names: tuple[str, ...], x: dict[str, np.ndarray], y: np.ndarray, cells: np.ndarray, part: np.ndarray
) -> Any:
    """What the fit says of each part (a size, a family) when it was fitted on the others."""
    found = np.zeros(len(y))
    for one in np.unique(part):
        weights = fitted(names, x, y, cells, part != one)
        rows = part == one
        found[rows] = np.stack([x[name][rows] for name in names], 1) @ weights
    return found


def _centred(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    made = values.astype(float).copy()
    for cell in np.unique(cells):
        made[cells == cell] -= made[cells == cell].mean()
    return made


def rules(
    x: dict[str, np.ndarray], y: np.ndarray, cells: np.ndarray, sizes: np.ndarray, families: np.ndarray
) -> dict[str, Any]:
    """How each rule does; the fitted ones on sizes, and on families, that they were not fitted on."""
    fixed = {
        "parameters": x["parameters"], "narrowest layer": x["narrowest"], "field alone": -x["off"],
        "the pilot's rule": -4 * (x["off"] > 0.5) - 4 * x["idle"] + x["parameters"] / 20,
    }  # fmt: skip
    found: dict[str, Any] = {name: {"tau": tau(numbers, y, cells)} for name, numbers in fixed.items()}
    for name, chosen in FITS.items():
        weights = fitted(chosen, x, y, cells, np.ones(len(y), bool))
        found[name] = {
            "tau": tau(held_out(chosen, x, y, cells, sizes), y, cells),
            "tau, held-out family": tau(held_out(chosen, x, y, cells, families), y, cells),
            "weights": dict(zip(chosen, weights.round(3).tolist())),
        }
    return found


def main() -> None:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, nargs="*", default=[RECORDS])
    asked = parser.parse_args()
    records = [r for path in asked.records for r in kept_lines.read(path).values()]
    each = [terms(r) for r in records]
    x = {name: np.array([one[name] for one in each]) for name in each[0]}
    cells = np.array([r["name"].rpartition("-")[0] for r in records])
    sizes = np.array([r["size"] for r in records])
    families = np.array([r["family"] for r in records])
    chance = 1 / CLASSES
    above = np.clip((np.array([r["accuracy"] for r in records]) - chance) / (1 - chance), 0.01, 0.995)
    y = np.log(above / (1 - above))
    told = {"records": len(records), "cells": len(set(cells)), "rules": rules(x, y, cells, sizes, families)}
    for name, own in told["rules"].items():
        mean, low, high = own["tau"]
        print(f"{name:32s} tau {mean:+.2f} ({low:+.2f} to {high:+.2f})", own.get("weights", ""))
    slices = [(low, (x["ratio"] >= low) & (x["ratio"] < low + 0.5)) for low in np.arange(-1, 3, 0.5)]
    told["by field over object"] = [[float(2**low), int(on.sum()), float(_centred(y, cells)[on].mean())]
                                    for low, on in slices if on.any()]  # fmt: skip
    for low, number, mean in told["by field over object"]:
        print(f"fits from {low:.2f} of the object: {number} networks, {mean:+.2f} in the logit")
    KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    chosen = {"records": told["records"], "cells": told["cells"]} | told["rules"][CHOSEN]
    SHIPPED.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
