"""Experiment (b): ResNet-18 on 32-pixel input, as it is and fitted to it.

The widths are divided by four, so that a CPU trains it; strides, stem and blocks are ResNet-18's. Beside it the two
smallest changes that leave no unproductive layer: blocks may only go, and every block stays. The digits are scattered
over a 32 x 32 ground with noise and stray strokes.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from experiments_common import IMAGES, kept, scattered_digits, trial, whiskers, write

from foveal.designs.inverse import smallest_change
from foveal.designs.network import Head, Network
from foveal.designs.recognise import recognise
from foveal.frontends.trace import trace
from foveal.views.plots.style import BLUE, GREEN, ORANGE, PALE, picture, styled

EPOCHS = 15


def quarter() -> Network:
    """ResNet-18 with a quarter of its widths, for one channel of 32 x 32 and ten classes."""
    full = recognise(trace("gallery:resnet18"))
    stages = tuple(replace(stage, width=stage.width // 4) for stage in full.stages)
    stem = replace(full.stem, width=full.stem.width // 4)
    return replace(full, input=(1, 32, 32), stem=stem, stages=stages, head=Head("classification", 10))


def networks() -> dict[str, tuple[Network, str]]:
    """Name -> network and what was changed."""
    own = quarter()
    fewer = smallest_change(own, "productive", only="counts")
    kept = smallest_change(own, "productive", keep_blocks=True)
    return {
        "ResNet-18 as it is": (own, "nothing"),
        "blocks removed": (fewer.network, "; ".join(fewer.changed)),
        "strides removed": (kept.network, "; ".join(kept.changed)),
    }


def main() -> None:
    """Train, write JSON and figure; with ``--draw`` only draw what was trained before."""
    if "--draw" in sys.argv:
        draw(kept("resnet32")["rows"])
        return
    data = scattered_digits()
    rows = [
        trial(name, network, data, EPOCHS) | {"changed": changed} for name, (network, changed) in networks().items()
    ]
    write("resnet32", {"rows": rows})
    draw(rows)


def draw(rows: list[dict]) -> None:
    """Accuracy against cost."""
    with styled():
        figure = picture(6.4, 4.0, {"experiment": "resnet32", "seeds": rows[0]["seeds"]})
        axes = figure.subplots()
        for row, color, marker in zip(rows, (ORANGE, BLUE, GREEN), "sod"):
            place = [row["multiply_adds"] / 1e6]
            whiskers(axes, [row], place, joined=False, color=color, marker=marker, label=label(row))
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        axes.minorticks_off()
        axes.set_xlabel("multiply-adds (millions)")
        axes.set_ylabel("test accuracy (%): seeds, mean, 95 % interval")
        axes.set_title("ResNet-18 (quarter width) on 32 x 32 images")
        axes.grid(color=PALE, alpha=0.3, linewidth=0.6)
        axes.legend(loc="lower right", frameon=False)
    figure.save(IMAGES / "resnet32.png")


def label(row: dict) -> str:
    """Name, unproductive layers, parameters."""
    return f"{row['name']}: {row['unproductive']} unproductive layers, {row['parameters'] / 1e3:.0f}k parameters"


if __name__ == "__main__":
    main()
