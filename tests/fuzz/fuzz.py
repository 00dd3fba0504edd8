"""Long run of random networks against the oracle: ``python tests/fuzz/fuzz.py --count 20000``.

Every number is a network. The state file keeps the next number and all counts, so that an interrupted run goes on where
it stopped. ``--show NUMBER`` prints one network and what disagrees. Exit code 1 where anything disagreed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from foveal.check.verify import Mismatch
from foveal.frontends.trace import trace
from foveal.ir import ops
from foveal.ir.graph import Graph
from foveal.testing import Check, check
from support.drawn.random_networks import build, random_recipe

SAVE_EVERY = 50
REDRAWS = 24
"""How many other draws of the weights a box gets whose edge was not seen; an exact box is one for generic weights."""


def judge(number: int) -> tuple[Check, Graph] | None:
    """Compare one random network with brute force; None where no step fitted or the answer is not one of structure."""
    recipe = random_recipe(number)
    model = build(recipe)
    if not len(model):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = trace(model, recipe.shape)
    if not_generic(graph):
        return None
    found = check(model, recipe.shape, seed=number, graph=graph)
    for again in range(1, REDRAWS + 1):
        if found.agrees or not all(_only_wider(m) for m in found.mismatches):
            break
        # an edge that no maximum let through: other weights may, at every unit; a box that is too small never passes
        found = check(model, recipe.shape, seed=again, graph=graph)
    return found, graph


def not_generic(graph: Graph) -> bool:
    """Networks whose answer is not one of structure (docs/counting.md): terms that cancel, rounding of pixels."""
    producers = graph.producers()
    for node in graph.nodes:
        if isinstance(node.op, ops.Mix) and node.op.name == "normalize":
            before = producers.get(node.inputs[0])
            while before is not None and isinstance(before.op, ops.Pointwise) and len(before.inputs) == 1:
                before = producers.get(before.inputs[0])
            if before is not None and isinstance(before.op, ops.Scan) and before.op.axis in node.op.axes:
                return True  # the first input moves all running sums alike, and the norm takes it off
        if isinstance(node.op, ops.Resample) and node.op.mode.startswith("nearest"):
            shapes = graph.values[node.inputs[0]].shape, graph.values[node.output].shape
            if any(_tie(shapes[0][axis], shapes[1][axis], node.op.mode) for axis in node.op.axes):
                return True
    return False


def _tie(n_in: int, n_out: int, mode: str) -> bool:
    """Whether single and double precision choose different pixels somewhere."""
    half = 0.5 if mode == "nearest-exact" else 0.0
    o = np.arange(n_out)
    single = np.floor((o.astype(np.float32) + np.float32(half)) * (np.float32(n_in) / np.float32(n_out)))
    return bool((single != np.floor((o + half) * (n_in / n_out))).any())


def _only_wider(mismatch: Mismatch) -> bool:
    """Whether the predicted box holds the measured one."""
    if mismatch.measured is None or mismatch.predicted is None:
        return mismatch.predicted is not None
    return mismatch.predicted[0] <= mismatch.measured[0] and mismatch.measured[1] <= mismatch.predicted[1]


def load(path: Path) -> dict[str, Any]:
    """The state of an earlier run, or a fresh one."""
    fresh = {"next": 0, "networks": 0, "layers": 0, "exact": 0, "bound": 0, "operations": {}, "bad": {}}
    return json.loads(path.read_text()) if path.exists() else fresh


def step(state: dict[str, Any]) -> None:
    """Judge the next network and add it to the state."""
    number = state["next"]
    state["next"] += 1
    try:
        outcome = judge(number)
    except Exception as error:  # any failure is a finding: name it and go on
        where = traceback.extract_tb(error.__traceback__)[-1]
        state["bad"][number] = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        print(f"{number}: {state['bad'][number]}", flush=True)
        return
    if outcome is None:
        return
    found, graph = outcome
    state["networks"] += 1
    state["layers"] += len(found.layers)
    state["exact"] += found.exact
    state["bound"] += found.bound
    state["operations"] = dict(Counter(state["operations"]) + Counter(type(n.op).__name__ for n in graph.nodes))
    if not found.agrees:
        state["bad"][number] = str(found.mismatches[0])
        print(f"{number}: {found}", flush=True)


def show(number: int) -> None:
    """Print one network, its graph and the comparison."""
    recipe = random_recipe(number)
    print(recipe, build(recipe), sep="\n")
    outcome = judge(number)
    if outcome is not None:
        print(*outcome[1].lines(), outcome[0], sep="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="number of networks of this run")
    parser.add_argument("--state", type=Path, default=Path("build/fuzz.json"), help="where counts are kept")
    parser.add_argument("--start", type=int, default=None, help="begin at this number, forgetting the state")
    parser.add_argument("--show", type=int, default=None, help="print one network and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.show is not None:
        show(options.show)
        return 0
    state = load(options.state)
    if options.start is not None:
        state = {**load(Path("/dev/null/none")), "next": options.start}
    options.state.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for done in range(1, options.count + 1):
        step(state)
        if done % SAVE_EVERY == 0 or done == options.count:
            options.state.write_text(json.dumps(state, indent=1))
    print(
        f"{state['networks']} networks, {state['layers']} layers, "
        f"{state['exact']} exact and {state['bound']} bounded hulls, "
        f"{len(state['bad'])} disagree; {time.monotonic() - begun:.0f} s, next number {state['next']}"
    )
    return 1 if state["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
