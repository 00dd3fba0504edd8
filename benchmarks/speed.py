"""How long foveal takes, next to the plain meta forward pass, to a real one and to the public tools, in one process.

    python benchmarks/speed.py                      seven models; FOVEAL_RFA_TOOLBOX names a mended copy of rfa_toolbox
    python benchmarks/speed.py --markdown FILE      the tables as Markdown as well
    python benchmarks/speed.py --json FILE          every number, for programs (bench-output/speed.json unless said)

All contestants take turns, round by round, in one thread, so that a slow moment of the machine hits all of them; the
median of the processor time counts, which other work on the machine hardly changes. Nothing is asserted: times belong
to the machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.progress import Progress
from torch import nn

import foveal
from apart import LARGE, Apart, apart_table, measured_apart
from foveal.check import automatic
from foveal.engine.forward.bounds import bounds
from foveal.ir.graph import Note
from pages import Content, markdown_table, paragraph, rich_table
from rivals import Rival, rivals

SLOW = 1.0
"""Seconds; a contestant slower than this takes part in the first rounds only."""
SLOW_ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """A model, its input and the layer whose size is compared (leaves where possible: torchscan knows no others)."""

    name: str
    layer: str
    truth: int
    """Published or derived size (tests/engine/test_published_torchvision.py)."""
    length: int = 224

    def build(self, device: str = "cpu") -> nn.Module:
        options = {"init_weights": False} if self.name == "inception_v3" else {}
        with torch.device(device):
            return torchvision.models.get_model(self.name, weights=None, **options).eval()

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, 3, self.length, self.length)


CASES = (
    Case("resnet50", "layer4.2.conv3", 427),
    Case("vgg16", "features.30", 212),
    Case("inception_v3", "Mixed_7c", 1311, 299),
    Case("densenet121", "features.norm5", 2071),
    Case("swin_t", "features.7.1.mlp.3", 224),
    Case("vit_b_16", "encoder.layers.encoder_layer_11.mlp.3", 224),
    Case("efficientnet_b0", "features.8.0", 851),
)


@dataclass(frozen=True)
class Result:
    """Median processor seconds per contestant (None: not available) and the size each one gives."""

    case: Case
    seconds: dict[str, float | None]
    sizes: dict[str, str]


def main() -> None:
    """Run all cases and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", default="bench-output/speed.json")
    parser.add_argument("--only", nargs="*", default=[case.name for case in CASES], metavar="MODEL")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables as Markdown as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tools = rivals()
    chosen = [case for case in CASES if case.name in options.only]
    results = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("rounds", total=len(chosen) * options.rounds)
        for case in chosen:
            results.append(measure(case, tools, options.rounds, lambda: progress.advance(task)))
    console = Console(width=200)
    console.print(rich_table("Median milliseconds of processor time", *times(results)))
    console.print(rich_table("Times the plain meta forward pass", *ratios(results)))
    console.print(rich_table("Size at the named layer", *sizes(results)))
    large = [measured_apart(name) for name in LARGE]
    console.print(rich_table("Large inputs, each in a process of its own", *apart_table(large)))
    for case in chosen:
        console.print(f"automatic check of {case.name} over its trace: {check_share(case)}")
    if options.markdown:
        Path(options.markdown).write_text(page(results, options.rounds, tools, large), encoding="utf-8")
    output = Path(options.json)
    output.parent.mkdir(parents=True, exist_ok=True)
    kept = [{"model": r.case.name, "seconds": r.seconds, "sizes": r.sizes} for r in results]
    output.write_text(json.dumps({"models": kept, "large": large, "versions": versions()}, indent=1), encoding="utf-8")


def measure(case: Case, tools: list[Rival], rounds: int, tick: Callable[[], Any]) -> Result:
    """Time all contestants in turns on one model."""
    model = case.build()
    contestants = _contestants(case, model, tools)
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        contestant()
    for number in range(rounds):
        for name, contestant in contestants.items():
            if taken[name] and median(taken[name]) > SLOW and number >= SLOW_ROUNDS:
                continue
            gc.collect()
            start = time.process_time()
            contestant()
            taken[name].append(time.process_time() - start)
        tick()
    seconds: dict[str, float | None] = {name: median(values) for name, values in taken.items()}
    seconds |= {tool.name: None for tool in tools if tool.analyze is None}
    return Result(case, seconds, _sizes(case, model, tools))


