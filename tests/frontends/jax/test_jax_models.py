"""Flax modules (linen and nnx), names, sources, verify and measured fields of the JAX front end; random networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

jax = pytest.importorskip("jax")
jnp = jax.numpy
import foveal  # noqa: E402
from foveal.core.errors import FovealError, TraceError  # noqa: E402
from support.frameworks.jax_oracle import wrong_hulls  # noqa: E402

lax = jax.lax
SHAPE = (1, 24, 20, 3)


def linen_network() -> Any:
    nn = pytest.importorskip("flax.linen")

    class Block(nn.Module):
        width: int

        @nn.compact
        def __call__(self, x: Any) -> Any:
            y = nn.Conv(self.width, (3, 3), name="conv")(x)
            y = nn.BatchNorm(use_running_average=True, name="norm")(y)
            return nn.relu(y) + x

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Conv(4, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)), name="stem")(x)
            x = Block(4, name="block1")(x)
            x = nn.max_pool(x, (2, 2), (2, 2))
            x = Block(4, name="block2")(x)
            return nn.Dense(3, name="head")(x.mean((1, 2)))

    return Network()


EXPECTED = {"stem": (3, 2), "block1.conv": (7, 2), "block1.norm": (7, 2), "block1": (7, 2), "max_pool": (9, 4),
            "block2.conv": (17, 4), "block2": (17, 4)}  # fmt: skip
"""By hand: 3; + 2 * 2; the pool + 2; + 2 * 4."""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["bare", "pair", "bound"])
def test_a_linen_module(form: str) -> None:
    module = linen_network()
    variables = None if form == "bare" else module.init(jax.random.key(0), jnp.zeros(SHAPE))
    model = {"bare": module, "pair": (module, variables), "bound": variables and module.bind(variables)}[form]
    graph = foveal.trace(model, SHAPE)
    found = {name: foveal.receptive_field(graph, name) for name in EXPECTED}
    assert {name: (rf.size[0], rf.stride[0]) for name, rf in found.items()} == EXPECTED
    assert all(rf.status == "exact" for rf in found.values())
    assert graph.name == "Network"
    assert graph.layer("block1.conv").parameters == 3 * 3 * 4 * 4 + 4
    assert graph.layer("block1").leaf is False
    assert graph.parameters == 112 + 2 * (148 + 8) + 15
    assert foveal.verify(graph, ["block1", "block2"]).agrees


@pytest.mark.slow
def test_an_nnx_module_is_named_by_its_attributes() -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Network(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.stem = nnx.Conv(3, 4, (3, 3), rngs=rngs)
            self.body = nnx.Sequential(nnx.Conv(4, 4, (5, 5), rngs=rngs), nnx.relu, nnx.Conv(4, 4, (3, 3), rngs=rngs))
            self.norm = nnx.BatchNorm(4, use_running_average=True, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.norm(self.body(self.stem(x)))

    model = Network(nnx.Rngs(0))
    kinds = [type(part) for _, part in nnx.iter_modules(model)]
    graph = foveal.trace(model, SHAPE)
    sizes = {name: foveal.receptive_field(graph, name).size[0] for name in graph.layers}
    assert sizes["stem"] == 3
    assert sizes["body.layers.0"] == 7
    assert sizes["body"] == sizes["norm"] == 9
    assert graph.layer("stem").type == "Conv"
    assert [type(part) for _, part in nnx.iter_modules(model)] == kinds
    assert foveal.verify(graph, "body").agrees


def test_named_scopes_are_layers() -> None:
    def network(x: Any) -> Any:
        with jax.named_scope("stem"):
            x = jax.nn.relu(_conv(x, 3))
        for _ in range(2):
            with jax.named_scope("stage"):
                x = _conv(x, 3)
            x = x + 1
        return jax.nn.softmax(_conv(x, 1), axis=-1)

    graph = foveal.trace(network, SHAPE)
    assert [name for name in graph.layers if graph.layer(name).kind == "module"] == [
        "stem",
        "stage",
        "stage#2",
        "output",
    ]
    assert "exp" not in graph.layers
    assert foveal.receptive_field(graph, "stage#2").size == (7, 7)


def test_axes_follow_the_first_window_or_what_is_said() -> None:
    layout = ("NCHW", "OIHW", "NCHW")

    def first(x: Any) -> Any:
        return lax.conv_general_dilated(x, jnp.ones((2, 3, 3, 3)), (1, 1), "SAME", dimension_numbers=layout)

    assert foveal.trace(first, (1, 3, 24, 20)).sources[0].axes == (2, 3)
    assert foveal.trace(lambda x: _conv(x, 3), SHAPE).sources[0].axes == (1, 2)
    assert foveal.trace(lambda x: x * 2, (1, 24, 3)).sources[0].axes == (1,)
    assert foveal.trace(lambda x: x * 2, (1, 3, 24), axes="NCW").sources[0].axes == (2,)
    with pytest.raises(TraceError, match="axes 'NCHW' has 4 letters"):
        foveal.trace(lambda x: x, (1, 3, 24), axes="NCHW")


def test_several_inputs_and_keywords() -> None:
    def both(image: Any, mask: Any, scale: float = 1.0) -> Any:
        return {"joined": _conv(image, 3) + _conv(mask, 7) * scale}

    graph = foveal.trace(both, {"image": SHAPE, "mask": SHAPE, "scale": 2.0})
    assert [source.name for source in graph.sources] == ["image", "mask"]
    assert foveal.receptive_field(graph, "output", source="image").size == (3, 3)
    assert foveal.receptive_field(graph, "output", source="mask").size == (7, 7)


def test_errors_are_one_line() -> None:
    with pytest.raises(FovealError, match="no input shape"):
        foveal.trace(lambda x: x)
    with pytest.raises(TraceError, match=r"<lambda>: .* \(input shape 1x24x20x3\)") as caught:
        foveal.trace(lambda x: x @ jnp.ones((7, 2)), SHAPE)
    assert "\n" not in str(caught.value)
    with pytest.raises(TraceError, match="weights must be"):
        foveal.trace(lambda x: x, SHAPE, weights="all")


def test_an_unknown_primitive_is_a_bound_and_listed() -> None:
    graph = foveal.trace(lambda x: jnp.linalg.svd(x[0, :, :, 0], full_matrices=False)[0], (1, 6, 6, 2))
    assert foveal.receptive_field(graph, "output").status == "bound"
    assert [(note.code, note.text) for note in graph.notes] == [("opaque", "svd")] * len(graph.notes)
    assert graph.notes


def test_a_loop_that_data_ends_is_a_bound() -> None:
    graph = foveal.trace(lambda x: lax.while_loop(lambda y: y.sum() < 10, lambda y: jnp.roll(y, 1, 1), x), SHAPE)
    assert foveal.receptive_field(graph, "output").status == "bound"


def test_reading_where_data_says_is_data_dependent() -> None:
    def moved(x: Any) -> Any:
        return lax.dynamic_slice(x, (0, jnp.argmax(x[0, :, 0, 0]), 0, 0), (1, 2, 2, 3))

    assert foveal.receptive_field(foveal.trace(moved, SHAPE), "output").status == "data-dependent"


def test_squeeze_and_excitation_keeps_its_local_receptive_field() -> None:
    def gated(x: Any) -> Any:
        y = _conv(x, 3)
        return y * jax.nn.sigmoid(y.mean((1, 2), keepdims=True))

    rf = foveal.receptive_field(foveal.trace(gated, SHAPE), "output")
    assert rf.local is not None
    assert rf.local.size == (3, 3)
    assert rf.box((12, 10), clip=True) == ((0, 24), (0, 20))


@pytest.mark.parametrize("protocol", ["foveal", "luo2016", "replknet"])
def test_the_measured_field_is_that_of_pytorch(protocol: str) -> None:
    """The same weights and images in both frameworks: the same map, by autodiff of each."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    kernels = [rng.standard_normal((3, 3, 3, 4)), rng.standard_normal((3, 3, 4, 4))]
    kernels = [kernel.astype(np.float32) for kernel in kernels]
    convolutions = [torch.nn.Conv2d(k.shape[2], 4, 3, padding=1, bias=False) for k in kernels]
    for convolution, kernel in zip(convolutions, kernels):
        convolution.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    model = torch.nn.Sequential(convolutions[0], torch.nn.ReLU(), convolutions[1])

    def network(x: Any) -> Any:
        x = jax.nn.relu(_with(x, kernels[0]))
        with jax.named_scope("2"):
            return _with(x, kernels[1])

    images = rng.standard_normal((3, 24, 20, 3)).astype(np.float32)
    options: dict[str, Any] = {"kind": "gradient", "protocol": protocol, "at": (12, 10)}
    ours = foveal.field(foveal.trace(network, SHAPE), "2", images=images, **options)
    theirs = foveal.field(foveal.trace(model, (1, 3, 24, 20)), "2", images=images.transpose(0, 3, 1, 2), **options)
    assert "by jax.grad" in ours.method
    assert ours.origin == theirs.origin
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-4, atol=1e-6 * theirs.values.max())


