"""Words for writing cases of ONNX operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from support.onnx_cases.onnx_operator_oracle import Case, Input, source

F32 = np.float32
X = (2, 3, 4)
MAP = (1, 2, 6, 5)
NEWEST = 25
FIELDS = {"loose", "outputs", "status", "domain", "engine", "measured", "label", "rounds"}
KINDS = {"d": "double", "f": "float", "l": "int64", "?": "bool"}


def ints(*shape: int, low: int = 0, high: int = 7, dtype: Any = np.int64) -> Input:
    """A source of whole numbers."""
    return source(*shape, dtype=dtype, low=low, high=high)


def bools(*shape: int) -> Input:
    """A source of truth values."""
    return source(*shape, dtype=np.bool_)


def case(op: str, *inputs: Input | None, opset: int = NEWEST, **settings: Any) -> Case:
    """A case; settings that are no field of a case are attributes."""
    fields = {key: settings.pop(key) for key in list(settings) if key in FIELDS}
    return Case(op, opset, inputs, settings, **fields)


def program(op: str, text: str, *inputs: Input, opset: int = 21, **settings: Any) -> Case:
    """A case of several nodes, written in the onnx package's own notation; outputs are doubles unless it says so."""
    names = ", ".join(
        f"{KINDS[item.dtype.char]}[{','.join(map(str, item.shape))}] i{k}" for k, item in enumerate(inputs)
    )
    outputs = settings.pop("results", "double o0")
    whole = f'<ir_version: 10, opset_import: ["" : {opset}]> g ({names}) => ({outputs}) {{ {text} }}'
    return Case(
        op, opset, inputs, model=lambda: onnx.parser.parse_model(whole), outputs=outputs.count(",") + 1, **settings
    )
