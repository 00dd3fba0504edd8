"""All cases of ONNX operators; at least one per operator with a rule."""

from __future__ import annotations

from onnx_cases_domains import contributed, learners
from onnx_cases_mixing import recurrent, reductions
from onnx_cases_moves import index, moves
from onnx_cases_pointwise import binary, unary
from onnx_cases_products import functions, products
from onnx_cases_programs import sequences
from onnx_cases_resampling import resampling
from onnx_cases_windows import windows

FAMILIES = (
    unary, binary, windows, moves, index, reductions, products, recurrent, resampling, functions, sequences, learners,
    contributed,
)  # fmt: skip
CASES = [case for family in FAMILIES for case in family()]
