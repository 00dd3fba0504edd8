"""The answer of a search for networks as text: the front as a table, known networks, repairs, conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foveal.core.visible import visible
from foveal.fields.metrics.effective import gaussian_side, gaussian_side_90
from foveal.views.language.translate import translated
from foveal.views.text.report import fitted_text
from foveal.views.text.table import Column, Row, Table

if TYPE_CHECKING:
    from foveal.designs.network import Network
    from foveal.designs.record import Conflict, Design, Designs

COLUMNS = (
    Column("design", False, 0),
    Column("misfit", True, 0),
    Column("RF px", True, 1),
    Column("effective side", True, 0),
    Column("covers", True, 2),
    Column("even", True, 5),
    Column("idle", True, 3),
    Column("halo", True, 6),
    Column("mult-adds", True, 0),
    Column("params", True, 1),
    Column("memory", True, 4),
    Column("network", False, 2),
)
LEGEND = (
    "misfit: octaves (factors of two) between the effective field and what the task wants, 0 is best",
    "effective side: of a Gaussian with the energy's spread, an approximation (the 90 % side is {share} of it); "
    "\u2264: limited by the RF; a task wants 1.41 times its object or context, a classifier 2.12 times its object; "
    "covers: share of the input inside it",
    "even: least over most that a position is read; idle: layers that add no context at this resolution",
)


def designs_text(designs: Designs, width: int | None = None) -> str:
    """All that an answer says, as plain text."""
    target = designs.target
    size = "x".join(map(str, target.space))
    lines = []
    if designs.conflict is not None:
        lines += [conflict_text(designs.conflict), ""]
    rows = [_row(f"{number}", one) for number, one in enumerate(designs.designs, 1)]
    rows += [_row(one.network.name, one) for one in designs.known]
    table = Table(
        title=f"{target.task} on {size}: {_counted(len(designs.designs))}",
        columns=COLUMNS,
        rows=tuple(rows),
        totals=_looked(designs),
        findings=(),
        legend=tuple(line.replace("{share}", _share(len(target.space))) for line in LEGEND),
    )
    lines.append(fitted_text(table, width))
    lines += [translated(sentence) for sentence in designs.reasons]
    for number, one in enumerate(designs.designs, 1):
        if one.role == "alternative":
            lines.append(
                f"  {number}: the best with {one.network.stages[-1].block} blocks, which the front does not have"
            )
        if one.trained:
            told = ", ".join(f"{score:.4g} after {epochs}" for epochs, score in one.trained)
            lines.append(translated(f"  {number}: trained: {told} epochs"))
        if one.changed:
            lines.append(f"  {number}: {'; '.join(one.changed)}")
    lines += [translated(_beside(one, designs.known[0])) for one in designs.known if one.role == "by hand"]
    for name, change in designs.repairs:
        lines.append(visible(f"smallest change for '{name}': {change}"))
    return "\n".join(lines)


def _beside(made: Design, own: Design) -> str:
    """What the usual change for small images does to a network."""
    new, old = made.evaluation, own.evaluation
    return (
        f"by hand, {made.network.name} without stride and pool: misfit {own.misfit:.3f} to {made.misfit:.3f}, "
        f"idle layers {len(old.unproductive)} to {len(new.unproductive)}, multiply-adds {short(old.multiply_adds)} "
        f"to {short(new.multiply_adds)} ({new.multiply_adds / old.multiply_adds:.3g} times)"
    )


def _looked(designs: Designs) -> str:
    if designs.complete and designs.scored < designs.size:
        return f"all {designs.size:,} candidates covered at once, {designs.scored:,} of them scored one by one"
    looked = "every one of" if designs.complete else f"{designs.scored:,} of"
    return f"{looked} {designs.size:,} candidates scored, seed {designs.seed}"


def conflict_text(conflict: Conflict) -> str:
    """Which limits exclude each other, what would do instead, and what the nearest design breaks."""
    where = f"the {conflict.scored:,} candidates" if conflict.complete else f"{conflict.scored:,} candidates searched"
    if conflict.nearest is None:
        return f"none of {where} can be laid out on this input; use a larger input or fewer strides"
    together = " together" if len(conflict.limits) > 1 else ""
    lines = [f"none of {where} meets {' and '.join(conflict.limits)}{together}"]
    lines += [
        f"  {one.name}: {_number(one.needed)} would do, all other limits met (asked: {_number(one.asked)})"
        for one in conflict.relaxed
    ]
    lines += [
        f"  nearest design: {one.name} is {_number(one.needed)}, asked {_number(one.asked)}" for one in conflict.broken
    ]
    return "\n".join(lines)


def _row(name: str, one: Design) -> Row:
    found = one.evaluation
    cells = (
        name, f"{one.misfit:.3f}", "/".join(str(level.size) for level in found.levels),
        _sides(one), f"{100 * found.effective:.0f} %",
        f"{found.evenness:.2f}", str(len(found.unproductive)), str(found.halo),
        short(found.multiply_adds), short(found.parameters), f"{found.memory / 2**20:.1f} MiB",
        in_words(one.network),
    )  # fmt: skip
    return Row(tuple(map(visible, cells)), one.role in ("known", "by hand"), "exact")


def _share(axes: int) -> str:
    return f"{gaussian_side_90(1.0, axes) / gaussian_side(1.0, axes):.2f}"


def _sides(one: Design) -> str:
    parts = (("\u2264" if level.capped else "", level.effective) for level in one.evaluation.levels)
    return "/".join(f"{mark}{side:.0f}" for mark, side in parts)


def _counted(count: int) -> str:
    return "1 design" if count == 1 else f"{count} designs"


def short(number: float) -> str:
    """Thousands, millions, billions with three digits."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def in_words(network: Network) -> str:
    """A network in one line: stem, stages, neck."""
    stem = network.stem
    parts = []
    if stem.width:
        parts.append(f"{stem.kernel}x{stem.width}{_stride(stem.stride)}{'+pool' if stem.pool else ''}")
    for stage in network.stages:
        if stage.count == 0:
            parts.append(f"pool{stage.stride}")
            continue
        dilated = f" d{_listed(stage.dilation)}" if max(stage.dilation) > 1 else ""
        said = f"{stage.count} {stage.block} {stage.kernel}x{stage.width}"
        parts.append(f"{said}{_stride(stage.stride)}{dilated}")
    if network.neck.kind != "none":
        parts.append(network.neck.kind + (f" {_listed(network.neck.rates)}" if network.neck.rates else ""))
    return ", ".join(parts)


def _listed(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


def _stride(stride: int) -> str:
    return f"/{stride}" if stride > 1 else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"
