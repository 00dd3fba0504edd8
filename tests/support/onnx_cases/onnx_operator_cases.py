"""All cases of ONNX operators; at least one per operator with a rule."""

from __future__ import annotations

from support.onnx_cases.onnx_cases_domains import contributed, learners
from support.onnx_cases.onnx_cases_mixing import recurrent, reductions
from support.onnx_cases.onnx_cases_moves import index, moves
from support.onnx_cases.onnx_cases_pointwise import binary, unary
from support.onnx_cases.onnx_cases_products import functions, products
from support.onnx_cases.onnx_cases_programs import sequences
from support.onnx_cases.onnx_cases_resampling import resampling
from support.onnx_cases.onnx_cases_windows import windows

FAMILIES = (
    unary, binary, windows, moves, index, reductions, products, recurrent, resampling, functions, sequences, learners,
    contributed,
)  # fmt: skip
CASES = [case for family in FAMILIES for case in family()]
