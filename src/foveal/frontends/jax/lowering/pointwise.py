"""Lowering of element by element primitives and selection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveal.frontends.jax.lowering.table import rule
from foveal.frontends.jax.lowering.tracer import Cell, Equation, Tracer
from foveal.ir import ops
from foveal.ir.fixed import constant

_PLAIN = """
abs acos acosh and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz cos cosh digamma eq
erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igammac igamma_grad_a integer_pow is_finite le lgamma log log1p
logistic lt max min ne neg nextafter not or polygamma population_count pow regularized_incomplete_beta rem round
rsqrt shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square tan tanh xor zeta eq_to le_to
lt_to mulhi""".split()  # noqa: SIM905

_PUBLIC = {"logistic": "sigmoid", "neg": "negative", "max": "maximum", "min": "minimum", "pow": "power"}
_TRUTHS = {name: f"logical_{name}" for name in ("and", "or", "not", "xor")}


@rule(*_PLAIN)
def pointwise(t: Tracer, eqn: Equation, *cells: Cell) -> int:
    """Reads the same element of each operand that is not a plain number."""
    name = _PUBLIC.get(eqn.primitive.name, eqn.primitive.name)
    if name == "maximum" and len(cells) == 2 and any(c.data is not None and np.all(c.data == 0) for c in cells):
        name = "relu"
    if name == "maximum" and len(cells) == 2 and any(c.data is not None and np.all(c.data == -np.inf) for c in cells):
        return t.value(next(c for c in cells if c.data is None or not np.all(c.data == -np.inf)))
    out = eqn.outvars[0].aval
    name = _TRUTHS.get(name, name) if out.dtype == bool else name
    if name == "clamp":
        cells = (cells[1], cells[0], cells[2])
    if len(cells) == 1:
        return t.node(ops.Pointwise(name), _arrays(t, cells), out.shape)
    return _counted(t, name, cells, out.shape)


_NEUTRAL = {"multiply": 1.0, "divide": 1.0, "add": 0.0, "subtract": 0.0}


def _counted(t: Tracer, name: str, cells: Sequence[Cell], shape: Sequence[int]) -> int:
    """The operation with its plain numbers, and with those constant arrays that may hold a mask."""
    inputs: list[int] = []
    numbers: list[float | None] = []
    for cell in cells:
        data = cell.data
        plain = data is not None and data.dtype.kind in "biuf"
        if data is None or (plain and data.size > 1 and constant(data) is not None):
            inputs.append(t.value(cell))
            numbers.append(None)
        elif plain and data.size == 1:
            numbers.append(float(data.reshape(())))
        elif name in _NEUTRAL:
            numbers.append(_NEUTRAL[name])
    given = tuple(numbers) if any(number is not None for number in numbers) else ()
    return t.node(ops.Pointwise(name, _factors(name, numbers), given), inputs, shape)


def _factors(name: str, numbers: Sequence[float | None]) -> tuple[float, ...]:
    """The plain number that the one operand is multiplied by or divided by."""
    if len(numbers) != 2 or numbers.count(None) != 1:
        return ()
    if name == "multiply":
        return tuple(number for number in numbers if number is not None and number != 1)
    by = numbers[1] if name == "divide" else None
    return (1 / by,) if by is not None and by not in (0, 1) else ()


def _arrays(t: Tracer, cells: Sequence[Cell]) -> list[int]:
    return [t.value(cell) for cell in cells if cell.data is None]


@rule("complex")
def complex_number(t: Tracer, eqn: Equation, real: Cell, imaginary: Cell) -> int:
    """Both parts stay operands, so that either is found again; those of one number are that number."""
    parts = t.value(real), t.value(imaginary)
    made = t.producer(parts[1])
    if made is not None and getattr(made.op, "name", "") == "imag" and tuple(made.inputs) == parts[:1]:
        return parts[0]
    return t.node(ops.Pointwise("complex"), parts, eqn.outvars[0].aval.shape)


@rule("real", "imag")
def part(t: Tracer, eqn: Equation, x: Cell) -> int:
    """Of a number just put together the part itself; of any other, something made from it."""
    value, imaginary = t.value(x), bool(eqn.primitive.name == "imag")
    made = t.producer(value)
    if made is not None and getattr(made.op, "name", "") == "complex":
        return made.inputs[imaginary]
    return t.node(ops.Pointwise("imag"), (value,), x.shape) if imaginary else value


@rule("tie")
def tie(t: Tracer, eqn: Equation, first: Cell, second: Cell) -> int:
    """Computed after the first operand, it is the second."""
    return t.value(second)


@rule("add", "add_any")
def add(t: Tracer, eqn: Equation, a: Cell, b: Cell) -> int:
    """Numbers are kept: a mask may be made with them."""
    return _counted(t, "add", (a, b), eqn.outvars[0].aval.shape)


@rule("sub")
def subtract(t: Tracer, eqn: Equation, a: Cell, b: Cell) -> int:
    """A constant taken away is its negative added."""
    shape = eqn.outvars[0].aval.shape
    if b.data is None or b.data.dtype.kind not in "iuf":
        return _counted(t, "subtract", (a, b), shape)
    return _counted(t, "add", (a, Cell(b.shape, None, -b.data.astype(np.float64))), shape)


@rule("mul")
def multiply(t: Tracer, eqn: Equation, a: Cell, b: Cell) -> int:
    """A constant zero annuls the other factor, so arrays with zeros are kept; a mean is a sum over a count."""
    shape = eqn.outvars[0].aval.shape
    for cell, other in ((a, b), (b, a)):
        if cell.data is None and other.data is not None and other.data.size == 1 and other.data.real.item() != 0:
            mean = _mean(t, cell, 1.0 / float(other.data.real.item()), shape)
            if mean is not None:
                return mean
    if any(c.data is not None and c.data.size == 1 and not np.any(c.data) for c in (a, b)):
        return t.node(ops.Pointwise("multiply"), (t.value(a), t.value(b)), shape)
    return _counted(t, "multiply", (a, b), shape)


@rule("div")
def divide(t: Tracer, eqn: Equation, a: Cell, b: Cell) -> int:
    """A softmax and a mean are recognised by what was divided, since they mean more than the division."""
    shape = eqn.outvars[0].aval.shape
    if b.data is None:
        found = _softmax(t, t.value(a), t.value(b), shape)
        return _counted(t, "divide", (a, b), shape) if found is None else found
    if b.data.size == 1 and a.data is None and b.data.dtype.kind in "fiu":
        mean = _mean(t, a, float(b.data.item()), shape)
        if mean is not None:
            return mean
    return _counted(t, "divide", (a, b), shape)


def _mean(t: Tracer, cell: Cell, count: float, shape: Sequence[int]) -> int | None:
    """The mean, where ``cell`` is a sum (perhaps with axes of length 1 put back) of that many elements."""
    moves = []
    node = t.producer(t.value(cell))
    while node is not None and isinstance(node.op, ops.Reshape):
        moves.append(node)
        node = t.producer(node.inputs[0])
    if node is None or not isinstance(node.op, ops.Reduce) or node.op.name != "sum":
        return None
    read = np.prod([t.shape(node.inputs[0])[axis] for axis in node.op.axes])
    if abs(read - count) > 1e-6 * read:
        return None
    t.means("mean", node.output)
    value = t.node(ops.Reduce(node.op.axes, node.op.keepdims, "mean"), node.inputs, t.shape(node.output))
    for move in reversed(moves):
        value = t.node(ops.Reshape(), (value,), t.shape(move.output))
    return value


def _softmax(t: Tracer, top: int, bottom: int, shape: Sequence[int]) -> int | None:
    """The softmax, where ``top`` is exp(x - max x) and ``bottom`` its sum, broadcast."""
    exponential, total = t.producer(top), t.origin(bottom)
    if exponential is None or getattr(exponential.op, "name", "") != "exp":
        return None
    if total is None or not isinstance(total.op, ops.Reduce) or total.op.name != "sum" or total.inputs != (top,):
        return None
    x, inner = exponential.inputs[0], [top, total.output]
    shifted = t.producer(x)
    if shifted is not None and getattr(shifted.op, "name", "") == "subtract" and len(shifted.inputs) == 2:
        largest = t.origin(shifted.inputs[1])
        if largest is not None and isinstance(largest.op, ops.Reduce) and largest.inputs == shifted.inputs[:1]:
            x, inner = shifted.inputs[0], [*inner, shifted.output, largest.output]
    t.means("softmax", *inner)
    return t.node(ops.Mix(total.op.axes, "softmax"), (x,), shape)


@rule("select_n")
def select(t: Tracer, eqn: Equation, which: Cell, *cases: Cell) -> int:
    """Two cases by a Boolean; more by a whole number, one after the other."""
    shape = eqn.outvars[0].aval.shape
    if len(cases) == 2:
        inputs = (t.value(which), t.value(cases[1]), t.value(cases[0]))
        return t.node(ops.Select(), inputs, shape)
    value = t.value(cases[-1])
    for number, case in reversed(list(enumerate(cases[:-1]))):
        chosen = t.array(np.asarray(which.data == number)) if which.data is not None else t.value(which)
        value = t.node(ops.Select(), (chosen, t.value(case), value), shape)
    return value
