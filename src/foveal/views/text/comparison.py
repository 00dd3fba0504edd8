"""A comparison as text: the answer in one sentence, then the layers that add to the RF of either network, side by
side.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from foveal.core.visible import visible
from foveal.report.results import Comparison, Grown, Step
from foveal.views.language.translate import translated
from foveal.views.text.report import UNLIMITED, empty_grid, plain
from foveal.views.text.table import axes_text

NAMED = 6
"""Layers of one network alone that the sentence names."""


def plain_comparison(comparison: Comparison) -> str:
    """The comparison without colours, as wide as it needs to be."""
    return plain(partial(print_comparison, comparison), UNLIMITED)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Draw it: layers that add nothing are left out; the first difference is marked with ">".

    Where the console is too narrow, the starts go first, then the strides.
    """
    shown = [index for index, step in enumerate(comparison.steps) if _matters(step) or index == comparison.parting]
    for fields in (("size", "added", "stride", "start"), ("size", "added", "stride"), ("size", "added")):
        grid = _grid(comparison, shown, fields, console.width)
        if Measurement.get(console, console.options.update(width=UNLIMITED), grid).maximum <= console.width:
            break
    console.print(Text(visible(translated(verdict(comparison))), style="bold"), soft_wrap=True)
    console.print(Text(visible(translated(f"first: {comparison.first}; second: {comparison.second}"))), soft_wrap=True)
    console.print(grid)
    for note in comparison.notes:
        console.print(Text(f"note: {note}", style="bold red"), soft_wrap=True)
    left_out = len(comparison.steps) - len(shown)
    if left_out:
        console.print(Text(translated(f"{left_out} layers that add nothing are left out"), style="dim"))


def _grid(comparison: Comparison, shown: Sequence[int], fields: Sequence[str], width: int) -> RichTable:
    grid = empty_grid()
    grid.add_column("", no_wrap=True)
    grid.add_column(f"\n{translated('layer')}", no_wrap=True, max_width=max(16, 2 * width // 5))
    for side in ("first", "second"):
        for heading in fields:
            above = translated(side) if heading == "size" else ""
            grid.add_column(
                Text(f"{above}\n{translated(heading)}"), justify="right", no_wrap=True, min_width=cell_len(above)
            )
    grid.add_column(f"\n{translated('differs')}")
    for index in shown:
        step = comparison.steps[index]
        mark = ">" if index == comparison.parting else ""
        cells = [
            mark,
            _name(step),
            *_cells(step.first, fields),
            *_cells(step.second, fields),
            ", ".join(map(translated, step.differs)),
        ]
        grid.add_row(*(Text(visible(cell), style="bold yellow" if mark else "") for cell in cells))
    return grid


def verdict(comparison: Comparison) -> str:
    """Where they part, in one sentence."""
    if comparison.parting is None:
        return f"{comparison.first} and {comparison.second}: size, stride and start agree at every layer"
    step = comparison.steps[comparison.parting]
    if step.first is None or step.second is None:
        present, absent = ("first", "second") if step.second is None else ("second", "first")
        told = f"they part at {_name(step)}, which the {present} has and the {absent} has not"
        return f"{told}{_only(comparison)}{_final(comparison)}"
    texts = {
        "size": (axes_text(_sizes(step.first)), axes_text(_sizes(step.second))),
        "stride": (axes_text(step.first.stride), axes_text(step.second.stride)),
        "start": (axes_text(step.first.start), axes_text(step.second.start)),
    }
    told = ", ".join(f"{word} {texts[word][0] or 'none'} and {texts[word][1] or 'none'}" for word in step.differs)
    return f"they part at {_name(step)}: {told}{_only(comparison)}{_final(comparison)}"


def _only(comparison: Comparison) -> str:
    """Layers that enlarge the field and have no partner, where there are few."""
    told = []
    for side, other in (("first", "second"), ("second", "first")):
        rows = [step for step in comparison.steps if getattr(step, other) is None and _matters(step)]
        if 1 < len(rows) <= NAMED or (rows and comparison.steps[comparison.parting or 0] not in rows):
            more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
            told.append(f"; only the {side} has {', '.join(_name(step) for step in rows[:NAMED])}{more}")
    return "".join(told)


def _final(comparison: Comparison) -> str:
    """The RF of the last layer of each."""
    last_a = [step.first for step in comparison.steps if step.first][-1:]
    last_b = [step.second for step in comparison.steps if step.second][-1:]
    if not last_a or not last_b:
        return ""
    return f"; at the end the RF is {axes_text(_sizes(last_a[0]))} and {axes_text(_sizes(last_b[0]))}"


def _matters(step: Step) -> bool:
    grown = any(growth is not None and any(growth.added) for growth in (step.first, step.second))
    return grown or bool(step.differs and (step.first is None or step.second is None))


def _name(step: Step) -> str:
    names = [growth.name for growth in (step.first, step.second) if growth is not None]
    return names[0] if len(set(names)) == 1 else " / ".join(names)


def _sizes(growth: Grown) -> tuple[int | None, ...]:
    return growth.size.value if isinstance(growth.size.value, tuple) else (None,)


def _cells(growth: Grown | None, fields: Sequence[str]) -> list[str]:
    if growth is None:
        return [""] * len(fields)
    cells = {
        "size": axes_text(_sizes(growth)),
        "added": axes_text(growth.added, signed=True) if any(growth.added) else "",
        "stride": axes_text(growth.stride),
        "start": axes_text(growth.start),
    }
    return [cells[field] for field in fields]
