"""The JAX front end against brute force: the real function is perturbed in double precision."""

from __future__ import annotations

from typing import Any

import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy
lax = jax.lax
import foveal  # noqa: E402
from support.frameworks.jax_cases import CASES, MAP, MORE, PLAIN, SIGNAL, one_element, pooled_gradient  # noqa: E402
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
