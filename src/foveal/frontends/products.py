"""The matrix product of any two ranks, which all frameworks spell alike."""

from __future__ import annotations

from functools import lru_cache

from foveal.ir import ops


@lru_cache(maxsize=1024)
def matmul_op(a: int, b: int) -> ops.Contract:
    """The product of operands of ``a`` and ``b`` axes, batch axes aligned at the end."""
    summed, row, column = 1000, 1001, 1002
    first = (summed,) if a == 1 else (*range(20 - (a - 2), 20), row, summed)
    second = (summed,) if b == 1 else (*range(20 - (b - 2), 20), summed, column)
    batch = tuple(range(20 - max(a - 2, b - 2, 0), 20))
    out = (*batch, *((row,) if a > 1 else ()), *((column,) if b > 1 else ()))
    return ops.Contract((first, second), out)
