"""Cases of sequences, optional values and control flow, each a small program."""

from __future__ import annotations

from support.onnx_cases.onnx_case_words import F32, bools, case, ints, program
from support.onnx_cases.onnx_operator_oracle import Case, source


def sequences() -> list[Case]:
    """Sequences, optional values, and control flow."""
    a, b = source(2, 3), source(2, 2)
    pair = source(2, 3), source(2, 3)
    one = "p = Constant<value_int = 1>()"
    return [
        program("SequenceConstruct", "s = SequenceConstruct(i0, i1) o0 = ConcatFromSequence<axis = 1>(s)", a, b),
        program(
            "ConcatFromSequence",
            "s = SequenceConstruct(i0, i1) o0 = ConcatFromSequence<axis = 0, new_axis = 1>(s)",
            *pair,
        ),
        program("SequenceAt", f"s = SequenceConstruct(i0, i1) {one} o0 = SequenceAt(s, p)", a, b),
        program(
            "SequenceEmpty",
            (
                "s = SequenceEmpty<dtype = 1>() t = SequenceInsert(s, i0) u = SequenceInsert(t, i1) "
                "o0 = ConcatFromSequence<axis = 1>(u)"
            ),
            source(2, 3, dtype=F32),
            source(2, 2, dtype=F32),
            results="float o0",
        ),
        program(
            "SequenceInsert",
            (
                "s = SequenceConstruct(i0, i1) p = Constant<value_int = 0>() t = SequenceInsert(s, "
                "i1, p) o0 = ConcatFromSequence<axis = 1>(t)"
            ),
            a,
            b,
        ),
        program(
            "SequenceErase",
            (
                "s = SequenceConstruct(i0, i1, i0) p = Constant<value_int = -2>() t = "
                "SequenceErase(s, p) o0 = ConcatFromSequence<axis = 1>(t)"
            ),
            a,
            b,
        ),
        program(
            "SequenceLength",
            ("s = SequenceConstruct(i0, i1) n = SequenceLength(s) m = Cast<to = 11>(n) o0 = Mul(i0, m)"),
            a,
            b,
        ),
        program("SplitToSequence", f"s = SplitToSequence<axis = 1>(i0) {one} o0 = SequenceAt(s, p)", a),
        program(
            "SplitToSequence",
            (f"n = Constant<value_ints = [1, 2]>() s = SplitToSequence<axis = 1>(i0, n) {one} o0 = SequenceAt(s, p)"),
            a,
            label="sizes",
        ),
        program(
            "SequenceMap",
            (
                "s = SequenceConstruct(i0, i1) t = SequenceMap<body = f (double[m] x) => (double[m] "
                "y) { y = Neg(x) }>(s) o0 = ConcatFromSequence<axis = 1>(t)"
            ),
            a,
            b,
        ),
        program("Optional", "s = Optional(i0) o0 = OptionalGetElement(s)", a, measured=case("Identity", a)),
        program("OptionalHasElement", "h = OptionalHasElement(i0) m = Cast<to = 11>(h) o0 = Mul(i0, m)", a),
        program("OptionalGetElement", "t = OptionalGetElement(i0) o0 = Neg(t)", a),
        program("Constant", "c = Constant<value = double[3] {1.0, 0.0, 1.0}>() o0 = Mul(i0, c)", a),
        program(
            "ConstantOfShape", "n = Shape(i0) c = ConstantOfShape<value = double[1] {-200.0}>(n) o0 = Max(i0, c)", a
        ),
        program(
            "Range",
            (
                "f = Constant<value = double {1.0}>() l = Constant<value = double {4.0}>() d = "
                "Constant<value = double {1.0}>() r = Range(f, l, d) o0 = Mul(i0, r)"
            ),
            a,
            label="fixed",
        ),
        program(
            "If",
            (
                "c = Constant<value = bool {1}>() o0 = If(c) <then_branch = t () => (double[2,3] y) "
                "{ y = Neg(i0) }, else_branch = e () => (double[2,3] z) { z = Abs(i1) }>"
            ),
            *pair,
        ),
        program(
            "If",
            (
                "o0 = If(i2) <then_branch = t () => (double[2,3] y) { y = Neg(i0) }, else_branch = "
                "e () => (double[2,3] z) { z = Abs(i1) }>"
            ),
            *pair,
            bools(1),
            label="computed",
            status="data-dependent",
        ),
        program(
            "Loop",
            (
                "n = Constant<value_int = 2>() c = Constant<value = bool {1}>() o0 = Loop(n, c, i0) "
                "<body = b (int64 i, bool k, double[2,3] x) => (bool l, double[2,3] y) { l = "
                "Identity(k) r = ReduceSum<keepdims = 1>(x) y = Add(x, r) }>"
            ),
            a,
        ),
        program(
            "IsInf",
            ("c = Constant<value = double {1.0}>() f = Cast<to = 11>(i0) y = Div(c, f) o0 = IsInf(y)"),
            ints(2, 3, high=2),
            results="bool o0",
        ),
        program("IsNaN", "y = Sqrt(i0) o0 = IsNaN(y)", a, results="bool o0"),
        program("RandomNormal", "r = RandomNormal<shape = [2, 3], dtype = 11, seed = 1.0>() o0 = Add(i0, r)", a),
        program("RandomUniform", "r = RandomUniform<shape = [2, 3], dtype = 11, seed = 1.0>() o0 = Add(i0, r)", a),
        *(
            program(
                f"{name}Window",
                (f"n = Constant<value_int = 3>() w = {name}Window<output_datatype = 11>(n) o0 = Add(i0, w)"),
                a,
            )
            for name in ("Hann", "Hamming", "Blackman")
        ),
        program(
            "MelWeightMatrix",
            (
                "a = Constant<value_int = 3>() b = Constant<value_int = 4>() c = Constant<value_int "
                "= 8000>() d = Constant<value = float {0.0}>() e = Constant<value = float "
                "{4000.0}>() m = MelWeightMatrix<output_datatype = 1>(a, b, c, d, e) w = Cast<to = "
                "11>(m) o0 = Add(i0, w)"
            ),
            source(3, 3),
        ),
        program(
            "MaxUnpool",
            "p, j = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(i0) "
            "o0 = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(p, j)",
            source(1, 2, 4, 4),
            label="pool",
            rounds=150,
        ),
        program(
            "Scan",
            (
                "o0, o1 = Scan(i0, i1) <num_scan_inputs = 1, body = b (double[3] s, double[3] x) => "
                "(double[3] t, double[3] y) { t = Add(s, x) y = Neg(t) }>"
            ),
            source(3),
            source(4, 3),
            results="double o0, double o1",
        ),
    ]
