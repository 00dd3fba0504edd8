"""The design space: candidates a second on one core, and agreement with the whole engine and with PyTorch.

python benchmarks/design.py                  speed of the closed forms
python benchmarks/design.py --check 2000     random networks against the whole engine (a minute)
python benchmarks/design.py --code 200       emitted code against PyTorch's counters, the engine and ruff (a minute)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from foveal.designs.closed.evaluate import evaluate
from foveal.designs.closed.steps import MisfitError, lay_out
from foveal.designs.network import Network, fault
from foveal.designs.spaces.defaults import default_space

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

LARGE = 640
SHAPES = {
    "classification": (3, 224, 224),
    "detection": (3, 640, 640),
    "segmentation": (3, 512, 512),
    "sequence": (1, 16000),
}


def speed(count: int) -> None:
    """Networks of each task's own space: laying out and evaluating, in processor time of this process."""
    for task, shape in SHAPES.items():
        networks = _drawn(task, shape, count)
        steps = sum(len(lay_out(network).steps) for network in networks) / count
        start = time.process_time()
        for network in networks:
            evaluate(network)
        each = (time.process_time() - start) / count
        print(f"{task:15} {1 / each:7.0f} candidates a second, {1e3 * each:.2f} ms each, {steps:.0f} steps on average")


def _drawn(task: str, shape: tuple[int, ...], count: int) -> list[Network]:
    space, random = default_space(task, shape, 10), np.random.default_rng(0)
    found: list[Network] = []
    while len(found) < count:
        network = space.network(space.random(random))
        try:
            if not fault(network):
                lay_out(network)
                found.append(network)
        except MisfitError:
            continue
    return found


def check(count: int, seed: int) -> int:
    """Random networks whose closed forms differ from the engine."""
    from support.designs.design_engine import differences
    from support.drawn.random_designs import random_network

    random, wrong, wide = np.random.default_rng(seed), 0, 0
    for _ in range(count):
        network = random_network(random)
        own = evaluate(network)
        # Holes and evenness show on an input that the fields do not leave; in 3-D that costs too much.
        fits = len(network.space) < 3 and own.levels[-1].size <= LARGE // 3
        wide += fits
        found = differences(network, own, LARGE if fits else None)
        if found:
            wrong += 1
            print(network, *found, sep="\n  ")
    print(
        f"{count - wrong} of {count} random networks equal to the engine in all numbers, {wide} with holes and evenness"
    )
    return wrong


def emitted(count: int, seed: int) -> int:
    """Random networks whose emitted code does not do what was stated, or is not clean."""
    from foveal.designs.text import code
    from support.designs.design_code import faults
    from support.drawn.random_designs import random_network

    random, wrong = np.random.default_rng(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            network = random_network(random, largest=40)
            Path(folder, f"net{number}.py").write_text(code(network), encoding="utf-8")
            found = faults(network)
            wrong += bool(found)
            if found:
                print(network, *found, sep="\n  ")
        for command in (["check"], ["format", "--check"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", folder], check=False
            )
            wrong += done.returncode != 0
    print(f"{count} emitted networks, {wrong} faults")
    return wrong


def main() -> None:
    """Print the table, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--check", type=int, metavar="N")
    parser.add_argument("--code", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.check or options.code:
        wrong = check(options.check, options.seed) if options.check else 0
        wrong += emitted(options.code, options.seed) if options.code else 0
        sys.exit(1 if wrong else 0)
    speed(options.count)


if __name__ == "__main__":
    main()
