"""A tile plan as text and as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from foveal.core.visible import visible
from foveal.core.words import bytes_text
from foveal.views.text.table import aligned

if TYPE_CHECKING:
    from foveal.tasks.tiling.record import TilePlan

Rows = list[tuple[str, str]]


WHY, UNPROVEN = "not possible exactly because of", "not proven because of"


def _status(plan: TilePlan) -> str:
    if plan.status == "unproven":
        return "not proven: may differ from the whole; compare with plan.check"
    if plan.exact:
        return "exact"
    if plan.error is None:
        return "approximate: relative error not known; measure it with plan.check"
    return f"approximate: {'measured' if 'measured' in plan.method else 'expected'} relative error {plan.error:.3g}"


def plan_rows(plan: TilePlan) -> Rows:
    """What a plan says, line by line."""
    unsure = " or more" if plan.cut else ""
    rows = [("tiling", _status(plan) + unsure)]
    if unsure:
        rows.append(
            ("", "the traced source is smaller than the field, so that not all was weighed: give a larger input")
        )
    for number, text in enumerate(plan.obstacles[:3]):
        rows.append(((WHY if plan.status == "approximate" else UNPROVEN) if number == 0 else "", text))
    if len(plan.obstacles) > 3:
        rows.append(("", f"and {len(plan.obstacles) - 3} more"))
    names = [axis.name for axis in plan.axes]
    rows += [
        ("source", _per_axis(names, [str(axis.length) for axis in plan.axes])),
        ("tile, halo included", _per_axis(names, [str(axis.tile) for axis in plan.axes])),
        ("halo (before + after)", _per_axis(names, [f"{a} + {b}" for a, b in plan.halo])),
        ("of which needed", _per_axis(names, [f"{axis.need[0]} + {axis.need[1]}" for axis in plan.axes])),
        ("starts are multiples of", _per_axis(names, [str(axis.multiple) for axis in plan.axes])),
        ("smallest tile", _per_axis(names, [str(axis.smallest) for axis in plan.axes])),
        ("tiles", " x ".join(str(len(axis.starts)) for axis in plan.axes) + f" = {plan.count}"),
        ("computed twice or more", f"{plan.overhead:.1%} of the source"),
        ("activations at once", f"{bytes_text(plan.memory[1])} a tile, {bytes_text(plan.memory[0])} the whole"),
        ("method", plan.method),
        *(("warning", text) for text in plan.warnings),
    ]
    return rows


def plan_text(plan: TilePlan) -> str:
    """The plan as lines of text."""
    return "\n".join([visible(f"{plan.network}: {plan.layer} in tiles"), *aligned(plan_rows(plan))])


def plan_html(plan: TilePlan) -> str:
    """The plan as a small table, for notebooks."""
    rows = [(escape(label), escape(visible(text))) for label, text in plan_rows(plan)]
    body = "\n".join(f"<tr><td>{label}</td><td>{text}</td></tr>" for label, text in rows)
    title = escape(visible(f"{plan.network}: {plan.layer} in tiles"))
    return f"<p><b>{title}</b></p>\n<table>\n{body}\n</table>"


def _per_axis(names: list[str], texts: list[str]) -> str:
    """``512`` for equal axes, else ``H 512, W 384``."""
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(f"{name} {text}" for name, text in zip(names, texts))
