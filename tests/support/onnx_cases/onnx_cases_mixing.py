"""Cases of ONNX reductions, norms and recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.onnx_cases.onnx_case_words import F32, X, case, ints
from support.onnx_cases.onnx_operator_oracle import Case, constant, source, weights


def reductions() -> list[Case]:
    """Reductions, norms, softmax, running sums."""
    x = source(*X)
    positive = source(*X, low=0.5, high=2.0)
    names = [
        "ReduceMean",
        "ReduceSum",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceSumSquare",
    ]
    found = []
    for op in names:
        given = positive if op in ("ReduceLogSum", "ReduceProd") else x
        newest = case(op, given, constant([0, 2]), opset=18)
        found += [
            case(op, given, constant([1]), keepdims=0, opset=18),
            case(op, given, label="all", opset=18),
            case(op, given, axes=[0, -1], keepdims=1, opset=7, measured=newest),
        ]
    found += [
        case("ReduceSum", x, noop_with_empty_axes=1, label="noop"),
        case("ArgMax", x, axis=1),
        case("ArgMin", x, axis=-1, keepdims=0),
        case("ArgMax", x, axis=0, opset=7, label="old"),
        case("Softmax", x, axis=1),
        case("Softmax", x, label="last"),
        case("Softmax", source(*X, dtype=F32), axis=1, opset=7, engine="onnxruntime"),
        case("LogSoftmax", source(*X, dtype=F32), axis=2, opset=11, engine="onnxruntime"),
        case("LogSoftmax", x, axis=0),
        case("Hardmax", x, axis=-1, rounds=120),
        case("CumSum", x, constant(1)),
        case("CumSum", x, constant(1), exclusive=1, label="exclusive"),
        case("CumSum", x, constant(-1), reverse=1, label="reverse"),
        case("CumSum", x, constant(2), reverse=1, exclusive=1, label="both"),
        case("CumProd", x, constant(1), opset=26),
        case("CumProd", x, constant(1), opset=26, exclusive=1, reverse=1, label="both"),
        case("Det", source(2, 3, 3)),
        case("BatchNormalization", source(2, 3, 2, 2), weights(3), weights(3), weights(3), weights(3), opset=15),
        case(
            "BatchNormalization",
            source(2, 3, 2, 2),
            weights(3),
            weights(3),
            weights(3),
            weights(3),
            opset=7,
            measured=case(
                "BatchNormalization", source(2, 3, 2, 2), weights(3), weights(3), weights(3), weights(3), opset=15
            ),
        ),
        case(
            "BatchNormalization",
            source(2, 3, 2, 2),
            source(3),
            source(3),
            source(3),
            source(3, low=0.5, high=2.0),
            opset=15,
            label="computed",
        ),
        case(
            "BatchNormalization",
            source(2, 3, 2, 2),
            weights(3),
            weights(3),
            weights(3),
            weights(3),
            training_mode=1,
            outputs=3,
            opset=15,
            label="training",
        ),
        case("InstanceNormalization", source(2, 3, 2, 2), weights(3), weights(3)),
        case("InstanceNormalization", source(2, 3, 4), source(3), weights(3), label="computed"),
        case("GroupNormalization", source(2, 4, 3), weights(4), weights(4), num_groups=2, opset=21),
        case("LayerNormalization", source(2, 3, 4), weights(4), weights(4), outputs=3, opset=17),
        case("LayerNormalization", source(2, 3, 4), weights(3, 4), axis=1, opset=17, label="axis"),
        case("LayerNormalization", source(2, 3, 4), source(4), opset=17, label="computed"),
        case("RMSNormalization", source(2, 3, 4), weights(4), opset=23),
        case("LpNormalization", source(2, 3, 4), axis=1),
        case("LpNormalization", source(2, 3, 4), p=1, opset=7, label="l1"),
        case("MeanVarianceNormalization", source(2, 3, 2, 2, dtype=F32)),
        case("MeanVarianceNormalization", source(2, 3, 4, dtype=F32), axes=[1], label="axes"),
        case(
            "TfIdfVectorizer",
            ints(2, 6, high=4, dtype=np.int32),
            mode="TF",
            min_gram_length=1,
            max_gram_length=1,
            max_skip_count=0,
            ngram_counts=[0],
            ngram_indexes=[0, 1, 2, 3],
            pool_int64s=[0, 1, 2, 3],
        ),
        case("Bernoulli", source(2, 3, dtype=F32, low=0.0, high=1.0), seed=2.0, opset=15),
        case("RandomNormalLike", x, seed=1.0, opset=22, label="nothing"),
        case("RandomUniformLike", x, seed=1.0, opset=22, label="nothing"),
    ]
    return found


def recurrent() -> list[Case]:
    """RNN, GRU, LSTM in all directions."""
    found = []
    for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        outs = 3 if op == "LSTM" else 2
        for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            w, r = (weights(count, gates * 2, n, low=-0.7, high=0.7) for n in (3, 2))
            found.append(
                case(
                    op,
                    source(4, 2, 3),
                    w,
                    r,
                    hidden_size=2,
                    direction=direction,
                    outputs=outs,
                    label=direction,
                    opset=22,
                )
            )
            single = [weights(*item.shape, dtype=F32, low=-0.7, high=0.7) for item in (w, r)]
            settings: dict[str, Any] = {
                "hidden_size": 2,
                "direction": direction,
                "outputs": outs,
                "engine": "onnxruntime",
            }
            x, state = source(4, 2, 3, dtype=F32), source(count, 2, 2, dtype=F32)
            found.append(case(op, x, *single, None, None, state, opset=14, label=f"{direction}-state", **settings))
            lengths = constant([2, 4], np.int32)
            found.append(case(op, x, *single, None, lengths, opset=7, label=f"{direction}-lengths", **settings))
        w, r = (weights(1, gates * 2, n, low=-0.7, high=0.7) for n in (3, 2))
        found.append(case(op, source(2, 4, 3), w, r, hidden_size=2, layout=1, outputs=outs, label="layout", opset=14))
    return found
