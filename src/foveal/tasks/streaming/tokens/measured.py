"""The use of the past, measured on tokens: gradients by their embeddings, and what another token in one place changes.

Both are added up by distance: (square of) the effect of token j on output i counts at i - j, as a mean over the pairs
of one distance, so that long distances, of which a text has fewer pairs, weigh as they should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.measured.protocols import protocol_of
from foveal.ir.backend import Backend, Target
from foveal.ir.graph import Source

PLACES = 64
"""So many tokens are exchanged, and so many outputs differentiated, at most."""
DRAWS = 2
"""Exchanges of one token."""
BATCH = 16
"""So many texts are run at once."""


class Effects(NamedTuple):
    """values[i, n]: squared effect of the token at ``places[n]`` on output i (rows where nothing was asked are NaN)."""

    values: np.ndarray
    places: np.ndarray

    def by_distance(self) -> np.ndarray:
        """Mean effect at distance 0, 1 ... before; what lies behind an output is left out."""
        count = len(self.values)
        total, pairs = np.zeros(count), np.zeros(count)
        for column, place in enumerate(self.places):
            rows = np.arange(place, count)
            known = rows[~np.isnan(self.values[rows, column])]
            np.add.at(total, known - place, self.values[known, column])
            np.add.at(pairs, known - place, 1)
        return np.divide(total, pairs, out=np.zeros(count), where=pairs > 0)


def exchanged(backend: Backend, source: Source, layer: str, time: int, tokens: np.ndarray) -> Effects:
    """What another token of the same text (other numbers where the source holds numbers) in one place changes.

    tokens: the source's array; time: the axis of outputs in the layer. In float64.
    """
    numbers, axis = np.random.default_rng(0), source.axes[-1]
    example = backend.example(0)
    places = _spread(tokens.shape[axis])

    def outputs(given: np.ndarray) -> np.ndarray:
        found = backend.probe({**example, source.name: given}, [layer])
        return np.moveaxis(np.asarray(found[layer], np.float64), time, 0)

    whole = outputs(tokens)
    asked = [(column, place) for column, place in enumerate(places) for _ in range(DRAWS)]
    others = []
    for _, place in asked:
        other, at = tokens.copy(), (slice(None),) * axis + (place,)
        other[at] = _another(numbers, tokens[at], tokens)
        others.append(other)
    effects = np.zeros((len(whole), len(places)))
    for (column, _), moved in zip(asked, _moved(outputs, tokens, others, whole)):
        effects[:, column] += np.square(moved).reshape(len(whole), -1).mean(1) / DRAWS
    return Effects(effects, places)


def _moved(
    outputs: Callable[[np.ndarray], np.ndarray], tokens: np.ndarray, others: list[np.ndarray], whole: np.ndarray
) -> Iterator[np.ndarray]:
    """What each of the others changes: many in one run where the model takes them as a batch, and gives for the tokens
    themselves, which go first, what they give alone; else one by one.
    """
    near = 1e-9 * np.abs(whole).max(initial=0.0)
    for start in range(0, len(others), BATCH - 1):
        part = others[start : start + BATCH - 1]
        made = None
        if len(tokens) == 1 and whole.shape[1:2] == (1,):
            try:
                made = outputs(np.concatenate((tokens, *part)))
            except FovealError:
                made = None
        if made is not None and made.shape[1] == len(part) + 1 and np.abs(made[:, :1] - whole).max() <= near:
            yield from (made[:, k + 1 : k + 2] - whole for k in range(len(part)))
        else:
            yield from (outputs(other) - whole for other in part)


def differentiated(
    backend: Backend, source: Source, layer: str, time: int, tokens: np.ndarray, shape: tuple[int, ...]
) -> Effects:
    """Squared gradients of outputs, their features summed with random signs, by the embeddings of the tokens."""
    count = tokens.shape[source.axes[-1]]
    places = _spread(shape[time])
    targets = [Target(layer, tuple(int(place) if k == time else None for k in range(len(shape)))) for place in places]
    signs = [[np.random.default_rng([0, int(place)])] for place in places]
    made = backend.gradient(source.name, source.axes).maps(tokens[:1], targets, protocol_of("foveal"), signs)
    effects = np.full((shape[time], count), np.nan)
    for place, row in zip(places, made):
        effects[place] = row[0]
    return Effects(effects, np.arange(count))


def _another(numbers: np.random.Generator, here: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Other tokens of the same text; other numbers where the source holds numbers."""
    if tokens.dtype.kind == "f":
        return numbers.standard_normal(here.shape).astype(tokens.dtype)
    pool = np.unique(tokens)
    if pool.size < 2:
        raise FovealError("all tokens are alike: none can be exchanged for another of the same text")
    place = np.searchsorted(pool, here)
    return np.asarray(pool[(place + numbers.integers(1, pool.size, here.shape)) % pool.size])


def _spread(count: int) -> np.ndarray:
    """Places from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, PLACES)).round().astype(int))
