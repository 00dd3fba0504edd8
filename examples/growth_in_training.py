"""Does the effective field grow with training? Plain and residual networks, measured before training and after epochs.

    python examples/growth_in_training.py            # about 15 minutes on one free CPU core; goes on where it stopped
    python examples/growth_in_training.py --draw     # the page's tables and the picture from the kept numbers

Twelve 3 x 3 convolutions of sixteen channels behind a stem of stride 2 (theoretical field 51 x 51), with batch norm and
ReLU, and with shortcuts around pairs of convolutions or without. Two tasks: digits scattered over a noisy ground of 32
pixels, and two bars 12 pixels apart in 24. The unit is the one in the middle of the last map before the pooling.
Measured on sixteen test images: as the network is trained, where the image cuts the field, and on mosaics of nine
images, where it has room. Before the first measurement the norms see the training images once, so that it is the
weights that change and not the statistics.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from experiments_common import (
    DATA,
    DOCS,
    IMAGES,
    interval,
    lines,
    named_rightly,
    one_cycle,
    pairs,
    put,
    scattered_digits,
)
from torch import Tensor, nn

import foveal
from foveal.fields.measured.measure import Settings, measure

TASKS = {"digits": scattered_digits, "bars": pairs}
KINDS, SEEDS, EPOCHS, BATCH, BLOCKS, WIDTH = ("plain", "residual"), (0, 1, 2, 3, 4), 20, 64, 6, 16
MEASURED = 16
"""Test images that every measurement takes, the same ones at every epoch."""
METRICS = ("effective_side", "side_90", "sigma")
LINES = DATA / "growth.jsonl"


class Pair(nn.Module):
    """Two convolutions with norms, with a shortcut around them or without."""

    def __init__(self, shortcut: bool) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.first, self.second = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norms[1](self.second(self.norms[0](self.first(x)).relu()))
        return (x + y if self.shortcut else y).relu()


def network(kind: str) -> nn.Sequential:
    """Ten classes, of which a task may use fewer. ``features`` ends in the last map."""
    stem = nn.Sequential(nn.Conv2d(1, WIDTH, 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
    features = nn.Sequential(stem, *(Pair(kind == "residual") for _ in range(BLOCKS)))
    model = nn.Sequential()
    model.add_module("features", features)
    model.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 10)))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return model


def mosaics(images: Tensor, count: int) -> Tensor:
    """Nine images each, three by three."""
    parts = images[: 9 * count].unflatten(0, (count, 3, 3))
    return torch.cat([torch.cat(list(row.unbind(1)), -1) for row in parts.unbind(1)], -2)


class Ruler:
    """Measures the middle unit of the last map, in the image and in the mosaic."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.sets = {"image": images[:MEASURED], "room": mosaics(images, MEASURED)}
        self.graphs = {name: foveal.trace(model, tuple(x[:1].shape)) for name, x in self.sets.items()}

    def read(self) -> dict[str, Any]:
        """Place -> metric -> value with the middle 95 % over the images."""
        found = {}
        for name, graph in self.graphs.items():
            known = measure(graph, "features", images=self.sets[name], settings=Settings(batch=MEASURED))[0].intervals
            found[name] = {m: [round(float(v), 3) for v in (known[m].value, known[m].low, known[m].high)]
                           for m in METRICS}  # fmt: skip
        return found


def trained(task: str, kind: str, seed: int) -> dict[str, Any]:
    """One run: what was measured before training and after each epoch, with the accuracy."""
    torch.manual_seed(seed)
    x, y, test_x, test_y = TASKS[task]()
    model = network(kind)
    start = time.perf_counter()
    settle(model, x)
    ruler = Ruler(model.eval(), test_x)
    epochs = [{"epoch": 0, "accuracy": accuracy(model, test_x, test_y), **ruler.read()}]
    for epoch in one_cycle(model, x, y, EPOCHS, 3e-3, BATCH):
        model.eval()
        epochs.append({"epoch": epoch, "accuracy": accuracy(model, test_x, test_y), **ruler.read()})
    seconds = round(time.perf_counter() - start, 1)
    return {"task": task, "kind": kind, "seed": seed, "seconds": seconds, "torch": torch.__version__, "epochs": epochs}


@torch.no_grad()
def settle(model: nn.Module, x: Tensor) -> None:
    """Let the norms see the training images once, without learning."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over the batches
    for part in x.split(BATCH):
        model(part)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of images named rightly, as it is kept."""
    return round(named_rightly(model, x, y), 4)


