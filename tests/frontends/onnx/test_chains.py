"""Chains of ONNX operators with random attributes, element by element against onnxruntime."""

from __future__ import annotations

import pytest

from fuzz.fuzz_onnx_chains import judge

ONCE_WRONG = (27, 30, 1041, 1072, 1104, 1266, 1539, 1971, 2042, 2394, 2600, 2683, 2981, 3313, 3542, 3625)
"""Pools whose last window or "SAME" padding is the runtime's own."""


@pytest.mark.parametrize("number", [*range(200), *ONCE_WRONG])
def test_no_element_moves_outside_its_box(number: int) -> None:
    found = judge(number)
    assert found is None or (found.small, found.refused) == (0, "")
