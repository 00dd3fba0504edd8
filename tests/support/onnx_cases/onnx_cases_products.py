"""Cases of ONNX products, attention, Fourier transforms, and operators that others define."""

from __future__ import annotations

import numpy as np

from support.onnx_cases.onnx_case_words import F32, MAP, bools, case, ints
from support.onnx_cases.onnx_operator_oracle import Case, constant, source, weights


def products() -> list[Case]:
    """Matrix products, einsum, attention."""
    x = source(2, 3, 4)
    q, k, v = source(1, 2, 3, 2), source(1, 2, 4, 2), source(1, 2, 4, 3)
    flat = source(1, 3, 4), source(1, 4, 4), source(1, 4, 6)
    heads = {"q_num_heads": 2, "kv_num_heads": 2}
    half = np.array([[1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], dtype=bool)
    return [
        case("MatMul", x, weights(4, 5)),
        case("MatMul", x, source(2, 4, 2), label="both"),
        case("MatMul", source(4), source(2, 4, 3), label="vector"),
        case("MatMul", source(3, 4), source(4), opset=7, label="column"),
        case("MatMul", source(2, 1, 3, 2), source(3, 2, 4), label="batch"),
        case("Gemm", source(3, 4), weights(4, 2), weights(2)),
        case("Gemm", source(4, 3), source(2, 4), source(3, 1), transA=1, transB=1, label="turned"),
        case("Gemm", source(3, 4), weights(4, 2), weights(1), opset=7),
        case("MatMulInteger", ints(2, 3, dtype=np.uint8), ints(3, 4, dtype=np.uint8), constant(2, np.uint8)),
        case(
            "QLinearMatMul",
            ints(2, 3, dtype=np.uint8, high=200),
            constant(0.1, F32),
            constant(3, np.uint8),
            weights(3, 2, dtype=np.uint8, low=1, high=200),
            constant(0.1, F32),
            constant(5, np.uint8),
            constant(10.0, F32),
            constant(100, np.uint8),
            opset=21,
        ),
        case(
            "QLinearConv",
            ints(*MAP, dtype=np.uint8, high=200),
            constant(0.1, F32),
            constant(3, np.uint8),
            weights(2, 2, 3, 2, dtype=np.uint8, low=1, high=200),
            constant(0.1, F32),
            constant(0, np.uint8),
            constant(20.0, F32),
            constant(2, np.uint8),
            pads=[1, 0, 1, 1],
            opset=10,
        ),
        case("DynamicQuantizeLinear", source(2, 3, dtype=F32), outputs=3),
        case("Einsum", x, source(2, 4, 2), equation="bij,bjk->bik", opset=12),
        case("Einsum", source(3, 4), equation="ij->ji", opset=12, label="turn"),
        case("Einsum", source(3, 3), equation="ii->i", opset=12, label="diagonal"),
        case("Einsum", source(3, 3), equation="ii", opset=12, label="trace"),
        case("Einsum", source(2, 3, 4), source(4, 2), equation="...i,ij->...j", opset=12, label="dots"),
        case("Einsum", source(3, 4), source(4, 2), equation="ij,jk", opset=12, label="implied"),
        case("Einsum", source(2, 3), source(3), source(2), equation="ij,j,i->", opset=12, label="three"),
        case("Einsum", source(2, 3), equation="ij->i", opset=12, label="sum"),
        case("Attention", q, k, v),
        case("Attention", *flat, **heads, label="flat"),
        case("Attention", q, k, v, source(3, 4, low=-1.0, high=1.0), is_causal=1, label="causal", loose=True),
        case("Attention", source(1, 4, 3, 2), k, v, label="shared"),
        case("Attention", q, k, v, constant(half), label="mask", opset=23),
        case("Attention", q, k, v, source(3, 4), label="bias", opset=23),
        case("Attention", q, k, v, bools(3, 4), label="computed", opset=24),
        case("Attention", q, k, v, constant(np.where(half, 0.3, -1e4)), label="low", opset=24),
        case(
            "Attention",
            q,
            k,
            v,
            None,
            source(1, 2, 2, 2),
            source(1, 2, 2, 3),
            outputs=3,
            is_causal=1,
            label="past",
            opset=24,
        ),
        case("Attention", q, k, v, outputs=4, qk_matmul_output_mode=3, label="weights", opset=24),
        case("Attention", q, k, v, None, None, None, constant([3]), label="lengths", opset=24),
        case(
            "Attention",
            source(1, 1, 5, 2),
            source(1, 1, 5, 2),
            source(1, 1, 5, 2),
            left_window_size=1,
            right_window_size=1,
            label="window",
            opset=25,
        ),
        case(
            "RotaryEmbedding",
            source(1, 2, 3, 4, dtype=F32),
            weights(3, 2, dtype=F32),
            weights(3, 2, dtype=F32),
            constant([[0, 1, 2]]),
            opset=23,
        ),
        case(
            "RotaryEmbedding",
            source(1, 3, 8, dtype=F32),
            weights(1, 3, 2, dtype=F32),
            weights(1, 3, 2, dtype=F32),
            num_heads=2,
            interleaved=1,
            opset=23,
            label="interleaved",
        ),
        case(
            "LinearAttention",
            source(1, 3, 4, dtype=F32),
            source(1, 3, 4, dtype=F32),
            source(1, 3, 4, dtype=F32),
            q_num_heads=2,
            kv_num_heads=2,
            update_rule="linear",
            outputs=2,
            opset=27,
        ),
        case("DFT", source(1, 6, 1), None, constant(1), opset=20),
        case("DFT", source(1, 6, 2), None, constant(1), opset=20, label="complex"),
        case("DFT", source(1, 6, 1), None, constant(1), onesided=1, opset=20, label="half"),
        case("DFT", source(1, 6, 2), constant(4), constant(1), opset=20, label="cut"),
        case("DFT", source(1, 5, 2), constant(8), constant(1), inverse=1, opset=20, label="longer"),
        case("DFT", source(1, 6, 1), axis=1, opset=17),
        case("STFT", source(1, 12, 1), constant(4), constant(np.array([0.0, 0.5, 1.0, 0.5])), constant(4), opset=17),
        case(
            "STFT",
            source(1, 12, 1),
            constant(2),
            constant(np.array([0.3, 0.5, 1.0, 0.5])),
            constant(4),
            onesided=0,
            opset=17,
            label="both",
        ),
    ]


def functions() -> list[Case]:
    """Operators that the specification defines by others, and losses."""
    return [
        case("AffineGrid", source(1, 2, 3), constant([1, 1, 3, 2]), opset=20),
        case(
            "NegativeLogLikelihoodLoss",
            source(2, 3, 4),
            constant(np.array([[0, 2, 1, 0], [1, 1, 0, 2]])),
            reduction="none",
            opset=22,
        ),
        case("NegativeLogLikelihoodLoss", source(2, 3), constant([0, 2]), opset=22, label="mean"),
        case(
            "SoftmaxCrossEntropyLoss", source(2, 3), constant([0, 2]), reduction="sum", outputs=2, opset=13, label="sum"
        ),
        case("NegativeLogLikelihoodLoss", source(3, 3), constant([0, 2, 1]), ignore_index=2, opset=13, label="ignored"),
        case(
            "NegativeLogLikelihoodLoss",
            source(2, 3),
            ints(2, high=3),
            status="data-dependent",
            opset=22,
            label="computed",
        ),
        case("SoftmaxCrossEntropyLoss", source(2, 3), constant([0, 2]), opset=13, reduction="none"),
        case("SoftmaxCrossEntropyLoss", source(2, 3), constant([0, 2]), weights(3), opset=13, label="mean"),
    ]
