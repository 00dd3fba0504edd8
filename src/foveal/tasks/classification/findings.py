"""The findings of a classification audit, each with what to change and what that is expected to do.

CLS01 no unit's field reaches over the image; CLS02 the output's effective field leaves much of the image out; CLS03
layers with a window that can add no context; CLS04 the same for 1x1 layers only; CLS05 windows that cover their map;
CLS06 the output is no single answer, so that the output's coverage is not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from foveal.tasks.classification.image_coverage import COVERS, numbers
from foveal.tasks.classification.record import ImageCoverage, LayerPaths, Resolutions
from foveal.tasks.record import AuditFinding

LISTED = 4
"""So many layers are named in a sentence."""


def classification_findings(
    lengths: Sequence[int],
    at_map: ImageCoverage,
    at_output: ImageCoverage,
    rows: Sequence[LayerPaths],
    limits: Resolutions,
    units: Sequence[int] = (),
) -> list[AuditFinding]:
    """All findings, in the order of their codes; ``at_map``: the last map, or the dense layer over it where there is
    one. units: lengths of the output's grid, () for one answer.
    """
    return [
        *([] if units else _reach(lengths, at_map, at_output)),
        *([_no_classifier(at_output.layer, units)] if units else _effective(at_output, at_map)),
        *_unproductive(lengths, rows, limits),
    ]


def _reach(lengths: Sequence[int], at_map: ImageCoverage, at_output: ImageCoverage) -> list[AuditFinding]:
    """CLS01: where even the middle unit of the last map sees only a part."""
    ratio = at_map.ratio(lengths)
    if at_map.whole or ratio is None or ratio >= 1:
        return []
    image = "x".join(map(str, lengths))
    seen = "what follows adds up parts" if at_output.covered >= COVERS else "nor does the output"
    severity = "warning" if at_output.covered >= COVERS else "error"
    return [
        AuditFinding(
            "CLS01",
            severity,
            at_map.layer,
            f"its field of {numbers(at_map.size)} px spans {ratio:.0%} of a {image} image: no unit sees an object "
            f"of the image's size; {seen}",
            f"reduce the input to at most {numbers(at_map.size)} px, or enlarge the field: a strided layer earlier, "
            "larger or dilated kernels, more blocks",
            "features of whole objects instead of parts; patterns larger than the field can then be told apart",
        )
    ]


def _effective(at_output: ImageCoverage, at_map: ImageCoverage) -> list[AuditFinding]:
    """CLS02: the decision itself leans on a part of the image."""
    if at_output.cells is None or at_output.cells >= COVERS:
        return []
    return [
        AuditFinding(
            "CLS02",
            "warning",
            at_output.layer,
            f"its effective field is {at_output.cells:.0%} of the image, although {at_output.covered:.0%} of it can "
            "change the output: the rest hardly counts",
            "pool over all units of the last map, pad so that borders are read as often as the middle, or enlarge the "
            f"effective field of {at_map.layer} by an earlier stride or larger kernels",
            "objects away from the middle count as much as those in it",
        )
    ]


def _no_classifier(layer: str, units: Sequence[int]) -> AuditFinding:
    """CLS06: a classifier gives one answer for the whole image."""
    return AuditFinding(
        "CLS06", "info", layer,
        f"it gives {'x'.join(map(str, units))} answers, not one for the image: whether one of them covers the image is "
        "no question",
        "audit it as segmentation or detection; the layers' productivity holds here too",
    )  # fmt: skip


def _unproductive(lengths: Sequence[int], rows: Sequence[LayerPaths], limits: Resolutions) -> list[AuditFinding]:
    border = [row for row in rows if row.border and row.kind != "join" and row.multiply_adds]
    spatial = [row for row in border if any(span > 1 for span in row.span)]
    if not border:
        return []
    adds = sum(row.multiply_adds for row in rows) or 1
    parameters = sum(row.parameters for row in rows) or 1
    image = "x".join(map(str, lengths))
    named = ", ".join(row.layer for row in (spatial or border)[:LISTED])
    more = len(spatial or border) - LISTED
    listed = named + (f" and {more} more" if more > 0 else "")
    if not spatial:
        return [
            AuditFinding(
                "CLS04", "info", border[0].layer,
                f"{len(border)} 1x1 layers see nothing new at {image} px ({listed}); they mix channels only",
                f"nothing need change; from {numbers(limits.smallest)} px on none is left",
            )
        ]  # fmt: skip
    if not any(row.reason == "context" for row in spatial):
        return [
            AuditFinding(
                "CLS05", "info", spatial[0].layer,
                f"the windows of {len(spatial)} layers cover their whole map at {image} px ({listed}): they act as "
                "dense layers",
                f"nothing need change; above {numbers(limits.windows)} px they move over their maps",
            )
        ]  # fmt: skip
    cost = sum(row.multiply_adds for row in spatial) / adds
    held = sum(row.parameters for row in spatial) / parameters
    return [
        AuditFinding(
            "CLS03", "warning", spatial[0].layer,
            f"{len(spatial)} layers can add no context at {image} px ({listed}): what they read already sees all of "
            "it, or their window covers the map",
            f"use {_larger(limits)}; or keep the map larger (a stem without stride or pooling); or leave these layers "
            "out",
            f"leaving them out saves {cost:.0%} of the multiply-adds and {held:.0%} of the parameters; making them "
            "productive instead costs compute and has raised accuracy on small images (Richter et al. 2021)",
        )
    ]  # fmt: skip


def _larger(limits: Resolutions) -> str:
    """From which input on each layer with a window adds context and no window covers its map."""
    spatial, windows = limits.spatial, limits.windows
    known = [(a, b) for a, b in zip(spatial, windows, strict=True) if a is not None and b is not None]
    if known and all(a > b for a, b in known):
        return f"inputs of {numbers(spatial)} px or more"
    if known and all(a <= b for a, b in known):
        return f"inputs of more than {numbers(windows)} px, so that no window covers its map"
    both = f"inputs of {numbers(spatial)} px or more, and more than {numbers(windows)} px"
    return f"{both}, so that no window covers its map"
