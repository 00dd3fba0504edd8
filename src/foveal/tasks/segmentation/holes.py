"""Holes of dilated convolutions: the exact criterion, the published test beside it, and the true lattice of a network.

A stack of windows with K_i taps at distance r_i (dilation times the stride before it) reads the sums of one tap from
each. Sorted by distance, these sums have no hole exactly where r_i <= 1 + sum over j < i of (K_j - 1) r_j, for all i:
the windows before reach that far, and no later one can fill the first position that they miss. The order of the layers
does not change the sums (docs/methods.md 6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd

import numpy as np

from foveal.core.errors import FovealError


@dataclass(frozen=True)
class DilationPlan:
    """What one unit of a stack reads along one axis, in positions of the map below the stack.

    extent: first to last position read; taps: distinct positions read; largest_gap: longest step between neighbours (1:
    no hole); common: greatest common divisor of all steps (above 1 neighbouring units share nothing); blocker: index of
    the first layer that breaks the criterion, in order of distance, None where there is no hole; hdc: M_2 of Wang et
    al. 2018, None below two layers; hdc_passes: M_2 <= kernel of the smallest layer.
    """

    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    extent: int
    taps: int
    largest_gap: int
    common: int
    blocker: int | None
    hdc: int | None
    hdc_passes: bool | None

    @property
    def holes(self) -> int:
        """Positions between the first and the last that are not read."""
        return self.extent - self.taps

    @property
    def coverage(self) -> float:
        """Share of the extent that is read."""
        return self.taps / self.extent

    def __str__(self) -> str:
        layers = ", ".join(f"{k}x at {r}" for k, r in zip(self.kernels, self.rates))
        gap = "" if self.holes == 0 else f", largest gap {self.largest_gap}"
        return f"{layers}: reads {self.taps} of {self.extent} positions{gap}"


def dilation_plan(rates: Sequence[int], kernel: int | Sequence[int] = 3) -> DilationPlan:
    """The plan of a stack with these tap distances; ``kernel`` is the number of taps, one for all or one per layer.

    Raises FovealError for an empty stack, a distance or a kernel below 1, and lists of unequal length.
    """
    kernels = (kernel,) * len(rates) if isinstance(kernel, int) else tuple(kernel)
    if not rates or len(kernels) != len(rates) or min(rates) < 1 or min(kernels) < 1:
        raise FovealError(
            f"dilation plan: rates {list(rates)} with kernels {list(kernels)}: expected one or more whole numbers from "
            "1 on, and one kernel for all or one per rate"
        )
    extent = 1 + sum((k - 1) * r for k, r in zip(kernels, rates))
    common = 0
    for k, r in zip(kernels, rates):
        common = gcd(common, r) if k > 1 else common
    blocked = first_blocker(rates, kernels)
    read = read_positions(rates, kernels)
    gap = int(np.diff(np.flatnonzero(read)).max(initial=1))
    chain = [r for k, r in zip(kernels, rates) if k > 1]
    measure = hdc_distance(chain) if len(chain) > 1 else None
    passes = None if measure is None else measure <= min(k for k in kernels if k > 1)
    return DilationPlan(
        tuple(rates), kernels, extent, int(read.sum()), gap, max(common, 1), blocked, measure, passes
    )  # fmt: skip


def first_blocker(rates: Sequence[int], kernels: Sequence[int]) -> int | None:
    """Index of the layer with the smallest tap distance that leaves a hole; None where the stack has none."""
    reach = 0
    for index in sorted(range(len(rates)), key=lambda i: (rates[i], i)):
        if kernels[index] > 1 and rates[index] > 1 + reach:
            return index
        reach += (kernels[index] - 1) * rates[index]
    return None


def read_positions(rates: Sequence[int], kernels: Sequence[int]) -> np.ndarray:
    """Boolean over the extent: which positions are a sum of one tap from each layer."""
    read = np.ones(1, bool)
    for k, r in zip(kernels, rates):
        wider = np.zeros(read.size + (k - 1) * r, bool)
        for tap in range(k):
            wider[tap * r : tap * r + read.size] |= read
        read = wider
    return read


def hdc_distance(rates: Sequence[int]) -> int:
    """M_2 of the hybrid dilated convolution rule (Wang et al. 2018): M_n = r_n, M_i = max(M_{i+1} - 2 r_i, 2 r_i -
    M_{i+1}, r_i). Raises FovealError below two layers.

    The rule wants M_2 <= K. It is sufficient where r_1 = 1, and wrong where r_1 > 1 (2, 2, 2 passes with holes).
    """
    if len(rates) < 2:
        raise FovealError(f"the HDC rule needs at least two rates, got {list(rates)}")
    distance = rates[-1]
    for rate in reversed(rates[1:-1]):
        distance = max(distance - 2 * rate, 2 * rate - distance, rate)
    return distance


def filling_rates(count: int, kernel: int = 3) -> tuple[int, ...]:
    """The widest stack of ``count`` layers without a hole: 1, K, K squared ..."""
    return tuple(kernel**i for i in range(count))


@dataclass(frozen=True)
class Lattice:
    """Positions that one unit reads of a map, per axis (along the other axes: read anywhere).

    extent: first to last, in positions of the map; taps: how many are read; largest_gap: longest step between
    neighbours; common: greatest common divisor of the steps (1 where fewer than two are read).
    """

    extent: tuple[int, ...]
    taps: tuple[int, ...]
    largest_gap: tuple[int, ...]
    common: tuple[int, ...]

    @property
    def holes(self) -> tuple[int, ...]:
        """Positions per axis that are not read between the first and the last."""
        return tuple(e - t for e, t in zip(self.extent, self.taps))


def lattice(read: np.ndarray) -> Lattice:
    """The lattice of a Boolean map of positions read; zeros where nothing is read."""
    found = []
    for axis in range(read.ndim):
        others = tuple(a for a in range(read.ndim) if a != axis)
        places = np.flatnonzero(read.any(axis=others) if others else read)
        steps = [int(b - a) for a, b in pairwise(places)]
        extent = int(places[-1] - places[0] + 1) if places.size else 0
        found.append((extent, int(places.size), max(steps, default=1), max(gcd(*steps), 1) if steps else 1))
    extents, taps, gaps, commons = zip(*found) if found else ((), (), (), ())
    return Lattice(tuple(extents), tuple(taps), tuple(gaps), tuple(commons))
