"""Cases of the ai.onnx.ml and com.microsoft operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from support.onnx_cases.onnx_case_words import F32, X, case, ints
from support.onnx_cases.onnx_operator_oracle import Case, constant, source, weights


def learners() -> list[Case]:
    """The ``ai.onnx.ml`` operators."""
    x = source(2, 4, dtype=F32)
    ml: dict[str, Any] = {"domain": "ai.onnx.ml", "opset": 3}
    linear = {"coefficients": [0.5, 1.0, -1.0, 2.0], "intercepts": [0.1]}
    two = {"coefficients": [0.5, 1.0, -1.0, 2.0, -1.0, 0.5, 1.5, 1.0], "intercepts": [0.1, 0.2]}
    tree: dict[str, Any] = {
        "nodes_treeids": [0] * 9,
        "nodes_nodeids": list(range(9)),
        "nodes_featureids": [0, 1, 2, 3, 0, 0, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ"] * 4 + ["LEAF"] * 5,
        "nodes_values": [0.0] * 9,
        "nodes_truenodeids": [1, 3, 5, 7, 0, 0, 0, 0, 0],
        "nodes_falsenodeids": [2, 4, 6, 8, 0, 0, 0, 0, 0],
    }
    leaves = {
        "target_treeids": [0] * 5,
        "target_nodeids": [4, 5, 6, 7, 8],
        "target_ids": [0] * 5,
        "target_weights": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
    classes = {
        "class_treeids": [0] * 15,
        "class_nodeids": [leaf for leaf in range(4, 9) for _ in range(3)],
        "class_ids": [0, 1, 2] * 5,
        "class_weights": [20.0 if k == leaf % 3 else leaf + 0.3 * k for leaf in range(4, 9) for k in range(3)],
        "classlabels_int64s": [0, 1, 2],
    }
    kernel = {
        "kernel_type": "RBF",
        "kernel_params": [0.05, 0.0, 3.0],
        "support_vectors": [1.0, 0.8, -0.9, 1.1, -1.0, -0.7, 1.2, -0.6],
    }
    return [
        case("Binarizer", x, threshold=0.2, **ml),
        case("Scaler", x, offset=[0.1], scale=[2.0], **ml),
        case("Imputer", x, imputed_value_floats=[0.0], replaced_value_float=9.0, **ml),
        case("Normalizer", x, norm="L2", **ml),
        case("LabelEncoder", ints(2, 3, high=3), keys_int64s=[0, 1, 2], values_floats=[0.5, 1.5, 2.5], **ml),
        case("ArrayFeatureExtractor", x, constant([2, 0]), **ml),
        case("OneHotEncoder", ints(2, 3, high=3), cats_int64s=[0, 1, 2], zeros=1, **ml),
        case("FeatureVectorizer", x, source(2, 2, dtype=F32), inputdimensions=[4, 2], **ml),
        case("LinearRegressor", x, **linear, **ml),
        case("LinearClassifier", x, outputs=2, classlabels_ints=[0, 1], multi_class=1, **two, **ml),
        case("SVMRegressor", x, coefficients=[1.0, -0.7], n_supports=2, rho=[0.1], **kernel, **ml),
        case(
            "SVMClassifier",
            x,
            coefficients=[1.0, -1.0],
            vectors_per_class=[1, 1],
            rho=[0.0],
            classlabels_ints=[0, 1],
            outputs=2,
            **kernel,
            **ml,
        ),
        case(
            "CategoryMapper",
            source(2, 3, dtype=object),
            cats_strings=["a", "b", "cd", "ee", "f"],
            cats_int64s=[1, 2, 3, 4, 5],
            domain="ai.onnx.ml",
            opset=1,
            engine="onnxruntime",
        ),
        case(
            "TreeEnsemble",
            source(2, 4, dtype=F32),
            n_targets=1,
            tree_roots=[0],
            nodes_modes=onnx.numpy_helper.from_array(np.zeros(4, np.uint8)),
            nodes_featureids=[0, 1, 2, 3],
            nodes_splits=onnx.numpy_helper.from_array(np.zeros(4, F32)),
            nodes_truenodeids=[1, 0, 2, 3],
            nodes_trueleafs=[0, 1, 1, 1],
            nodes_falsenodeids=[2, 3, 4, 5],
            nodes_falseleafs=[0, 0, 1, 1],
            leaf_targetids=[0] * 6,
            leaf_weights=onnx.numpy_helper.from_array(np.arange(6, dtype=F32)),
            domain="ai.onnx.ml",
            opset=5,
            rounds=60,
        ),
        case("TreeEnsembleRegressor", x, n_targets=1, **tree, **leaves, **ml, rounds=60),
        case("TreeEnsembleClassifier", x, outputs=2, **tree, **classes, **ml, rounds=60),
    ]


def contributed() -> list[Case]:
    """What onnxruntime writes, measured by onnxruntime in single precision."""
    ms: dict[str, Any] = {"domain": "com.microsoft", "opset": 1, "engine": "onnxruntime"}
    x, w = source(2, 3, 4, dtype=F32), weights(4, dtype=F32)
    image = source(1, 2, 5, 4, dtype=F32)
    kernel = weights(3, 2, 3, 2, dtype=F32)
    small, scale, zero = ints(1, 2, 4, 4, dtype=np.uint8, high=250), constant(0.1, F32), constant(3, np.uint8)
    row = ints(2, 3, dtype=np.uint8, high=250)
    q, k, v = (source(1, n, 4, dtype=F32) for n in (3, 5, 5))
    return [
        case("Gelu", x, **ms),
        case("FastGelu", x, w, **ms),
        case("BiasGelu", x, w, **ms),
        case("QuickGelu", x, **ms),
        case(
            "FusedConv",
            image,
            kernel,
            weights(3, dtype=F32),
            activation="Relu",
            strides=[2, 1],
            pads=[1, 0, 1, 1],
            **ms,
        ),
        case("FusedMatMul", source(2, 4, 3, dtype=F32), source(2, 4, 2, dtype=F32), transA=1, **ms),
        case(
            "FusedGemm",
            source(3, 4, dtype=F32),
            weights(4, 2, dtype=F32),
            weights(2, dtype=F32),
            activation="Relu",
            **ms,
        ),
        case("SkipLayerNormalization", x, source(2, 3, 4, dtype=F32), w, w, **ms),
        case("SkipSimplifiedLayerNormalization", x, source(2, 3, 4, dtype=F32), w, **ms),
        case("MultiHeadAttention", q, k, v, num_heads=2, **ms),
        case(
            "QLinearAdd",
            row,
            scale,
            zero,
            ints(2, 3, dtype=np.uint8, high=250),
            scale,
            zero,
            constant(0.2, F32),
            zero,
            **ms,
        ),
        case(
            "QLinearMul",
            row,
            scale,
            zero,
            ints(2, 3, dtype=np.uint8, low=50, high=250),
            scale,
            constant(0, np.uint8),
            constant(3.0, F32),
            zero,
            **ms,
        ),
        case("QLinearSigmoid", row, constant(0.01, F32), zero, constant(0.004, F32), zero, **ms),
        case("QLinearLeakyRelu", row, scale, constant(0, np.uint8), scale, zero, **ms),
        case(
            "QLinearConcat",
            scale,
            zero,
            row,
            scale,
            zero,
            ints(2, 2, dtype=np.uint8, high=250),
            scale,
            zero,
            axis=1,
            **ms,
        ),
        case("QLinearGlobalAveragePool", small, scale, zero, constant(0.05, F32), zero, **ms),
        case(
            "QLinearAveragePool",
            small,
            scale,
            zero,
            constant(0.05, F32),
            zero,
            kernel_shape=[2, 2],
            strides=[1, 2],
            **ms,
        ),
        case(
            "QuantizeLinear", source(*X, dtype=F32, low=-2.0, high=2.0), constant(0.01, F32), constant(0, np.int8), **ms
        ),
        case("DequantizeLinear", row, scale, zero, **ms),
        case("MatMulIntegerToFloat", row, weights(3, 2, dtype=np.uint8, low=1, high=200), scale, scale, **ms),
        case(
            "DynamicQuantizeMatMul",
            source(2, 3, dtype=F32),
            constant(np.arange(6).reshape(3, 2) * 30 + 1, np.uint8),
            constant(0.1, F32),
            constant(0, np.uint8),
            **ms,
        ),
    ]
