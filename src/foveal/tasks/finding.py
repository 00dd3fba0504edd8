"""Findings as data: the words of each, with names where its numbers go, and the predicate that says when it holds.

Words stand apart from numbers, so that they can be listed (docs/findings.md) and put into another language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from foveal.tasks.record import AuditFinding

Values = Mapping[str, object]
"""What is filled in, by name; "layer" where the finding belongs to one, "severity" where it is not the rule's."""
P = TypeVar("P", bound=Callable[..., Iterable[Values]])


@dataclass(frozen=True)
class FindingRule:
    """code: stable; severity: "error", "warning" or "info"; text, change, effect: words with {names}; when: of the
    facts of an audit, the values of each finding.
    """

    code: str
    severity: str
    text: str
    change: str
    effect: str
    when: Callable[..., Iterable[Values]] = field(repr=False, compare=False)

    def found(self, *facts: Any) -> Iterable[AuditFinding]:
        """The findings that the facts give."""
        for values in self.when(*facts):
            severity, layer = str(values.get("severity", self.severity)), str(values.get("layer", ""))
            words = (words.format_map(values) for words in (self.text, self.change, self.effect))
            yield AuditFinding(self.code, severity, layer, *words)


class FindingRules(list[FindingRule]):
    """The findings of one task, in the order of their codes."""

    def rule(self, code: str, severity: str, text: str, change: str = "", effect: str = "") -> Callable[[P], P]:
        """Add the finding whose predicate is decorated."""

        def register(when: P) -> P:
            self.append(FindingRule(code, severity, text, change, effect, when))
            return when

        return register

    def found(self, *facts: Any) -> list[AuditFinding]:
        """All findings that the facts give."""
        return [finding for rule in self for finding in rule.found(*facts)]
