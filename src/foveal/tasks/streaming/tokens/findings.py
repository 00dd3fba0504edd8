"""What a decoder keeps and what it uses of the past, each with a stable code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from foveal.tasks.finding import FindingRules, Values
from foveal.tasks.streaming.tokens.memory import Memory

LITTLE = 0.5
"""Share of the reach below which its use is worth a word."""
FINDINGS = FindingRules(__file__)


class Facts(NamedTuple):
    """reach: tokens before, None: all; length: tokens of the trace; used: those that hold 99 % by exchanged tokens,
    None where nothing was measured; beyond: the nearest distance beyond the reach that showed an effect; window: of the
    model's own configuration.
    """

    layer: str
    ahead: bool
    rows: Sequence[Memory]
    reach: int | None
    length: int
    used: int | None
    beyond: int | None
    window: int | None


@FINDINGS.rule("TOK01")
def reads_ahead(facts: Facts) -> Iterator[Values]:
    """No decoder."""
    if facts.ahead:
        name = next((row.layer for row in facts.rows if row.ahead), facts.layer)
        yield {"layer": name, "name": name}


@FINDINGS.rule("TOK02")
def grows(facts: Facts) -> Iterator[Values]:
    """A cache without bound."""
    found = [row for row in facts.rows if row.tokens is None]
    if found and not facts.ahead:
        yield {"layer": found[0].layer, "count": len(found), "elements": sum(row.elements or 0 for row in found)}


@FINDINGS.rule("TOK03")
def little(facts: Facts) -> Iterator[Values]:
    """Most of the reach has little weight."""
    reach = facts.length - 1 if facts.reach is None else facts.reach
    if facts.used is not None and facts.used < LITTLE * reach:
        yield {"layer": facts.layer, "share": 99, "used": facts.used, "reach": reach}


@FINDINGS.rule("TOK04")
def beyond(facts: Facts) -> Iterator[Values]:
    """The model contradicts the reach."""
    if facts.beyond is not None:
        yield {"layer": facts.layer, "distance": facts.beyond, "reach": facts.reach}


@FINDINGS.rule("TOK05")
def unfilled(facts: Facts) -> Iterator[Values]:
    """A window longer than the trace."""
    if facts.window is not None and facts.window >= facts.length:
        yield {"layer": facts.layer, "window": facts.window, "length": facts.length}