def kept_runs() -> dict[tuple[str, str, int], dict[str, Any]]:
    """The runs that have a line; one cut short by an interruption has none."""
    return lines(LINES, "task", "kind", "seed")


def run_all() -> None:
    """Every run that has no line yet."""
    torch.set_num_threads(1)
    DATA.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        for task in TASKS:
            for kind in KINDS:
                if (task, kind, seed) in kept_runs():
                    continue
                run = trained(task, kind, seed)
                with LINES.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(run) + "\n")
                first, last = run["epochs"][0], run["epochs"][-1]
                sides = [item["room"]["effective_side"][0] for item in (first, last)]
                print(f"{task} {kind} {seed}: side {sides[0]:.1f} -> {sides[1]:.1f}, accuracy {last['accuracy']}, "
                      f"{run['seconds']} s", flush=True)  # fmt: skip


def growth(runs: list[dict[str, Any]], place: str, metric: str, epoch: int) -> tuple[float, float]:
    """Change since before training in percent: mean over the starts and half the width of its 95 % interval."""
    changes = [100 * (run["epochs"][epoch][place][metric][0] / run["epochs"][0][place][metric][0] - 1) for run in runs]
    return interval(changes)


def verdict(mean: float, half: float) -> str:
    """What an interval allows to say."""
    return "grows" if mean - half > 0 else "shrinks" if mean + half < 0 else "neither shown"


def groups() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The starts of each task and kind of network."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (task, kind, _), run in sorted(kept_runs().items()):
        found.setdefault((task, kind), []).append(run)
    return found


def table() -> str:
    """One line for each task, kind of network and place: sides before and after, growth of three measures, verdicts."""
    rows = [
        "| task | network | measured on | accuracy (%) | effective side, before and after | its growth (%) "
        "| 90 % side (%) | sigma (%) | effective side |",
        "|" + "---|" * 9,
    ]
    for (task, kind), runs in groups().items():
        right = interval([100 * run["epochs"][-1]["accuracy"] for run in runs])
        for place, name in (("room", "mosaics"), ("image", "the image")):
            sides = [np.mean([run["epochs"][e][place]["effective_side"][0] for run in runs]) for e in (0, -1)]
            changes = [growth(runs, place, metric, -1) for metric in METRICS]
            cells = [task, kind, name, f"{right[0]:.1f} ± {right[1]:.1f}", f"{sides[0]:.1f}, {sides[1]:.1f}"]
            cells += [f"{mean:+.1f} ± {half:.1f}" for mean, half in changes] + [verdict(*changes[0])]
            rows.append(f"| {' | '.join(cells)} |")
    seeds = len(next(iter(groups().values())))
    minutes = sum(run["seconds"] for run in kept_runs().values()) / 60
    rows.append(
        f"\n{seeds} starts, {EPOCHS} epochs; intervals: 95 %, Student's t over the starts; {minutes:.0f} minutes on "
        "one thread of a machine shared with other work."
    )
    return "\n".join(rows)


def picture() -> None:
    """Growth by epoch with its interval, for each task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, frames = pyplot.subplots(1, len(TASKS), figsize=(9, 3.6), sharey=True)
    for frame, task in zip(frames, TASKS):
        for kind, color in zip(KINDS, ("#0072b2", "#d55e00")):
            points = [growth(groups()[task, kind], "room", "effective_side", e) for e in range(EPOCHS + 1)]
            mean, half = (np.array(column) for column in zip(*points))
            frame.fill_between(range(EPOCHS + 1), mean - half, mean + half, color=color, alpha=0.2, linewidth=0)
            frame.plot(range(EPOCHS + 1), mean, color=color, label=kind)
        frame.axhline(0, color="#888888", linewidth=0.8)
        frame.set(title=task, xlabel="epoch", xticks=range(0, EPOCHS + 1, 5))
        frame.spines[["top", "right"]].set_visible(False)
    frames[0].set_ylabel("growth of the effective side (%)")
    frames[0].legend(frameon=False)
    figure.tight_layout()
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "growth.png", dpi=110)


def write_page() -> None:
    """The table between its marks, and the picture."""
    put(DOCS / "experiments.md", {"growth": table()})
    picture()


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true")
    if not parser.parse_args().draw:
        run_all()
    write_page()


if __name__ == "__main__":
    main()
