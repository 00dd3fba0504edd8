"""What a person asks first, in two lines."""

from __future__ import annotations

from foveal.core.visible import visible
from foveal.report.results import Report
from foveal.report.units import WHOLE
from foveal.views.text.table import axes_text, measured_text


def verdict_lines(report: Report) -> list[str]:
    """The two lines on top of a report."""
    verdict = report.verdict
    source = next((one for one in report.sources if verdict is not None and one.name == verdict.source), None)
    if verdict is None or source is None:
        return []
    unit, image = source.unit, WHOLE.get(source.unit, "input")
    size = axes_text(verdict.size)
    if verdict.smallest is not None:
        size = f"{axes_text(verdict.smallest)} to {size}"
    known = size and "?" not in size
    told = f"{_mark(verdict.status)}{size} {unit}" if known else "a part of unknown size"
    pairs = list(zip(verdict.size, verdict.lengths))
    if known and all(isinstance(n, int) for n, _ in pairs):
        lengths = axes_text(verdict.lengths)
        some, every = any(n > m for n, m in pairs if n is not None), all(n == m for n, m in pairs)
        told += f", all of the {image}" if every else f", more than the {lengths} of the {image}" if some else ""
        told = told if every or some else f"{_mark(verdict.status)}{size} of the {lengths} {unit} of the {image}"
    length = measured_text(source, verdict.size)
    first = f"a unit of {verdict.layer} sees {told}" + (f" = {length} {source.measure}" if length else "")
    if verdict.effective is not None:
        part = f"; it uses about {verdict.effective:.0f} {'of them' if len(set(verdict.size)) == 1 else 'a side'}"
        border = f", up to the border of the {image}" if verdict.at_border else ""
        first += f"{part} (effective side before training{border}"
        first += ")" if verdict.side_90 is None else f"; 90 % side {verdict.side_90})"
    elif verdict.unasked:
        first += "; how much of that it uses is worked out only when asked (foveal field), as it takes long"
    second = []
    stride = axes_text(verdict.stride)
    if stride not in ("", "1") and "?" not in stride:
        second.append(f"neighbouring units look {stride} {unit} apart")
    if verdict.local is not None:
        second.append(f"without global context it sees {axes_text(verdict.local)} {unit}")
    if verdict.whole and verdict.whole != verdict.layer:
        second.append(f"from {'.'.join(verdict.whole.split('.')[:3])} on a unit can see the whole {image}")
    return [visible(first), *([visible("; ".join(second))] if second else [])]


def _mark(status: str) -> str:
    return {"bound": "at most ", "data-dependent": "about "}.get(status, "")
