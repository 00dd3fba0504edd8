"""The findings of a classification audit, each with what to change and what that is expected to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from foveal.tasks.classification.image_coverage import COVERS, numbers
from foveal.tasks.classification.record import ImageCoverage, LayerPaths, Resolutions
from foveal.tasks.finding import FindingRules, Values

LISTED = 4
"""So many layers are named in a sentence."""
FINDINGS = FindingRules(__file__)


class Facts(NamedTuple):
    """``at_map``: the last map, or the dense layer over it where there is one; units: lengths of the output's grid, ()
    for one answer.
    """

    lengths: Sequence[int]
    at_map: ImageCoverage
    at_output: ImageCoverage
    rows: Sequence[LayerPaths]
    limits: Resolutions
    units: Sequence[int] = ()

    @property
    def image(self) -> str:
        """The image's lengths in words."""
        return "x".join(map(str, self.lengths))

    @property
    def border(self) -> list[LayerPaths]:
        """Layers with multiply-adds that can add no context."""
        return [row for row in self.rows if row.border and row.kind != "join" and row.multiply_adds]

    @property
    def spatial(self) -> list[LayerPaths]:
        """Those of them that have a window."""
        return [row for row in self.border if any(span > 1 for span in row.span)]


@FINDINGS.rule("CLS01")
def reach(facts: Facts) -> Iterator[Values]:
    """Even the middle unit of the last map sees only a part."""
    at_map, ratio = facts.at_map, facts.at_map.ratio(facts.lengths)
    if not facts.units and not at_map.whole and ratio is not None and ratio < 1:
        added = {"seen": "what follows adds up parts", "severity": "warning"}
        more = added if facts.at_output.covered >= COVERS else {"seen": "nor does the output"}
        yield {"layer": at_map.layer, "size": numbers(at_map.size), "ratio": ratio, "image": facts.image, **more}


@FINDINGS.rule("CLS02")
def effective(facts: Facts) -> Iterator[Values]:
    """The decision itself leans on a part of the image."""
    found = facts.at_output
    if not facts.units and found.cells is not None and found.cells < COVERS:
        yield {"layer": found.layer, "cells": found.cells, "covered": found.covered, "map": facts.at_map.layer}


@FINDINGS.rule("CLS03")
def unproductive(facts: Facts) -> Iterator[Values]:
    """Layers with a window that see nothing new."""
    spatial = facts.spatial
    if any(row.reason == "context" for row in spatial):
        adds = sum(row.multiply_adds for row in facts.rows) or 1
        parameters = sum(row.parameters for row in facts.rows) or 1
        yield {
            **_named(facts, spatial), "larger": _larger(facts.limits),
            "cost": sum(row.multiply_adds for row in spatial) / adds,
            "held": sum(row.parameters for row in spatial) / parameters,
        }  # fmt: skip


@FINDINGS.rule("CLS04")
def mixing(facts: Facts) -> Iterator[Values]:
    """The same for 1x1 layers only."""
    if facts.border and not facts.spatial:
        yield {**_named(facts, facts.border), "smallest": numbers(facts.limits.smallest)}


@FINDINGS.rule("CLS05")
def covering(facts: Facts) -> Iterator[Values]:
    """Windows that cover their map."""
    spatial = facts.spatial
    if spatial and not any(row.reason == "context" for row in spatial):
        yield {**_named(facts, spatial), "windows": numbers(facts.limits.windows)}


@FINDINGS.rule("CLS06")
def no_classifier(facts: Facts) -> Iterator[Values]:
    """A classifier gives one answer for the whole image."""
    if facts.units:
        yield {"layer": facts.at_output.layer, "units": "x".join(map(str, facts.units))}


def _named(facts: Facts, rows: Sequence[LayerPaths]) -> Values:
    """The first few layers by name, and how many more there are."""
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    listed = ", ".join(row.layer for row in rows[:LISTED]) + more
    return {"layer": rows[0].layer, "count": len(rows), "image": facts.image, "listed": listed}


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
