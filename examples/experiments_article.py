"""Experiment (c): the three statements of the article on networks that are trained.

Deeper is not always better (plain and residual networks of growing depth); the receptive field grows with depth (the
theoretical one in proportion, the effective one with its root); accuracy and cost must balance. One data set, one
recipe; only depth and shortcuts vary.
"""

from __future__ import annotations

import sys

from experiments_common import IMAGES, kept, scattered_digits, trial, whiskers, write

from foveal.designs.network import Head, Network, Stage, Stem
from foveal.views.plots.style import BLUE, ORANGE, PALE, picture, styled

DEPTHS = (2, 4, 8, 16, 32)
EPOCHS = 12
BATCH = 32


def network(block: str, depth: int) -> Network:
    """A strided stem and ``depth`` 3-wide convolutions of width 8, plain or in pairs with shortcuts."""
    count = depth if block == "plain" else depth // 2
    return Network((1, 32, 32), Stem(3, 2, 8), (Stage(block, 8, count),), head=Head("classification", 10))


def main() -> None:
    """Train, write JSON and figure; with ``--draw`` only draw what was trained before."""
    if "--draw" in sys.argv:
        draw(kept("article")["rows"])
        return
    data = scattered_digits()
    rows = []
    for depth in DEPTHS:
        for block in ("plain", "residual"):
            found = trial(f"{block} {depth}", network(block, depth), data, EPOCHS, batch=BATCH)
            rows.append(found | {"block": block, "depth": depth})
        write("article", {"rows": rows})
        draw(rows)


def draw(rows: list[dict]) -> None:
    """Three panels: accuracy over depth, field over depth, accuracy over cost."""
    with styled():
        figure = picture(11.0, 3.8, {"experiment": "article", "seeds": rows[0]["seeds"]})
        axes = figure.subplots(1, 3)
        for block, color, marker in (("plain", ORANGE, "s"), ("residual", BLUE, "o")):
            part = [row for row in rows if row["block"] == block]
            depth = [row["depth"] for row in part]
            style = {"color": color, "marker": marker}
            whiskers(axes[0], part, depth, label=block, **style)
            axes[1].plot(depth, [row["effective"] for row in part], label=f"effective, {block}", **style)
            whiskers(axes[2], part, [row["multiply_adds"] / 1e6 for row in part], label=block, **style)
        part = [row for row in rows if row["block"] == "plain"]
        axes[1].plot([r["depth"] for r in part], [r["rf"] for r in part], color=PALE, label="theoretical, both")
        words = (("layers", "test accuracy (%)", "Is deeper better?"),
                 ("layers", "side of the field (pixels)", "The field grows with depth"),
                 ("multiply-adds (millions)", "test accuracy (%)", "What the accuracy costs"))  # fmt: skip
        for axis, (x, y, title) in zip(axes, words):
            axis.set_xscale("log", base=2)
            axis.set_xlabel(x)
            axis.set_ylabel(y)
            axis.set_title(title)
            axis.grid(color=PALE, alpha=0.3, linewidth=0.6)
            axis.legend(loc="best", frameon=False)
        depths = sorted({row["depth"] for row in rows})
        axes[0].set_xticks(depths, depths)
        axes[1].set_xticks(depths, depths)
        axes[2].set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
        axes[1].set_yscale("log", base=2)
        axes[1].set_yticks([8, 16, 32, 64, 128], ["8", "16", "32", "64", "128"])
    figure.save(IMAGES / "article.png")


if __name__ == "__main__":
    main()
