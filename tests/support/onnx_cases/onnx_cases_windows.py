"""Cases of ONNX convolutions, pools and other windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.onnx_cases.onnx_case_words import F32, MAP, case, ints
from support.onnx_cases.onnx_operator_oracle import Case, constant, source, weights

POINTS = np.random.default_rng(3).uniform(-1.4, 1.4, (1, 2, 3, 2)).astype(np.float32)


def windows() -> list[Case]:
    """Convolutions and pools: strides, pads, dilations, groups, automatic padding, rounding up."""
    x = source(*MAP)
    w = weights(3, 2, 3, 2)
    line = source(1, 2, 9)
    found = [
        case("Conv", x, w),
        case("Conv", x, w, weights(3), strides=[2, 1], pads=[1, 0, 0, 2], dilations=[1, 2], label="settings"),
        case("Conv", x, w, opset=7, pads=[2, 1, 0, 0], label="pads"),
        case("Conv", source(1, 4, 6, 5), weights(6, 2, 3, 3), group=2, pads=[1, 1, 1, 1], label="groups"),
        case("Conv", source(1, 4, 6, 5), weights(4, 1, 3, 3), group=4, label="depthwise"),
        case("Conv", x, weights(2, 2, 1, 1), strides=[2, 2], label="pointwise"),
        case("Conv", line, weights(3, 2, 3), strides=[2], dilations=[2], label="1d"),
        case("Conv", source(1, 1, 4, 3, 4), weights(2, 1, 2, 2, 3), pads=[1, 0, 0, 0, 1, 1], label="3d"),
        case("Conv", x, source(3, 2, 3, 2), source(3), label="computed"),
        case("ConvInteger", ints(*MAP, dtype=np.uint8), ints(2, 2, 3, 2, dtype=np.uint8, low=1), label="both"),
        case(
            "ConvInteger",
            ints(*MAP, dtype=np.uint8),
            weights(2, 2, 3, 2, dtype=np.uint8, low=1, high=9),
            constant(1, np.uint8),
            pads=[1, 1, 1, 1],
        ),
        case("ConvTranspose", source(1, 2, 3, 4), weights(2, 3, 3, 2)),
        case("ConvTranspose", source(1, 2, 3, 4), weights(2, 3, 3, 2), strides=[2, 3], label="strides"),
        case(
            "ConvTranspose",
            source(1, 2, 3, 4),
            weights(2, 3, 3, 3),
            strides=[2, 2],
            pads=[1, 0, 0, 2],
            output_padding=[1, 0],
            label="pads",
        ),
        case(
            "ConvTranspose", source(1, 2, 3, 3), weights(2, 1, 3, 3), strides=[2, 2], dilations=[2, 1], label="dilated"
        ),
        case(
            "ConvTranspose",
            source(1, 4, 3, 3, dtype=F32),
            weights(4, 1, 2, 2, dtype=F32),
            strides=[2, 2],
            group=2,
            label="groups",
            opset=11,
            engine="onnxruntime",
        ),
        case(
            "ConvTranspose",
            source(1, 2, 3, 3),
            weights(2, 1, 3, 3),
            strides=[3, 2],
            output_shape=[10, 8],
            label="shape",
        ),
        case(
            "ConvTranspose",
            source(1, 2, 3, 3),
            weights(2, 1, 3, 3),
            strides=[2, 2],
            auto_pad="SAME_UPPER",
            label="same",
        ),
        case("ConvTranspose", source(1, 2, 4), weights(2, 1, 3), strides=[2], opset=7, label="1d"),
        case("LRN", source(1, 5, 2, 2, dtype=F32), size=3, alpha=0.9, engine="onnxruntime", opset=13),
        case("LRN", source(1, 5, 2, 1, dtype=F32), size=5, alpha=0.9, opset=7, label="five", engine="onnxruntime"),
        case("GlobalAveragePool", x),
        case("GlobalMaxPool", x),
        case("GlobalLpPool", source(*MAP, dtype=F32), engine="onnxruntime", opset=2 + 5),
        case("DeformConv", source(1, 1, 4, 3), weights(1, 1, 2, 2), source(1, 8, 3, 2), status="data-dependent"),
        case(
            "CausalConvWithState",
            source(1, 2, 6, dtype=F32),
            weights(2, 1, 3, dtype=F32),
            None,
            source(1, 2, 2, dtype=F32),
            outputs=2,
            opset=27,
        ),
        case(
            "CausalConvWithState",
            source(1, 2, 6, dtype=F32),
            weights(2, 1, 3, dtype=F32),
            weights(2, dtype=F32),
            activation="silu",
            outputs=2,
            opset=27,
            label="alone",
        ),
        case("Col2Im", source(1, 8, 12), constant([4, 5]), constant([2, 2])),
        case(
            "Col2Im",
            source(1, 4, 9),
            constant([5, 5]),
            constant([2, 2]),
            strides=[2, 2],
            pads=[1, 1, 0, 0],
            label="strides",
        ),
        case("Col2Im", source(1, 4, 4), constant([5, 5]), constant([2, 2]), dilations=[3, 3], label="dilated"),
        case("Col2Im", source(1, 6, 4), constant([6]), constant([3]), label="1d"),
        case(
            "MaxUnpool",
            source(1, 1, 2, 2),
            constant(np.array([[[[1, 3], [8, 10]]]])),
            kernel_shape=[2, 2],
            strides=[2, 2],
        ),
        case(
            "MaxUnpool",
            source(1, 1, 2, 2, dtype=F32),
            constant(np.array([[[[1, 3], [8, 10]]]])),
            constant([1, 1, 5, 5]),
            kernel_shape=[2, 2],
            strides=[2, 2],
            label="shape",
        ),
        case(
            "MaxUnpool",
            source(1, 1, 2, 2),
            ints(1, 1, 2, 2, high=16),
            kernel_shape=[2, 2],
            strides=[2, 2],
            status="data-dependent",
            label="computed",
        ),
        case(
            "RoiAlign",
            source(1, 2, 6, 5),
            source(2, 4, low=0.0, high=5.0),
            constant([0, 0]),
            output_height=2,
            output_width=2,
            status="data-dependent",
        ),
        case(
            "MaxRoiPool",
            source(1, 2, 6, 5, dtype=F32),
            source(1, 5, dtype=F32, low=0.0, high=0.5),
            pooled_shape=[2, 2],
            status="data-dependent",
            engine="onnxruntime",
            opset=7,
        ),
        case("GridSample", source(1, 2, 4, 3), source(1, 2, 2, 2, low=-1.0, high=1.0), status="data-dependent"),
        *(
            case(
                "GridSample",
                source(1, 2, 4, 5),
                constant(POINTS),
                mode=mode,
                padding_mode=padding,
                align_corners=align,
                label=f"{mode} {padding} {align}",
            )
            for mode, padding, align in (
                ("linear", "zeros", 0),
                ("linear", "border", 1),
                ("nearest", "reflection", 0),
                ("cubic", "reflection", 1),
            )
        ),
    ]
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        found.append(case("Conv", x, weights(2, 2, 4, 3), strides=[2, 2], auto_pad=auto, label=auto))
    pools: dict[str, dict[str, Any]] = {
        "plain": {"kernel_shape": [2, 2]},
        "pads": {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]},
        "ceil": {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1},
        "same": {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    }
    for label, settings in pools.items():
        found.append(case("MaxPool", x, label=label, **settings))
        found.append(case("AveragePool", x, label=label, **settings))
    found += [
        case("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 3], label="dilated"),
        case("AveragePool", x, kernel_shape=[2, 2], dilations=[2, 3], label="dilated"),
        case("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1, label="include"),
        case("MaxPool", line, kernel_shape=[3], strides=[2], label="1d", opset=8),
        case(
            "MaxPool",
            line,
            kernel_shape=[3],
            strides=[2],
            label="first",
            opset=7,
            measured=case("MaxPool", line, kernel_shape=[3], strides=[2]),
        ),
        case("MaxPool", source(1, 1, 4, 4), kernel_shape=[2, 2], strides=[2, 2], outputs=2, label="indices"),
        case("LpPool", x, kernel_shape=[2, 2], p=2, opset=18),
        case(
            "LpPool",
            x,
            kernel_shape=[2, 3],
            strides=[2, 1],
            pads=[1, 0, 0, 1],
            p=2,
            opset=11,
            label="pads",
            measured=case("LpPool", x, kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1], p=2, opset=18),
        ),
    ]
    return found
