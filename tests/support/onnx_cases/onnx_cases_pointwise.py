"""Cases of element by element ONNX operators."""

from __future__ import annotations

import numpy as np

from support.onnx_cases.onnx_case_words import F32, X, bools, case, ints
from support.onnx_cases.onnx_operator_oracle import Case, constant, source, weights


def unary() -> list[Case]:
    """Activations and other functions of one element."""
    plain = [
        "Abs",
        "Asinh",
        "Atan",
        "Ceil",
        "Cos",
        "Cosh",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Mish",
        "Neg",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
    ]
    limits = {
        "Acos": (-0.9, 0.9),
        "Asin": (-0.9, 0.9),
        "Atanh": (-0.9, 0.9),
        "Acosh": (1.1, 9.0),
        "Log": (0.1, 9.0),
        "Sqrt": (0.1, 9.0),
    }
    found = [case(op, source(*X)) for op in plain]
    found += [case(op, source(*X, low=low, high=high)) for op, (low, high) in limits.items()]
    found += [case(op, source(*X, dtype=F32), outputs=1) for op in ("Celu",)]
    found += [
        case(op, source(*X), opset=7) for op in ("Relu", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "Exp", "Abs", "Neg")
    ]
    found += [
        case("Not", bools(*X)),
        case("BitwiseNot", ints(*X)),
        case("Cast", source(*X), to=1),
        case("Cast", ints(*X), to=11, label="ints"),
        case("CastLike", source(*X), weights(1, dtype=F32)),
        case("BitCast", ints(*X, dtype=np.int32), to=1, opset=26),
        case("Clip", source(*X, low=-1.0, high=1.0), constant(-0.95), constant(0.95)),
        case(
            "Clip",
            source(*X, low=-1.0, high=1.0),
            min=-0.95,
            max=0.95,
            opset=7,
            measured=case("Clip", source(*X, low=-1.0, high=1.0), constant(-0.95), constant(0.95)),
        ),
        case("Clip", source(*X, low=-1.0, high=1.0), None, constant(0.9), label="one"),
        case("Dropout", source(*X), outputs=2),
        case("Dropout", source(*X), opset=7, ratio=0.4),
        case("Dropout", source(*X), constant(0.0), constant(False), label="inputs"),
        case("PRelu", source(*X), weights(3, 1)),
        case("PRelu", source(*X), source(3, 1), label="slope"),
        case("Trilu", source(2, 4, 5), constant(1)),
        case("Trilu", source(2, 4, 5), constant(-1), upper=0, label="lower"),
        case(
            "QuantizeLinear",
            source(*X, dtype=F32, low=-2.0, high=2.0),
            constant(0.01, F32),
            constant(0, np.int8),
            opset=21,
        ),
        case(
            "QuantizeLinear",
            source(*X, dtype=F32, low=-1.0, high=1.0),
            constant([0.01, 0.02, 0.03], F32),
            constant([0, 1, 2], np.int8),
            axis=1,
            opset=13,
            label="axis",
        ),
        case(
            "DequantizeLinear", ints(*X, dtype=np.uint8, high=200), constant(0.1, F32), constant(3, np.uint8), opset=21
        ),
        case(
            "DequantizeLinear",
            ints(*X, dtype=np.uint8, high=200),
            constant([0.1, 0.2, 0.3], F32),
            axis=1,
            opset=19,
            label="axis",
        ),
        case(
            "DequantizeLinear",
            ints(*X, dtype=np.uint8, high=200, low=1),
            source(3, dtype=F32),
            axis=1,
            opset=19,
            label="scale",
        ),
        case(
            "DequantizeLinear",
            ints(*X, dtype=np.uint8, high=200),
            constant(0.1, F32),
            constant(3, np.uint8),
            opset=10,
            engine="onnxruntime",
        ),
    ]
    return found


def binary() -> list[Case]:
    """Arithmetic, comparison and logic with broadcasting."""
    a, b = source(*X), source(3, 1)
    found = [case(op, a, b) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")]
    found += [case(op, a, b, opset=7) for op in ("Add", "Sub", "Mul", "Div")]
    found += [case(op, a, b, source(4), label="three") for op in ("Max", "Min", "Sum", "Mean")]
    found += [case(op, a, label="one") for op in ("Max", "Sum")]
    near = ints(*X, low=0, high=3), ints(3, 1, low=0, high=3)
    found += [case(op, *near) for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")]
    found += [case(op, bools(*X), bools(3, 1)) for op in ("And", "Or", "Xor")]
    whole = ints(*X, low=0, high=15), ints(3, 1, low=0, high=15)
    found += [case(op, *whole) for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")]
    shifts = ints(*X, low=1, high=15, dtype=np.uint64), ints(3, 1, low=0, high=4, dtype=np.uint64)
    mask = np.array([[1.0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]])
    found += [
        case("BitShift", *shifts, direction="LEFT"),
        case("Mod", ints(*X, low=1, high=40), ints(3, 1, low=2, high=9)),
        case("Mod", a, weights(3, 1), fmod=1, label="fmod"),
        case("Pow", source(*X, low=0.5, high=2.0), source(3, 1, low=0.5, high=2.0)),
        case("SwiGLU", source(*X), source(*X), opset=28),
        case("Mul", a, constant(mask), label="mask"),
        case("Add", a, constant(-100.0), label="low"),
        case("Sub", a, constant(1e4), label="high"),
        case("Sub", constant(1.0), a, label="from_one"),
        case("Where", bools(*X), a, b),
        case("Where", constant(mask > 0), a, source(*X), label="fixed"),
        case("Where", constant(mask > 0), a, constant(0.0), label="fill"),
        case("OneHot", ints(2, 3, low=0, high=5), constant(5), constant([0.2, 1.5])),
        case("OneHot", ints(2, 3, low=0, high=5), constant(5), constant([0.2, 1.5]), axis=0, label="first"),
        case("OneHot", ints(2, 3, low=0, high=5), constant(5), source(2), axis=1, label="values"),
        case("StringConcat", source(*X, dtype=object), source(3, 1, dtype=object)),
        case("RegexFullMatch", source(*X, dtype=object), pattern="a|cd|f"),
        case("StringNormalizer", source(5, dtype=object), case_change_action="UPPER"),
    ]
    return found