@pytest.mark.slow
@pytest.mark.parametrize("detail", ["model", "squares"])
def test_energy_from_a_modules_own_weights_is_that_of_pytorch(detail: str) -> None:
    nn, torch = pytest.importorskip("flax.linen"), pytest.importorskip("torch")

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.relu(nn.Conv(4, (3, 5), name="stem")(x))
            return nn.Conv(5, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)), name="down")(x)

    module = Network()
    variables = module.init(jax.random.key(0), jnp.zeros(SHAPE))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, (3, 5), padding=(1, 2)), torch.nn.ReLU(), torch.nn.Conv2d(4, 5, 3, 2, 1)
    )
    for index, name in ((0, "stem"), (2, "down")):
        kernel = np.array(variables["params"][name]["kernel"])
        theirs[index].weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    options: dict[str, Any] = {"kind": "energy", "weights": detail}
    found = foveal.field(foveal.trace((module, variables), SHAPE), "down", **options)
    expected = foveal.field(foveal.trace(theirs.eval(), (1, 3, 24, 20)), "2", **options)
    assert found.origin == expected.origin
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)


def test_energy_is_refused_in_one_line_where_weights_are_not_known_by_name() -> None:
    """A function's closed-over arrays have no names; a module without variables has only shapes."""
    says = "'energy' with the model's own weights is not available here: conv_general_dilated at .* not known"
    for model, layer in ((lambda x: _conv(x, 3), "output"), (linen_network(), "stem")):
        graph = foveal.trace(model, SHAPE)
        with pytest.raises(FovealError, match=says) as caught:
            foveal.field(graph, layer, kind="energy", weights="model")
        assert "\n" not in str(caught.value)


