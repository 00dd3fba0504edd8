"""Every rule of the JAX front end has a case that brute force checks; the cases of rarely met primitives are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy
lax = jax.lax
from jax.ad_checkpoint import checkpoint_name  # noqa: E402

import foveal  # noqa: E402
from foveal.frontends.jax.lowering import table as jax_lowering  # noqa: E402
from foveal.frontends.jax.lowering.table import RULES  # noqa: E402
from support.frameworks.jax_cases import CASES, MORE, PLAIN, SIGNAL, one_element, pooled_gradient, steps  # noqa: E402
from support.frameworks.jax_oracle import wrong_hulls  # noqa: E402

Array = Any


def bound(module: str, name: str) -> Callable[..., Any]:
    """A primitive that has no public function, applied as it is."""
    return lambda *arrays, **parameters: getattr(__import__(module, fromlist=["_"]), f"{name}_p").bind(
        *arrays, **parameters
    )


LAX, STATE = "jax._src.lax.lax", "jax._src.state.primitives"


def before(x: Array) -> Array:
    return jnp.roll(x, 1, 1)


def unit(x: Array) -> Array:
    """Numbers from 0.1 to 0.9."""
    return jax.nn.sigmoid(x) * 0.8 + 0.1


def whole(x: Array) -> Any:
    """Integers as wide as the floats."""
    return jnp.int64 if x.dtype == jnp.float64 else jnp.int32


def twice_used(x: Array) -> Array:
    """Its gradient adds what comes back on two ways, by add_any."""
    return (before(x) ** 3 + jnp.roll(x, -1, 1) ** 3).sum()


def ordered(name: str) -> Callable[[Array], Array]:
    """A comparison in the total order of floats."""
    return lambda x: jnp.where(bound(LAX, name)(jnp.sign(x), jnp.sign(before(x))), x, 0)


def windows(x: Array, taps: int, stride: int, padding: Any) -> Array:
    def pooled(y: Array) -> Array:
        return (lax.reduce_window(y, -jnp.inf, lax.max, (1, taps, 1), (1, stride, 1), padding) ** 2).sum()

    return jax.grad(pooled)(x)


RARE: dict[str, Callable[..., Any]] = {
    "add_any": jax.grad(twice_used),
    "approx_top_k": lambda x: lax.approx_max_k(jnp.swapaxes(x, 1, 2), 3),
    "bitcast": lambda x: lax.bitcast_convert_type(x, whole(x)),
    "bitcast to parts": lambda x: lax.bitcast_convert_type(before(x), jnp.int16)[..., -1],
    "bitcast from parts": lambda x: lax.bitcast_convert_type(
        lax.bitcast_convert_type(x, jnp.int16)[:, ::2], whole(x)),
    "broadcast_to": lambda x: bound(STATE, "broadcast_to")(before(x), shape=(4, *x.shape[1:])),
    "copies": lambda x: jnp.copy(before(x)) + lax.optimization_barrier(x),
    "parts of complex numbers": lambda x: lax.real(lax.conj(lax.complex(before(x), x))),
    "a part of a constant and a variable": lambda x: lax.imag(lax.complex(x, jnp.ones_like(x))) + before(x),
    "a number of its own parts": lambda x: lax.complex(
        *(lambda z: (lax.real(z), lax.imag(z)))((1 + 1j) * lax.complex(before(x), x))).real,
    "parts of products": lambda x: (lax.complex(x, before(x)) ** 2).real,
    "precision": lambda x: lax.reduce_precision(before(x), 8, 20),
    "names and devices": lambda x: jax.device_put(checkpoint_name(before(x), "kept"), jax.devices()[0]),
    "tie": lambda x: bound(LAX, "tie")(x, before(x)),
    "eq_to": ordered("eq_to"),
    "le_to": ordered("le_to"),
    "lt_to": ordered("lt_to"),
    "igamma_grad_a": lambda x: lax.igamma_grad_a(unit(x) + 1, unit(before(x)) + 1),
    "is_finite": lambda x: lax.is_finite(jnp.exp(x * 2000)),
    "mulhi": lambda x: lax.mulhi(steps(x) << 20, steps(before(x)) << 16),
    "nextafter": lambda x: (lax.nextafter(x, before(x)) - x) * 2.0**52,
    "polygamma": lambda x: lax.polygamma(jnp.ones_like(x), unit(before(x))),
    "polygamma of an order": lambda x: lax.polygamma(jnp.floor(unit(x) * 5), unit(before(x))),
    "reduce_xor": lambda x: lax.reduce_xor(x > 0, (1,)),
    "regularized_incomplete_beta": lambda x: lax.betainc(unit(x), unit(before(x)), unit(jnp.roll(x, 2, 1))),
    "stack": lambda x: lax.stack_p.bind(x, before(x), axis=1),
    "unstack": lambda x: lax.unstack_p.bind(x, axis=2),
    "select_and_scatter": lambda x: windows(x, 3, 1, "SAME"),
    "select_and_scatter with stride": lambda x: windows(x, 3, 2, "VALID"),
    "select_and_scatter apart": lambda x: windows(x, 2, 3, "VALID"),
    "select_and_scatter uneven": lambda x: windows(x, 4, 2, ((0, 0), (1, 2), (0, 0))),
    "select_and_scatter of one": lambda x: windows(x, 1, 2, "VALID"),
}  # fmt: skip


@pytest.mark.parametrize("name", RARE)
def test_a_rare_rule_against_perturbation(name: str) -> None:
    assert wrong_hulls(RARE[name], SIGNAL, (1,)) == []


UNTRIED = {
    "layout_constraint": "of a device's memory layout",
    "pbroadcast": "of a device mesh",
    "pin": "of buffers that a kernel owns",
    "pvary": "of a device mesh",
    "reduced_vary_cast_p": "of a device mesh",
    "reshard": "of a device mesh",
    "sharding_constraint": "of a device mesh",
    "unpin": "of buffers that a kernel owns",
    "vary_unreduced_cast_p": "of a device mesh",
    "with_memory_space_constraint": "of kernels",
}
"""Primitives that brute force cannot try on one processor, and why; all hand their operand on."""


class Noting(set[str]):
    """Remembers what was looked up and found."""

    used: set[str]

    def __contains__(self, name: object) -> bool:
        found = super().__contains__(name)
        if found:
            self.used.add(str(name))
        return found


def primitives(item: Any) -> set[str]:
    """The names in a jaxpr and in those inside it."""
    jaxpr = getattr(item, "jaxpr", item)
    if isinstance(jaxpr, (tuple, list)):
        return set().union(*map(primitives, jaxpr))
    inner = [value for eqn in getattr(jaxpr, "eqns", ()) for value in eqn.params.values()]
    return {eqn.primitive.name for eqn in getattr(jaxpr, "eqns", ())}.union(*map(primitives, inner))


@pytest.fixture(scope="module")
def reached() -> set[str]:
    """Primitives whose rule the cases of this file and of test_jax_frontend.py use: noted when they are traced.

    A case is traced if it has a primitive that the cases before it did not reach.
    """
    used: set[str] = set()
    same = Noting(jax_lowering.SAME)
    same.used = used

    def noting(name: str, rule: Any) -> Callable[..., Any]:
        return lambda *given: used.add(name) or rule(*given)

    cases = [*CASES.values()]
    cases += [(function, SIGNAL) for function in (*MORE.values(), *RARE.values(), *map(one_element, PLAIN))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax_lowering, "SAME", same)
        for name, rule in [*RULES.items()]:
            patch.setitem(RULES, name, noting(name, rule))
        for function, shape in [*cases, (pooled_gradient, SIGNAL)]:
            known = set(RULES) | jax_lowering.SAME
            if (primitives(jax.make_jaxpr(function)(jnp.zeros(shape))) & known) - used:
                axes = (2, 3) if shape == (1, 2, 9, 8) else (1,) if len(shape) == 3 else (1, 2)
                foveal.trace(function, shape, axes=axes)
    return used


@pytest.mark.slow
@pytest.mark.xdist_group("jax rules")
def test_every_rule_has_a_case(reached: set[str]) -> None:
    assert set(RULES) | jax_lowering.SAME == reached | set(UNTRIED), "add a case that brute force checks"
    assert set(UNTRIED) & reached == set(), "these can be tried after all"
    assert set(UNTRIED) <= jax_lowering.SAME, "every rule of the table proper can be tried"
    assert len(RULES) == 128


@pytest.mark.slow
@pytest.mark.xdist_group("jax rules")
def test_a_rule_without_a_case_would_be_noticed(reached: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "made_up", RULES["cos"])
    with pytest.raises(AssertionError, match="add a case"):
        test_every_rule_has_a_case(reached)


def test_an_imaginary_part_of_zeros_hides_no_mask() -> None:
    """As FNet mixes its tokens: the norm behind multiplies the mixed values."""

    def mixed(x: Array) -> Array:
        y = x + jnp.fft.fft(lax.complex(x, jnp.zeros_like(x))).real
        return y * lax.rsqrt((y * y).mean(-1, keepdims=True))

    graph = foveal.trace(mixed, SIGNAL)
    assert foveal.receptive_field(graph, "output").status == "exact"
