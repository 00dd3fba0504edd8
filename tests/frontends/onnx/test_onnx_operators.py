"""Every ONNX operator with a rule, against brute force on the reference evaluator, element by element."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from foveal.frontends.onnx import (  # noqa: E402, F401
    observe as onnx_observe,
    run as onnx_run,
    tables as onnx_tables,
    trace as onnx_trace,
)
from foveal.frontends.onnx.lowering import table as onnx_lowering  # noqa: E402
from foveal.frontends.onnx.lowering.resample import Convention  # noqa: E402
from foveal.frontends.onnx.lowering.table import Call, Operand, Refused  # noqa: E402
from foveal.ir import ops  # noqa: E402
from support.onnx_cases.onnx_operator_cases import CASES  # noqa: E402
from support.onnx_cases.onnx_operator_oracle import Case, Predicted, build, check, evaluated_shapes, predict  # noqa: E402
from support.paths import ROOT  # noqa: E402

pytestmark = pytest.mark.newest  # the answers are those of the reference in the onnx package
NAMES = Counter(case.name for case in CASES)
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(autouse=True)
def shapes_seen_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """These models are harmless; a child process for each of their shapes takes half a second.

    tests/test_onnx_safety.py goes through the child.
    """

    def observe(model: bytes, feeds: dict[str, np.ndarray], wanted: Sequence[str]) -> onnx_observe.Seen:
        try:
            return onnx_observe.run_here(model, feeds, wanted)
        except Exception:  # what ends the child
            return {}

    monkeypatch.setattr(onnx_run, "observe", observe)


def test_every_case_has_its_own_name() -> None:
    assert [name for name, count in NAMES.items() if count > 1] == []


@pytest.mark.parametrize("name", BY_NAME)
def test_operator(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluator's own, about what it casts and divides
        assert check(BY_NAME[name]) == ""


MEANING_CHANGED = {"Softmax": 13, "LogSoftmax": 13, "Hardmax": 13, "Resize": 11, "BatchNormalization": 14}
"""Operators that mean something else before that version."""


VERSIONS: dict[str, set[int]] = {}
for _schema in onnx.defs.get_all_schemas_with_history():
    if _schema.domain == "":
        VERSIONS.setdefault(_schema.name, set()).add(_schema.since_version)


@functools.cache
def in_version(case: Case, version: int) -> Case | None:
    """The same call in another version, where it is valid there."""
    other = replace(case, opset=version)
    try:
        model = build(other, stored=True)
        context = onnx.checker.C.CheckerContext()
        context.ir_version, context.opset_imports = 10, {"": version}
        onnx.checker.check_node(model.graph.node[0], context)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return None
    known = all(item.type.tensor_type.HasField("shape") for item in inferred.graph.output)
    return other if known else None


def other_versions(case: Case) -> list[int]:
    """Versions of the operator from 7 on but the case's own."""
    change = MEANING_CHANGED.get(case.op, 7)
    own = max(v for v in VERSIONS[case.op] if v <= case.opset)
    meant = [max(v, 7) for v in VERSIONS[case.op] if (v < change) == (own < change)]
    return sorted(set(meant) - {own, case.opset})


@pytest.mark.parametrize("op", sorted({case.op for case in CASES if case.domain == "" and case.model is None}))
def test_other_versions_of_the_operator_give_the_same_answer(op: str) -> None:
    compared: Counter[int] = Counter()
    for case in (case for case in CASES if case.op == op and case.domain == "" and case.model is None):
        shapes: list[tuple[int, ...]] = []
        own: dict[tuple[str, int], Predicted] = {}
        for version in other_versions(case):
            other = in_version(case, version) if compared[version] < 3 else None
            if other is None:
                continue
            compared[version] += 1
            shapes = shapes or evaluated_shapes(case)
            own = own or predict(case, shapes, 0)
            for (key, one), two in zip(own.items(), predict(other, shapes, 0).values(), strict=True):
                assert one.status == two.status, (case.name, version, key)
                assert np.array_equal(one.first, two.first), (case.name, version, key)
                assert np.array_equal(one.last, two.last), (case.name, version, key)


def test_the_comparison_of_versions_compares_much() -> None:
    pairs = {
        (case.op, version)
        for case in CASES
        if case.domain == "" and case.model is None
        for version in other_versions(case)
        if in_version(case, version) is not None
    }
    assert len(pairs) > 200


def test_at_least_150_standard_operators_are_tested() -> None:
    assert len({case.op for case in CASES if case.domain == "" and case.status == "exact"}) >= 150


