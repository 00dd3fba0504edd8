"""The algebra of index relations: which input positions an output position depends on.

A relation between one operand and one output is a tuple of steps, applied in order from the operand towards the output;
the empty tuple is "the same position". Relations compose by concatenation (:func:`compose`); an operation whose output
reads several operands, or one operand in several ways, has several relations, and their union is the answer
(:class:`Read`). Steps know index arithmetic and nothing else: no step names an operation, and every analysis is one
loop that interprets steps.

Two settings are kept apart throughout. *Clipped*: only positions that exist can be read. *Unclipped*: the operand is
thought to go on for ever, so that a padded position is a position like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from foveal.ir.lengths import window_span

Ints = tuple[int, ...]
ABSENT = -(1 << 40)
"""In an index table: this entry reads nothing, clipped or unclipped."""


@dataclass(frozen=True, eq=False)
class Step:
    """One index map. ``axis`` counts in the operand's shape at that point. Steps with arrays equal only themselves."""


@dataclass(frozen=True)
class Slide(Step):
    """Output o reads inputs o * stride - before + t * dilation, t < kernel; what falls outside exists only
    unclipped.

    ``sums``: sums up what it reads, without weights, so that over a whole axis it is global context.
    """

    axis: int
    n_in: int
    n_out: int
    kernel: int
    stride: int
    before: int
    dilation: int
    sums: bool = False

    @property
    def whole(self) -> bool:
        """Whether it sums up the whole axis."""
        reached = self.kernel - self.before if self.dilation == 1 else 0
        return self.sums and self.n_out == 1 and self.before >= 0 and reached >= self.n_in > 1

    @property
    def after(self) -> int:
        """Positions needed behind the last one (negative: that many are never read)."""
        return window_span(self.n_out, self.kernel, self.stride, self.dilation) - self.before - self.n_in

    @cached_property
    def reads_nothing(self) -> np.ndarray | None:
        """Boolean per output: every tap is outside (clipped); None where no output is like that."""
        first = np.arange(self.n_out) * self.stride - self.before
        taps = first[:, None] + np.arange(self.kernel) * self.dilation
        return _none_if_clear(np.asarray(~((taps >= 0) & (taps < self.n_in)).any(axis=1)))