def test_energy_is_refused_in_one_line_behind_a_norm_written_out() -> None:
    module = linen_network()
    graph = foveal.trace((module, module.init(jax.random.key(0), jnp.zeros(SHAPE))), SHAPE)
    with pytest.raises(FovealError, match="'energy' with the model's own weights is not available here: ") as caught:
        foveal.field(graph, "block1", kind="energy", weights="model")
    assert "\n" not in str(caught.value)


def _conv(x: Any, taps: int) -> Any:
    return _with(x, np.random.default_rng(taps).uniform(0.5, 1.5, (taps, taps, x.shape[-1], 3)))


def _with(x: Any, kernel: np.ndarray) -> Any:
    layout = ("NWC", "WIO", "NWC") if kernel.ndim == 3 else ("NHWC", "HWIO", "NHWC")
    ones = (1,) * (kernel.ndim - 2)
    return lax.conv_general_dilated(x, jnp.asarray(kernel).astype(x.dtype), ones, "SAME", dimension_numbers=layout)


Step = Callable[[Any], Any]


def convolution(taps: int, stride: int, dilation: int, spread: int, low: int, high: int, seed: int) -> Step:
    kernel = np.random.default_rng(seed).uniform(0.5, 1.5, (taps, 2, 2))
    kernel *= np.random.default_rng(seed + 1).choice([-1, 1], kernel.shape)

    def step(x: Any) -> Any:
        return lax.conv_general_dilated(
            x, jnp.asarray(kernel).astype(x.dtype), (stride,), ((low, high),), (spread,), (dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )  # fmt: skip

    return step


def pool(taps: int, stride: int) -> Step:
    return lambda x: lax.reduce_window(x, 0.0, lax.add, (1, taps, 1), (1, stride, 1), "SAME")


MOVES: list[Step] = [
    lambda x: jnp.flip(x, 1), lambda x: jnp.roll(x, 2, 1), lambda x: x[:, ::2],
    lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 0))),
    lambda x: jnp.repeat(x, 2, axis=1), lambda x: jnp.concatenate([x, jnp.flip(x, 1)], 1), lambda x: jnp.cumsum(x, 1),
    lambda x: jnp.tanh(x) + jnp.roll(x, 1, 1), lambda x: x * jax.nn.sigmoid(x),
]  # fmt: skip
STEPS = st.one_of(
    st.builds(
        convolution, st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2),
        st.integers(0, 2), st.integers(0, 99),
    ),
    st.builds(pool, st.integers(1, 3), st.integers(1, 2)),
    st.sampled_from(MOVES),
)  # fmt: skip


@pytest.mark.slow
@given(steps=st.lists(STEPS, min_size=2, max_size=4), join=st.booleans(), length=st.integers(8, 12))
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_networks(steps: list[Step], join: bool, length: int) -> None:
    def network(x: Any) -> Any:
        for step in steps:
            y = step(x)
            if y.shape[1] < 1 or y.shape[1] > 60:
                break
            x = jnp.concatenate([x, y], 1) if join and y.shape[1] == x.shape[1] else y
        return x * 1.5

    assert wrong_hulls(network, (1, length, 2), (1,)) == []
