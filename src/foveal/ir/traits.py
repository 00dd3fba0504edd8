"""What analyses ask of an operation. Each answer stands once, beside the operation's rule (``rule(..., name=answer)``).

A trait is a function of the operation, and of what else its line names; a plain value on registration stands for a
function that always answers that. What was not said has the answer that cannot be wrong: no cost known, no fixed gain,
tied to its place and to the size of the map, no known zeros. Analyses ask ``traits(op)`` of :mod:`foveal.ir.rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from foveal.core.errors import FovealError
from foveal.ir.fixed import Fixed

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Mask = np.ndarray | None
"""Boolean, broadcastable to the value's shape; None where nothing is known."""


class Window(NamedTuple):
    """A sliding window over the last axes: output o reads input o * stride + t * dilation - padding before.

    ``transposed``: input i, tap t reach output i * stride + t * dilation - before. ``weighted``: operand 1 holds the
    weights, laid out as for ``ops.Convolution`` (``ops.TransposedConvolution``).
    """

    kernel: Shape
    stride: Shape
    padding: Pairs
    dilation: Shape
    groups: int = 1
    weighted: bool = False
    transposed: bool = False


class Product(NamedTuple):
    """A sum of products: labels of each operand's axes and of the result's; what is not in ``out`` is summed."""

    labels: tuple[Shape, ...]
    out: Shape


class Alike(NamedTuple):
    """Of gradients: ``adds`` them up, without weights of its own, at inputs that several outputs share; ``hands`` the
    same on to all that it reads (beside what its reads say of averages).
    """

    adds: bool
    hands: bool


NEITHER = Alike(False, False)


class Padding(NamedTuple):
    """(before, after) per axis; ``constant``: filled with one number."""

    widths: Pairs
    constant: bool


class Known(Protocol):
    """What is known about the operands of one node, by their position, and about what its relation reads."""

    @property
    def shapes(self) -> tuple[Shape, ...]: ...
    @property
    def out(self) -> Shape: ...
    def zero(self, operand: int) -> Mask:
        """Where it is zero whatever the input."""

    def fixed(self, operand: int) -> Fixed | None:
        """What is known of its elements."""

    def parts(self) -> list[Fixed | None]:
        """What is known of the elements of all operands."""

    def value(self, operand: int) -> np.ndarray | None:
        """The operand itself, where it is a constant."""

    def only_zeros_read(self) -> Mask:
        """Where all that the result reads of its first operand is zero, or nothing."""

    def beside(self, operand: int) -> Fixed | None:
        """As ``fixed``; one number that is added to all elements counts too."""

    def own_maximum(self) -> tuple[int, ...]:
        """The axes along which the second operand is the maximum of the first; () where it is not."""

    @property
    def place(self) -> str:
        """The operation and its layer, for causes."""

    def unsaid(self) -> Fixed | None:
        """The answer of an operation that says nothing: zero where its trait says so; numbers made of numbers alone
        are lost.
        """

    def trust(self) -> None:
        """Note that a finite constant was taken for a mask."""

    def doubt(self, cause: str) -> None:
        """Note that what is read may be too much, and why."""


def always(answer: Any) -> Callable[..., Any]:
    """The trait that has one answer."""
    return lambda *_: answer


