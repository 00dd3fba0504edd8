"""The fields that a page carries: chosen layers, small arrays of bytes, with what was lost said beside them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.field import Field
from foveal.fields.kinds import field as field_of
from foveal.fields.metrics import level_of, moments
from foveal.ir.graph import Graph
from foveal.ir.rules import traits
from foveal.report.findings import reachable

SAMPLES = {1: 2048, 2: 96, 3: 32}
"""Most samples along one axis of a field, by the number of source axes; larger fields are averaged over blocks."""
KINDS = ("energy", "paths", "edges", "support")


def default_kinds(graph: Graph) -> tuple[str, ...]:
    """All kinds; without edges where activations are multiplied (attention), whose cones are too large to count."""
    known = reachable(graph)
    attention = any(
        traits(node.op).product(node.op) and sum(used in known for used in node.inputs) > 1 for node in graph.nodes
    )
    return tuple(kind for kind in KINDS if not (attention and kind == "edges"))


def field_answer(graph: Graph, layer: str, kind: str, **how: Any) -> dict[str, Any]:
    """The packed field of a unit, the middle one where none is named, or under "missing" why there is none."""
    graph.layer(layer)
    try:
        return {"field": packed(field_of(graph, layer, kind=kind, **how))}
    except FovealError as error:
        return {"missing": str(error)}


def layer_fields(
    graph: Graph, layer: str, source: str, kinds: Sequence[str], images: Any = None, at: Sequence[int] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """(kind -> packed field of a unit, the middle one if none is named; kind -> why there is none)."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for kind in kinds:
        how = {"source": source, "at": None if at is None else tuple(at)}
        answer = field_answer(graph, layer, kind, **how, **({"images": images} if kind == "gradient" else {}))
        if "field" in answer:
            found[kind] = answer["field"]
        else:
            missing[kind] = answer["missing"]
    return found, missing


def packed(field: Field) -> dict[str, Any]:
    """A field as bytes: value q stands for (q / 255)**2 of the largest; positions with any weight have q >= 1.

    origin: first position; step: positions per sample and axis; shape: samples; erf: effective side,
    side_90: 90 % side, at_border: whether what counts reaches the end of the source, sigma: standard deviations (all of
    the full field, before anything was averaged); level: the value of q above which a position counts, None where none
    does; weight: share of the source positions of the hull that have weight.
    """
    values = np.asarray(field.values, dtype=np.float64)
    limit = SAMPLES.get(values.ndim, 16)
    step = [max(1, -(-n // limit)) for n in values.shape]
    small = _block_means(values, step)
    largest = float(small.max(initial=0.0))
    shares = np.sqrt(small / largest) if largest > 0 else small
    bytes_ = np.where(small > 0, np.maximum(1, np.rint(255 * shares)), 0).astype(np.uint8)
    spread = moments(field.normalized(), (0,) * values.ndim) if largest > 0 else None
    counts = field.effective()
    return {
        "unit": list(field.unit),
        "origin": list(field.origin),
        "step": step,
        "shape": list(small.shape),
        "hull": [list(side) for side in field.hull],
        "max": float(values.max(initial=0.0)),
        "status": field.status,
        "method": field.method,
        "scaled": field.log_total is not None,
        "erf": None if counts is None else counts.side,
        "side_90": None if counts is None else counts.side_90,
        "at_border": counts is not None and counts.at_border,
        "level": None if counts is None else 255 * level_of(bool(field.squared)) ** 0.5,
        "sigma": None if spread is None else [float(s) for s in spread.sigmas],
        "weight": float((values > 0).mean()) if values.size else 0.0,
        "data": base64.b64encode(zlib.compress(bytes_.tobytes(), 9)).decode("ascii"),
    }


def _block_means(values: np.ndarray, step: Sequence[int]) -> np.ndarray:
    """Means over blocks of ``step`` positions; the last block of an axis may be smaller."""
    for axis, size in enumerate(step):
        if size > 1:
            edges = np.arange(0, values.shape[axis], size)
            counts = np.diff(np.append(edges, values.shape[axis]))
            sums = np.add.reduceat(values, edges, axis=axis)
            values = sums / counts.reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    return values
