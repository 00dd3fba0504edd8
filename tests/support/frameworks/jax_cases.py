"""Functions of JAX that the rules are tried on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

jnp = jax.numpy
lax = jax.lax

Array = Any


def weights(*shape: int) -> np.ndarray:
    """Weights away from zero, the same for the same shape."""
    rng = np.random.default_rng(shape)
    return (rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)).astype(np.float32)


K3, K3_GROUPED, K1D = weights(3, 3, 2, 4), weights(3, 3, 1, 4), weights(4, 2, 3)


ROWS = weights(7, 5)


def conv(x: Array, kernel: Any, stride: Any = (1, 1), padding: Any = "SAME", **options: Any) -> Array:
    layout = options.pop("layout", ("NHWC", "HWIO", "NHWC"))
    kernel = jnp.asarray(kernel).astype(x.dtype)
    return lax.conv_general_dilated(x, kernel, stride, padding, dimension_numbers=layout, **options)


EDGES = np.array([[0, 0, 3, 7, 7, 7, 11], [1, 5, 3, 2, 8, 9, 0]])
IMAGE, MAP, SIGNAL = (1, 9, 8, 2), (1, 2, 9, 8), (1, 12, 2)


CASES: dict[str, tuple[Callable[..., Any], Any]] = {
    "conv same": (lambda x: conv(x, K3), IMAGE),
    "conv valid stride": (lambda x: conv(x, K3, (2, 3), "VALID"), IMAGE),
    "conv dilated": (lambda x: conv(x, K3, rhs_dilation=(2, 1)), IMAGE),
    "conv uneven padding": (lambda x: conv(x, K3, (2, 2), ((3, 0), (0, 2))), IMAGE),
    "conv cropping": (lambda x: conv(x, K3, (1, 1), ((-1, 0), (0, -2))), IMAGE),
    "conv grouped": (lambda x: conv(x, K3_GROUPED, feature_group_count=2), IMAGE),
    "conv NCHW": (lambda x: conv(x, weights(4, 2, 3, 3), layout=("NCHW", "OIHW", "NCHW")), MAP),
    "conv HWNC": (lambda x: conv(jnp.transpose(x, (1, 2, 0, 3)), K3, layout=("HWNC", "HWIO", "NHWC")), IMAGE),
    "conv 1d": (lambda x: conv(x, K1D, (1,), "VALID", layout=("NWC", "WIO", "NWC")), SIGNAL),
    "transposed": (lambda x: conv(x, K3, padding=((2, 2), (1, 2)), lhs_dilation=(2, 3)), IMAGE),
    "transposed grouped": (
        lambda x: conv(x, K3_GROUPED, padding=((1, 2), (1, 1)), lhs_dilation=(2, 2), feature_group_count=2), IMAGE),
    "transposed dilated": (
        lambda x: conv(x, K3, padding=((2, 2), (2, 2)), lhs_dilation=(2, 2), rhs_dilation=(2, 1)), IMAGE),
    "dilated input with stride": (lambda x: conv(x, K3, (2, 1), ((1, 1), (1, 1)), lhs_dilation=(3, 2)), IMAGE),
    "conv_transpose": (lambda x: lax.conv_transpose(x, jnp.asarray(K3, x.dtype), (2, 2), "SAME"), IMAGE),
    "batch groups": (
        lambda x: conv(x.reshape(2, 1, 9, 8), weights(4, 1, 3, 3), batch_group_count=2,
                       layout=("NCHW", "OIHW", "NCHW")), (1, 2, 9, 8)),
    "max pool": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1), "SAME"), IMAGE),
    "min pool": (lambda x: lax.reduce_window(x, jnp.inf, lax.min, (1, 2, 2, 1), (1, 2, 1, 1), "VALID"), IMAGE),
    "sum pool dilated": (
        lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 3, 2, 1), (1, 1, 1, 1), "VALID", window_dilation=(1, 2, 3, 1)),
        IMAGE),
    "sum pool spread": (
        lambda x: lax.reduce_window(
            x, 0.0, lax.add, (1, 3, 2, 1), (1, 2, 1, 1), ((0, 0), (1, 1), (0, 1), (0, 0)), base_dilation=(1, 2, 2, 1)),
        IMAGE),
    "product pool": (lambda x: lax.reduce_window(x, 1.0, lax.mul, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"), IMAGE),
    "mean": (lambda x: x * jnp.mean(x, axis=1, keepdims=True), IMAGE),
    "reductions": (
        lambda x: (x.max(1), x.min(2), x.sum((1, 2)), x.prod(1), jnp.all(x > 0, 1), jnp.any(x > 1, 2)), IMAGE),
    "argmax": (lambda x: (jnp.argmax(x, 1), jnp.argmin(x, 2)), IMAGE),
    "variadic reduce": (
        lambda x: lax.reduce((x, x * 2), (jnp.float32(0).astype(x.dtype),) * 2,
                             lambda a, b: (a[0] + b[0], a[1] + b[1]), (1,)), IMAGE),
    "cumsum": (lambda x: (jnp.cumsum(x, 1), lax.cumsum(x, 2, reverse=True), lax.cummax(x, 1)), IMAGE),
    "cumprod": (lambda x: (lax.cumprod(x, 1), lax.cumlogsumexp(x, 2), lax.cummin(x, 2)), IMAGE),
    "sort": (lambda x: (jnp.sort(x, 1), jnp.argsort(x, 2)), IMAGE),
    "sort together": (lambda x: lax.sort((x, jnp.flip(x, 1)), dimension=1, num_keys=1), IMAGE),
    "top_k": (lambda x: lax.top_k(jnp.moveaxis(x, 1, -1), 3), IMAGE),
    "fft": (lambda x: jnp.abs(jnp.fft.fft(x, axis=1)), IMAGE),
    "rfft": (lambda x: jnp.abs(jnp.fft.rfft(x[..., 0], axis=-1)), IMAGE),
    "softmax": (lambda x: jax.nn.softmax(x, axis=1), IMAGE),
    "softmax masked": (
        lambda x: jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((8, 8), bool)), jnp.einsum("bhwc,bhvc->bhwv", x, x),
                                           -jnp.inf)) @ x, IMAGE),
    "log_softmax": (lambda x: jax.nn.log_softmax(x, axis=2), IMAGE),
    "attention": (lambda x: jax.nn.dot_product_attention(x, x, x, is_causal=True), (1, 9, 2, 4)),
    "dot": (lambda x: jnp.einsum("bhwc,co->bhwo", x, weights(2, 5)), IMAGE),
    "dot over space": (lambda x: jnp.einsum("bhwc,hv->bvwc", x, weights(9, 5)), IMAGE),
    "dot batched": (lambda x: jnp.einsum("bhwc,bhvc->bhwv", x, x[:, :, :3]), IMAGE),
    "triangular": (lambda x: jnp.einsum("bhwc,hv->bvwc", x, jnp.tril(weights(9, 9))), IMAGE),
    "Toeplitz matrix": (lambda x: jax.scipy.linalg.toeplitz(np.float32([1, 2] + 10 * [0])) @ x, SIGNAL),
    "blocks of weights": (lambda x: jax.scipy.linalg.block_diag(weights(3, 5), weights(4, 7)) @ x, SIGNAL),
    "random numbers": (lambda x: x * jax.random.uniform(jax.random.key(0), (2,), minval=1, maxval=2), SIGNAL),
    "state set back by a vector": (
        lambda x: lax.scan(lambda c, row: (c * row[0] + row[1],) * 2, jnp.zeros((1, 2)),
                           (np.float32([0, 1, 1, 1] * 3), jnp.swapaxes(x, 0, 1)))[1].swapaxes(0, 1), SIGNAL),
    "moves": (lambda x: jnp.flip(jnp.transpose(x, (0, 2, 1, 3)), 1)[:, ::2, 1:-1], IMAGE),
    "roll": (lambda x: jnp.roll(x, (2, -3), (1, 2)), IMAGE),
    "pad": (lambda x: lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (1, -2, 1), (2, 0, 2), (0, 0, 0))), IMAGE),
    "pad reflect": (lambda x: conv(jnp.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode="reflect"), K3), IMAGE),
    "pad edge wrap": (
        lambda x: (jnp.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode="edge"),
                   jnp.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode="wrap")), IMAGE),
    "concatenate": (lambda x: jnp.concatenate([x[:, 2:], conv(x, K3)[..., :2][:, :-2]], axis=3), IMAGE),
    "stack split": (lambda x: jnp.stack(jnp.split(x, 3, axis=1), axis=-1), IMAGE),
    "space to depth": (lambda x: x.reshape(1, 3, 3, 4, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(1, 3, 4, 12), IMAGE),
    "take": (lambda x: (jnp.take(x, np.array([3, 1, 1, 7]), axis=1), x[:, :, np.array([0, -1])]), IMAGE),
    "gather two axes": (lambda x: x[:, np.array([0, 3, 8]), np.array([1, 1, 7])], IMAGE),
    "take_along_axis": (
        lambda x: jnp.take_along_axis(x, np.arange(9)[::-1].reshape(1, 9, 1, 1) % np.array([9, 4]), axis=1), IMAGE),
    "scatter": (lambda x: jnp.zeros((1, 12, 8, 2)).at[:, 2:11].set(x), IMAGE),
    "scatter add": (lambda x: x.at[:, np.array([1, 4])].add(x[:, np.array([6, 7])]), IMAGE),
    "scatter add to repeated places": (lambda x: x.at[:, EDGES[0]].add(x[:, EDGES[1]]), SIGNAL),
    "scatter extremes of repeated places": (lambda x: x.at[:, EDGES[0]].max(x[:, EDGES[1]]), SIGNAL),
    "scatter add of elements": (lambda x: x.at[0, np.array([3, 3, 5]), np.array([1, 1, 0])].add(x[0, :3, 0]), SIGNAL),
    "segment sum": (lambda x: jax.ops.segment_sum(x[0][EDGES[1]], EDGES[0], 12)[None], SIGNAL),
    "banded matrix": (lambda x: jnp.einsum("vw,nwc->nvc", np.eye(12) + np.eye(12, k=2) / 2, x), SIGNAL),
    "scatter what a function makes": (lambda x: x.at[:, np.array([1, 1, 4])].apply(jnp.sin), IMAGE),
    "scatter strided": (lambda x: x.at[:, ::3].multiply(conv(x, K3)[:, ::3, :, :2]), IMAGE),
    "dynamic_slice": (lambda x: lax.dynamic_slice(x, (0, 2, 7, 0), (1, 4, 3, 2)), IMAGE),
    "dynamic_update_slice": (lambda x: lax.dynamic_update_slice(x, x[:, :2] * 2, (0, 8, 0, 0)), IMAGE),
    "where constant": (lambda x: jnp.where(np.arange(8)[:, None] % 2 == 0, x, conv(x, K3)[..., :2]), IMAGE),
    "where computed": (lambda x: jnp.where(x > 0, jnp.roll(x, 1, 1), jnp.roll(x, -1, 2)), IMAGE),
    "select of three": (lambda x: lax.select_n(
        np.broadcast_to(np.arange(8, dtype=np.int32)[:, None] % 3, IMAGE), x, jnp.roll(x, 1, 1), jnp.roll(x, 2, 1)),
        IMAGE),
    "times zero": (lambda x: jnp.roll(x, 1, 1) * np.where(np.arange(8) < 4, 0.0, 1.0)[:, None] + x, IMAGE),
    "resize linear": (lambda x: jax.image.resize(x, (1, 18, 16, 2), "linear"), IMAGE),
    "resize cubic": (lambda x: jax.image.resize(x, (1, 18, 12, 2), "cubic"), IMAGE),
    "resize nearest": (lambda x: jax.image.resize(x, (1, 18, 12, 2), "nearest"), IMAGE),
    "resize smaller": (lambda x: jax.image.resize(x, (1, 4, 4, 2), "linear"), IMAGE),
    "resize smaller, aliased": (lambda x: jax.image.resize(x, (1, 3, 4, 2), "linear", antialias=False), IMAGE),
    "resize lanczos": (lambda x: jax.image.resize(x, (1, 18, 16, 2), "lanczos3"), IMAGE),
    "scan over time": (
        lambda x: lax.scan(lambda c, row: (jnp.tanh(c + row @ weights(2, 2)), c), jnp.zeros((1, 2)),
                           jnp.swapaxes(x, 0, 1))[1].swapaxes(0, 1), SIGNAL),
    "scan reversed": (
        lambda x: lax.scan(lambda c, row: (c + row, c + row), jnp.zeros((1, 2)), jnp.swapaxes(x, 0, 1),
                           reverse=True)[1].swapaxes(0, 1), SIGNAL),
    "scan over layers": (
        lambda x: lax.scan(lambda c, k: (conv(c, k), None), x, weights(3, 3, 3, 2, 2))[0], IMAGE),
    "fori_loop": (lambda x: lax.fori_loop(0, 3, lambda i, c: conv(c, K3[..., :2]), x), IMAGE),
    "while counted": (lambda x: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, jnp.roll(s[1], 1, 1)),
                                               (0, x))[1], IMAGE),
    "cond constant": (lambda x: lax.cond(np.bool_(True), lambda y: conv(y, K3), lambda y: conv(y, K3, (1, 1)), x),
                      IMAGE),
    "switch on data": (
        lambda x: lax.switch((x[0, 0, 0, 0] > 0).astype(int), [lambda y: jnp.roll(y, 1, 1), lambda y: y], x), IMAGE),
    "checkpoint": (jax.checkpoint(lambda x: jax.nn.gelu(conv(x, K3))), IMAGE),
    "jit": (jax.jit(lambda x: jax.nn.silu(conv(x, K3))), IMAGE),
    "vmap": (lambda x: jax.vmap(lambda y: conv(y[None], K3)[0])(x), IMAGE),
    "custom_jvp": (lambda x: jax.nn.relu(jax.nn.relu6(x) - 0.1), IMAGE),
    "clip": (lambda x: jnp.clip(lax.clamp(-1.0, x, 1.0), -0.5, 0.9) ** 2 + lax.rem(x, 0.7), IMAGE),
    "pointwise": (
        lambda x: jnp.arctan2(jnp.sin(x), jnp.abs(x) + 1) + lax.erf(x) * jax.nn.sigmoid(x) / (x**2 + 1), IMAGE),
    "integer steps": (lambda x: jnp.floor(x * 8).astype(jnp.int32) // 3 + (x.astype(jnp.int32) << 1), IMAGE),
    "one_hot": (lambda x: jax.nn.one_hot(jnp.argmax(x, -1), 2), IMAGE),
}  # fmt: skip


PLAIN = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bessel_i0e",
    "bessel_i1e",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "digamma",
    "erf_inv",
    "erfc",
    "exp2",
    "expm1",
    "imag",
    "lgamma",
    "log1p",
    "neg",
    "round",
    "rsqrt",
    "sinh",
    "sqrt",
    "square",
    "tan",
]


def one_element(name: str) -> Callable[[Array], Array]:
    def function(x: Array) -> Array:
        y = jax.nn.sigmoid(jnp.roll(x, 1, 1)) * 0.8 + (1.1 if name == "acosh" else 0.1)
        y = lax.complex(y, y) if name == "imag" else y * 40 if name in ("ceil", "round") else y
        return getattr(lax, name)(y)

    return function


@jax.custom_vjp
def doubled(x: Array) -> Array:
    return jnp.roll(x, 1, 1) * 2


doubled.defvjp(lambda x: (doubled(x), None), lambda _, g: (g,))


def steps(x: Array) -> Array:
    """Whole numbers that follow the input closely."""
    return jnp.floor(x * 64).astype(jnp.int32)


MORE: dict[str, Callable[..., Any]] = {
    "integers": lambda x: (
        steps(x) ^ 5, steps(x) | 4, ~steps(x), lax.shift_right_arithmetic(steps(x), jnp.int32(1)),
        lax.shift_right_logical(steps(x), jnp.int32(1)), lax.population_count(steps(x)), lax.clz(steps(x))),
    "comparisons": lambda x: (
        jnp.where(x < jnp.roll(x, 1, 1), x, 0), jnp.where(x <= jnp.roll(x, 1, 1), x, 0),
        jnp.where(x >= jnp.roll(x, 1, 1), x, 0)),
    "powers": lambda x: (jnp.abs(x) + 0.5) ** (jnp.roll(x, 1, 1) * 0.1),
    "special": lambda x: (
        lax.igamma(jnp.abs(x) + 1, jnp.abs(jnp.roll(x, 1, 1)) + 1),
        lax.igammac(jnp.abs(x) + 1, jnp.abs(jnp.roll(x, 1, 1)) + 1),
        lax.zeta(jnp.abs(x) + 2, jnp.abs(jnp.roll(x, 1, 1)) + 1)),
    "scatter subtract": lambda x: x.at[:, np.array([1, 4])].subtract(x[:, np.array([6, 7])]),
    "scatter extremes": lambda x: (
        x.at[:, np.array([1, 4])].max(x[:, np.array([6, 7])]), x.at[:, np.array([1, 4])].min(x[:, np.array([6, 7])])),
    "tile": lambda x: lax.tile(x, (1, 2, 1)) if hasattr(lax, "tile") else jnp.tile(x, (1, 2, 1)),
    "custom_vjp": lambda x: doubled(x) + 1,
    "expand": lambda x: lax.expand_dims(x, (1,)),
}  # fmt: skip


@jax.grad
def pooled_gradient(x: Array) -> Array:
    return (lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 1), (1, 2, 1), "VALID") ** 2).sum()