def test_the_page_of_operators_is_up_to_date() -> None:
    path = ROOT / "benchmarks" / "onnx_operators.py"
    spec = importlib.util.spec_from_file_location("onnx_operators_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run benchmarks/onnx_operators.py"


Wrong = Callable[..., Any]


def first_element(call: Call, x: Operand, *_: Any) -> Operand:
    """Its own element only: what an unknown operator is taken for elsewhere."""
    return call.emit(ops.Pointwise("wrong"), x, x.shape)


def rewritten(name: str, change: Callable[[Any], Any]) -> Wrong:
    """The right lowering, whose operations are changed on the way."""
    right = onnx_lowering.LOWERINGS["", name]

    def wrong(call: Any, *inputs: Any) -> Any:
        emit = call.emit
        call.emit = lambda op, operands, shape=None: emit(change(op), operands, shape)
        return right(call, *inputs)

    return wrong


def swapped_pads(op: Any) -> Any:
    """(after, before) for (before, after)."""
    if not hasattr(op, "padding"):
        return op
    return replace(op, padding=tuple((after, before) for before, after in op.padding))


def undilated(op: Any) -> Any:
    return replace(op, dilation=tuple(1 for _ in op.dilation)) if hasattr(op, "dilation") else op


def shifted_slice(op: Any) -> Any:
    return replace(op, start=max(0, op.start - 1)) if isinstance(op, ops.Slice) else op


def forward_only(op: Any) -> Any:
    return replace(op, direction="forward") if isinstance(op, ops.Scan) else op


def all_axes(op: Any) -> Any:
    return replace(op, axes=(*op.axes, 0) if 0 not in op.axes else op.axes) if isinstance(op, ops.Mix) else op


def zero_padded(op: Any) -> Any:
    return replace(op, mode="constant") if isinstance(op, ops.Pad) else op


def next_index(op: Any) -> Any:
    return ops.Take(op.axis, (op.index + 1) % 2) if isinstance(op, ops.Take) else op


def half_pixel(op: Any) -> Any:
    return replace(op, align_corners=False) if isinstance(op, ops.Resample) else op


def earlier_taps(op: Any) -> Any:
    return replace(op, taps=op.taps - 1) if isinstance(op, ops.Interpolate) else op


def without_masks(op: Any) -> Any:
    return ops.Pointwise("subtract") if isinstance(op, ops.Pointwise) and op.name == "add" else op


PLANTED = {
    "Conv-7-pads": swapped_pads,
    "MaxPool-25-dilated": undilated,
    "AveragePool-25-pads": swapped_pads,
    "Slice-25": shifted_slice,
    "CumSum-25-reverse": forward_only,
    "LSTM-22-reverse": forward_only,
    "Softmax-25": all_axes,
    "LayerNormalization-17": all_axes,
    "Pad-25-edge": zero_padded,
    "Gather-25": next_index,
    "Resize-19-align_corners-linear-to4": half_pixel,
    "Resize-19-asymmetric-linear-1.5": earlier_taps,
    "Resize-19-ceil-half_pixel-1.5": earlier_taps,
    "Attention-25-window": without_masks,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_wrong_operation_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = BY_NAME[name]
    monkeypatch.setitem(onnx_lowering.LOWERINGS, ("", case.op), rewritten(case.op, PLANTED[name]))
    assert check(case) != ""


SHAPE_KEPT = ("Softmax-25", "CumSum-25", "LRN-13", "InstanceNormalization-25", "LpNormalization-25", "Hardmax-25")


@pytest.mark.parametrize("name", SHAPE_KEPT)
def test_an_operator_taken_for_pointwise_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = BY_NAME[name]
    monkeypatch.setitem(onnx_lowering.LOWERINGS, ("", case.op), first_element)
    assert "outside" in check(case)


def test_an_answer_that_is_too_large_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(call: Call, x: Operand) -> Operand:
        return call.emit(ops.Mix(tuple(range(x.rank)), "sort"), x)

    monkeypatch.setitem(onnx_lowering.LOWERINGS, ("", "Relu"), everything)
    assert "never seen" in check(BY_NAME["Relu-25"])


def test_a_refused_call_becomes_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(call: Call, x: Operand) -> Operand:
        raise Refused("no reason at all")

    monkeypatch.setitem(onnx_lowering.LOWERINGS, ("", "Det"), refuse)
    assert check(replace(BY_NAME["Det-25"], status="bound")) == ""


@pytest.mark.parametrize("op", ["NonZero", "Unique"])
def test_what_data_decides_is_said_to_be_data_dependent(op: str) -> None:
    from foveal import analyze

    text = f'<ir_version: 10, opset_import: ["" : 21]> g (float[1,1,4,4] x) => (o) {{ y = Relu(x) o = {op}(y) }}'
    graph = onnx_trace.trace_model(onnx.parser.parse_model(text))
    rows = {row.name: row.status for row in analyze(graph).layers}
    assert "data-dependent" in rows.values(), rows


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 8), (5, 3)])
def test_half_pixel_linear_taps_by_hand(n_in: int, n_out: int) -> None:
    from fractions import Fraction

    from foveal.frontends.onnx.lowering.resample import resize_taps

    taps = resize_taps(n_in, n_out, Fraction(n_out, n_in), Convention("linear"))
    for output in range(n_out):
        place = (output + 0.5) * n_in / n_out - 0.5
        live = taps.weights[output] != 0
        assert np.isclose((taps.index[output] * taps.weights[output])[live].sum(), place)
        assert np.abs(taps.index[output][live] - place).max() < 1
        assert np.isclose(taps.weights[output].sum(), 1)
