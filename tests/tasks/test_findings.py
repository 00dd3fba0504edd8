"""Findings as data: each has its words and a stable code, and docs/findings.md lists them all."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from foveal.core.finding import SEVERITIES
from foveal.tasks.audit import TASKS
from foveal.tasks.finding import FindingRule, FindingRules
from foveal.tasks.shared.findings import FINDINGS as SHARED
from support.paths import DOCS

RULES = {task: import_module(home.rpartition(".")[0] + ".findings").FINDINGS for task, home in TASKS.items()}
RULES["every task"] = SHARED
ALL: list[FindingRule] = [rule for rules in RULES.values() for rule in rules]


def test_every_finding_has_its_words_and_a_code_of_its_task() -> None:
    assert len(ALL) >= 30
    for rule in ALL:
        assert re.fullmatch(r"[A-Z]{3}\d\d", rule.code)
        assert rule.severity in SEVERITIES
        assert rule.text
        assert bool(rule.change) or not rule.effect, rule.code
    for rules in RULES.values():
        assert [rule.code for rule in rules] == sorted(rule.code for rule in rules)
        assert len({rule.code[:3] for rule in rules}) == 1


def test_the_page_lists_them_all() -> None:
    page = (DOCS / "findings.md").read_text(encoding="utf-8")
    for task, rules in RULES.items():
        assert "\n".join([f"## {task.capitalize()}", "", *table(rules)]) in page, (
            f"the part on {task} should be:\n" + "\n".join(table(rules))
        )


def table(rules: FindingRules) -> list[str]:
    """The rows of the page, numbers by their names."""
    plain = lambda words: re.sub(r"\{(\w+)[^}]*\}", r"*\1*", words)  # noqa: E731
    rows = [f"| {rule.code} | {rule.severity} | {plain(rule.text)} | {plain(rule.change)} |" for rule in rules]
    return ["| code | severity | what it says | what to change |", "|---|---|---|---|", *rows]


def test_a_rule_fills_its_words(tmp_path: Path) -> None:
    first = "XYZ01: {severity: info, text: '{count} of {all}', change: 'less than {count}'}"
    words = f"{first}\nXYZ02 b: {{severity: info, text: ''}}"
    (tmp_path / "findings.yaml").write_text(words, encoding="utf-8")
    rules = FindingRules(str(tmp_path / "findings.py"))

    @rules.rule("XYZ01")
    def when(limit: int) -> list[dict[str, object]]:
        return [{"count": n, "all": 9, "layer": "a", "severity": "warning"} for n in range(limit, 9)]

    (found,) = rules.found(8)
    assert (found.code, found.severity, found.layer, found.text) == ("XYZ01", "warning", "a", "8 of 9")
    assert (found.change, found.effect) == ("less than 8", "")
    assert rules.found(9) == []
    with pytest.raises(KeyError):
        rules.rule("XYZ03")(when)
    rules.rule("XYZ02 b")(lambda limit: [{}])
    assert rules.found(9)[0].code == "XYZ02"


@pytest.mark.parametrize("task", RULES)
def test_all_words_are_used(task: str) -> None:
    assert len(RULES[task]) == len(RULES[task].words)
