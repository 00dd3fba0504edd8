"""Brute force for one ONNX operator: which source elements move which output elements, and what foveal says.

The oracle knows no rule. It runs the operator in the onnx package's own reference evaluator (onnxruntime where that has
none), changes one source element at a time and notes what moves; draws differ in base input and in the kind of change,
and the answers are joined. foveal's answer is held against it for every axis of every source: boxes that foveal calls
exact must be equal, others must hold what was seen; exact sets of elements must be equal, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from foveal.engine.backward.algebra import SUPPORT, Flow
from foveal.engine.backward.pull import over_source, pull
from foveal.engine.certainty import certainty
from foveal.engine.forward.bounds import bounds
from foveal.fields.receptive_field import unit_bounds
from foveal.frontends.onnx.trace import trace_model
from foveal.ir.graph import Graph

ROUNDS = 24
UNITS = 24
"""Output elements whose exact set of source elements is compared."""


@dataclass(frozen=True, eq=False)
class Input:
    """One input of the operator. kind: "source" (drawn, perturbed), "weights" (drawn, not perturbed) or "constant".

    ``low``, ``high``: draw evenly between these (integers: up to and without ``high``); else normal in several styles.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: np.ndarray | None = None
    low: float | None = None
    high: float | None = None


def source(*shape: int, dtype: Any = np.float64, low: float | None = None, high: float | None = None) -> Input:
    """An input whose elements are perturbed."""
    return Input("source", shape, np.dtype(dtype), None, low, high)


def weights(*shape: int, dtype: Any = np.float64, low: float | None = 0.3, high: float | None = 1.5) -> Input:
    """Generic numbers, drawn anew in each round."""
    return Input("weights", shape, np.dtype(dtype), None, low, high)


def constant(array: Any, dtype: Any = None) -> Input:
    """Fixed numbers, known to the analysis."""
    data = np.asarray(array, dtype=dtype)
    data = data.astype(np.int64) if dtype is None and data.dtype.kind in "iu" else data
    return Input("constant", data.shape, data.dtype, data)


