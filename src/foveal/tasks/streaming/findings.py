"""What keeps a network from running on a stream, or makes it late, each with a stable code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from foveal.core.words import counted
from foveal.engine.certainty import Certainty
from foveal.ir.graph import Node
from foveal.ir.rules import traits
from foveal.tasks.finding import FindingRules, Values
from foveal.tasks.streaming.reach_in_time import Border

LISTED = 6
"""So many layers are named in a sentence."""
PICKS = ("select", "unbind", "split", "chunk", "narrow", "slice", "index_select", "getitem", "Gather", "Slice", "Split")
"""Operations by which a loop takes one position after the other."""
FINDINGS = FindingRules(__file__)


class Facts(NamedTuple):
    """What is asked of ``layer`` and what was found. ahead: positions of the future, None where all of it is needed;
    text: the same in words; word: what positions are called; adding: the layers that add to it, with how much; future
    and past: the first operation that reads all of either; spent: milliseconds; budget: those allowed.
    """

    layer: str
    ahead: float | None
    text: str
    allowed: int
    adding: Sequence[tuple[str, str]]
    sure: Certainty
    future: Node | None
    past: Node | None
    spent: float | None
    budget: float | None
    begin: Border | None = None
    word: str = "positions"

    def mixes(self) -> str:
        """How the whole future comes in: "unknown", "runs" (backwards too), "takes" (says what it does), "mixes"."""
        if self.ahead is not None:
            return ""
        if self.future is None:
            return "mixes"
        op = self.future.op
        known = traits(op)
        if known.status(op) != "exact":
            return "unknown"
        return "runs" if known.runs(op) is not None else "takes" if known.whole(op)[0] else "mixes"

    def culprit(self) -> Values:
        """The operation that reads all of the future."""
        node = self.future
        return {"layer": self.layer, "name": "an operation"} if node is None else _place(node)


@FINDINGS.rule("STR01 unknown")
def unknown(facts: Facts) -> Iterator[Values]:
    """An operation that may read all."""
    if facts.mixes() == "unknown":
        yield facts.culprit()


@FINDINGS.rule("STR01 backwards")
def backwards(facts: Facts) -> Iterator[Values]:
    """A recurrence in both directions."""
    if facts.mixes() == "runs":
        yield facts.culprit()


@FINDINGS.rule("STR01 whole")
def whole(facts: Facts) -> Iterator[Values]:
    """Statistics over the stream."""
    if facts.mixes() == "takes" and facts.future is not None:
        does, instead = traits(facts.future.op).whole(facts.future.op)
        yield {**facts.culprit(), "does": does, "instead": instead}


@FINDINGS.rule("STR01 mixing")
def mixing(facts: Facts) -> Iterator[Values]:
    """Attention over everything, and its like."""
    if facts.mixes() == "mixes":
        yield facts.culprit()


@FINDINGS.rule("STR02")
def leak(facts: Facts) -> Iterator[Values]:
    """More of the future than is allowed."""
    if facts.ahead is not None and facts.ahead > facts.allowed:
        more = f" and {len(facts.adding) - LISTED} more" if len(facts.adding) > LISTED else ""
        yield {
            "layer": facts.adding[0][0] if facts.adding else "", "ahead": counted(Fraction(facts.text), facts.word),
            "allowed": f" ({facts.allowed} allowed)" if facts.allowed else "",
            "listed": ", ".join(" ".join(pair) for pair in facts.adding[:LISTED]) + more,
        }  # fmt: skip


@FINDINGS.rule("STR03")
def unsure(facts: Facts) -> Iterator[Values]:
    """A bound."""
    if facts.ahead is not None and facts.ahead <= facts.allowed and facts.sure.status != "exact":
        yield {"layer": facts.layer, "status": facts.sure.status, "cause": facts.sure.causes[0]}


@FINDINGS.rule("STR04")
def late(facts: Facts) -> Iterator[Values]:
    """Over the budget."""
    if facts.spent is not None and facts.budget is not None and facts.spent > facts.budget:
        yield {"layer": facts.layer, "spent": facts.spent, "budget": facts.budget}


@FINDINGS.rule("STR05")
def endless(facts: Facts) -> Iterator[Values]:
    """A past without end that no state sums up."""
    if facts.past is not None and traits(facts.past.op).runs(facts.past.op) is None and facts.past.origin not in PICKS:
        yield _place(facts.past)


@FINDINGS.rule("STR05 loop")
def loop(facts: Facts) -> Iterator[Values]:
    """A recurrence written as a loop."""
    if facts.past is not None and facts.past.origin in PICKS:
        yield _place(facts.past)


@FINDINGS.rule("STR06")
def border(facts: Facts) -> Iterator[Values]:
    """Padding that mirrors or wraps."""
    begin = facts.begin
    if facts.ahead is not None and begin is not None and (begin.reach is None or begin.reach > facts.allowed):
        ahead = "the end of the stream" if begin.reach is None else f"{counted(begin.reach, facts.word)} of the future"
        yield {"layer": facts.layer, "units": begin.units, "ahead": ahead, "steady": facts.text}


def _place(node: Node) -> Values:
    return {"layer": node.scope or "(top)", "name": node.origin}
