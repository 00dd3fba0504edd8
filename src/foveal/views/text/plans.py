"""Plans of tiles and of streams as text and as HTML."""

from __future__ import annotations

from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING

from foveal.core.visible import visible
from foveal.core.words import bytes_text, counted
from foveal.views.language.translate import translated
from foveal.views.text.table import aligned

if TYPE_CHECKING:
    from foveal.tasks.streaming.record import StreamPlan, Way
    from foveal.tasks.tiling.record import TilePlan

Rows = list[tuple[str, str]]


WHY, UNPROVEN = "not possible exactly because of", "not proven because of"


def _status(plan: TilePlan) -> str:
    if plan.status == "unproven":
        return "not proven: may differ from the whole; compare with plan.check"
    if plan.exact:
        return "exact"
    if plan.error is None:
        return "approximate: relative error not known; measure it with plan.check"
    return f"approximate: {'measured' if 'measured' in plan.method else 'expected'} relative error {plan.error:.3g}"


def plan_rows(plan: TilePlan) -> Rows:
    """What a plan says, line by line."""
    unsure = " or more" if plan.cut else ""
    rows = [("tiling", _status(plan) + unsure * (plan.error is not None))]
    if unsure:
        rows.append(
            ("", "the traced source is smaller than the field, so that not all was weighed: give a larger input")
        )
    for number, text in enumerate(plan.obstacles[:3]):
        rows.append(((WHY if plan.status == "approximate" else UNPROVEN) if number == 0 else "", text))
    if len(plan.obstacles) > 3:
        rows.append(("", f"and {len(plan.obstacles) - 3} more"))
    names = [axis.name for axis in plan.axes]
    rows += [
        ("source", _per_axis(names, [str(axis.length) for axis in plan.axes])),
        ("tile, halo included", _per_axis(names, [str(axis.tile) for axis in plan.axes])),
        ("halo (before + after)", _per_axis(names, [f"{a} + {b}" for a, b in plan.halo])),
        ("of which needed", _per_axis(names, [f"{axis.need[0]} + {axis.need[1]}" for axis in plan.axes])),
        ("starts are multiples of", _per_axis(names, [str(axis.multiple) for axis in plan.axes])),
        ("smallest tile", _per_axis(names, [str(axis.smallest) for axis in plan.axes])),
        ("tiles", " x ".join(str(len(axis.starts)) for axis in plan.axes) + f" = {plan.count}"),
        ("computed twice or more", f"{plan.overhead:.1%} of the source"),
        ("activations at once", f"{bytes_text(plan.memory[1])} a tile, {bytes_text(plan.memory[0])} the whole"),
        ("method", plan.method),
        *(("warning", text) for text in plan.warnings),
    ]
    return rows


def plan_text(plan: TilePlan, width: int | None = None) -> str:
    """The plan as lines of text; width: of the terminal."""
    return "\n".join([visible(translated(f"{plan.network}: {plan.layer} in tiles")), *aligned(plan_rows(plan), width)])


def plan_html(plan: TilePlan) -> str:
    """The plan as a small table, for notebooks."""
    return _html(f"{plan.network}: {plan.layer} in tiles", plan_rows(plan))


def _html(title: str, found: Rows) -> str:
    rows = [(escape(label), escape(visible(text))) for label, text in found]
    body = "\n".join(f"<tr><td>{label}</td><td>{text}</td></tr>" for label, text in rows)
    return f"<p><b>{escape(visible(title))}</b></p>\n<table>\n{body}\n</table>"


def stream_text(plan: StreamPlan, width: int | None = None) -> str:
    """The plan of a stream as lines of text; width: of the terminal."""
    return "\n".join([visible(translated(_stream_title(plan))), *aligned(stream_rows(plan), width)])


def stream_html(plan: StreamPlan) -> str:
    """The same as a small table, for notebooks."""
    return _html(_stream_title(plan), stream_rows(plan))


def _stream_title(plan: StreamPlan) -> str:
    return f"{plan.network}: {plan.layer} as a stream along {plan.source.axis_names[plan.axis]}"


