"""The JAX front end against brute force: the real function is perturbed in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy
lax = jax.lax
import foveal  # noqa: E402
from support.frameworks.jax_cases import (  # noqa: E402
    CASES,
    MAP,
    MORE,
    PLAIN,
    SIGNAL,
    conv,
    one_element,
    pooled_gradient,
    weights,
)
from support.frameworks.jax_oracle import wrong_hulls  # noqa: E402


@pytest.mark.parametrize("name", CASES)
def test_a_rule_against_perturbation(name: str) -> None:
    function, shape = CASES[name]
    axes = (2, 3) if shape == MAP else (1,) if len(shape) == 3 else (1, 2)
    assert wrong_hulls(function, shape, axes) == []


"""Functions of one element; each is tried on numbers inside its domain, added to a neighbour so that none can hide."""


@pytest.mark.parametrize("name", PLAIN)
def test_a_function_of_one_element(name: str) -> None:
    assert wrong_hulls(one_element(name), SIGNAL, (1,)) == []


@pytest.mark.parametrize("name", MORE)
def test_more_rules_against_perturbation(name: str) -> None:
    assert wrong_hulls(MORE[name], SIGNAL, (1,)) == []


def test_the_gradient_of_a_maximum() -> None:
    assert wrong_hulls(pooled_gradient, SIGNAL, (1,)) == []


@pytest.mark.parametrize(
    ("primitive", "like", "name"),
    [("rev", "cos", "moves"), ("cumsum", "cos", "cumsum"), ("reduce_max", "cos", "reductions")],
)
def test_a_wrong_rule_is_caught(primitive: str, like: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the primitive is taken for one that keeps every element where it is (a reduction reads the first)."""
    from foveal.frontends.jax.lowering.table import RULES
    from foveal.ir import ops

    def first(t: Any, eqn: Any, x: Any) -> int:
        (axis,) = eqn.params["axes"]
        kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        return int(t.reshaped(t.node(ops.Slice(axis, 0), (t.value(x),), kept), eqn.outvars[0].aval.shape))

    monkeypatch.setitem(RULES, primitive, first if primitive == "reduce_max" else RULES[like])
    function, shape = CASES[name]
    assert wrong_hulls(function, shape, (1, 2)) != []


def test_an_input_without_counted_axes_is_a_constant_or_counts_like_weights() -> None:
    def call(x: Any, mask: Any) -> Any:
        return jnp.where(mask, x, 0).sum(1, keepdims=True) + x

    shape = {"x": (1, 4, 2), "mask": jnp.arange(8).reshape(1, 4, 2) > 5}
    graph = foveal.trace(call, shape, axes={"mask": ()})
    assert [source.name for source in graph.sources] == ["x"]
    assert foveal.receptive_field(graph, "output").box(0, clip=True) == ((0, 4),)
    graph = foveal.trace(lambda x, scale: x * scale, {"x": (1, 4, 2), "scale": (1, 4, 1)}, axes={"scale": ()})
    assert foveal.receptive_field(graph, "output").size == (1,)
    with pytest.raises(foveal.FovealError, match="no input 'y'; there are mask, x"):
        foveal.trace(call, shape, axes={"y": ()})


@pytest.mark.parametrize(
    ("join", "own", "other"),
    [
        (lambda x, y: x + 0.1 * y, 1, 0.1),
        (lambda x, y: (x - y / 4) / 2, 0.5, 0.125),
        (lambda x, y: y - x, 1, 1),
    ],
)
def test_plain_numbers_that_multiply_count_in_the_energy(join: Any, own: float, other: float) -> None:
    """y = a x + b F(x) with unit F over three taps: a^2 + b^2 / 3 in the middle, b^2 / 3 beside it."""
    graph = foveal.trace(lambda x: join(x, conv(x, weights(3, 2, 2), (1,), layout=("NWC", "WIO", "NWC"))), SIGNAL)
    found = foveal.field(graph, "output", "energy")
    assert found.status == "exact"
    assert found.full()[5:8] == pytest.approx([other**2 / 3, own**2 + other**2 / 3, other**2 / 3])


@pytest.mark.parametrize(("factor", "status"), [(1, "exact"), (0.1, "approximation")])
def test_a_known_matrix_is_an_interpolation_only_with_its_weights(factor: float, status: str) -> None:
    """A tenth of the identity mixes nothing, but is no resize, whose weights add up to 1."""
    matrix = factor * np.eye(2, dtype=np.float32)
    graph = foveal.trace(lambda x: jnp.einsum("btc,cd->btd", x, matrix), SIGNAL, axes=(1,))
    assert foveal.field(graph, "output", "energy").status == status
