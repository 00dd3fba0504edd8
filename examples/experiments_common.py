"""What the experiments share: data, training of emitted code, intervals, files. CPU, one thread, seeded."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from sklearn.datasets import load_digits
from torch import nn

from foveal.designs.closed.evaluate import evaluate
from foveal.designs.network import Network
from foveal.designs.text import code
from foveal.frontends.torch.emitted import build

DOCS = Path(__file__).parent.parent / "docs"
DATA = DOCS / "data" / "experiments"
IMAGES = DOCS / "images" / "experiments"
SEEDS = (0, 1, 2, 3, 4)
Data = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def digits() -> Data:
    """scikit-learn's digits as they are, 8 x 8: 1,297 to learn from, 500 to test; the split is fixed."""
    images, labels = load_digits(return_X_y=True)
    return _split(images.reshape(-1, 1, 8, 8).astype(np.float32) / 16, labels, 500)


def scattered_digits(side: int = 32) -> Data:
    """The digits enlarged to 16 x 16 and put anywhere on a ``side`` x ``side`` ground with noise and stray strokes."""
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(12)
    made = random.normal(0, 0.15, (len(images), 1, side, side)).astype(np.float32)
    for index, image in enumerate(images.reshape(-1, 8, 8) / 16):
        for _ in range(3):
            top, left = random.integers(0, side - 6, 2)
            stroke = (slice(top, top + 6), left) if random.random() < 0.5 else (top, slice(left, left + 6))
            made[(index, 0, *stroke)] += 0.6
        top, left = random.integers(0, side - 16 + 1, 2)
        made[index, 0, top : top + 16, left : left + 16] += np.kron(image, np.ones((2, 2)))
    return _split(made, labels, 500)


def pairs(side: int = 24, distance: int = 12, count: int = 2560) -> Data:
    """Two 3 x 3 bars, each upright or level, ``distance`` apart in a row; the class says whether they are alike.

    A unit must see both bars: ``distance`` + 3 positions. Averages of units that see one bar each can count upright
    ones, and the best threshold on a count is right in three of four cases.
    """
    random = np.random.default_rng(34)
    images = random.normal(0, 0.2, (count, 1, side, side)).astype(np.float32)
    kinds = random.integers(0, 2, (count, 2))
    for index, pair in enumerate(kinds):
        top, left = int(random.integers(0, side - 2)), int(random.integers(0, side - distance - 2))
        for kind, column in zip(pair, (left, left + distance)):
            where = (slice(top, top + 3), column + 1) if kind else (top + 1, slice(column, column + 3))
            images[(index, 0, *where)] += 2.0
    return _split(images, (kinds[:, 0] == kinds[:, 1]).astype(int), 1024)


def _split(images: np.ndarray, labels: np.ndarray, test: int) -> Data:
    order = np.random.default_rng(56).permutation(len(images))
    x, y = torch.tensor(images[order]), torch.tensor(labels[order])
    return x[test:], y[test:], x[:test], y[:test]


