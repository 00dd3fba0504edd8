"""Functional PyTorch code as people write it, element by element against brute force."""

from __future__ import annotations

import pytest

from fuzz.fuzz_functional import judge


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_no_element_moves_outside_its_box(start: int) -> None:
    for number in range(start, start + 20):
        found = judge(number)
        assert found is None or found.small == 0, (number, found)
