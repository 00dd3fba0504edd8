"""Random chains of ONNX operators against onnxruntime: ``python tests/fuzz/fuzz_onnx_chains.py --count 10000``.

Every hyperplane of the input is changed, for several inputs and changes, and each element of the result that moved
must lie where its box says. Exit code 1 where a box was too small or the analysis failed; an exact box whose edge never
moved its element is counted by the operators of its chain. ``--show NUMBER`` prints one network.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1]))

import foveal
from foveal.core.errors import FovealError
from foveal.fields.receptive_field import receptive_field, unit_bounds
from support.drawn.onnx_chains import chain

DRAWS = ((0.0, 1.0, 1.0), (0.5, 1.0, 1e3), (0.5, 1.0, -1e3), (0.0, 0.1, 3.0), (2.0, 0.5, -5.0), (-3.0, 1.0, 40.0))
"""Mean and deviation of the base input, and the change."""


class Verdict(NamedTuple):
    """kinds: operators; status; small: elements that moved outside their box; wide: edges of exact boxes not seen to
    move; edges: all of them; refused: foveal's error.
    """

    kinds: list[str]
    status: str
    small: int
    wide: int
    edges: int
    refused: str = ""


def judge(number: int) -> Verdict | None:
    """Compare one network with the runtime; None where there is none of that number."""
    drawn = chain(number)
    if drawn is None:
        return None
    model, kinds = drawn
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = foveal.trace(model, axes=tuple(range(2, len(model.graph.input[0].type.tensor_type.shape.dim))))
        layer = graph.layers[-1]
        rf, pairs = receptive_field(graph, layer), unit_bounds(graph, layer)
    except FovealError as error:
        if "depends on no source" in str(error) or "no window of" in str(error):
            return None  # a constant; or a window larger than its padded map, of which the runtime still makes one
        return Verdict(kinds, "refused", 0, 0, 0, str(error))
    first_seen, last_seen = moved(model, number, pairs[0][0].shape)
    small = wide = edges = 0
    for (first, last), low, high in zip(pairs, first_seen, last_seen, strict=True):
        seen = low <= high
        small += int((seen & ((low < first) | (high > last))).sum())
        if rf.status == "exact":
            edges += 2 * int((first <= last).sum())
            wide += int(((first <= last) & (~seen | (low != first))).sum())
            wide += int(((first <= last) & (~seen | (high != last))).sum())
    return Verdict(kinds, rf.status, small, wide, edges)


def moved(model: onnx.ModelProto, seed: int, out: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Per source axis the first and last position whose change moved each element; first > last where none did."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    rng, axes = np.random.default_rng(seed), range(2, len(shape))
    low = [np.full(out, 1 << 30) for _ in axes]
    high = [np.full(out, -1) for _ in axes]
    for mean, deviation, change in DRAWS:
        base = rng.normal(mean, deviation, shape).astype(np.float32)
        before = session.run(None, {"x": base})[0].reshape(out)
        for k, axis in enumerate(axes):
            for position in range(shape[axis]):
                index = (slice(None),) * axis + (position,)
                other = base.copy()
                other[index] += np.float32(change) * rng.uniform(0.5, 1.5, other[index].shape).astype(np.float32)
                after = session.run(None, {"x": other})[0].reshape(out)
                felt = (after != before) & ~(np.isnan(after) & np.isnan(before))
                low[k][felt & (low[k] > position)] = position
                high[k][felt] = np.maximum(high[k][felt], position)
    return low, high


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first number")
    parser.add_argument("--show", type=int, help="print one network and its verdict")
    asked = parser.parse_args()
    if asked.show is not None:
        drawn = chain(asked.show)
        print(onnx.printer.to_text(drawn[0]) if drawn else "no step fits", judge(asked.show), sep="\n")
        return 0
    failed, wide, statuses, edges, began = [], Counter[str](), Counter[str](), 0, time.perf_counter()
    for number in range(asked.seed, asked.seed + asked.count):
        try:
            found = judge(number)
        except Exception as error:  # the long run goes on, and names what broke
            failed.append(number)
            print(f"{number}: {type(error).__name__}: {error}", flush=True)
            continue
        if found is None:
            continue
        statuses[found.status] += 1
        edges += found.edges
        if found.small or found.refused:
            failed.append(number)
            print(f"{number}: {found.small} boxes too small {found.kinds} {found.refused}", flush=True)
        if found.wide:
            wide[" ".join(found.kinds)] += found.wide
            print(f"{number}: {found.wide} of {found.edges} edges not seen {found.kinds}", flush=True)
    share = sum(wide.values()) / max(1, edges)
    print(f"{dict(statuses)}; {len(failed)} failed: {failed[:40]}; {share:.2e} of {edges} exact edges not seen")
    print(f"{time.perf_counter() - began:.0f} s")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