def accuracy(network: Network, data: Data, seed: int, epochs: int, rate: float = 3e-3, batch: int = 64) -> float:
    """Share of test images named rightly after ``epochs`` of AdamW with one rate cycle; no tuning, no early stop."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    x, y, test_x, test_y = data
    model = build(code(network))
    for _ in one_cycle(model, x, y, epochs, rate, batch):
        pass
    return named_rightly(model.eval(), test_x, test_y)


def one_cycle(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int, rate: float, batch: int
) -> Iterator[int]:
    """Train with AdamW and one rate cycle; the number of each epoch, from 1, when it is over."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2)
    for epoch in range(1, epochs + 1):
        model.train()
        order = torch.randperm(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            part = order[start : start + batch]
            loss = nn.functional.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        yield epoch


@torch.inference_mode()
def named_rightly(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of images named rightly."""
    return sum(int((model(a).argmax(1) == b).sum()) for a, b in zip(x.split(256), y.split(256))) / len(x)


CHECK, PATIENCE, TAIL, FALL, SOLVED, BEGUN = 50, 3, 100, 0.98, 0.02, 0.95


def until_flat(
    model: nn.Module, loss_of: Callable[[], torch.Tensor], rate: float, least: int, most: int, chance: float
) -> tuple[int, bool]:
    """Train with AdamW at one rate until the loss is flat (or for ``most`` steps), then TAIL steps while the rate goes
    to zero; the steps, and whether it was flat.
    """
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2)
    losses: list[float] = []
    while not flat(losses, least, chance) and len(losses) * CHECK < most:
        losses.append(_steps(optimizer, loss_of, [rate] * CHECK))
    _steps(optimizer, loss_of, [rate * (1 - step / TAIL) for step in range(TAIL)])
    return len(losses) * CHECK + TAIL, flat(losses, least, chance)


def flat(losses: list[float], least: int, chance: float) -> bool:
    """Of mean losses of CHECK steps each: whether the last PATIENCE of them did not go below FALL times the best before
    them, after ``least`` steps, or nothing is left to learn. Near the loss of ``chance`` nothing was learned yet, and
    no rest is called flat.
    """
    if not losses or losses[-1] < SOLVED or losses[-1] > BEGUN * chance:
        return bool(losses) and losses[-1] < SOLVED
    return len(losses) * CHECK >= least and min(losses[-PATIENCE:]) > FALL * min(losses[:-PATIENCE])


def _steps(optimizer: torch.optim.Optimizer, loss_of: Callable[[], torch.Tensor], rates: list[float]) -> float:
    """The mean loss of as many steps as there are rates."""
    total = 0.0
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += float(loss.detach())
    return total / len(rates)


def trial(
    name: str, network: Network, data: Data, epochs: int, seeds: tuple[int, ...] = SEEDS, **how: Any
) -> dict[str, Any]:
    """One network over all seeds, with the numbers known before training."""
    start = time.perf_counter()
    scores = [accuracy(network, data, seed, epochs, **how) for seed in seeds]
    found = evaluate(network)
    mean, half = interval(scores)
    row = {
        "name": name, "accuracy": mean, "half": half, "scores": scores, "seeds": list(seeds), "epochs": epochs,
        "rf": found.widest.size, "effective": round(found.widest.effective, 2),
        "multiply_adds": found.multiply_adds, "parameters": found.parameters, "unproductive": len(found.unproductive),
        "network": network.to_yaml(), "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip
    print(f"{name}: {100 * mean:.1f} +- {100 * half:.1f} %, RF {row['rf']}, effective {row['effective']}, "
          f"{found.multiply_adds:,} multiply-adds, {row['seconds']} s", flush=True)  # fmt: skip
    return row


def interval(scores: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval (Student's t over the seeds)."""
    if len(scores) < 2:
        return float(np.mean(scores)), 0.0
    spread = float(np.std(scores, ddof=1) / np.sqrt(len(scores)))
    return float(np.mean(scores)), spread * float(stats.t.ppf(0.975, len(scores) - 1))


def kept(name: str) -> dict[str, Any]:
    """The numbers of an experiment that ran before: ``--draw`` draws them again."""
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return found


def resumed(path: Path, names: list[str], run: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name -> record of all lines of a file of JSON lines, after ``run`` made those of ``names`` that had none, so that
    a run goes on where it stopped. The file is read anew before each: several processes may share the work.
    """
    for name in names:
        if name not in lines(path):
            record = {"name": name} | run(name)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
    return lines(path)


def lines(path: Path, *keys: str) -> dict[Any, dict[str, Any]]:
    """Name, or the values of several keys, -> record; a line that was cut short counts as none, and of two alike the
    first counts.
    """
    found: dict[Any, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError, KeyError):
            record = json.loads(line)
            found.setdefault(tuple(record[key] for key in keys) if keys else record["name"], record)
    return found


def put(page: Path, tables: dict[str, str]) -> None:
    """Texts into a page, each between its mark ``<!-- name -->`` and the next ``<!-- end -->``."""
    text = page.read_text(encoding="utf-8")
    for name, made in tables.items():
        mark = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(mark, lambda m, made=made: m[1] + made + "\n" + m[2], text, flags=re.DOTALL)
        assert count == 1, f"the page has no place for '{name}'"
    page.write_text(text, encoding="utf-8")


def whiskers(axes: Any, rows: list[dict], x: list[float], joined: bool = True, **style: Any) -> None:
    """Mean with its interval (cut at 0 and 100 %), and a small dot for each seed."""
    means = np.array([100 * row["accuracy"] for row in rows])
    halves = np.array([100 * row["half"] for row in rows])
    low, high = np.minimum(halves, means), np.minimum(halves, 100 - means)
    line = {} if joined else {"linestyle": "none"}
    axes.errorbar(x, means, (low, high), capsize=3, **line, **style)
    for place, row in zip(x, rows):
        scores = [100 * score for score in row["scores"]]
        axes.plot([place] * len(scores), scores, ".", color=style["color"], markersize=5, alpha=0.6, zorder=3)


def write(name: str, result: dict[str, Any]) -> None:
    """The numbers as JSON beside the pictures."""
    DATA.mkdir(parents=True, exist_ok=True)
    result = result | {"torch": torch.__version__, "threads": 1}
    (DATA / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
