"""What a check against the real model, or of front ends against each other, found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foveal.core.visible import visible
from foveal.views.language.translate import translated

if TYPE_CHECKING:
    from foveal.check.agreement import Agreement
    from foveal.check.verify import Check

MISMATCHES, DIFFERENCES = 5, 8
"""How many are listed."""


def check_text(check: Check) -> str:
    """What was compared, contradictions, and what could not be shown."""
    listed = ", ".join(check.layers[:MISMATCHES]) + (", ..." if len(check.layers) > MISMATCHES else "")
    scope = f"{check.exact} exact and {check.bound} bounded hulls in {listed} against {check.forwards} perturbed inputs"
    if check.agrees:
        lines = [f"{check.name}: agrees; {scope}"]
    else:
        lines = [f"{check.name}: DISAGREES in {len(check.mismatches)} hulls; {scope}"]
        lines += [f"  {mismatch}" for mismatch in check.mismatches[:MISMATCHES]]
        if len(check.mismatches) > MISMATCHES:
            lines.append(f"  and {len(check.mismatches) - MISMATCHES} more")
    lines += [f"  note: {note}" for note in check.notes]
    return "\n".join(map(visible, map(translated, lines)))


def agreement_text(agreement: Agreement) -> str:
    """What was compared, and the first differences."""
    scope = f"{', '.join(agreement.names)}: {agreement.layers} corresponding layers, {agreement.fields} fields"
    if agreement.agrees:
        return visible(f"{scope}: equal")
    left = len(agreement.differences) - DIFFERENCES
    lines = [f"{scope}: {len(agreement.differences)} differ", *(f"  {d}" for d in agreement.differences[:DIFFERENCES])]
    return "\n".join(map(visible, lines + ([f"  and {left} more"] if left > 0 else [])))