@dataclass(frozen=True, eq=False)
class Case:
    """One operator with attributes and inputs (None: left out), in one version of the specification."""

    op: str
    opset: int
    inputs: tuple[Input | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    status: str = "exact"
    domain: str = ""
    engine: str = "reference"
    measured: Case | None = None
    """The same operator in a form that the evaluator knows, for versions that it does not; same inputs that vary."""
    model: Callable[[], onnx.ModelProto] | None = None
    label: str = ""
    rounds: int = ROUNDS
    loose: bool = False
    """A degenerate unit (a softmax over one key) reads less than weights in general do: boxes only need to hold it."""

    @property
    def name(self) -> str:
        """For the test's title."""
        domain = f"{self.domain}." if self.domain else ""
        return f"{domain}{self.op}-{self.opset}{'-' + self.label if self.label else ''}"


def element_type(dtype: np.dtype[Any]) -> int:
    """The ONNX number of an element type."""
    return TensorProto.STRING if dtype.kind in "OU" else helper.np_dtype_to_tensor_dtype(dtype)


def build(case: Case, stored: bool, shapes: Sequence[tuple[int, ...]] = ()) -> onnx.ModelProto:
    """A model of one node. Weights and constants are initialisers (``stored``), or inputs. ``shapes``: of the outputs,
    which a domain that has no shape inference needs to be told.
    """
    if case.model is not None:
        return case.model()
    names, inputs, initializers = [], [], []
    for index, item in enumerate(case.inputs):
        name = "" if item is None else f"i{index}"
        names.append(name)
        if item is None:
            continue
        if item.kind == "source" or (not stored and item.kind == "weights"):
            inputs.append(helper.make_tensor_value_info(name, element_type(item.dtype), item.shape))
        else:
            array = item.array if item.array is not None else draw(item, np.random.default_rng(5), 0)
            initializers.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    outputs = [f"o{k}" for k in range(case.outputs)]
    node = helper.make_node(case.op, names, outputs, "node", domain=case.domain, **case.attributes)
    made = [helper.make_empty_tensor_value_info(name) for name in outputs]
    if shapes and case.domain == "com.microsoft":
        kind = element_type(next(item.dtype for item in case.inputs if item is not None and item.kind == "source"))
        made = [helper.make_tensor_value_info(name, kind, s) for name, s in zip(outputs, shapes, strict=True)]
    imports = [helper.make_opsetid("", case.opset if not case.domain else 21)]
    if case.domain:
        imports.append(helper.make_opsetid(case.domain, case.opset))
    graph = helper.make_graph([node], case.op, inputs, made, initializers)
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def draw(item: Input, rng: np.random.Generator, style: int) -> np.ndarray:
    """Numbers for one input."""
    kind = item.dtype.kind
    if item.array is not None:
        return item.array
    if kind == "b":
        return rng.random(item.shape) < 0.5
    if kind in "OU":
        return rng.choice(np.array(["a", "b", "cd", "ee", "f"], dtype=object), item.shape)
    if kind in "iu":
        return rng.integers(int(item.low or 0), int(item.high or 7), item.shape).astype(item.dtype)
    if item.low is not None:
        return np.asarray(rng.uniform(item.low, item.high, item.shape)).astype(item.dtype)
    noise = rng.standard_normal(item.shape)
    style %= 5
    if style == 1:
        noise = np.abs(noise) + 0.1
    elif style == 2:
        noise = np.sign(noise) * np.exp(2 * rng.standard_normal(item.shape))
    elif style == 3:
        noise = 0.1 * noise
    elif style == 4:
        noise = -np.abs(noise) - 0.1
    return np.asarray(noise).astype(item.dtype)


def changed(value: Any, item: Input, rng: np.random.Generator, style: int) -> Any:
    """Another number for one element."""
    kind = item.dtype.kind
    if kind == "b":
        return not value
    if kind in "OU":
        return rng.choice([word for word in ("a", "b", "cd", "ee", "f") if word != value])
    if kind in "iu":
        choices = [k for k in range(int(item.low or 0), int(item.high or 7)) if k != value]
        return rng.choice(choices)
    if item.low is not None and item.high is not None:
        low, high = item.low, item.high
        return (rng.uniform(low, high), low + 0.01 * (high - low), high - 0.01 * (high - low))[style % 3]
    return value + (rng.standard_normal(), 8 * rng.uniform(0.5, 1.5), -8 * rng.uniform(0.5, 1.5))[style % 3]


def evaluated_shapes(case: Case) -> list[tuple[int, ...]]:
    """Shapes of the outputs of one run."""
    rng = np.random.default_rng(0)
    feeds = {f"i{k}": draw(x, rng, 1) for k, x in enumerate(case.inputs) if x is not None and x.kind != "constant"}
    with np.errstate(all="ignore"):
        return [np.shape(item) for item in runner(case)(feeds)]


Run = Callable[[dict[str, np.ndarray]], list[Any]]


def runner(case: Case) -> Run:
    """The operator in the engine that the case names."""
    engine = (case.measured or case).engine
    if engine == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        model = build(case.measured or case, stored=False)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda feeds: session.run(None, feeds)
    evaluator = ReferenceEvaluator(build(case.measured or case, stored=False))
    return lambda feeds: evaluator.run(None, feeds)


def moves(new: Any, old: Any) -> np.ndarray:
    """Which elements of an output differ by more than rounding."""
    a, b = np.asarray(new), np.asarray(old)
    if a.shape != b.shape:
        return np.ones(b.shape, dtype=bool)
    if a.dtype.kind not in "fc":
        return np.asarray(a != b)
    finite = np.abs(b[np.isfinite(b)])
    limit = (1e-12 if a.dtype.itemsize >= 8 else 1e-6) * (float(finite.max()) if finite.size else 0.0)
    with np.errstate(invalid="ignore"):
        differs = ~((np.abs(a - b) <= limit) | (a == b))
    return np.asarray(differs & ~(np.isnan(a) & np.isnan(b)))


def measured_round(case: Case, run: Run, index: int, seen: dict[tuple[str, int], np.ndarray]) -> None:
    """One base input, and one change of every source element; what moved is joined to ``seen``."""
    rng = np.random.default_rng([index, len(case.op), case.opset])
    feeds = {
        f"i{k}": draw(item, rng, index)
        for k, item in enumerate(case.inputs)
        if item is not None and item.kind != "constant"
    }
    with np.errstate(all="ignore"):
        base = run(feeds)
        for k, item in enumerate(case.inputs):
            if item is None or item.kind != "source":
                continue
            name = f"i{k}"
            for place in range(prod(item.shape)):
                copy = feeds[name].copy()
                copy.reshape(-1)[place] = changed(copy.reshape(-1)[place], item, rng, index + place)
                for number, (new, old) in enumerate(zip(run({**feeds, name: copy}), base, strict=True)):
                    key = (name, number)
                    if key not in seen:
                        seen[key] = np.zeros((prod(item.shape), *np.shape(old)), dtype=bool)
                    seen[key][place] |= moves(new, old)


@dataclass(frozen=True, eq=False)
class Predicted:
    """Per (source, output): first and last index per axis, (axes, *output) each, status, and the sets of some units."""

    first: np.ndarray
    last: np.ndarray
    status: str
    sets: dict[int, np.ndarray]


def predict(case: Case, shapes: Sequence[tuple[int, ...]], units: int = UNITS) -> dict[tuple[str, int], Predicted]:
    """What foveal says about the operator; exact sets for about ``units`` output elements."""
    sources = {f"i{k}": item for k, item in enumerate(case.inputs) if item is not None and item.kind == "source"}
    axes = {name: tuple(range(len(item.shape))) for name, item in sources.items()}
    graph = trace_model(build(case, True, shapes), axes=axes)
    assert not [note for note in graph.notes if note.code == "partial"], graph.notes
    found = {}
    for number, shape in enumerate(shapes):
        for name, item in sources.items():
            if item.shape:
                found[name, number] = _one(graph, name, item, _layer(graph, number), shape, units)
    return found


def _layer(graph: Graph, number: int) -> str | None:
    name = "node" if number == 0 else f"node.{number}"
    return name if name in graph.layer_table else f"o{number}" if f"o{number}" in graph.layer_table else None


def _one(graph: Graph, name: str, item: Input, layer: str | None, shape: tuple[int, ...], units: int) -> Predicted:
    rank = len(item.shape)
    index = next(k for k, s in enumerate(graph.sources) if s.name == name)
    value = None if layer is None else graph.layer(layer).value
    if value is None or index not in bounds(graph).states.get(value, {}):
        return Predicted(np.ones((rank, *shape), int), np.zeros((rank, *shape), int), "exact", {})
    assert graph.values[value].shape == shape, f"{layer}: {graph.values[value].shape}, evaluated {shape}"
    pairs = unit_bounds(graph, layer, name)
    first, last = (np.stack([pair[side] for pair in pairs]) for side in (0, 1))
    status = certainty(graph, value).status
    sets = {}
    total = prod(shape)
    if status == "exact":
        for unit in sorted({int(u) for u in np.linspace(0, total - 1, units)} if total else ()):
            sets[unit] = _set(graph, value, index, unit, shape)
    return Predicted(first, last, status, sets)


def _set(graph: Graph, value: int, index: int, unit: int, shape: tuple[int, ...]) -> np.ndarray:
    seed = np.zeros(shape, dtype=bool)
    seed.reshape(-1)[unit] = True
    chosen = graph.sources[index]
    flows = pull(graph, {value: Flow(seed, {})}, SUPPORT)
    return np.asarray(over_source(flows.get(chosen.value), graph.values[chosen.value].shape, chosen.axes, SUPPORT)) > 0


def hulls(seen: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """First and last moved index per source axis, of a matrix (source elements, *output)."""
    out = seen.shape[1:]
    grid = seen.reshape(*shape, *out)
    first, last = [], []
    for axis, n in enumerate(shape):
        others = tuple(k for k in range(len(shape)) if k != axis)
        line = grid.any(axis=others)
        none = ~line.any(axis=0)
        first.append(np.where(none, 1, line.argmax(axis=0)))
        last.append(np.where(none, 0, n - 1 - line[::-1].argmax(axis=0)))
    return np.stack(first), np.stack(last)


def disagreement(predicted: Predicted, seen: np.ndarray, shape: tuple[int, ...]) -> tuple[str, bool]:
    """What is wrong with a prediction ("" where nothing is), and whether more rounds could mend it."""
    first, last = hulls(seen, shape)
    none, unseen = predicted.first > predicted.last, first > last
    outside = ~unseen & (none | (first < predicted.first) | (last > predicted.last))
    if outside.any():
        return f"reads outside its box: {_example(outside, predicted, first, last)}", False
    if predicted.status != "exact":
        return "", False
    larger = ~none & (unseen | (first != predicted.first) | (last != predicted.last))
    for unit, chosen in predicted.sets.items():
        measured = seen.reshape(seen.shape[0], -1)[:, unit]
        if (measured & ~chosen.reshape(-1)).any():
            return f"unit {unit} reads an element outside its set", False
        if (chosen.reshape(-1) & ~measured).any():
            return f"the set of unit {unit} holds {np.flatnonzero(chosen.reshape(-1) & ~measured)}, never seen", True
    if larger.any():
        return f"box never filled: {_example(larger, predicted, first, last)}", True
    return "", False


def _example(wrong: np.ndarray, predicted: Predicted, first: np.ndarray, last: np.ndarray) -> str:
    at = tuple(int(k) for k in np.argwhere(wrong)[0])
    return f"axis and unit {at}: predicted {predicted.first[at]}..{predicted.last[at]}, seen {first[at]}..{last[at]}"


def check(case: Case) -> str:
    """ "" where foveal and the evaluator agree, else what is wrong."""
    run = runner(case)
    seen: dict[tuple[str, int], np.ndarray] = {}
    predicted: dict[tuple[str, int], Predicted] = {}
    text = ""
    for index in range(case.rounds):
        measured_round(case, run, index, seen)
        if not predicted:
            shapes = [next(m.shape[1:] for (_, k), m in seen.items() if k == n) for n in range(case.outputs)]
            predicted = predict(case, shapes)
            statuses = {p.status for p in predicted.values()}
            if case.status not in statuses or statuses - {case.status, "exact"}:
                return f"status {statuses}, expected {case.status}"
        text, open_ = _compare(case, predicted, seen)
        if text and not open_:
            return text
        if (not text and index >= 1) or (case.loose and index >= 4):
            return ""
    return "" if case.loose else text


def _compare(
    case: Case, predicted: dict[tuple[str, int], Predicted], seen: dict[tuple[str, int], np.ndarray]
) -> tuple[str, bool]:
    waiting = ""
    for (name, number), one in predicted.items():
        shape = case.inputs[int(name[1:])].shape  # type: ignore[union-attr]
        text, open_ = disagreement(one, seen[name, number], shape)
        if text and not open_:
            return f"output {number}, source {name}: {text}", False
        waiting = waiting or (text and f"output {number}, source {name}: {text}")
    return waiting, True