@dataclass(frozen=True, eq=False)
class Table(Step):
    """Output o reads inputs ``clipped[o]`` (clipped) and ``unclipped[o]`` (may lie outside); both (n_out, k), ABSENT
    allowed.

    ``weights`` (n_out, k) are the tap weights where the operation fixes them (interpolation).
    ``ratio`` = (a, b): output o + b reads what output o reads, shifted by a; None where there is no such rule.
    """

    axis: int
    n_in: int
    n_out: int
    clipped: np.ndarray = field(repr=False)
    unclipped: np.ndarray = field(repr=False)
    ratio: tuple[int, int] | None = None
    weights: np.ndarray | None = field(default=None, repr=False)

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Positions needed before the first and behind the last input, unclipped."""
        used = self.unclipped[self.unclipped != ABSENT]
        if used.size == 0:
            return 0, 0
        return max(0, -int(used.min())), max(0, int(used.max()) - self.n_in + 1)

    @cached_property
    def reads_nothing(self) -> np.ndarray | None:
        """Boolean per output: no tap (clipped); None where no output is like that."""
        return _none_if_clear(np.asarray((self.clipped == ABSENT).all(axis=1)))

    @cached_property
    def reads_nothing_unclipped(self) -> np.ndarray | None:
        """Boolean per output: no tap at all, unclipped."""
        return _none_if_clear(np.asarray((self.unclipped == ABSENT).all(axis=1)))


@dataclass(frozen=True)
class All(Step):
    """Every output reads all positions along ``axes``; the axes stay, and the answer does not vary along them."""

    axes: Ints


@dataclass(frozen=True)
class Prefix(Step):
    """Output i reads inputs 0..i along ``axis`` (i..end when ``reverse``)."""

    axis: int
    reverse: bool


@dataclass(frozen=True)
class Blocks(Step):
    """Both sides fall into ``groups`` equal blocks along ``axis``; an output reads all of its own block."""

    axis: int
    n_in: int
    n_out: int
    groups: int


@dataclass(frozen=True)
class Reshape(Step):
    """Row-major reshape."""

    before: Ints
    after: Ints


@dataclass(frozen=True)
class Relabel(Step):
    """Output axis i is input axis ``order[i]``, or a new axis (None) along which the answer does not vary.

    Input axes that are left out must not matter (an :class:`All` stands before).
    """

    order: tuple[int | None, ...]


@dataclass(frozen=True)
class Expand(Step):
    """NumPy broadcasting from ``before`` to ``after``."""

    before: Ints
    after: Ints


@dataclass(frozen=True, eq=False)
class Scatter(Step):
    """Output element j reads input element ``index[j]`` (both row-major); ABSENT or negative reads nothing.

    An index (n, k) reads k elements for each output; ``weights`` (n, k) as in :class:`Table`.
    """

    index: np.ndarray = field(repr=False)
    before: Ints
    after: Ints
    weights: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Embed(Step):
    """The operand fills outputs start .. start + n_in - 1 along ``axis``; other outputs read nothing of it."""

    axis: int
    start: int
    n_in: int
    n_out: int


@dataclass(frozen=True)
class Reverse(Step):
    """Flip along ``axes`` (of length ``lengths``)."""

    axes: Ints
    lengths: Ints


@dataclass(frozen=True)
class Rotate(Step):
    """Circular shift along ``axis``: output i reads input i - shift."""

    axis: int
    shift: int


@dataclass(frozen=True)
class Unroll(Step):
    """Windows along ``axis`` (their number becomes its length) and a new last axis of ``size`` taps."""

    axis: int
    count: int
    size: int
    step: int
    dilation: int


@dataclass(frozen=True)
class Overlap(Step):
    """The reverse of Unroll: the last axis (taps) goes; output i reads (o, t) with o step + t dilation - before = i."""

    axis: int
    count: int
    size: int
    n_out: int
    step: int
    dilation: int
    before: int


@dataclass(frozen=True, eq=False)
class Keep(Step):
    """Reads happen only where ``keep`` (Boolean, broadcastable) is true.

    ``padding``: what is left out is padding, which is there only because the source ends: unclipped, all is read.
    """

    keep: np.ndarray = field(repr=False)
    padding: bool = False


@dataclass(frozen=True)
class Outside(Step):
    """Reads happen everywhere but in the block of ``part`` elements that starts at ``starts`` with ``steps``."""

    starts: Ints
    steps: Ints
    part: Ints
    shape: Ints

    @cached_property
    def keep(self) -> np.ndarray:
        """The same as a mask, of length 1 along axes that do not matter."""
        kept = np.ones(self.shape, dtype=bool)
        ends = (s + (n - 1) * p + 1 for s, p, n in zip(self.starts, self.steps, self.part, strict=True))
        kept[tuple(slice(s, e, p) for s, e, p in zip(self.starts, ends, self.steps, strict=True))] = False
        for axis, (n, m) in enumerate(zip(self.shape, self.part, strict=True)):
            if n == m:
                kept = kept.take([0], axis=axis)
        return kept

    @property
    def into(self) -> tuple[Slide, ...]:
        """From the whole to the block."""
        return tuple(
            Slide(axis, n, m, 1, self.steps[axis], -self.starts[axis], 1)
            for axis, (n, m) in enumerate(zip(self.shape, self.part, strict=True))
            if n != m
        )


@dataclass(frozen=True, eq=False)
class KeepAll(Step):
    """Keep, then All, in one: every output reads the kept positions along ``axes``. ``mask``: what is kept unclipped,
    where the rest of what is left out is padding.
    """

    keep: np.ndarray = field(repr=False)
    axes: Ints
    padding: bool = False
    mask: np.ndarray | None = field(default=None, repr=False)

    @cached_property
    def patterns(self) -> tuple[np.ndarray, np.ndarray]:
        """For one axis: the distinct rows (count, n) of ``keep`` along it, and which one stands where (axis of length
        1).

        Masks have few distinct rows (one per region of a shifted window), whatever the number of positions.
        """
        axis = self.axes[0]
        rows = np.moveaxis(self.keep, axis, -1)
        flat = rows.reshape(-1, rows.shape[-1])
        packed = np.ascontiguousarray(np.packbits(flat, axis=1))
        keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        return flat[first], np.expand_dims(inverse.reshape(rows.shape[:-1]), axis)


@dataclass(frozen=True, eq=False)
class Taps(Step):
    """A window that is not a product of axes: one shift per listed tap.

    Output o along axes[i] reads o * stride[i] + offsets[t, i] for each tap t; what falls outside is not read (clipped).
    """

    axes: Ints
    n_in: Ints
    n_out: Ints
    stride: Ints
    offsets: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Everything(Step):
    """Every output reads every position of the operand."""

    before: Ints
    after: Ints


Relation = tuple[Step, ...]
SAME: Relation = ()


@dataclass(frozen=True, eq=False)
class Read:
    """One way in which an operation's output reads one of its operands.

    kind: "value" (carries the signal), "statistics" (normalisation), "weights" (of an average that the signal itself
    sets: attention probabilities, kernels made from the input). fan: elements combined in one output;
    averaged: they are combined with equal weights 1 / fan, not with weights of their own. edges: the operation
    computes from a neighbourhood or a contraction, so that its reads are edges of the network (pointwise operations and
    moves are wires). factor: a fixed number that what is read is multiplied by.
    """

    operand: int
    relation: Relation
    kind: str = "value"
    fan: float = 1.0
    averaged: bool = False
    edges: bool = False
    factor: float = 1.0
    kept: np.ndarray | None = None
    """Where known zeros leave fewer elements than ``fan`` to combine: how many, broadcastable to the output."""


def compose(*relations: Relation) -> Relation:
    """The relation that applies the given ones in order."""
    return tuple(step for relation in relations for step in relation)


def _none_if_clear(mask: np.ndarray) -> np.ndarray | None:
    return mask if mask.any() else None
