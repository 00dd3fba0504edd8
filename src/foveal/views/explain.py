"""One unit of one layer explained on one image: its field, what it sees, and the numbers, ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log, prod, sqrt

import numpy as np

from foveal.core.errors import FovealError
from foveal.fields.field import Field
from foveal.fields.kinds import field as field_of
from foveal.fields.metrics import FieldMetrics
from foveal.fields.metrics.effective import SHARE
from foveal.fields.receptive_field import ReceptiveField, receptive_field
from foveal.ir.graph import Graph
from foveal.views.foveate import foveate, human_view, matching_pixels_per_degree
from foveal.views.pictures import eye_chart


@dataclass(frozen=True, eq=False)
class Explanation:
    """A unit on an image. Pictures are (H, W, 3) in 0..1, of the source's height and width.

    seen: the image as the unit sees it; human: with the fall-off of an eye that fixates ``fixation`` (row, column) from
    the distance at which its resolution is halved where the unit's weight is; rows: (name, number) for a table.
    """

    network: str
    image_name: str
    field: Field
    image: np.ndarray
    seen: np.ndarray
    human: np.ndarray
    fixation: tuple[float, float]
    pixels_per_degree: float
    gamma: float
    rows: tuple[tuple[str, str], ...]


def explain(
    graph: Graph,
    layer: str,
    image: np.ndarray | None = None,
    image_name: str = "built-in eye chart",
    kind: str = "energy",
    at: Sequence[int] | None = None,
    gamma: float = 1.0,
    weights: str = "unit",
) -> Explanation:
    """Explain the unit ``at`` (default: the middle one) of ``layer`` on ``image``, (H, W, 3) of the source's size.

    kind and weights are those of :func:`foveal.fields.field`; gamma that of :func:`foveal.views.foveate.foveate`.
    Without an image a built-in eye chart is used. Raises FovealError for a source that is no plane and for an image of
    another size, UnknownLayerError for a layer that is not there.
    """
    shape = plane(graph, layer)
    rf = receptive_field(graph, layer)
    field = field_of(graph, layer, kind=kind, at=None if at is None else tuple(at), source=rf.source, weights=weights)
    picture = eye_chart(shape) if image is None else image
    measured = field.metrics()
    fixation = _fixation(field)
    distance = matching_pixels_per_degree(max(0.5, half_width(measured)))
    return Explanation(
        network=graph.name,
        image_name=image_name,
        field=field,
        image=picture,
        seen=foveate(picture, field, gamma),
        human=human_view(picture, fixation, distance, relative=True),
        fixation=fixation,
        pixels_per_degree=distance,
        gamma=gamma,
        rows=(*_theoretical(rf, field), *_effective(rf, field, measured)),
    )


def plane(graph: Graph, layer: str) -> tuple[int, int]:
    """Height and width of the source that the layer looks at; raises FovealError where it is no plane."""
    rf = receptive_field(graph, layer)
    if len(rf.source_shape) != 2:
        raise FovealError(
            f"{layer}: only a unit that looks at an image can be explained on one; source '{rf.source}' has "
            f"{len(rf.source_shape)} axes (draw it with `foveal field`)"
        )
    return rf.source_shape[0], rf.source_shape[1]


def half_width(measured: FieldMetrics) -> float:
    """Pixels from its center at which a Gaussian of the field's sigma has fallen to half: sigma sqrt(2 ln 2)."""
    sigmas = measured.sigmas or (0.0,)
    return float(prod(sigmas) ** (1 / len(sigmas))) * sqrt(2 * log(2))


def _fixation(field: Field) -> tuple[float, float]:
    """The RF center, moved into the image where it lies outside."""
    center = field.center or tuple((a + b - 1) / 2 for a, b in field.hull)
    row, column = (min(max(float(c), 0.0), n - 1.0) for c, n in zip(center, field.source_shape))
    return row, column


def _theoretical(rf: ReceptiveField, field: Field) -> list[tuple[str, str]]:
    rows = [
        ("RF size (unclipped)", f"{rf.size_text()} px"),
        ("RF inside the image", " x ".join(str(b - a) for a, b in field.hull) + " px"),
        ("stride", _by("none" if s is None else f"{s} px" for s in rf.stride)),
        ("status", field.status),
    ]
    if field.center is not None:
        rows.insert(2, ("RF center (row, column)", ", ".join(f"{float(c):g}" for c in field.center)))
    if rf.local is not None:
        rows.insert(1, ("without global context", f"{rf.local.size_text()} px"))
    return rows


def _effective(rf: ReceptiveField, field: Field, measured: FieldMetrics) -> list[tuple[str, str]]:
    rows = []
    if (found := measured.effective) is not None:
        rows.append(("effective side", f"{found.side:.1f} px{', up to the border' if found.at_border else ''}"))
        if found.side_90 is not None:
            rows.append(("90 % side", f"{found.side_90} px"))
        if all(rf.size):
            whole = prod(float(n) for n in rf.size if n is not None) ** (1 / len(rf.size))
            rows.append(("effective side / RF size", f"{found.side / whole:.3f}"))
    if measured.sigmas is not None:
        rows.append(("sigma (rows, columns)", f"{', '.join(f'{s:.1f}' for s in measured.sigmas)} px"))
    for square in measured.squares:
        if square.share >= 0.5 and square.share != SHARE and square.side is not None:
            rows.append((f"square with {square.share:.0%} of the mass", f"{square.side} px"))
    if measured.isotropy is not None:
        rows.append(("isotropy (1: alike in all directions)", f"{measured.isotropy:.3f}"))
    rows.append(("share of the RF that is read", f"{measured.support.coverage:.1%}"))
    if measured.gaussian.r_squared is not None:
        rows.append(("Gaussian fit, R squared", f"{measured.gaussian.r_squared:.3f}"))
    return rows


def _by(parts: Iterable[str]) -> str:
    found = list(parts)
    return found[0] if len(set(found)) == 1 else " x ".join(found)
