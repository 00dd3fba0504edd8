"""Audits: tables, findings and pictures about one network and one task, as a frozen record with JSON both ways.

A task's function fills an :class:`Audit` from finished results. Its figures are records too, drawn when
asked for; they do not travel as JSON, nor do excerpts; everything else does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

from foveal.core import show
from foveal.core.errors import FovealError
from foveal.core.finding import Finding
from foveal.core.serial import FormatError, from_plain, read_json, to_plain
from foveal.core.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = 1
"""Version of the JSON form; raised whenever a field changes its name, type or meaning."""

GRAVE_FIRST = ("error", "warning", "info")

Cell = int | float | str | None


@dataclass(frozen=True)
class AuditFinding(Finding):
    """A finding of a task, with what can be done about it.

    code: stable, two to four capitals and two digits ("CLS01"); text: what was found and what it means; change: what to
    change; effect: what the change is expected to do. Both are "" where nothing needs to change.
    """

    change: str = ""
    effect: str = ""


@dataclass(frozen=True)
class AuditTable:
    """A titled table. columns: headings, with the unit where there is one; rows: one cell per column, None for none.

    note: how to read it. Raises ValueError for a row of another length.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table '{self.title}': a row of {len(row)} cells under {len(self.columns)} headings")

    def column(self, heading: str) -> tuple[Cell, ...]:
        """The cells under that heading; raises FovealError with the headings there are."""
        if heading not in self.columns:
            raise FovealError(f"table '{self.title}': no column '{heading}'; it has {', '.join(self.columns)}")
        place = self.columns.index(heading)
        return tuple(row[place] for row in self.rows)


@dataclass(frozen=True)
class AuditRecord:
    """What travels as JSON. source: the input's name; source_shape: its lengths along the counted axes, in positions;
    summary: the answers in a few sentences; method: what the numbers rest on.
    """

    task: str
    network: str
    source: str
    source_shape: tuple[int, ...]
    summary: tuple[str, ...]
    tables: tuple[AuditTable, ...]
    findings: tuple[AuditFinding, ...]
    method: str = ""
    schema: int = SCHEMA
    version: str = __version__

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"unknown schema version {self.schema}; this version of foveal reads {SCHEMA}")


class Excerpt(NamedTuple):
    """The rows of a long table that a printed report shows, by index, and why the others are left out."""

    rows: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class Later:
    """A figure whose record takes long to make: it is made when it is drawn."""

    make: Callable[[], object]


@dataclass(frozen=True, repr=False)
class Audit(show.Shown, AuditRecord):
    """The audit of one network for one task. ``str(audit)`` is the report; ``audit.figure(name)`` draws.

    figures: by name, the record of what is drawn; excerpts: by title, what a printed report shows of a long table
    (JSON holds all rows).
    """

    figures: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    excerpts: Mapping[str, Excerpt] = field(default_factory=dict, compare=False, repr=False)

    def table(self, title: str) -> AuditTable:
        """The table of that title; raises FovealError with the titles there are."""
        for table in self.tables:
            if table.title == title:
                return table
        raise FovealError(f"no table '{title}'; this audit has {', '.join(t.title for t in self.tables) or 'none'}")

    def figure(self, name: str | None = None) -> Figure:
        """Draw the figure of that name (default: the first); raises FovealError with the names there are."""
        if not self.figures:
            raise FovealError(f"this {self.task} audit has no figure: figures do not travel as JSON, or none was made")
        name = next(iter(self.figures)) if name is None else name
        if name not in self.figures:
            raise FovealError(f"no figure '{name}'; this {self.task} audit has {', '.join(self.figures)}")
        drawn = self.figures[name]
        made: Figure = show.figure(drawn.make() if isinstance(drawn, Later) else drawn)
        return made

    def reaches(self, level: str) -> bool:
        """Whether a finding is at least as grave as ``level`` ("error", "warning" or "info")."""
        grave = GRAVE_FIRST[: GRAVE_FIRST.index(level) + 1]
        return any(finding.severity in grave for finding in self.findings)

    def to_json(self) -> str:
        """All but the figures as JSON; :meth:`from_json` gives back an equal audit."""
        data = {item.name: to_plain(getattr(self, item.name)) for item in fields(AuditRecord)}
        return json.dumps(data, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Audit:
        """The audit that ``text`` describes, without figures; raises FormatError (one line) for anything else."""
        data = read_json(text, "audit")
        if isinstance(data, dict) and data.get("schema", SCHEMA) != SCHEMA:
            raise FormatError(f"audit: unknown schema version {data['schema']}; this version of foveal reads {SCHEMA}")
        record = from_plain(AuditRecord, data, "audit")
        return cls(**{item.name: getattr(record, item.name) for item in fields(AuditRecord)})


def gravest_first(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Each finding once: errors, then warnings, then the rest; by code within each."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (GRAVE_FIRST.index(f.severity), f.code)))
