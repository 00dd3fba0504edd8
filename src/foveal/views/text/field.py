"""The metrics of a field as rows of a small table: name, value with its unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from foveal.core.visible import visible
from foveal.fields.metrics.effective import SHARE
from foveal.views.text.table import shape_text

if TYPE_CHECKING:
    from foveal.fields.channels import ChannelGroup
    from foveal.fields.field import Field
    from foveal.fields.metrics import FieldMetrics

Rows = list[tuple[str, str]]


def field_rows(field: Field) -> Rows:
    """What the field is, where it lies, how large its parts are and how it falls off. Lengths in source positions."""
    measured = field.metrics()
    return [
        *_place(field),
        *_extent(field, measured),
        *_spread(measured, bool(field.squared)),
        *_shape(measured),
        ("method", field.method),
    ]


def field_html(field: Field) -> str:
    """What the field is and where it lies, as a small table for notebooks."""
    place = f"unit {field.unit}" if field.unit else "the unit"
    channel = "" if field.channel is None else f", channel {field.channel}"
    rows = {
        "kind": f"{field.kind} ({field.status})",
        "layer": f"{field.layer or 'a given array'}, {place}{channel}",
        "source": f"{field.source} {shape_text(field.source_shape)}",
        "positions": _positions(field.hull) if field.values.size else "none",
        "method": field.method,
    }
    body = "".join(f"<tr><th>{name}</th><td>{escape(visible(text))}</td></tr>" for name, text in rows.items())
    return f"<table>{body}</table>"


def _place(field: Field) -> Rows:
    unit = ", ".join(map(str, field.unit))
    rows = [
        ("field", f"{field.kind} ({field.status})"),
        ("layer", f"{field.layer}, unit ({unit})" if field.unit else field.layer),
        ("source", f"{field.source} {shape_text(field.source_shape)}"),
    ]
    if field.box is not None:
        rows.append(("RF size, unclipped", shape_text([b - a for a, b in field.box])))
    if field.center is not None:
        rows.append(("RF center", _list(field.center)))
    return rows


def _extent(field: Field, measured: FieldMetrics) -> Rows:
    support = measured.support
    hull = _positions(support.hull) if support.count else "none"
    rows = [
        ("hull in the source", hull),
        (
            "positions read",
            f"{support.count} ({support.coverage:.1%} of the hull, largest gap {max(support.largest_gap)})",
        ),
    ]
    if field.kind in ("paths", "edges"):
        text = f"{measured.total:.6g}, at most {measured.largest:.6g} at one position"
        rows.append(("sum over positions", text if field.log_total is None else f"exp({field.log_total:.6g})"))
    return rows


def _spread(measured: FieldMetrics, squared: bool) -> Rows:
    rows = []
    if measured.offset is not None:
        rows.append(("center of mass, off the RF center by", _list(measured.offset)))
    if measured.sigmas is not None:
        rows.append(("sigma per axis", _list(measured.sigmas)))
    rows += effective_rows(measured)
    for square in measured.squares:
        # Of an energy the square with 90 % of the mass is the 90 % side itself.
        again = squared and square.share == SHARE
        if square.side is not None and square.ratio is not None and not again:
            text = f"side {square.side} ({square.ratio:.1%} of the source)"
            rows.append((f"more than {square.share:.0%} of the mass", text))
    if measured.half_width is not None:
        rows.append(("half width at half maximum", f"{measured.half_width:.4g}"))
    return rows


def effective_rows(measured: FieldMetrics) -> Rows:
    """The effective size, in its two numbers."""
    found = measured.effective
    if found is None:
        return []
    border = ", up to the border" if found.at_border else ""
    rows = [("effective side", f"{found.side:.4g} ({found.count} positions{border})")]
    return rows if found.side_90 is None else [*rows, ("90 % side", f"{found.side_90}")]


def channel_rows(groups: Sequence[ChannelGroup], each: bool = False) -> Rows:
    """The spread of the effective size over the channels of the unit, and, if asked for, each group of channels."""
    if not groups:
        return []
    ends = [pick(groups, key=lambda one: one.effective.side) for pick in (min, max)]
    told = [f"{one.effective.side:.4g} (channels {one.first}..{one.last})" for one in ends]
    rows = [("effective side over channels", f"{told[0]} to {told[1]}; above, of their mean")]
    return rows + [
        (
            f"channels {one.first}..{one.last}",
            f"effective side {one.effective.side:.4g}; 90 % side {one.effective.side_90}",
        )
        for one in groups
        if each
    ]


def _shape(measured: FieldMetrics) -> Rows:
    rows = []
    for name, value in (
        ("isotropy", measured.isotropy if len(measured.support.hull) > 1 else None),
        ("angular spread", measured.angular_spread),
        ("decay rate", measured.decay_rate),
        ("checkerboard index", measured.checkerboard_index),
    ):
        if value is not None:
            # Rounded first, so that the rest of a sum that should be 0 reads 0.
            rows.append((name, f"{round(value, 9) + 0.0:.4g}"))
    fit = measured.gaussian
    if fit.sigmas is not None and fit.r_squared is not None:
        rows.append(("fitted Gaussian", f"sigmas {_list(fit.sigmas)}, R squared {fit.r_squared:.4f}"))
    else:
        rows.append(("fitted Gaussian", f"none: {fit.reason}"))
    return rows


def _positions(hull: Iterable[tuple[int, int]]) -> str:
    return " x ".join(f"{first}..{last - 1}" for first, last in hull)


def _list(values: Iterable[float]) -> str:
    # Rounded before it is printed, so that a rest of 1e-17 reads 0 and never -0.
    return ", ".join(f"{round(float(value), 4) + 0.0:.5g}" for value in values)
