"""Expected squared gradient with a model's own weights: no image, no draw.

Each weight is thought to have a random sign, so that squared gradients add up. Two levels of detail: "model" replaces
each kernel by its mean square per tap, norms and activations by one factor for all channels; "squares" keeps each
weight's own square, channel by channel (docs/methods.md 2.3; Luo et al. 2016 for the unit case).

Norms in evaluation: gamma^2 / (variance + epsilon). Activations: mean squared slope for the normal input that the norm
before them promises (its beta, gamma), else for a unit normal. Multiplication by a parameter or constant: its square.
A bounded gate: its mean square; the path through the gate is left out. Norms by statistics of their own input (layer
norm, group norm): gamma^2, as if that input had unit variance; the statistics are left out. Attention: uniform weights
on the values. Anything else whose factor depends on the data is an error that names the operation and the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.engine.backward import activations
from foveal.engine.backward.algebra import Flow, dense
from foveal.engine.backward.gains import Gains
from foveal.engine.backward.kernels import contracted, convolved
from foveal.engine.backward.stages import Stage
from foveal.engine.forward.bounds import bounds
from foveal.engine.roles import roles
from foveal.ir.graph import Graph, Node
from foveal.ir.relation import Read
from foveal.ir.rules import traits

MEANS = "norms and activations by their mean over channels"
SLOPED = "activations by their mean squared slope for normal inputs"
NORMED = "norms by statistics of their own input as if it had unit variance"
GATED = "gates at their mean square, the path through the gate left out"
PLAIN = frozenset(("add", "subtract", "dropout", "negative", "abs", "clone", "contiguous", "identity"))
HALVES = frozenset(("maximum", "minimum", "fmax", "fmin"))


class OwnGains(Gains):
    """Factors and weighted reads from a model's parameters. Raises FovealError where there are none."""

    def __init__(self, graph: Graph, detail: str) -> None:
        super().__init__(graph, "energy")
        if graph.backend is None:
            raise FovealError(f"the model's own weights are not available: {graph.name or 'the graph'} has none")
        self.model = graph.backend
        self.detail = detail
        self.producers = graph.producers()

    def carry(self, node: Node, way: Read, flow: Flow, path: tuple[Stage, ...]) -> Flow | None:
        """The contribution of a read whose weights differ from tap to tap or from channel to channel, else None."""
        known = traits(node.op)
        if known.function(node.op):
            factor = self._channel_factor(node)
            if factor is None or self.detail == "model":
                return None
            return per_channel(flow, 1, factor)
        if self._normalises(node):
            found = self._scaled(node) if self.detail == "squares" else None
            return None if found is None else per_channel(flow, *found)
        if len(node.inputs) < 2 or way.operand > 1 or self.partners(node, way):
            return None
        window, product = known.kernel(node.op), known.product(node.op)
        if product is None and window is None:
            return None
        squares = self.array(node.inputs[1 - way.operand], node) ** 2
        whole = self.detail == "squares"
        if product is not None:
            return contracted(product, way.operand, squares, flow, self.graph, node, whole)
        assert window is not None
        return convolved(window, squares, flow, path, self.graph.values[node.inputs[way.operand]].shape, whole)

    def own(self, node: Node, way: Read) -> float:
        """The scalar factor of a read that :meth:`carry` leaves alone."""
        op, known = node.op, traits(node.op)
        if known.function(op):
            return self._pointwise(node, way)
        if known.product(op):
            return super().own(node, way) if self.partners(node, way) else 1.0
        if known.kernel(op):
            if self.partners(node, way):
                raise unavailable(node, "has a kernel made from the input")
            return 1.0
        if known.gain(op) == "fixed":
            return super().own(node, way)
        if self._normalises(node):
            self.notes.add(NORMED)
            gamma = self._gamma_of(node)
            if self.detail == "squares" and self._scaled(node) is not None:
                return 1.0
            return 1.0 if gamma is None else float((gamma**2).mean())
        raise unavailable(node, "has a gain that depends on the data")

    def _normalises(self, node: Node) -> bool:
        """Whether an element is divided by statistics of what lies around it."""
        kinds = {way.kind for way in bounds(self.graph).facts.ways(node)}
        return traits(node.op).gain(node.op) == "unit" and kinds == {"value", "statistics"}

    def _gamma_of(self, node: Node) -> np.ndarray | None:
        gamma = self.model.settings(node.scope).get("weight")
        return None if gamma is None else np.asarray(gamma, dtype=float)

    def _scaled(self, node: Node) -> tuple[int, np.ndarray] | None:
        """The axis of features that a norm scales, and by what squares; None where that is not told apart."""
        gamma, shape = self._gamma_of(node), self.graph.values[node.output].shape
        pairs = enumerate(zip(shape, roles(self.graph)[node.output], strict=True))
        axes = [axis for axis, (n, role) in pairs if role == "c" and gamma is not None and n == gamma.size > 1]
        return None if len(axes) != 1 or gamma is None or gamma.ndim != 1 else (axes[0], gamma**2)

    def array(self, value: int, node: Node) -> np.ndarray:
        """The numbers of a value that depends on no source; raises FovealError where they are not known."""
        item = self.graph.values[value]
        if item.kind == "constant" and item.data is not None:
            return np.asarray(item.data)
        if item.kind == "parameter":
            found = self.model.array(item.name) if item.name else None
            if found is None:
                raise unavailable(node, "has weights whose values are not known")
            return np.asarray(found)
        maker = self.producers.get(value)
        if maker is None or len(maker.inputs) != 1:
            raise unavailable(node, "has weights that are computed")
        moved = traits(maker.op).apply
        inner = self.array(maker.inputs[0], node)
        if moved is None:
            raise unavailable(node, "has weights that are computed")
        return moved(maker.op, [inner], item.shape)

    def _pointwise(self, node: Node, way: Read) -> float:
        name = traits(node.op).function(node.op)
        if name in ("batch_norm", "prelu") or name in activations.SLOPES:
            factor = self._channel_factor(node)
            if factor is None:
                raise unavailable(node, "has a gain that is not known")
            if name in activations.SLOPES:
                self.notes.add(SLOPED)
            if self.detail == "model" and factor.size > 1:
                self.notes.add(MEANS)
            return float(factor.mean()) if self.detail == "model" else 1.0
        others = [i for k, i in enumerate(node.inputs) if k != way.operand]
        if name in PLAIN:
            return 1.0
        if name in HALVES:
            return 0.5
        if name in ("multiply", "divide") and way.factor != 1:
            return 1.0
        if name == "multiply" and others:
            return float(np.prod([self._factor(node, way, i) for i in others]))
        if name == "divide" and others and way.operand == 0 and others[0] not in self.signals:
            constant = self.graph.values[others[0]].kind == "constant"
            return 1.0 if constant else float((1 / self.array(others[0], node) ** 2).mean())
        raise unavailable(node, "has a gain that depends on the data or on a number that the trace does not keep")

    def _factor(self, node: Node, way: Read, other: int) -> float:
        """What a multiplication by ``other`` does to a squared gradient, on average."""
        if self.graph.values[other].kind == "constant":
            return 1.0
        if other not in self.signals:
            return float((self.array(other, node) ** 2).mean())
        maker, mine = self.producers.get(other), self.producers.get(node.inputs[way.operand])
        for candidate, factor in ((maker, None), (mine, 0.0)):
            gate = self._gate(candidate)
            if gate is not None:
                self.notes.add(GATED)
                return gate if factor is None else factor
        raise unavailable(node, "multiplies two signals")

    def _gate(self, maker: Node | None) -> float | None:
        while maker is not None and traits(maker.op).views(maker.op):
            maker = self.producers.get(maker.inputs[0])
        return None if maker is None else activations.mean_square_gate(traits(maker.op).function(maker.op))

    def _channel_factor(self, node: Node) -> np.ndarray | None:
        """The factor of each channel (or of all alike, length 1) of a norm or an activation; None for other names."""
        name = traits(node.op).function(node.op)
        if name == "batch_norm":
            own = self.model.settings(node.scope)
            if "running_var" not in own:
                raise unavailable(node, "has no running variance")
            variance = np.asarray(own["running_var"], dtype=float) + float(own.get("eps", 1e-5))
            return np.asarray(_gamma(own) ** 2 / variance)
        if name not in activations.SLOPES and name != "prelu":
            return None
        settings: dict[str, Any] = self.model.settings(node.scope)
        if name == "prelu":
            slope = settings.get("weight")
            return None if slope is None else activations.leaky_factor(np.asarray(slope, dtype=float))
        if name == "leaky_relu" and "negative_slope" in settings:
            return activations.leaky_factor(np.asarray(settings["negative_slope"], dtype=float))
        mean, spread = self._promised(node)
        return activations.mean_square_slope(name, mean, spread)

    def _promised(self, node: Node) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of an activation's input: what the batch norm before it makes, else 0 and 1."""
        before = self.producers.get(node.inputs[0])
        if before is None or traits(before.op).function(before.op) != "batch_norm":
            return np.zeros(1), np.ones(1)
        own = self.model.settings(before.scope)
        gamma = np.abs(_gamma(own))
        return np.asarray(own.get("bias", np.zeros_like(gamma)), dtype=float), gamma


def per_channel(flow: Flow, axis: int, factor: np.ndarray) -> Flow:
    """The flow times a factor per channel."""
    if factor.size == 1:
        return Flow(flow.data * float(factor.flat[0]), flow.runs, flow.scale)
    wide = dense(flow, axis, factor.size)
    along = factor.reshape((-1,) + (1,) * (wide.data.ndim - axis - 1))
    return Flow(wide.data * along.astype(wide.data.dtype), wide.runs, wide.scale)


def unavailable(node: Node, why: str) -> FovealError:
    """The error for a gain that the weights do not give."""
    return FovealError(f"'energy' with the model's own weights is not available here: {node.place} {why}")


def _gamma(own: dict[str, Any]) -> np.ndarray:
    variance = np.asarray(own["running_var"], dtype=float)
    return np.asarray(own["weight"], dtype=float) if "weight" in own else np.ones_like(variance)
