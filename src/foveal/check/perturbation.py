"""Random inputs and column perturbations in double precision: what the oracle and ``verify`` share. Pure NumPy.

A *column* of a source is every element whose index along one counted axis equals one position: all channels and all
positions of the other axes. Changing one column and looking at which outputs move answers, for every unit at once,
whether that position lies in the unit's receptive field along that axis.

An output *moves* when it differs from the unperturbed one by more than ``RELATIVE`` times the largest value of its
layer, and by more than ``NOISE_FACTOR`` times the spread seen between copies of the unperturbed input in the same
batch. Double precision carries about 1e-16 per operation, normalisations of nearly constant maps amplify it by
1 / sqrt(eps), about 300, so 1e-11 stands well above rounding and well below an influence that passed a dozen layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Pattern = Literal["small", "large", "up", "down"]

RELATIVE = 1e-11
NOISE_FACTOR = 1e3
PATTERNS: tuple[Pattern, ...] = ("small", "large", "up", "down")
"""Changes of a column: signed noise of scale 0.5 and 3 (a constant shift is invisible to a norm over channels), and a
rise or fall of about 3 everywhere (which takes part in a maximum, or opens a ReLU, that noise leaves shut)."""


class Style(NamedTuple):
    """How a round draws: signs of weights and base input, spread of their sizes, size of the changes."""

    positive: bool = False
    heavy: bool = False
    gain: float = 1.0

    @property
    def ordinary(self) -> bool:
        """Whether attention scores stay small, so that a mask of -100 still closes a softmax to below rounding."""
        return not self.heavy and self.gain <= 1.0


STYLES = (
    Style(),
    Style(positive=True),
    Style(),
    Style(positive=True),
    Style(heavy=True),
    Style(positive=True, heavy=True),
    Style(gain=10.0),
    Style(positive=True, gain=10.0),
    Style(heavy=True, gain=0.1),
    Style(positive=True, heavy=True, gain=30.0),
)


def draw_inputs(arrays: Mapping[str, np.ndarray], rng: np.random.Generator, style: Style) -> dict[str, np.ndarray]:
    """Standard normal (or positive, or log-normal) values for each floating input; the others stay as given."""
    drawn = {}
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            noise = rng.standard_normal(array.shape)
            if style.heavy:
                noise = np.sign(noise) * np.exp(rng.standard_normal(array.shape))
            drawn[name] = np.abs(noise) + 0.1 if style.positive else noise
        else:
            drawn[name] = array
    return drawn


def column_change(shape: Sequence[int], pattern: Pattern, rng: np.random.Generator, gain: float = 1.0) -> Floats:
    """What is added to a column of that shape; ``gain`` times as much."""
    if pattern == "small":
        return 0.5 * gain * rng.standard_normal(shape)
    if pattern == "large":
        return 3.0 * gain * rng.standard_normal(shape)
    rise = 3.0 * gain * rng.uniform(0.5, 1.5, shape)
    return rise if pattern == "up" else -rise


def perturb_column(
    base: Floats, axis: int, position: int, pattern: Pattern, rng: np.random.Generator, gain: float = 1.0
) -> Floats:
    """A copy of ``base`` with one column changed."""
    copy = base.copy()
    index = (slice(None),) * axis + (position,)
    copy[index] += column_change(copy[index].shape, pattern, rng, gain)
    return copy


def perturb(
    base: np.ndarray,
    axes: Sequence[int],
    at: Sequence[int | None],
    pattern: Pattern,
    rng: np.random.Generator,
    gain: float = 1.0,
) -> np.ndarray:
    """A copy of ``base`` with what lies at these positions of its axes changed (None: at all positions of an axis).

    Integers, such as token ids, become others of those in use.
    """
    index: list[Any] = [slice(None)] * base.ndim
    for axis, position in zip(axes, at, strict=True):
        index[axis] = slice(None) if position is None else position
    place = tuple(index)
    if base.dtype.kind == "f":
        copy = base.astype(np.float64)
        copy[place] += column_change(np.shape(copy[place]), pattern, rng, gain)
        return copy
    return other_numbers(base, place, rng)


def other_numbers(base: np.ndarray, place: tuple[Any, ...], rng: np.random.Generator) -> np.ndarray:
    """A copy of whole numbers or truth values with each element at a place replaced by another one of those that
    occur (0 and 1 are taken to do): token ids stay valid.
    """
    copy = base.copy()
    if base.dtype.kind == "b":
        copy[place] = ~base[place]
        return copy
    known = np.union1d(base, np.array([0, 1], dtype=base.dtype))
    found = np.searchsorted(known, base[place])
    copy[place] = known[(found + rng.integers(1, known.size, np.shape(found))) % known.size]
    return copy


def threshold(reference: Floats, spread: float = 0.0) -> float:
    """The smallest difference that counts as a move in a layer with these unperturbed values."""
    finite = np.abs(reference[np.isfinite(reference)])
    scale = float(finite.max()) if finite.size else 0.0
    return max(RELATIVE * scale, NOISE_FACTOR * spread, 1e-300)


def moved(outputs: Floats, reference: Floats, spread: float = 0.0) -> Bools:
    """Which elements of ``outputs`` (copies, *layer) differ from ``reference`` (*layer); a new not-a-number counts."""
    limit = threshold(reference, spread)
    with np.errstate(invalid="ignore"):
        differs = np.abs(outputs - reference) > limit
    result: Bools = differs | (np.isnan(outputs) != np.isnan(reference))
    return result


def hulls(dependent: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last true position along axis 0, per element of the others; first > last where there is none."""
    length = dependent.shape[0]
    none = ~dependent.any(axis=0)
    first = np.where(none, length, dependent.argmax(axis=0))
    last = np.where(none, -1, length - 1 - dependent[::-1].argmax(axis=0))
    return first.astype(np.int64), last.astype(np.int64)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference; infinite values that stay so do not differ."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(a - b)).max(initial=0.0))