def stream_rows(plan: StreamPlan) -> Rows:
    """What a plan of a stream says, line by line."""

    def long(number: Fraction | None) -> str:
        return _length(plan, number)

    both = None if plan.lookback is None or plan.lookahead is None else plan.lookback + plan.lookahead + 1
    rows = [
        ("receptive field", long(both)), ("look-back, look-ahead", f"{long(plan.lookback)}; {long(plan.lookahead)}"),
        ("stride of a unit", counted(plan.stride, plan.unit) + _rate(plan)),
        ("step of the stream", long(Fraction(plan.step))), ("latency of the network", long(plan.latency)),
        ("first unit", "at the end" if plan.wait is None else f"after {long(Fraction(plan.wait))}"),
    ]  # fmt: skip
    for what, ends in (("first", plan.begin), ("last", plan.end)):
        if ends is not None:
            far = "the other end" if ends.reach is None else counted(ends.reach, plan.unit)
            side = "ahead" if what == "first" else "back"
            read = "reads" if ends.units == 1 else "read"
            units = f"{what} unit" if ends.units == 1 else f"{what} {ends.units} units"
            rows.append((f"the {units}", f"{read} {far} {side}, through padding that mirrors or wraps"))
    rows += [(f"units of n {plan.unit}", _units(plan)), *_reads(plan)]
    if plan.origin:
        rows.append(("sampling rate", f"{plan.rate:g} samples per second, from {plan.origin}"))
    late = max(Fraction(0), (plan.lookahead or 0) - plan.stride + 1)
    again = plan.left + plan.right
    rows += [
        ("chunk", _chunk(plan)),
        ("overlap: context", f"{plan.left} before + {plan.right} behind; {again} read again by the next"),
        *_in_steps(plan), ("computed twice", f"{plan.twice:.1%} of the stream"),
        ("delay", long(Fraction(plan.chunk + plan.right))),
        ("equals the whole", _way(plan.overlap)),
        ("state: kept", _kept(plan)),
        ("delay", "" if plan.wait is None else long(plan.chunk + late)),
        ("equals the whole", _way(plan.state)),
    ]  # fmt: skip
    exact = plan.overlap.status == plan.state.status == "exact"
    for text, change in plan.causes if not exact else ():
        rows += [("why", text)] + ([("what would change it", change)] if change else [])
    return rows + [("warning", text) for text in plan.warnings]


def _chunk(plan: StreamPlan) -> str:
    said = _length(plan, Fraction(plan.chunk)).split(" = ")
    return " = ".join(dict.fromkeys([*said, *[counted(plan.chunk / plan.stride, "units")] * (plan.stride >= 1)]))


