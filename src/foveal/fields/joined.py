"""Ranges of a matrix of units (queries by keys) that has too many of them to list: the union of two terms.

A unit reads what its query reads and what its key reads. Its first position is the lesser of two numbers, its last one
the greater, so the smallest and the largest size follow from the two lists; the table is never made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations
from math import prod

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.forward import folded
from foveal.engine.forward.bounds import Boxes
from foveal.engine.forward.boxes import align
from foveal.engine.forward.hull import EMPTY, NOTHING, Fold, Hull, join
from foveal.fields.unit_boxes import extremes


class Joined(Hull):
    """The union of two hulls, each of which varies along an axis of its own."""

    __slots__ = ("terms",)
    terms: tuple[Hull, ...]

    def __init__(self, terms: Sequence[Hull]) -> None:
        for name, value in (("terms", tuple(terms)), ("steps", {}), ("runs", {}), ("context", terms[0].context)):
            object.__setattr__(self, name, value)

    @property
    def data(self) -> np.ndarray:
        """The table of all units, which is refused."""
        units = " x ".join(map(str, self.lengths))
        raise FovealError(f"a matrix of {units} units is too large to list; ask for the box of one unit, or for sizes")

    @property
    def told(self) -> np.ndarray:
        """The least and the greatest of each of the four numbers over all units: whether any is withheld or nothing."""
        every = tuple(range(1, self.terms[0].data.ndim))
        least = np.minimum.reduce([term.data.min(axis=every, keepdims=True) for term in self.terms])
        most = np.minimum.reduce([term.data.max(axis=every, keepdims=True) for term in self.terms])
        return np.concatenate([least, most], axis=1)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the table, without its first axis."""
        return np.broadcast_shapes(*[term.lengths for term in self.terms])


def sizes(hull: Hull, row: int) -> tuple[int, int] | None:
    """The smallest and the largest size over all units (row 0: clipped, 1: unclipped), those withheld left out."""
    if not isinstance(hull, Joined):
        return extremes(1 - hull.told[2 * row + 1] - hull.told[2 * row], [])
    found = [_sizes(ends) for ends in _apart(*[term.data[2 * row : 2 * row + 2] for term in hull.terms])]
    pairs = [pair for pair in found if pair is not None]
    return (min(a for a, _ in pairs), max(b for _, b in pairs)) if pairs else None


def numbers_of(hull: Hull, unit: tuple[int, ...]) -> np.ndarray:
    """The four numbers of one position; an axis of length 1 holds for all."""
    terms = hull.terms if isinstance(hull, Joined) else (hull,)
    found: np.ndarray = np.minimum.reduce([folded.numbers_of(term, unit) for term in terms])
    return found


def same(a: Hull, b: Hull) -> bool:
    """Whether all numbers are known to be."""
    if isinstance(a, Joined) and isinstance(b, Joined):
        return all(folded.same(x, y) for x, y in zip(a.terms, b.terms, strict=True))
    return not (isinstance(a, Joined) or isinstance(b, Joined)) and folded.same(a, b)


def joined(boxes: Boxes, axes: tuple[int, ...]) -> tuple[Hull, ...] | None:
    """Per source axis the union of the boxes over the grid ``axes``; None where more than two terms remain."""
    aligned = [tuple(folded.all_dense(hull) for hull in align(box)) for box in boxes]
    return _each(union(folded.full(folded.least(hull, axes)) for hull in hulls) for hulls in zip(*aligned))


def united(strict: Sequence[Hull], local: Sequence[Hull]) -> tuple[Hull, ...] | None:
    """The strict ranges, unclipped together with the local ones; None where more than two terms remain."""
    return _each(_united(a, b) for a, b in zip(strict, local, strict=True))


def _united(strict: Hull, local: Hull) -> Hull | None:
    if not isinstance(strict, Joined) and not isinstance(local, Joined):
        return folded.side_by_side((strict, local), _beyond)
    terms = [hull.terms if isinstance(hull, Joined) else (folded.full(hull),) for hull in (strict, local)]
    plain = [Hull(term.data, {}, {}) for term in terms[0]]
    return union([*plain, *[Hull(_without(term, slice(0, 2)), {}, {}) for term in terms[1]]])


