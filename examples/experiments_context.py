"""Experiment (a): does a field that fits the task buy accuracy at equal cost?

Two tasks: pairs of bars whose needed context is known (15 positions), and scikit-learn's digits. All networks of a task
cost the same within 10 %: a standard one (two 3-wide convolutions per stage, halved by pooling), and networks chosen
from one space by their effective side alone.
"""

from __future__ import annotations

import sys

from experiments_common import IMAGES, digits, kept, pairs, trial, whiskers, write

from foveal.designs.closed.evaluate import evaluate
from foveal.designs.closed.steps import MisfitError
from foveal.designs.network import Head, Network, Stage, Stem, fault
from foveal.designs.spaces.space import Space, space_of
from foveal.views.plots.style import BLUE, ORANGE, PALE, picture, styled

NEEDED = 15
SIDES = (8, 11, 15, 20, 28)
DIGIT_SIDES = (8, 12, 16)
RATE = 5e-3


def standard(side: int, classes: int, width: int, stages: int) -> Network:
    """Pairs of 3-wide convolutions, width doubled and map halved by pooling from stage to stage."""
    first = Stage("plain", width, 1)
    rest = tuple(Stage("plain", width * 2**i, 2, stride=2, pool=True) for i in range(1, stages))
    return Network((1, side, side), Stem(3, 1, width), (first, *rest), head=Head("classification", classes))


def space(side: int, classes: int) -> Space:
    """Two stages of residual blocks; stem, strides, kernels, dilations, counts and widths vary."""
    widths = [6, 8, 12, 16, 20, 24]
    shared = {
        "block": "residual",
        "kernel": {"choose": [3, 5], "as": "kernel"},
        "stride": {"choose": [1, 2]},
        "dilation": {"choose": [[1], [1, 2]]},
    }
    width = {"choose": widths, "as": "width"}
    double = {"choose": [2 * w for w in widths], "as": "width"}
    return space_of({
        "input": [1, side, side],
        "stem": {"kernel": {"choose": [3, 5]}, "stride": {"choose": [1, 2]}, "width": width},
        "stages": [
            shared | {"width": width, "count": {"choose": [1, 2, 3]}},
            shared | {"width": double, "count": {"choose": [0, 1, 2, 3]}},
        ],
        "head": {"task": "classification", "classes": classes},
    })  # fmt: skip


def candidates(searched: Space, cost: int) -> list[tuple[float, int, Network]]:
    """(side of what it fits, cost, network) of all that cost what the standard does (within 10 %) without holes or
    unproductive layers.
    """
    found = []
    for genome in searched.genomes():
        network = searched.network(genome)
        if fault(network):
            continue
        try:
            own = evaluate(network)
        except MisfitError:
            continue
        if 0.9 * cost <= own.multiply_adds <= 1.1 * cost and own.filled == 1 and not own.unproductive:
            found.append((own.levels[0].fits, own.multiply_adds, network))
    return found


def of_side(listed: list[tuple[float, int, Network]], wanted: float) -> Network:
    """The one that fits that side best; of equals the cheapest."""
    return min(listed, key=lambda one: (abs(one[0] - wanted), one[1]))[2]


def named(network: Network) -> str:
    """A network by its effective side."""
    return f"effective side {evaluate(network).widest.effective:.0f}"


def main() -> None:
    """Train, write JSON and figure; with ``--draw`` only draw what was trained before."""
    if "--draw" in sys.argv:
        told = kept("context")
        draw(told["bars"], told["digits"])
        return
    bars = pairs()
    known = standard(24, 2, 5, 3)
    listed = candidates(space(24, 2), evaluate(known).multiply_adds)
    rows = [trial("standard", known, bars, 15, rate=RATE)]
    rows += [trial(named(one), one, bars, 15, rate=RATE) for one in (of_side(listed, side) for side in SIDES)]
    small = digits()
    plain = standard(8, 10, 8, 2)
    listed = candidates(space(8, 10), evaluate(plain).multiply_adds)
    digit_rows = [trial("standard", plain, small, 15)]
    digit_rows += [trial(named(one), one, small, 15) for one in (of_side(listed, side) for side in DIGIT_SIDES)]
    write("context", {"needed": NEEDED, "bars": rows, "digits": digit_rows})
    draw(rows, digit_rows)


def draw(rows: list[dict], digit_rows: list[dict]) -> None:
    """Accuracy against the effective side, both tasks."""
    with styled():
        figure = picture(8.6, 3.9, {"experiment": "context", "seeds": rows[0]["seeds"]})
        axes = figure.subplots(1, 2)
        titles = ("pairs of bars: both must be seen (15 px)", "digits (8 x 8)")
        for axis, part, title in zip(axes, (rows, digit_rows), titles):
            chosen = sorted(part[1:], key=lambda row: row["effective"])
            sides = [row["effective"] for row in chosen]
            whiskers(axis, chosen, sides, color=BLUE, marker="o", label="chosen by effective side")
            own = [part[0]["effective"]]
            label = "standard network, equal cost"
            whiskers(axis, part[:1], own, joined=False, color=ORANGE, marker="s", label=label)
            axis.set_xlabel("effective side (pixels)")
            axis.set_ylabel("test accuracy (%): seeds, mean, 95 % interval")
            axis.set_title(title)
            axis.grid(color=PALE, alpha=0.3, linewidth=0.6)
            axis.legend(loc="lower right", frameon=False)
        axes[0].axvline(NEEDED, color=PALE, linestyle=":")
        axes[0].text(NEEDED + 0.4, 74, "context needed", color=PALE)
    figure.save(IMAGES / "context.png")


if __name__ == "__main__":
    main()