def check_share(case: Case) -> str:
    """The automatic check, with a reason forced, as a share of the trace and bounds in the same turn: the median."""
    model, shares = case.build(), []
    for _ in range(SLOW_ROUNDS):
        start = time.process_time()
        graph = foveal.trace(model, case.shape)
        bounds(graph)
        traced = time.process_time() - start
        graph.notes.append(Note("real-tensors", "", "forced"))
        start = time.process_time()
        automatic.look(graph)
        shares.append((time.process_time() - start) / traced)
    outcome = "not checked" if graph.notes[-1].code == "not-checked" else "checked"
    return f"{median(shares):.2f} ({outcome})"


def _contestants(case: Case, model: nn.Module, tools: list[Rival]) -> dict[str, Callable[[], Any]]:
    shadow = case.build("meta")
    image = torch.empty(case.shape, device="meta")

    def plain() -> None:
        with torch.no_grad():
            shadow(image)

    def trace_and_bounds() -> None:
        bounds(foveal.trace(model, case.shape))

    real = torch.zeros(case.shape)

    def forward() -> None:
        with torch.no_grad():
            model(real)

    found: dict[str, Callable[[], Any]] = {
        "meta forward": plain,
        "real forward": forward,
        "trace": lambda: foveal.trace(model, case.shape),
        "trace + bounds": trace_and_bounds,
        "whole report": lambda: foveal.analyze(foveal.trace(model, case.shape)),
    }
    for tool in tools:
        if tool.analyze is not None:
            found[tool.name] = lambda tool=tool: tool.analyze(model, case.shape)
    return found


def _sizes(case: Case, model: nn.Module, tools: list[Rival]) -> dict[str, str]:
    rf = foveal.receptive_field(foveal.trace(model, case.shape), case.layer)
    found = {"foveal": f"{rf.size_text()} ({rf.status})"}
    for tool in tools:
        if tool.answers:
            known = tool.analyze and tool.size(tool.analyze(model, case.shape), case.layer)
            found[tool.name] = known or "not available"
    return found


def times(results: list[Result]) -> Content:
    """Milliseconds."""
    names = tuple(results[0].seconds)
    cells = [tuple("not available" if s is None else f"{s * 1e3:.1f}" for s in r.seconds.values()) for r in results]
    return ("model", *names), [(r.case.name, *row) for r, row in zip(results, cells)]


def ratios(results: list[Result]) -> Content:
    """Time over that of the plain meta forward pass."""
    rows = []
    for result in results:
        plain = result.seconds["meta forward"] or 1.0
        rows.append((result.case.name, *("-" if s is None else f"{s / plain:.2f}" for s in result.seconds.values())))
    return ("model", *results[0].seconds), rows


def sizes(results: list[Result]) -> Content:
    """What each tool says about the same layer."""
    names = tuple(name for name in results[0].sizes if any(result.sizes[name] for result in results))
    return ("model", "layer", "right", *names), [
        (r.case.name, r.case.layer, str(r.case.truth), *(r.sizes[name] for name in names)) for r in results
    ]


def versions() -> str:
    """What was measured with."""
    return f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}"


def page(results: list[Result], rounds: int, tools: list[Rival], large: list[Apart]) -> str:
    """The tables with the machine they were measured on."""
    meanings = "\n".join(f"- {tool.name}: {tool.answers}" for tool in tools if tool.answers)
    part = f" (here of {len(results)} of its {len(CASES)} networks)" if len(results) < len(CASES) else ""
    fewer = f" ({SLOW_ROUNDS} rounds for what takes over {SLOW:g} s)" if rounds > SLOW_ROUNDS else ""
    parts = [
        "# Benchmarks",
        paragraph(
            f"`make bench` makes these tables{part}. Machine: {os.cpu_count()} cores ({platform.machine()}); "
            f"{versions()}. Processor time of one thread; median of {rounds} rounds in which all contestants take "
            f"turns in one process{fewer}. *trace + bounds* holds clipped and unclipped bounds of every unit of "
            "every layer; *whole report* adds every number of the table that `foveal analyze` prints, without the "
            "automatic check; *real forward* is the model on one image of zeros. "
            "torchinfo, thop, ptflops and fvcore list layers with costs, torchview the graph: no receptive fields."
        ),
        "## Milliseconds",
        markdown_table(*times(results)),
        "## Times the plain meta forward pass",
        markdown_table(*ratios(results)),
        "## Large inputs, and the command line",
        "Each in a process of its own. *over imports*: memory at its peak beyond what the imports took.",
        markdown_table(*apart_table(large)),
        "## The size each tool gives",
        "Unclipped size at the layer's default input.",
        markdown_table(*sizes(results)),
        "What the numbers of the other tools mean:",
        meanings,
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
