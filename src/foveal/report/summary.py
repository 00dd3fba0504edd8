"""The short form of a report: a few rows for all layers. It needs no network: a kept report is shown at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby

from foveal.report.results import LayerResult, Report

ROWS = 25
"""At most so many rows."""


@dataclass(frozen=True)
class _Line:
    """A layer with its row for each source; how many blocks it stands for, and the last one's name."""

    rows: tuple[LayerResult, ...]
    times: int = 1
    last: str = ""

    @property
    def first(self) -> LayerResult:
        return self.rows[0]

    @property
    def parent(self) -> str:
        return self.first.name.rpartition(".")[0]

    @property
    def is_output(self) -> bool:
        return self.first.name.partition(".")[0] == "output"

    @property
    def says(self) -> object:
        """What must change for a row to be worth showing."""
        return [(row.size, row.sizes, row.stride, row.local) for row in self.rows]

    def narrower(self, other: _Line) -> bool:
        """Whether no size is larger, one smaller, and the stride the same."""
        mine, theirs = self.first, other.first
        if not isinstance(mine.size.value, tuple) or not isinstance(theirs.size.value, tuple):
            return False
        known = [(a, b) for a, b in zip(mine.size.value, theirs.size.value) if a is not None and b is not None]
        return mine.stride == theirs.stride and all(a <= b for a, b in known) and any(a < b for a, b in known)

    def goes_with(self, other: _Line) -> bool:
        """Whether two lines in a row are blocks of one kind; a stride that is not known is no difference."""
        strides = zip(self.first.stride, other.first.stride)
        return (self.parent, self.first.type, self.first.leaf) == (
            other.parent, other.first.type, other.first.leaf
        ) and all(a == b or None in (a, b) for a, b in strides)  # fmt: skip

    @property
    def real(self) -> str:
        """The name of the layer whose numbers these are."""
        return self.last or self.first.name

    def named(self) -> list[LayerResult]:
        if self.times == 1:
            return list(self.rows)
        name = self.first.name
        if self.last and self.last != name:
            name += "\u2013" + (self.last.rpartition(".")[2] if self.parent else self.last)
        return [replace(row, name=f"{name} x{self.times}") for row in self.rows]


def stages(report: Report, most: int = ROWS) -> Report:
    """The report with at most about ``most`` layers: as deep in the modules as that allows, without layers that change
    neither size nor stride, blocks that repeat as one row, "layer3 x6".
    """
    return replace(report, layers=tuple(row for line in _short(report, most) for row in line.named()))


def stage_names(report: Report, most: int = ROWS) -> list[str]:
    """The layers of these rows that have a size, by their own names."""
    return [line.real for line in _short(report, most) if isinstance(line.first.size.value, tuple)]


def _short(report: Report, most: int) -> list[_Line]:
    lines = [_Line(tuple(rows)) for _, rows in groupby(report.layers, key=lambda row: row.name)]
    if len(lines) <= most // 2:
        return lines
    # What comes behind the last module, such as a detector's choice of boxes, is one line: its result.
    modules = [place for place, line in enumerate(lines) if line.first.kind == "module" and not line.is_output]
    lines = [*lines[: modules[-1] + 1], *lines[modules[-1] + 1 :][-1:]] if modules else lines
    shown = lines
    for depth in range(max(line.first.name.count(".") for line in lines), -1, -1):
        level = _changing([line for line in lines if line.first.name.count(".") <= depth])
        if not level:  # nothing has so short a name
            break
        for leaves in (False, True):
            shown = _folded(level, leaves)
            if len(shown) <= most:
                return shown
    ends = [a for a, b in zip(shown, [*shown[1:], None]) if b is None or not a.goes_with(b)]
    half = most // 2
    return ends if len(ends) <= most else [*ends[:half], *ends[-half:]]


def _changing(lines: list[_Line]) -> list[_Line]:
    """Without single operations that change nothing; the last stays. A module stands for what it ends with."""
    kept: list[_Line] = []
    for line in lines:
        if kept and kept[-1].first.leaf and kept[-1].parent == line.first.name and kept[-1].says == line.says:
            kept.pop()
        if kept and line is not lines[-1] and line.narrower(kept[-1]):
            continue  # a branch beside the one that was shown
        if not kept or line is lines[-1] or not line.first.leaf or line.says != kept[-1].says:
            kept.append(line)
    return kept


def _folded(lines: list[_Line], leaves: bool) -> list[_Line]:
    """Blocks alike in a row as one line; where they are all that a module has, the module's own line."""
    found: list[_Line] = []
    for line in lines:
        before = found[-1] if found else None
        block = not line.first.leaf
        if before and (leaves or block) and before.goes_with(line):
            name, times = before.first.name, before.times + 1
            found[-1] = _Line(tuple(replace(row, name=name) for row in line.rows), times, line.first.name)
        elif before and block and before.last and not before.first.leaf and before.parent == line.first.name:
            inside = f"{line.first.name}."
            if any(other.parent == line.first.name for other in found[:-1]):
                found.append(line)  # it has other parts as well
                continue
            while found and found[-1].first.name.startswith(inside):
                found.pop()
            found.append(replace(line, times=before.times))
        else:
            found.append(line)
    return found
