"""Random chains of ONNX operators against onnxruntime: ``python tests/fuzz/fuzz_onnx_chains.py --count 10000``.

Every hyperplane of the input is changed, for several inputs and changes, and each element of the result that moved
must lie where its box says. Exit code 1 where a box was too small or the analysis failed; an exact box whose edge never
moved its element is counted by the operators of its chain. ``--show NUMBER`` prints one network.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1]))

import foveal
from foveal.core.errors import FovealError
from foveal.fields.receptive_field import receptive_field, unit_bounds
from support.drawn.box_verdicts import Moved, Verdict, compare, run
from support.drawn.onnx_chains import chain

DRAWS = ((0.0, 1.0, 1.0), (0.5, 1.0, 1e3), (0.5, 1.0, -1e3), (0.0, 0.1, 3.0), (2.0, 0.5, -5.0), (-3.0, 1.0, 40.0))
"""Mean and deviation of the base input, and the change."""


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
        return Verdict(kinds, "refused", refused=str(error))
    return compare(kinds, rf.status, pairs, moved(model, number, pairs[0][0].shape))


def moved(model: onnx.ModelProto, seed: int, out: tuple[int, ...]) -> Moved:
    """The positions whose change moved each element."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    rng, found = np.random.default_rng(seed), Moved(out, len(shape) - 2)
    for mean, deviation, change in DRAWS:
        base = rng.normal(mean, deviation, shape).astype(np.float32)
        before = session.run(None, {"x": base})[0].reshape(out)
        for axis in range(2, len(shape)):
            for position in range(shape[axis]):
                index = (slice(None),) * axis + (position,)
                other = base.copy()
                other[index] += np.float32(change) * rng.uniform(0.5, 1.5, other[index].shape).astype(np.float32)
                after = session.run(None, {"x": other})[0].reshape(out)
                found.note(axis - 2, position, (after != before) & ~(np.isnan(after) & np.isnan(before)))
    return found


def shown(number: int) -> str:
    """The network as text."""
    drawn = chain(number)
    return "no step fits" if drawn is None else onnx.printer.to_text(drawn[0])


if __name__ == "__main__":
    sys.exit(run(__doc__, 10_000, judge, shown))
