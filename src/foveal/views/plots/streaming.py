"""The plan of a stream as a timeline; of a decoder the reach by layer, the use of the past, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foveal.views.plots.style import BLUE, COLOUR_MAP, GREEN, LINES, ORANGE, PALE, Picture, named, panel, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from foveal.tasks.streaming.record import StreamPlan
    from foveal.tasks.streaming.tokens.record import TokenMap, TokenReach, TokenUse

CHUNKS = 5
"""So many chunks are drawn."""


@styled()
def timeline(plan: StreamPlan, title: str = "") -> Picture:
    """Chunks with context, one a row: what comes in (green), what is computed (context pale, the chunk blue), what is
    kept for the next (hatched), and when the chunk's units are out (orange).
    """
    figure, axes = panel(8.0, 4.4, {"stream": {"network": plan.network, "layer": plan.layer}})
    draw_timeline(axes, plan)
    axes.set_title(title or f"{named(plan.network)}: {named(plan.layer)} in chunks of {plan.chunk}")
    return figure


def draw_timeline(axes: Axes, plan: StreamPlan) -> None:
    """The same into axes."""
    scale = 1.0 if plan.rate is None else plan.hop / plan.rate * 1000.0

    def bar(row: int, lane: int, first: int, end: int, label: str, **style: Any) -> None:
        said = label if row == min(1, CHUNKS - 1) else None  # the first chunk has nothing before it
        axes.barh(row + (lane - 1) * 0.27, (end - first) * scale, left=first * scale, height=0.24, label=said, **style)

    for row in range(CHUNKS):
        start, end = row * plan.chunk, (row + 1) * plan.chunk
        first, stop = max(0, start - plan.left), end + plan.right
        bar(row, 0, start + plan.right if row else 0, stop, "comes in", color=GREEN)
        bar(row, 1, first, stop, "context, computed again", color=PALE, alpha=0.7)
        bar(row, 1, start, end, "chunk: its units are given out", color=BLUE)
        bar(row, 2, max(0, end - plan.left), stop, "kept for the next", color="none", edgecolor=BLUE, hatch="////")
        axes.plot([stop * scale], [row], color=ORANGE, marker="D", markersize=5, linestyle="none", clip_on=False,
                  label="its units are out" if row == 0 else None)  # fmt: skip
    axes.set_yticks(range(CHUNKS), [f"chunk {row}" for row in range(CHUNKS)])
    axes.invert_yaxis()
    axes.set_xlabel(plan.unit if plan.rate is None else "milliseconds")
    axes.margins(y=0.12)
    axes.legend(loc="upper right", frameon=False)


@styled()
def token_reach(shown: TokenReach) -> Picture:
    """Tokens before that each layer has seen; those that see all end at the traced length (orange)."""
    figure, axes = panel(8.0, 4.0, {"network": shown.network, "audit": "tokens"})
    places = np.arange(len(shown.layers))
    known = np.array([shown.length - 1 if back is None else back for back in shown.reach])
    whole = np.array([back is None for back in shown.reach], bool)
    axes.step(places, known, where="mid", color=BLUE, label="tokens before in reach")
    if whole.any():
        axes.plot(places[whole], known[whole], "s", color=ORANGE, label=f"all before ({shown.length} are traced)")
    axes.set_xlabel("attention, convolution or state, in order")
    axes.set_ylabel("tokens")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.set_title(named(f"{shown.network}: reach by layer"))
    return figure


@styled()
def token_use(shown: TokenUse) -> Picture:
    """Share of the influence that lies within so many tokens before, by way of asking."""
    figure, axes = panel(8.0, 4.0, {"network": shown.network, "audit": "tokens"})
    for (way, shares), (colour, line) in zip(shown.shares.items(), LINES):
        axes.plot(np.arange(len(shares)), np.cumsum(shares), color=colour, linestyle=line, label=way)
    for share in (0.5, 0.9, 0.99):
        axes.axhline(share, color=PALE, linewidth=0.7, linestyle=":")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("tokens before the newest, itself counted in")
    axes.set_ylabel("share of the influence")
    axes.legend(frameon=False, loc="lower right")
    axes.set_title(named(f"{shown.network}: how much of the past is used"))
    return figure


@styled()
def token_map(shown: TokenMap) -> Picture:
    """Effect of each token on each output, as powers of ten of each output's largest."""
    figure, axes = panel(6.4, 5.6, {"network": shown.network, "audit": "tokens"})
    largest = np.maximum(shown.values.max(axis=1, keepdims=True), 1e-300)
    levels = np.log10(np.maximum(shown.values / largest, 1e-6))
    edges = (shown.places[0] - 0.5, shown.places[-1] + 0.5, len(levels) - 0.5, -0.5)
    image = axes.imshow(levels, cmap=COLOUR_MAP, vmin=-6, vmax=0, extent=edges, aspect="auto", interpolation="nearest")
    figure.colorbar(image, ax=axes, label="log10 of the squared effect, largest of the output = 0")
    axes.set_xlabel("token that is exchanged")
    axes.set_ylabel("output")
    axes.set_title(named(f"{shown.network}: token by token"))
    return figure