def _in_steps(plan: StreamPlan) -> Rows:
    """Whole steps that hold the reach of every phase: more than a chunk needs, which begins on a step."""
    if plan.step == plan.stride or plan.lookback is None or plan.lookahead is None:
        return []
    before, behind = (-(-reach // plan.step) * plan.step for reach in (plan.lookback, plan.lookahead))
    text = f"in steps of {plan.step}, for units of any phase: {before} before + {behind} behind"
    return [("", text)] if plan.step > 1 and (before, behind) != (plan.left, plan.right) else []


def _units(plan: StreamPlan) -> str:
    """``(n - 400) // 320 + 1; 49 in a second``."""
    grown = plan.growth
    if grown is None:
        length = plan.source.lengths[plan.axis]
        return f"{plan.count} of the traced {length}" + (
            "" if plan.step == 1 else "; not known for lengths between steps"
        )
    if grown.period == 1:
        more = grown.count - grown.units * grown.first
        text = ("n" if grown.units == 1 else f"{grown.units} n") + _signed(more)
    else:
        behind = (grown.count // grown.units - 1) * grown.period
        first, rest = grown.first - behind, grown.count - grown.units * (behind // grown.period)
        if first == grown.period:
            first, rest = 0, rest - grown.units
        cells = (f"(n{_signed(-first)})" if first else "n") + f" // {grown.period}"
        text = (cells if grown.units == 1 else f"{grown.units} ({cells})") + _signed(rest)
    return text + ("" if plan.rate is None else f"; {plan.units('1s')} in a second")


def _reads(plan: StreamPlan) -> Rows:
    """What unit i reads, far from the ends: ``320 i to 320 i + 400 = 20 i to 20 i + 25 ms, center 20 i + 12.5``."""
    found = plan.covers(0)
    if found is None:
        return []
    first, end, center = (_signed(n) for n in found)
    own = "i" if plan.stride == 1 else f"{_number(plan.stride)} i"
    text = f"{own}{first} to {own}{end}, center {own}{center}"
    if plan.rate is not None:
        scale = plan.milliseconds(1) or 0.0
        own = f"{float(plan.stride) * scale:.6g} i"
        begin, stop, middle = (_signed(float(n) * scale) for n in found)
        text += f" = {own}{begin} to {own}{stop} ms, center {own}{middle} ms"
    return [("unit i reads" if plan.stride == plan.step else "unit i reads at most", text)]


def _signed(number: Fraction | float) -> str:
    """``+ 3``, ``- 3``, nothing for 0, as the rest of a sum."""
    text = f"{abs(number):.6g}" if isinstance(number, float) else _number(abs(number))
    return "" if text == "0" else f" {'-' if number < 0 else '+'} {text}"


def _kept(plan: StreamPlan) -> str:
    if plan.elements is not None:
        return f"{counted(plan.elements, 'numbers')}, {bytes_text(4 * plan.elements)}"
    return "unknown" if plan.state.status in ("refused", "unproven") else "grows with the stream"


def _length(plan: StreamPlan, number: Fraction | None) -> str:
    """``400 samples = 1.25 frames = 25 ms``; ``13 frames = 2080 samples = 130 ms`` of a source of frames."""
    if number is None:
        return "all"
    said = [counted(number, plan.unit) if number.denominator == 1 else f"{_about(number)} {plan.unit}"]
    units, spent = number / plan.stride, plan.milliseconds(number)
    if plan.hop > 1:
        said.append(counted(number * plan.hop, "samples"))
    if plan.stride > 1:
        word = "units" if plan.unit == "frames" else "frames"
        said.append(counted(units, word) if units.denominator == 1 else f"{_about(units)} {word}")
    elif plan.stride < 1:
        said.append(counted(units, "samples"))
    return " = ".join(dict.fromkeys([*said, *([] if spent is None else [_time(spent)])]))


def _about(number: Fraction) -> str:
    return f"{float(number):.4g}" if number < 1000 else f"{float(number):.1f}"


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.4g} ms" if milliseconds < 10000 else f"{milliseconds / 1000:.6g} s"


def _rate(plan: StreamPlan) -> str:
    if plan.rate is None:
        return ""
    return f"; {float(plan.rate / plan.hop / plan.stride):.6g} units per second"


def _number(number: Fraction | int) -> str:
    exact = Fraction(number)
    return str(int(exact)) if exact.denominator == 1 else str(exact)


def _way(way: Way) -> str:
    seen = (
        f" ({counted(way.chunks, 'chunks')} of random sizes in float64: largest difference {way.largest:.2g})"
        if way.chunks
        else ""
    )
    if way.status == "exact":
        return f"yes{seen}" + (f", {way.why}" if way.why else "")
    if way.status == "approximate":
        how = f"{counted(way.chunks, 'chunks')}, measured" + (
            "" if way.expected is None else f"; {way.expected:.3g} expected by the energy field"
        )
        return f"no: {way.error:.3g} of the root mean square apart ({how}): {way.why}"
    if way.status == "unproven" and way.expected is not None:
        return f"not tried; {way.expected:.3g} of the root mean square apart expected by the energy field: {way.why}"
    return f"{'not possible' if way.status == 'refused' else 'not tried'}{': ' if way.why else ''}{way.why}"


def _per_axis(names: list[str], texts: list[str]) -> str:
    """``512`` for equal axes, else ``H 512, W 384``."""
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(f"{name} {text}" for name, text in zip(names, texts))
