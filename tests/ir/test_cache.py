"""Results that are kept never hold more than a fixed number of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from foveal.engine.forward import hull
from foveal.engine.forward.bounds import bounds
from foveal.frontends.text.trace import trace_spec
from foveal.ir import cache
from foveal.ir.cache import Bounded
from foveal.ir.rules import registry


def test_what_was_used_longest_ago_goes_first() -> None:
    """Three arrays fit; the one that was asked for again stays."""
    made = []

    def array(n: int) -> np.ndarray:
        made.append(n)
        return np.zeros(cache.BYTES // 32 - n, dtype=np.int64)  # a quarter of the limit

    kept = Bounded(array)
    for n in (1, 2, 3, 4, 1, 5, 1, 2):
        kept(n)
    assert made == [1, 2, 3, 4, 5, 2]
    assert kept.bytes <= cache.BYTES
    assert len(kept.kept) == 4


def test_a_result_beyond_the_limit_is_not_kept() -> None:
    kept = Bounded(lambda n: (np.zeros(n, dtype=np.int64), "text"))
    assert kept(cache.BYTES)[0].size == cache.BYTES
    assert (kept.bytes, len(kept.kept)) == (0, 0)


def test_many_lengths_leave_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep over inputs: each length has tables of its own."""
    monkeypatch.setattr(cache, "BYTES", 1 << 18)
    for length in range(4000, 4040, 2):
        bounds(trace_spec("conv7x4,s2,p3 up2 conv3x4", (1, 1, length)))
        assert hull._continuation.bytes <= 1 << 18
        assert registry._cached_reads.bytes <= 1 << 18
    assert len(hull._continuation.kept) < 20
