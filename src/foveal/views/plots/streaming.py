"""The plan of a stream as a timeline; of a decoder the reach by layer, the use of the past, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from foveal.views.plots.style import BLUE, COLOUR_MAP, LINES, ORANGE, PALE, Picture, named, panel, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from foveal.tasks.streaming.record import StreamPlan
    from foveal.tasks.streaming.tokens.record import TokenMap, TokenReach, TokenUse

CHUNKS = 5
"""So many chunks are drawn."""


@styled()
def timeline(plan: StreamPlan, title: str = "") -> Picture:
    """Chunks with context, one a row: context read again (pale), the chunk (blue), when its units are out (orange)."""
    figure, axes = panel(8.0, 3.4, {"stream": {"network": plan.network, "layer": plan.layer}})
    draw_timeline(axes, plan)
    axes.set_title(title or f"{named(plan.network)}: {named(plan.layer)} in chunks of {plan.chunk}")
    return figure


def draw_timeline(axes: Axes, plan: StreamPlan) -> None:
    """The same into axes."""
    scale = 1.0 if plan.rate is None else plan.hop / plan.rate * 1000.0
    for row in range(CHUNKS):
        start = row * plan.chunk
        first = max(0, start - plan.left)
        axes.barh(row, (start + plan.chunk + plan.right - first) * scale, left=first * scale, height=0.62, color=PALE,
                  alpha=0.6, label="context, read again" if row == 0 else None)  # fmt: skip
        axes.barh(row, plan.chunk * scale, left=start * scale, height=0.62, color=BLUE,
                  label="chunk: its units are kept" if row == 0 else None)  # fmt: skip
        axes.plot([(start + plan.chunk + plan.right) * scale], [row], color=ORANGE, marker="D", linestyle="none",
                  label="its units are out" if row == 0 else None)  # fmt: skip
    axes.set_yticks(range(CHUNKS), [f"chunk {row}" for row in range(CHUNKS)])
    axes.invert_yaxis()
    axes.set_xlabel("positions" if plan.rate is None else "milliseconds")
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
