"""Findings as data. The words of a task stand in ``findings.yaml``, with {names} where numbers go; ``findings.py``
beside it says by a predicate when each holds. So they can be listed (docs/findings.md) and put into another language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from foveal.tasks.record import AuditFinding

Values = Mapping[str, object]
"""What is filled in, by name; "layer" where the finding belongs to one, "severity" where it is not the usual one."""
P = TypeVar("P", bound=Callable[..., Iterable[Values]])


@dataclass(frozen=True)
class FindingRule:
    """code: stable; severity: "error", "warning" or "info"; text, change, effect: words with {names}; when: of the
    facts of an audit, the values of each finding.
    """

    code: str
    severity: str
    text: str
    change: str = ""
    effect: str = ""
    when: Callable[..., Iterable[Values]] = field(default=lambda *_: (), repr=False, compare=False)

    def found(self, *facts: Any) -> Iterable[AuditFinding]:
        """The findings that the facts give."""
        for values in self.when(*facts):
            severity, layer = str(values.get("severity", self.severity)), str(values.get("layer", ""))
            words = (words.format_map(values) for words in (self.text, self.change, self.effect))
            yield AuditFinding(self.code, severity, layer, *words)


class FindingRules(list[FindingRule]):
    """The findings of one task, in the order of their codes. ``home``: the file that has the words beside it."""

    def __init__(self, home: str) -> None:
        super().__init__()
        self.words = yaml.safe_load(Path(home).with_suffix(".yaml").read_text(encoding="utf-8"))

    def rule(self, key: str) -> Callable[[P], P]:
        """Add the finding whose predicate is decorated. key: its code, and which of several that share one."""

        def register(when: P) -> P:
            self.append(FindingRule(key.partition(" ")[0], when=when, **self.words[key]))
            return when

        return register

    def found(self, *facts: Any) -> list[AuditFinding]:
        """All findings that the facts give."""
        return [finding for rule in self for finding in rule.found(*facts)]