@dataclass(frozen=True)
class Traits:
    """The answers for one class of operations."""

    status: Callable[[Any], str]
    """What its rule tells: "exact", "data-dependent" (all that data can choose) or "bound" (no rule: all there is)."""
    multiply_adds: Callable[[Any, tuple[Shape, ...], Shape], int | None]
    """Of operation, shapes of the operands, shape of the result; None: not known."""
    gain: Callable[[Any], str]
    """Of squared gradients: "fixed" (its reads' own factor, or its weights'), "unit" (only where all weights are
    thought of as of unit gain), "" (none that is fixed).
    """
    alike: Callable[[Any], Alike]
    function: Callable[[Any], str]
    """The plain name of an elementwise function: "relu", "add", ..."""
    joins: Callable[[Any], str]
    """How it brings operands together position by position: "concatenation", "sum", "product", "other", or not."""
    window: Callable[[Any], Window | None]
    product: Callable[[Any], Product | None]
    pads: Callable[[Any], Padding | None]
    pools: Callable[[Any], bool]
    """Whether it sums up a region, without weights."""
    resamples: Callable[[Any], Shape]
    """The axes along which it interpolates."""
    runs: Callable[[Any], int | None]
    """The axis along which it runs with a state that is all it keeps of the past."""
    whole: Callable[[Any], tuple[str, str]]
    """What it does to all of an axis that it mixes ("takes the mean over"), and what would do with a part of it."""
    shift: Callable[[Any], str]
    """Why shifted operands do not merely give a shifted result; "" where they do."""
    along: Callable[[Any, tuple[Shape, ...]], Shape | None]
    """The axes of the first operand that ``shift`` speaks of; None: all."""
    size: Callable[[Any], str]
    """What it knows of the size of the map: "free" (nothing), "given" (lengths are among its arguments; traced at
    another size it reads the same way), "" (what it reads may depend on it).
    """
    views: Callable[[Any], bool]
    """Whether frameworks keep the result in the operand's own memory."""
    passes: Callable[[Any], bool]
    """Whether it changes no more than numbers one by one, or the order and grouping of axes."""
    wants: Callable[[Any, int], str]
    """The fact about an operand (by position) that its rule uses: "zero", "closed", "value" or none."""
    zero: Callable[[Any, Known], Mask]
    """Where the result is zero whatever the input."""
    closed: Callable[[Any, Known], Mask]
    """Of a softmax: which scores of its operand add nothing to their rows."""
    fixed: Callable[[Any, Known], Fixed | None]
    """What is known of the result's elements; unsaid: where it is zero, and what may have been lost."""
    settles: Callable[[Any], bool]
    """Whether its result can be a number though its operands are not, so that it reads nothing there."""
    apply: Callable[[Any, Sequence[np.ndarray], Shape], np.ndarray] | None = None
    """The result (of a shape) on arrays, for an operation that only moves elements."""

    def kernel(self, op: Any) -> Window | None:
        """The operation's window, where that has weights."""
        window = self.window(op)
        return window if window is not None and window.weighted else None

    def convolution(self, op: Any) -> Window | None:
        """The same of a convolution that is not transposed."""
        window = self.kernel(op)
        return None if window is None or window.transposed else window

    def weighs(self, op: Any) -> bool:
        """Whether an operand may hold weights for another, which belong to channels and taps, not to positions."""
        return self.product(op) is not None or self.kernel(op) is not None


UNSAID: dict[str, Any] = {
    "status": "exact", "multiply_adds": None, "gain": "", "alike": Alike(True, True), "function": "", "joins": "",
    "window": None, "product": None, "pads": None, "pools": False, "resamples": (), "runs": None, "whole": ("", ""),
    "shift": "may know where a position stands", "along": None, "size": "", "views": False, "passes": False,
    "wants": "", "zero": None, "closed": None,
    "fixed": lambda op, known: known.unsaid(), "settles": False,
}  # fmt: skip
"""The answers for a rule that came without any."""


def made(answers: dict[str, Any]) -> Traits:
    """The record of these answers and of those unsaid; raises FovealError for a trait that does not exist."""
    wrong = sorted(set(answers) - set(UNSAID) - {"apply"})
    if wrong:
        raise FovealError(f"unknown trait '{wrong[0]}'; known: apply, {', '.join(sorted(UNSAID))}")
    return Traits(**{k: answer if callable(answer) else always(answer) for k, answer in (UNSAID | answers).items()})


UNDESCRIBED = made({"status": "bound"})
"""Of an operation that has not even a rule."""
