"""Experiment (e), read: does accuracy follow the effective field, or the effective field over the object?

Ranks are within a task and a size, since sizes may be of unlike difficulty; whether they are is what the gap tells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from experiments_common import IMAGES
from partial_ranks import partial, resampled, told
from scenes import SIZES, TASKS

from foveal.views.plots.style import BLUE, GREEN, INK, ORANGE, PALE, picture, styled

COLORS = dict(zip(SIZES, (ORANGE, BLUE, GREEN)))
MARKERS = "osD^vPX"
RULERS = {
    "effective side": lambda row: row["effective"],
    "effective side / object": lambda row: row["effective"] / row["size"],
    "side after training": lambda row: row["trained_side"],
    "side after training / object": lambda row: row["trained_side"] / row["size"],
}
FEWEST = 4
"""Networks without which nothing is said."""
Rows = list[dict[str, Any]]


def cells(rows: Rows) -> Rows:
    """One row per network, task and size: means over seeds, and each seed's score."""
    found = []
    for key in dict.fromkeys((row["network"], row["task"], row["size"]) for row in rows):
        own = [row for row in rows if (row["network"], row["task"], row["size"]) == key]
        mean = {name: float(np.mean([row[name] for row in own])) for name in ("accuracy", "trained_side", "effective")}
        found.append(dict(zip(("network", "task", "size"), key)) | mean | {"scores": [row["accuracy"] for row in own]})
    return found


def ranks(rows: Rows, task: str, size: int, ruler: str = "effective side") -> str:
    """Spearman's rank correlation of ruler and accuracy over networks, with an interval over networks."""
    own = [row for row in cells(rows) if (row["task"], row["size"]) == (task, size)]
    if len(own) < FEWEST:
        return "–"
    x, y = np.array([RULERS[ruler](row) for row in own]), np.array([row["accuracy"] for row in own])
    return told(resampled(lambda drawn: partial(x[drawn], y[drawn]), [row["network"] for row in own]))


def turn(rows: Rows, task: str) -> str:
    """The rank correlation for the largest objects minus that for the smallest, with an interval over the networks
    that were trained on both.
    """
    known = {(row["network"], row["size"]): row for row in cells(rows) if row["task"] == task}
    both = [name for name in dict.fromkeys(n for n, _ in known) if all((name, s) in known for s in SIZES[::2])]
    if len(both) < FEWEST:
        return "–"
    sides = np.array([known[name, SIZES[0]]["effective"] for name in both])
    small, large = (np.array([known[name, size]["accuracy"] for name in both]) for size in SIZES[::2])
    return told(resampled(lambda d: partial(sides[d], large[d]) - partial(sides[d], small[d]), both))


def gap(rows: Rows, task: str, ruler: str) -> str:
    """How many points the accuracy for larger objects lies above that for smaller ones where the ruler says the same,
    in the mean over all pairs of sizes, with an interval over networks. 0: the curves of all sizes are one.
    """
    own = [row for row in cells(rows) if row["task"] == task]

    def above(drawn: np.ndarray) -> float:
        curves = [_curve([own[index] for index in drawn if own[index]["size"] == size], ruler) for size in SIZES]
        found = []
        for place, (x, y) in enumerate(curves):
            for other_x, other_y in curves[place + 1 :]:
                inside = (x >= other_x.min(initial=np.inf)) & (x <= other_x.max(initial=-np.inf))
                if inside.any():
                    found += list(np.interp(x[inside], other_x, other_y) - y[inside])
        return 100 * float(np.mean(found)) if found else float("nan")

    found = resampled(above, [row["network"] for row in own])
    return "–" if np.isnan(found[0]) else "{:+.0f} ({:+.0f} to {:+.0f})".format(*found)


