"""Energy against Monte-Carlo over random networks: total variation and sigma, and how the distance falls with draws.

    python benchmarks/montecarlo.py                        32 and 64 channels, 1024 draws
    python benchmarks/montecarlo.py --markdown FILE        the table as Markdown as well

The networks are in tests/support/drawn/random_gradients.py. The slope is that of log(distance) over log(draws): -1/2 is
pure chance, anything flatter would show a systematic difference.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import foveal
from foveal.fields.field import Field
from foveal.fields.kinds import field

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.drawn.random_gradients import distance, networks, squared_gradients

HEADER = ["network", "channels", "TV", "sigma ratio", "total ratio", "slope"]


def row(name: str, channels: int, draws: int) -> list[str]:
    """One network."""
    model, shape = networks(channels)[name]
    graph = foveal.trace(model, shape)
    predicted = field(graph, graph.layers[-1], "energy").full()
    measured = squared_gradients(model, shape, draws, seed=3)
    mean = measured.mean(axis=0)
    counts = [draws // 64, draws // 16, draws // 4]
    parts = [np.split(measured, draws // count) for count in counts]
    found = [np.mean([distance(predicted, part.mean(axis=0)) for part in split]) for split in parts]
    slope = np.polyfit(np.log(counts), np.log(found), 1)[0]
    sigmas = [Field.of(values).metrics().sigmas for values in (predicted, mean)]
    ratio = np.sqrt(np.mean(np.square(sigmas[0] or 0)) / np.mean(np.square(sigmas[1] or 1)))
    total = predicted.sum() / mean.sum()
    numbers = [f"{distance(predicted, mean):.4f}", f"{ratio:.4f}", f"{total:.3f}", f"{slope:.2f}"]
    return [name, str(channels), *numbers]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1024)
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    lines = [HEADER, ["---"] * len(HEADER)]
    for channels in options.channels:
        for name in networks(channels):
            lines.append(row(name, channels, options.draws))
            print(*lines[-1], sep="  ", flush=True)
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