def _beyond(pair: Sequence[Hull], fold: Fold | None) -> Hull:
    """The first, unclipped together with the second."""
    a, b = np.broadcast_arrays(pair[0].data, pair[1].data)
    return Hull(np.concatenate([a[:2], np.minimum(a[2:], b[2:])]), {}, {})


def union(terms: Iterable[Hull]) -> Hull | None:
    """The union of hulls; those that vary along no axis that another does not are one with it. Unclipped, the numbers
    are those of global context, where some are.
    """
    terms = list(terms)
    if len({term.context > 0 for term in terms}) > 1:
        terms = [term if term.context else Hull(_without(term, slice(2, 4)), {}, {}) for term in terms]
    kept: list[Hull] = []
    for term in sorted(terms, key=lambda term: -len(term.axes())):
        place = next((k for k, other in enumerate(kept) if term.axes() <= other.axes()), None)
        if place is None:
            kept.append(term)
        else:
            kept[place] = join(kept[place], term)
    return kept[0] if len(kept) == 1 else Joined(kept) if len(kept) == 2 else None


def _without(hull: Hull, rows: slice) -> np.ndarray:
    data = hull.data.copy()
    data[rows] = EMPTY
    return data


def _each(found: Iterable[Hull | None]) -> tuple[Hull, ...] | None:
    hulls = tuple(found)
    whole = tuple(hull for hull in hulls if hull is not None)
    return whole if len(whole) == len(hulls) else None


def _apart(a: np.ndarray, b: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """First and last of both terms as lists, once for each place along the axes that they share (windows)."""
    shared = [k for k in range(1, a.ndim) if a.shape[k] > 1 and b.shape[k] > 1]
    lines = []
    for ends in (a, b):
        rows = np.moveaxis(ends, (*shared, 0), range(len(shared) + 1))
        lines.append(rows.reshape(prod(rows.shape[: len(shared)]), 2, -1))
    split = lines[0].shape[2]
    places = {place.tobytes(): place for place in np.concatenate(lines, axis=2)}
    return [(p[0, :split], -p[1, :split], p[0, split:], -p[1, split:]) for p in places.values()]


def _sizes(ends: tuple[np.ndarray, ...]) -> tuple[int, int] | None:
    """The smallest and the largest size of pairs from two lists of ranges.

    Of the two ranges of a pair one ends last, say p; the pair's size is from the lesser first position to that end. So
    for each p only the range that starts last counts among all that end no later: a running maximum in their order.
    """
    told = [np.abs(ends[k]) + np.abs(ends[k + 1]) for k in (0, 2)]
    sure = [ends[k] > -NOTHING for k in (0, 2)]
    read = [s & (t < NOTHING) for s, t in zip(sure, told, strict=True)]
    if not all(s.any() for s in sure) or not any(r.any() for r in read):
        return None
    least: list[int] = []
    most: list[int] = []
    real: list[tuple[int, int]] = []
    for own, other in permutations((0, 1)):
        first, last = (ends[2 * own + k][read[own]] for k in (0, 1))
        starts, stops = (ends[2 * other + k][sure[other]] for k in (0, 1))
        if not first.size:
            continue
        order = np.argsort(stops, kind="stable")
        place = np.searchsorted(stops[order], last, side="right") - 1
        latest = np.maximum.accumulate(starts[order])[np.maximum(place, 0)]
        size = (last - np.minimum(first, latest) + 1)[place >= 0]
        least += [int(size.min())] if size.size else []
        most.append(int((last - first).max()) + 1)
        real.append((int(first.min()), int(last.max())))
    both = [real[0][1] - real[1][0] + 1, real[1][1] - real[0][0] + 1] if len(real) == 2 else []
    return min(least), max(most + both)