def _curve(own: Rows, ruler: str) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the ruler, and accuracy, by the ruler."""
    points = sorted({(float(np.log2(RULERS[ruler](row))), row["accuracy"]) for row in own})
    return np.array([x for x, _ in points]), np.array([y for _, y in points])


def accuracies(rows: Rows) -> str:
    """The table of networks: what was known, and mean accuracy by task and size."""
    head = ["network", "effective side", "90 % side", *(f"{task} {size}" for task in TASKS for size in SIZES)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    by = {(row["network"], row["task"], row["size"]): row for row in cells(rows)}
    for row in sorted({row["network"]: row for row in rows}.values(), key=lambda row: row["effective"]):
        own = [by.get((row["network"], task, size)) for task in TASKS for size in SIZES]
        found = ["–" if cell is None else f"{100 * cell['accuracy']:.1f}" for cell in own]
        lines.append("| " + " | ".join([row["network"], f"{row['effective']:.1f}", str(row["side_90"]), *found]) + " |")
    return "\n".join(lines)


def state(rows: Rows) -> str:
    """How much was trained, and how much of it until the loss was flat."""
    names, seeds = {row["network"] for row in rows}, sorted({row["seed"] for row in rows})
    whole = len(names) * len(TASKS) * len(SIZES)
    full = [seed for seed in seeds if sum(row["seed"] == seed for row in rows) == whole]
    flat = sum(row["flat"] for row in rows)
    minutes = sum(row["seconds"] for row in rows) / 60
    after = [
        float(np.mean([r["trained_side"] for r in rows if r["network"] == n])) for n in {r["network"] for r in rows}
    ]
    before = [row["effective"] for row in rows]
    return (
        f"{len(rows)} trainings, {minutes:.0f} core-minutes on a machine shared with other work; seeds complete: "
        f"{', '.join(map(str, full)) or 'none'} (of five); flat before the limit of steps: {flat}. Effective side, "
        f"narrowest and widest network: {min(before):.1f} and {max(before):.1f} before training, {min(after):.1f} and "
        f"{max(after):.1f} after it (means over tasks, sizes and seeds)."
    )


def relations(rows: Rows) -> str:
    """The table of answers: rank correlations by size, and what each ruler foretells."""
    lines = [f"| | {' | '.join(TASKS)} |", "|---" * (len(TASKS) + 1) + "|"]
    for size in SIZES:
        found = (ranks(rows, task, size) for task in TASKS)
        lines.append(f"| rank correlation with accuracy, {size} px | {' | '.join(found)} |")
    lines.append(f"| the last minus the first | {' | '.join(turn(rows, task) for task in TASKS)} |")
    for ruler in list(RULERS)[1::2]:
        found = (gap(rows, task, ruler) for task in TASKS)
        lines.append(f"| points above smaller objects at equal {ruler} | {' | '.join(found)} |")
    return "\n".join(lines)


def draw(rows: Rows) -> None:
    """Accuracy against the effective side over the object's: as known before training, and as measured after it."""
    means = cells(rows)
    order = sorted({row["network"] for row in rows}, key=[row["network"] for row in rows].index)
    with styled():
        figure = picture(11.0, 7.2, {"experiment": "fit", "seeds": sorted({row["seed"] for row in rows})})
        panels = figure.subplots(2, len(TASKS), sharex=True)
        for line, ruler in zip(panels, ("effective side / object", "side after training / object")):
            for axes, task in zip(line, TASKS):
                for size in SIZES:
                    own = [row for row in means if (row["task"], row["size"]) == (task, size)]
                    own.sort(key=RULERS[ruler])
                    places = [RULERS[ruler](row) for row in own]
                    axes.plot(places, [100 * row["accuracy"] for row in own], color=COLORS[size], alpha=0.5)
                    for row, place in zip(own, places):
                        marker = MARKERS[order.index(row["network"])]
                        axes.plot([place], [100 * row["accuracy"]], marker=marker, color=COLORS[size], linestyle="none")
                        scores = [100 * score for score in row["scores"]]
                        axes.plot([place] * len(scores), scores, ".", color=COLORS[size], markersize=3, alpha=0.5)
                axes.set_xscale("log", base=2)
                axes.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
                axes.axvline(1, color=PALE, linestyle=":", linewidth=1)
                axes.grid(color=PALE, alpha=0.3, linewidth=0.6)
                axes.set_title(task)
                axes.set_xlabel(ruler)
            line[0].set_ylabel("test accuracy (%)")
        for size in SIZES:
            panels[0, 0].plot([], [], color=COLORS[size], label=f"objects of {size} px")
        for marker, name in zip(MARKERS, order):
            panels[0, 0].plot([], [], color=INK, marker=marker, linestyle="none", label=name)
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    figure.save(IMAGES / "fit.png")
