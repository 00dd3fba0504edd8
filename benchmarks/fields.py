"""How long fields take: each kind next to a plain forward pass, ``edges`` against the number of units in the cone,
and the metrics of a field of a megapixel.

    python benchmarks/fields.py                     tables on the terminal
    python benchmarks/fields.py --markdown FILE     the tables as Markdown as well

ResNet-50, middle unit of ``layer4``. Forward pass: PyTorch on the CPU, batch 1, evaluation mode, no gradients. All take
turns, round by round; processor time of all threads, the smallest counts. Tracing and bounds are
made once before and not timed. Nothing is asserted: times belong to the machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision

import foveal
from foveal.engine.backward.algebra import SUPPORT
from foveal.engine.backward.moments import energy_moments
from foveal.engine.backward.pull import pull, seed
from foveal.engine.roles import roles
from foveal.fields.kinds import field
from foveal.fields.metrics import checkerboard_index, mass_within, moments, squares
from foveal.fields.metrics.support import support
from foveal.frontends.text.trace import trace_spec
from foveal.ir.graph import Graph

KINDS = ("support", "paths", "edges", "energy")
Rows = list[list[str]]


def best(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Smallest time of each, in seconds, in turns."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return {name: min(found) for name, found in times.items()}


def against_forward(size: int, rounds: int) -> Rows:
    """Every kind for ResNet-50 at one input size."""
    model = torchvision.models.resnet50().eval()
    graph = foveal.trace(model, (1, 3, size, size))
    source = torch.randn(1, 3, size, size)

    def forward() -> None:
        with torch.inference_mode():
            model(source)

    contestants: dict[str, Callable[[], object]] = {"forward pass": forward}
    contestants |= {kind: lambda kind=kind: field(graph, "layer4", kind) for kind in KINDS}  # type: ignore[misc]
    contestants |= {
        f"energy, weights={detail}": lambda detail=detail: field(graph, "layer4", "energy", weights=detail)  # type: ignore[misc]
        for detail in ("model", "squares")
    }
    contestants["energy_moments (no map)"] = lambda: energy_moments(graph, "layer4")
    field(graph, "layer4", "edges")
    found = best(contestants, rounds)
    return [
        [f"{size}", name, f"{1000 * seconds:.1f}", f"{seconds / found['forward pass']:.3f}"]
        for name, seconds in found.items()
    ]


def cone(graph: Graph, layer: str) -> int:
    """Units in the cone of the middle unit, all values that are made by a window counted."""
    value = graph.layer(layer).value
    shape, kinds = graph.values[value].shape, roles(graph)
    unit = tuple(n // 2 for n, role in zip(shape, kinds[value], strict=True) if role == "s")
    flows = pull(graph, {value: seed(graph, value, unit, SUPPORT)}, SUPPORT)
    return sum(int(np.count_nonzero(flow.data)) for flow in flows.values())


def growth(rounds: int) -> Rows:
    """Edges of plain and strided stacks of growing depth in the plane."""
    rows: Rows = []
    for depth in (5, 10, 20, 40, 80, 160):
        graph = trace_spec(f"{depth}*conv3", (1, 1, 2 * depth + 1, 2 * depth + 1))
        layer = graph.layers[-1]
        field(graph, layer, "edges")
        seconds = best({"edges": lambda: field(graph, layer, "edges")}, rounds)["edges"]  # noqa: B023
        units = cone(graph, layer)
        rows.append([f"{depth} x conv3", f"{units}", f"{1000 * seconds:.1f}", f"{1e9 * seconds / units:.0f}"])
    return rows


def metrics(rounds: int) -> Rows:
    """Single metrics of a Gaussian in 1024 x 1024."""
    squared = (np.arange(1024) - 512.0) ** 2
    values = np.exp(-(squared[:, None] + squared) / (2 * 100**2))
    middle, first = (512, 512), (0, 0)
    contestants: dict[str, Callable[[], object]] = {
        "squares": lambda: squares(values, first, values.shape, middle),
        "mass_within": lambda: mass_within(values, first, middle),
        "moments": lambda: moments(values, first),
        "support": lambda: support(values, first),
        "checkerboard_index": lambda: checkerboard_index(values),
    }
    return [[name, f"{1000 * seconds:.1f}"] for name, seconds in best(contestants, rounds).items()]


def markdown(title: str, header: list[str], rows: Rows) -> str:
    """One table."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return f"{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    compared = [row for size in (224, 1024) for row in against_forward(size, options.rounds)]
    text = markdown(
        "ResNet-50, middle unit of `layer4`:", ["source", "what", "milliseconds", "forward passes"], compared
    )
    text += "\n" + markdown(
        "`edges` against the units in the cone:",
        ["network", "units in the cone", "milliseconds", "nanoseconds per unit"],
        growth(options.rounds),
    )
    text += "\n" + markdown("Metrics of a megapixel:", ["metric", "milliseconds"], metrics(options.rounds))
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
