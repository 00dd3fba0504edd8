"""The closed vocabulary of neutral operations.

A front end lowers each framework operation to one or a few of these; ``rules`` gives each of them a relation; no
other part of the program knows an operation. Shapes are not stored here: they belong to the values of the graph.

Axes count from 0 in the operand's own shape and are never negative. ``padding`` is (before, after) per axis in
elements; a negative number crops. Where an operation has ``n`` spatial axes they are the last ``n`` of its operand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Operation:
    """Base of the vocabulary. Instances are hashable, so that rules can be cached; those that hold an array by
    identity.
    """


@dataclass(frozen=True)
class Convolution(Operation):
    """Inputs x (N, C, *space), kernel (O, C / groups, *taps). Output (N, O, *space'). A bias is not an input.

    ``padding`` is zero padding. Cross-correlation: output o reads o * stride - before + t * dilation. Where nothing is
    added (``biased``), an output that reads padding alone is zero.
    """

    kernel: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints
    groups: int = 1
    biased: bool = True


@dataclass(frozen=True)
class TransposedConvolution(Operation):
    """Inputs x (N, C, *space), kernel (C, O / groups, *taps). Output (N, O, *space').

    Input i, tap t reach output i * stride - before + t * dilation.
    """

    kernel: Ints
    stride: Ints
    before: Ints
    dilation: Ints
    groups: int = 1
    biased: bool = True


@dataclass(frozen=True)
class Pool(Operation):
    """Input x (..., *space), output (..., *space'); padding takes part in no output. ``ceil_mode`` shows in the shape
    only.

    ``name``: "max", "average" or "power".
    """

    kernel: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints
    name: str = "max"


@dataclass(frozen=True)
class AdaptivePool(Operation):
    """Input x (..., *space), output (..., *space') over the last ``axes`` axes: window floor(o n / m) .. ceil((o + 1)
    n / m).
    """

    axes: int
    name: str = "average"


@dataclass(frozen=True)
class Resample(Operation):
    """Interpolation over ``axes`` by ``mode``: "nearest", "nearest-exact", "linear", "cubic".

    ``scales`` are the factors (output over input) that the framework was *given*, per axis, None where only the size
    was given: PyTorch uses a given factor, not the ratio of the lengths.
    """

    axes: Ints
    mode: str
    align_corners: bool = False
    antialias: bool = False
    scales: tuple[float | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Interpolate(Operation):
    """Interpolation along ``axis`` by a table, for the conventions that ``Resample`` does not know.

    Output i is the sum over t of ``weights[i, t]`` times input ``taps[i, t]``, both (length out, k); a tap outside the
    input stands for the border element where ``edge`` is true, else for nothing; a weight of zero reads nothing.
    ``ratio`` = (a, b): the taps of output i + b are those of output i, shifted by a.
    """

    axis: int
    taps: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    edge: bool = True
    ratio: tuple[int, int] | None = None


@dataclass(frozen=True)
class Pointwise(Operation):
    """Any number of inputs, broadcast together (NumPy rules); each output element reads the same element of each.

    ``name`` is the plain name ("relu", "add", "multiply", "divide", "minimum", ...). What it makes of known numbers is
    in ``rules/elements.py``: a constant zero annuls the other factor, one of -100 switches a softmax off.
    ``factors``: a fixed number that each operand is multiplied by (() for none).
    ``numbers``: all arguments, None for each input; empty where no plain number is among them.
    """

    name: str
    factors: tuple[float, ...] = ()
    numbers: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Select(Operation):
    """Inputs condition, a, b, broadcast: where(condition, a, b). With a constant condition only one side is read."""


@dataclass(frozen=True)
class Reduce(Operation):
    """Each output element reads all elements along ``axes`` (sum, mean, max, norm, any ...)."""

    axes: Ints
    keepdims: bool
    name: str


@dataclass(frozen=True)
class Mix(Operation):
    """Same shape out as in; each element reads all elements along ``axes``.

    ``name``: "softmax", "log_softmax", "normalize" (element plus statistics: the statistics are global context), "fft",
    "sort".
    ``groups`` = (axis, count): along ``axis`` (which must be in ``axes``) only the element's own group of
    size shape[axis] / count is read, as in group normalisation.
    """

    axes: Ints
    name: str
    groups: tuple[int, int] | None = None


@dataclass(frozen=True)
class Scan(Operation):
    """Running operation along ``axis``: output i reads inputs up to i ("forward"), from i on ("backward"), or all
    ("both").

    All of ``across`` (feature axes) is read as well; the output may have another length along those axes.
    Cumulative sums, recurrent cells.
    """

    axis: int
    direction: str
    name: str
    across: Ints = ()


@dataclass(frozen=True)
class Contract(Operation):
    """Sum of products over labelled axes, as in einsum: matmul, linear, attention's two products.

    ``labels[i]`` are the labels of operand i's axes, ``out`` those of the result; a label not in ``out`` is summed.
    An axis of length 1 broadcasts against its label. Example, linear: labels ((0, 1, 2), (3, 2)), out (0, 1, 3).
    """

    labels: tuple[Ints, ...]
    out: Ints
    biased: bool = False
    """Whether weights of the model's own are added, which are no input."""


@dataclass(frozen=True)
class Reshape(Operation):
    """Row-major reshape to the output's shape."""


@dataclass(frozen=True)
class Permute(Operation):
    """Output axis i is input axis ``order[i]``."""

    order: Ints


@dataclass(frozen=True)
class Expand(Operation):
    """Broadcast to the output's shape (new axes lead)."""


@dataclass(frozen=True)
class Slice(Operation):
    """Every ``step``-th element along ``axis`` from ``start``; the length is the output's."""

    axis: int
    start: int
    step: int = 1


@dataclass(frozen=True)
class Flip(Operation):
    """Reverse along ``axes``."""

    axes: Ints


@dataclass(frozen=True)
class Roll(Operation):
    """Circular shift: output i along axes[k] is input i - shifts[k]."""

    axes: Ints
    shifts: Ints


@dataclass(frozen=True)
class Pad(Operation):
    """Pad every axis by ``widths`` (before, after; negative crops). ``mode``: "constant", "reflect", "replicate",
    "circular".
    """

    widths: Pairs
    mode: str = "constant"
    value: float = 0.0


@dataclass(frozen=True)
class Concatenate(Operation):
    """Join the inputs along ``axis``."""

    axis: int


@dataclass(frozen=True, eq=False)
class Take(Operation):
    """Constant index along one axis (index_select): output i along ``axis`` is input ``index[i]``; -1 is nothing.

    An index (n, k) adds up k inputs for each output, ``weights`` (n, k) times each (1 where there are none); ``name``
    says how they are joined where it is not a sum.
    """

    axis: int
    index: np.ndarray = field(repr=False)
    weights: np.ndarray | None = field(default=None, repr=False)
    name: str = "add"


@dataclass(frozen=True, eq=False)
class Gather(Operation):
    """General move: output element j (row-major) is input element ``index[j]`` (row-major); -1 is nothing.

    An index with one more axis than the output joins several inputs, as in :class:`Take`.
    """

    index: np.ndarray = field(repr=False)
    weights: np.ndarray | None = field(default=None, repr=False)
    name: str = "add"


@dataclass(frozen=True)
class Place(Operation):
    """Inputs root, part. Output is root with the block at ``starts``, ``steps`` (one each per axis) replaced by
    part.
    """

    starts: Ints
    steps: Ints


@dataclass(frozen=True)
class Unroll(Operation):
    """Sliding windows as an axis: ``axis`` gets the number of windows, and a new last axis holds the ``size`` taps.

    Window o, tap t is input o * step + t * dilation (``Tensor.unfold``; im2col is Pad, Unroll per axis, Permute,
    Reshape).
    """

    axis: int
    size: int
    step: int
    dilation: int = 1


@dataclass(frozen=True)
class Overlap(Operation):
    """The reverse of Unroll with summation: the last axis holds the taps, ``axis`` the windows.

    Output i along ``axis`` reads (o, t) with o * step + t * dilation - before == i (col2im).
    """

    axis: int
    step: int
    dilation: int = 1
    before: int = 0


@dataclass(frozen=True)
class Lookup(Operation):
    """Gather whose *index* depends on the source but whose table does not (embeddings): inputs index; pointwise, new
    axes last.
    """


@dataclass(frozen=True)
class Sample(Operation):
    """Reads where data says (grid_sample, deformable convolution, roi_align, gather by a computed index).

    Every output element is taken to read everything, or where ``axis`` is given, all along that axis (of length 1 in
    the output); the status of what follows is data-dependent, unless all along it read the same.
    """

    name: str
    axis: int | None = None


@dataclass(frozen=True)
class Opaque(Operation):
    """An operation without a rule: every output element is taken to read everything; what follows is a bound."""

    name: str
