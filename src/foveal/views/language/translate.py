"""English sentences in Chinese, by their patterns: records stay English, views say them in the reader's language.

``zh-CN.yaml`` (audits), ``zh-text.yaml`` (tables, plans, errors), ``zh-help.yaml`` (options) and ``zh-plots.yaml``
(pictures) map an English sentence with {names} in place of its numbers and words to a Chinese one with the same names.
What stands for a name is translated too where it is a sentence of its own; what has no pattern stays English.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, TypeVar

from foveal.core.language import language

if TYPE_CHECKING:
    from foveal.core.finding import Finding
    from foveal.tasks.record import Audit, AuditTable, Cell

TABLES = ("zh-plots.yaml", "zh-help.yaml", "zh-text.yaml", "zh-CN.yaml")
_NAME = re.compile(r"\{(\w+)(?:![rs])?(?::[^}]*)?\}")
Found = TypeVar("Found", bound="Finding")


def translated(text: str, to: str | None = None) -> str:
    """The text in a language (by default the reader's); as it is where there is no pattern for it."""
    if (to or language()) != "zh-CN" or not text:
        return text
    return _chinese(text) or _of_other_units(text) or text


def has_pattern(text: str) -> bool:
    """Whether a sentence, or a template with {names}, has a Chinese form."""
    return _plain(text) in _table() or (_chinese(text) or _of_other_units(text)) is not None


def audit_in(audit: Audit, to: str | None = None) -> Audit:
    """The audit with its sentences and headings in a language, and cells of several words; numbers and names stay."""
    if (to or language()) != "zh-CN":
        return audit
    return replace(
        audit,
        task=translated(audit.task, to),
        summary=tuple(translated(line, to) for line in audit.summary),
        tables=tuple(_table_in(table, to) for table in audit.tables),
        findings=tuple(finding_in(finding, to) for finding in audit.findings),
        method=translated(audit.method, to),
        excerpts={
            translated(title, to): excerpt._replace(why=translated(excerpt.why, to))
            for title, excerpt in audit.excerpts.items()
        },
    )


def finding_in(finding: Found, to: str | None = None) -> Found:
    """A finding with its sentences in a language."""
    words = {name: translated(getattr(finding, name, ""), to) for name in ("text", "change", "effect")}
    return replace(finding, **{name: text for name, text in words.items() if hasattr(finding, name)})


def _table_in(table: AuditTable, to: str | None) -> AuditTable:
    return replace(
        table,
        title=translated(table.title, to),
        columns=tuple(translated(heading, to) for heading in table.columns),
        rows=tuple(tuple(_cell(cell, to) for cell in row) for row in table.rows),
        note=translated(table.note, to),
    )


def _cell(cell: Cell, to: str | None) -> Cell:
    return translated(cell, to) if isinstance(cell, str) and " " in cell else cell


_UNITS = {
    "samples": ("signal", "采样点", "信号"),
    "frames": ("signal", "帧", "信号"),
    "tokens": ("text", "词元", "文本"),
    "voxels": ("volume", "体素", "体数据"),
}


def _of_other_units(text: str) -> str | None:
    """A sentence of samples, tokens or voxels by its form of pixels, of which the table is written."""
    for unit, (whole, said, said_whole) in _UNITS.items():
        if re.search(rf"\b({unit}|{whole}s?)\b", text):
            found = _chinese(re.sub(rf"\b{whole}(s?)\b", r"image\1", re.sub(rf"\b{unit}\b", "px", text)))
            if found is not None:
                return found.replace("像素", said).replace("图像", said_whole)
    return None


def _chinese(text: str) -> str | None:
    known = _table().get(text if "{" not in text else _plain(text)) or _table().get(_plain(text))
    if known is not None and "{" not in known:
        return known
    layer, colon, rest = text.partition(": ")
    if colon and f"{layer}: {{text}}" in _table():
        return _filled(_table()[f"{layer}: {{text}}"], {"text": rest})
    if colon and " " not in layer and layer not in _words():  # of a layer
        told = _chinese(rest)
        if told is not None:
            return f"{layer}：{told}"
    for pattern, template in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            return _filled(template, found.groupdict())
    parts = text.split("; ")
    if len(parts) > 1:
        said = [_chinese(part) for part in parts]
        return "；".join(part for part in said if part) if all(said) else None
    return None


_WORDS = {"once", "pixels", "pixel", "samples", "sample", "frames", "frame", "tokens", "token", "voxels", "voxel"}
"""Single words that are translated within a sentence; others may be names of layers."""


def _filled(template: str, values: dict[str, str]) -> str:
    """The template with what stands for its names, sentences translated; a single word may be the name of a layer."""
    sentences = {name: value for name, value in values.items() if " " in value or value in _WORDS}
    said = values | {name: _chinese(value) or _of_other_units(value) or value for name, value in sentences.items()}
    counted = (name for name in values if name.startswith("positions"))
    said |= {name: _COUNTED[values[name].removesuffix("s")] for name in counted}
    return _NAME.sub(lambda one: said[one[1]], template)


def _plain(text: str) -> str:
    return _NAME.sub(r"{\1}", " ".join(text.split()))


@cache
def _table() -> dict[str, str]:
    import yaml

    folder = resources.files("foveal.views.language")
    texts = [folder.joinpath(name).read_text(encoding="utf-8") for name in TABLES]
    return {_plain(english): chinese for text in texts for english, chinese in yaml.safe_load(text).items()}


@cache
def _words() -> set[str]:
    """What stands before the first colon of a sentence, where it is no name of a layer."""
    return {english.partition(": ")[0] for english in _table()}


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Longer sentences first, so that a general one does not take their place."""
    found = []
    for english, chinese in sorted(_table().items(), key=lambda item: -len(_NAME.sub("", item[0]))):
        if "{" in english and (_NAME.sub("", english).strip() or "{positions}" in english):
            seen: set[str] = set()
            parts = [_group(part, seen) if i % 2 else re.escape(part) for i, part in enumerate(_NAME.split(english))]
            found.append((re.compile("".join(parts), re.DOTALL), chinese))
    return found


_COUNTED = {
    "position": "个位置",
    "sample": "个采样点",
    "frame": "帧",
    "token": "个词元",
    "px": "像素",
    "voxel": "个体素",
}
"""What positions are called, with the word that stands between a number and them."""
_KINDS = {"n": r"[-+\d.,/e]+", "op": r"\S+", "positions": "|".join(f"{one}s?" for one in _COUNTED)}
"""What these names stand for: a number, one word, what positions are called; all other names for anything."""


def _group(name: str, seen: set[str]) -> str:
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    kind = next((regex for word, regex in _KINDS.items() if re.fullmatch(rf"{word}\d*", name)), ".*?")
    return f"(?P<{name}>{kind})"
