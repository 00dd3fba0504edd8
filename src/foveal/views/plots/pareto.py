"""Field against cost: what a search found, with known networks beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from foveal.core.errors import FovealError
from foveal.views.plots.style import BLUE, INK, ORANGE, PALE, Picture, named, panel, styled

if TYPE_CHECKING:
    from foveal.designs.record import Designs

WORDS = {"multiply-adds": "multiply-adds", "parameters": "parameters", "memory": "activation memory (bytes)",
         "latency": "measured latency (ms)"}  # fmt: skip


@styled()
def pareto(designs: Designs) -> Picture:
    """The front as a line, each design by its number; known networks by name. Lower left is better."""
    target = designs.target
    figure, axes = panel(6.8, 4.4, {"designs": {"task": target.task, "seed": designs.seed, "scored": designs.scored}})
    draw_pareto(axes, designs)
    return figure


def draw_pareto(axes: Axes, designs: Designs) -> None:
    """The same into given axes."""
    if not designs.designs and not designs.known:
        raise FovealError("no designs to draw")
    target = designs.target
    front = [one for one in designs.designs if one.role == "front"]
    x, y = [one.cost for one in front], [one.misfit for one in front]
    axes.plot(x, y, color=BLUE, marker="o", drawstyle="steps-post", label="found: no other is better in both")
    others = [one for one in designs.designs if one.role == "alternative"]
    if others:
        place = [one.cost for one in others], [one.misfit for one in others]
        axes.plot(*place, "o", color=BLUE, fillstyle="none", label="the best of another kind of block")
    for number, one in enumerate(designs.designs, 1):
        if one.role == "nearest":
            continue
        above = 5 - 17 * (number % 2 == 0)
        axes.annotate(str(number), (one.cost, one.misfit), xytext=(3, above), textcoords="offset points", color=BLUE)
    taken = [one for one in designs.designs if one.role == "recommended"]
    for one in taken:
        axes.plot(one.cost, one.misfit, "*", color=BLUE, markersize=12, label="recommended")
    nearest = [one for one in designs.designs if one.role == "nearest"]
    if nearest:
        place = [n.cost for n in nearest], [n.misfit for n in nearest]
        axes.plot(*place, "D", color=INK, label="nearest, breaks limits")
    known = designs.known
    if known:
        axes.plot([k.cost for k in known], [k.misfit for k in known], "s", color=ORANGE, label="known networks")
    for one in known:
        place_of = (one.cost, one.misfit)
        axes.annotate(named(one.network.name), place_of, xytext=(5, -9), textcoords="offset points", color=ORANGE)
    axes.set_xscale("log")
    axes.margins(x=0.14)
    axes.set_xlabel(WORDS[target.cost])
    axes.set_ylabel("misfit: octaves between effective field and object (or context)")
    axes.grid(color=PALE, alpha=0.3, linewidth=0.6)
    size = "x".join(map(str, target.space))
    axes.set_title(f"{target.task} on {size}: how well the effective field fits, and what it costs")
    axes.legend(loc="best", frameon=False)
