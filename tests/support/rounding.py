"""Equal up to rounding: what two ways to add up the same floating-point numbers may part by, on any processor.

In which order numbers are added is the processor's: the length of its vectors, its threads, the library it is given.
Each addition errs by at most half a unit in the last place of the sum so far, in either direction; n of them leave
about the root of n such units. Copies of one array, whole numbers and what is computed element by element are compared
exactly instead, since nothing is added up there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

TERMS = 4096
"""Numbers that are added up on the way to one value of the small networks of these tests, rounded up."""


def rounding(values: Any, terms: int = TERMS, dtype: Any = None) -> float:
    """The largest difference that rounding explains. dtype: what was computed in, where values have a finer one."""
    known = _array(values)
    return float(terms**0.5 * np.finfo(dtype or known.dtype).eps * np.abs(known).max(initial=0.0))


def close(found: Any, expected: Any, terms: int = TERMS, dtype: Any = None) -> bool:
    """Whether two arrays or tensors have one shape and precision and differ by rounding only; not-a-numbers do not."""
    a, b = _array(found), _array(expected)
    same = a.shape == b.shape and a.dtype == b.dtype
    return same and bool((np.abs(a - b) <= rounding(b, terms, dtype)).all())


def _array(item: Any) -> np.ndarray:
    return np.asarray(item.detach() if hasattr(item, "detach") else item)
