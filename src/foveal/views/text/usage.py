"""How the units of a layer use a source, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from foveal.core.visible import visible

if TYPE_CHECKING:
    from foveal.fields.usage import Usage


def usage_text(usage: Usage) -> str:
    """How many units read a position, and the findings."""
    low, middle, high = int(usage.counts.min()), float(np.median(usage.counts)), int(usage.counts.max())
    size = "x".join(map(str, usage.counts.shape))
    lines = [
        f"{usage.layer} reads {usage.source} ({size}) with {usage.units} {'unit' if usage.units == 1 else 'units'}: "
        f"a position is read by {low} to {high} of them, median {middle:g} ({usage.status})"
    ]
    return "\n".join(map(visible, lines + [f"  {finding.severity}: {finding.text}" for finding in usage.findings]))
