"""How to run a network along time, chunk by chunk: with context that is computed again, or with a state that is kept.

Both are run on random numbers in random chunk sizes, in float64, and compared with the whole: what the plan calls exact
has been seen to be. What cannot be exact says why, what would change it, and how large the difference was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache, partial
from math import floor
from typing import Any

import numpy as np

from foveal.check.automatic import look
from foveal.core.errors import FovealError, first_line
from foveal.core.words import counted
from foveal.frontends.trace import is_input, network
from foveal.ir.graph import Graph
from foveal.report.units import source_info
from foveal.tasks.streaming.audit import findings_of, question
from foveal.tasks.streaming.context import Stream, chunks_of, size_of
from foveal.tasks.streaming.overlap import streamed
from foveal.tasks.streaming.reach_in_time import Reach, first_to_read_all, reach_of, read_by_first, through_mixing
from foveal.tasks.streaming.record import Ends, Growth, StreamPlan, Way, positions_of, positions_word
from foveal.tasks.streaming.used import expected_error
from foveal.tasks.tiling.stitching import TileCheck, compared

STEPS = 3
"""By how many steps the source of a proof is longer than the traced one."""
LONGEST = 16
"""By how much a source of such a proof may be longer, to hold several chunks."""
COARSE = "as far as the lower precision that the model computes in tells"
LISTED = 3
"""So many obstacles are named."""
DEAD = "all units came out alike on random numbers, so that running it shows little: give weights that let something by"
UNRUN = "a network without weights cannot be run: write one of text as PyTorch (foveal code) and stream that"


def stream(
    model: Any,
    layer: Any = None,
    *,
    inputs: Any = None,
    rate: float | None = None,
    hop: int = 1,
    chunk: int | str | None = None,
    context: int | str | None = None,
    lookahead: int | str | None = None,
    axis: str | None = None,
    check: bool = True,
    axes: Any = None,
) -> StreamPlan:
    """How to run ``layer`` (default: the network's output) along time: chunks, context, latency, state.

    model, inputs: as for :func:`foveal.trace`, or a graph; layer: a name, a number or the model's own module. rate:
    samples per second (default: what the model's configuration or processor says); hop: samples per position of the
    source (of a spectrogram's frames). chunk: positions, or a time
    such as "80ms" (default: the smallest that computes at most half of the stream twice); it is rounded up to the step.
    context, lookahead: positions before a chunk that it is computed with, and of the future that are allowed (default:
    what the network needs); less makes an approximation, with the error to expect.
    axis: the source axis that is time, by name or number; default the last. check: run both ways and compare.
    Raises FovealError where the layer has no time axis, where a time is given without a rate, and where the chunk is
    smaller than the step.
    """
    if is_input(layer):
        layer, inputs = None, layer
    graph = network(model, inputs, axes)
    if check:
        look(graph)
    first = next((name for name in ("output", "output.0") if name in graph.layer_table), None)
    name = first if layer is None else graph.name_of(layer)
    asked = question(graph, {"layer": name, "axis": axis, "rate": rate, "hop": hop, "latency": None})
    if axis is None:
        _refuse_image(asked)
    size, past, ahead = (
        positions_of(*given, asked.rate, asked.hop)
        for given in (("chunk", chunk), ("context", context), ("lookahead", lookahead))
    )
    plan = _planned(asked, size, past, ahead)
    if check and graph.backend is not None:
        return _proven(graph, plan)
    why = "a check was not asked for" if graph.backend is not None else UNRUN
    return replace(plan, overlap=replace(plan.overlap, why=plan.overlap.why or why), state=Way("unproven", why))


def unchecked(graph: Graph, rate: float | None = None, hop: int = 1) -> StreamPlan | None:
    """The plan of the output from the graph alone; None where no source is a line, or the output is no stream."""
    if not any(len(source.axes) == 1 for source in graph.sources):
        return None
    try:
        return stream(graph, rate=rate, hop=hop, check=False)
    except FovealError:
        return None


def _refuse_image(asked: Stream) -> None:
    """Raises FovealError where no axis of the source is time by itself: an image in colour, a volume."""
    found = asked.graph.sources[asked.source]
    shape = asked.graph.values[found.value].shape
    if len(found.axes) > 2 or (len(found.axes) == 2 and found.axes == (2, 3) and shape[1] == 3):
        info = source_info(asked.graph, found)
        raise FovealError(f"input {'x'.join(map(str, shape))} is {'an image' if len(found.axes) == 2 else 'a volume'}, "
                          "and no axis of it is known to be time: name the one that is with --axis "
                          f"({', '.join(info.axis_names)}), or compute it in pieces with foveal tile")  # fmt: skip


def _planned(asked: Stream, chunk: int | None, past: int | None, allowed: int | None) -> StreamPlan:
    graph, axis = asked.graph, asked.axis
    reach = reach_of(graph, asked.value, asked.source, axis)
    found = graph.sources[asked.source]
    info = source_info(graph, found)
    causes = _causes(asked, reach)
    if reach is not None and reach.axis is None:
        reach = through_mixing(graph, asked.value, asked.source, axis) or reach
    if reach is None or reach.axis is None or not reach.stride:
        why = f" ({causes[0][0]})" if causes else ""
        raise FovealError(f"layer '{asked.layer}' has no position along {info.axis_names[axis]}{why}: it cannot be "
                          "streamed; ask for a layer before it")  # fmt: skip
    step, left, right, obstacles = chunks_of(asked, reach)
    word = positions_word(info, asked.hop, axis, reach.stride)
    if chunk is not None and chunk < step:
        spent = "" if asked.rate is None else f" ({step * asked.hop / asked.rate * 1000:.4g} ms)"
        raise FovealError(
            f"chunk {chunk}: the network advances by {counted(step, word)}{spent}; the smallest chunk is that"
        )
    late = max(reach.ahead or Fraction(0), reach.stride - 1)
    small = allowed is not None and (reach.ahead is None or allowed < reach.ahead)
    if small and reach.ahead is not None:
        causes += ((f"the network looks {counted(late, word)} ahead, {allowed} are allowed", "pad on the past's side"),)
    short = past is not None and left is not None and past < left
    if short and reach.back is not None:
        causes += ((f"the network looks {counted(reach.back, word)} back, {past} are given", "give more context"),)
    exact = left is not None and right is not None and not small and not short
    size = -(-chunk // step) * step if chunk is not None else size_of(step, left, right, info.lengths[axis])
    before = -(-(past if past is not None else size if left is None else left) // step) * step
    after = size if right is None else right
    if small and allowed is not None:
        after = min(after, max(0, floor(allowed - reach.stride) + 1))
    blocked = _shortened(list(dict.fromkeys(obstacles))) if exact else ()
    thought = None if exact else expected_error(asked, reach, size, before, after)
    unproven = Way("unproven", "" if exact else "; ".join(text for text, _ in causes) or "its reach has no bound")
    overlap = replace(unproven, expected=thought)
    begin, end = (None if border is None else Ends(*border) for border in (reach.begin, reach.end))
    if begin is not None:
        begin = replace(begin, read=read_by_first(graph, asked.value, asked.source, axis, begin.units))
    return StreamPlan(
        graph.name, asked.layer, info, axis, reach.axis, asked.rate, asked.hop, reach.stride, step,
        info.lengths[axis] % step, reach.back, reach.ahead, begin, end, size,
        before, after, False, overlap, unproven, None, graph.values[asked.value].shape[reach.axis], causes or blocked,
        (graph.stopped,) if graph.stopped else (), None, asked.origin,
    )  # fmt: skip


def _shortened(texts: list[str]) -> tuple[tuple[str, str], ...]:
    more = [f"and {len(texts) - LISTED} more like these"] if len(texts) > LISTED else []
    return tuple((text, "") for text in [*texts[:LISTED], *more])


def _causes(asked: Stream, reach: Reach | None) -> tuple[tuple[str, str], ...]:
    """What keeps the reach from being bounded, and what would change it, in the words of the audit's findings."""
    if reach is None:
        return ()
    found = [f for f in findings_of(asked, reach) if f.code not in ("STR02", "STR06")]
    told = tuple(dict.fromkeys((f"{f.layer}: {f.text}" if f.layer else f.text, f.change) for f in found))
    if told or reach.back is not None:
        return told
    node = first_to_read_all(asked.graph, asked.value, asked.source, asked.axis, future=False)
    what = "the output" if node is None else node.place
    return ((f"{what} carries a state from the whole past", "run it with state, or let a chunk's context warm it up"),)


def _proven(graph: Graph, plan: StreamPlan) -> StreamPlan:
    """The plan with what running it showed."""
    backend = graph.backend
    assert backend is not None
    numbers = np.random.default_rng(0)
    total = plan.source.lengths[plan.axis]
    total = max(total, min(plan.wait or 0, 4 * total)) + STEPS * plan.step
    if plan.overlap.why:  # the error is measured over several chunks
        total += max(0, -(-(min(STEPS * plan.chunk, LONGEST * total) - total) // plan.step)) * plan.step
    example = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in backend.example(0).items()}
    time = plan.source.axes[plan.axis]
    given = example[plan.source.name]
    shape = tuple(total if k == time else n for k, n in enumerate(given.shape))
    sound = numbers.standard_normal(shape) if given.dtype.kind == "f" else np.resize(given, shape)

    def forward(part: np.ndarray) -> np.ndarray:
        return backend.probe({**example, plan.source.name: part}, [plan.layer])[plan.layer]

    try:
        whole = forward(sound)
    except FovealError as error:
        why = f"the model does not run on {total} {plan.unit}: {first_line(error)}"
        return replace(plan, overlap=replace(plan.overlap, why=why), state=Way("unproven", why))

    def count(positions: int) -> int:
        there = tuple(positions if k == time else n for k, n in enumerate(given.shape))
        return int(forward(np.resize(given, there)).shape[plan.value_axis])

    if whole.shape[plan.value_axis] > 1 and not np.ptp(whole, axis=plan.value_axis).any():
        plan = replace(plan, warnings=(*plan.warnings, DEAD))
    more = total - plan.source.lengths[plan.axis]  # so long are the tables of positions known
    running, sizes = None, _sizes(numbers, plan.step, total)
    noise = cache(partial(backend.rounding, plan.layer))  # a run of its own, which only what differs asks for
    try:
        running = backend.streaming(
            plan.source.name, time, more if more % plan.step == 0 else plan.step, plan.layer, "float64"
        )
        made = backend.to_array(running.run(backend.from_array(sound), sizes))
        state = _way(compared(whole, made, len(sizes)), "the form with state differs from the whole", True, noise)
    except FovealError as error:
        state = Way("refused", first_line(error))
    plan = _overlap_proven(replace(plan, growth=_growth(plan, count)), forward, sound, whole, numbers, noise)
    if running is None or state.status == "refused":
        return replace(plan, state=state)
    try:
        kept = sum(number for _, number in running.elements(plan.step))
    except FovealError:
        kept = None
    return replace(plan, state=state, elements=kept, warnings=(*plan.warnings, *running.notes))


def _growth(plan: StreamPlan, run: Callable[[int], int]) -> Growth | None:
    """How the number of units follows the length of the source: one unit after the other, or those of a step at once.
    Where the next ones come is found by halving, and the rule tried at other lengths.
    """
    length, whole = plan.source.lengths[plan.axis], plan.step / plan.stride

    @cache
    def count(positions: int) -> int | None:
        try:
            return run(positions)
        except FovealError:
            return None

    for units in sorted({Fraction(1), whole}):
        period = units * plan.stride
        if units.denominator > 1 or period.denominator > 1:
            continue
        low, high = 0, int(period)  # the units that follow come behind ``low`` positions more, with ``high`` at last
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if count(length + middle) != plan.count else (middle, high)
        found = Growth(int(units), int(period), length + high - int(period), plan.count)
        tried = {found.first - 1, found.first, found.first + int(period) - 1, found.first + int(period)}
        tried |= {length + plan.step * k // 5 for k in range(1, 6)}
        if all(count(n) == found(n) for n in tried if n >= length) and count(length - 1) in (None, found(length - 1)):
            return found
    return None


def _overlap_proven(
    plan: StreamPlan,
    forward: Any,
    sound: np.ndarray,
    whole: np.ndarray,
    numbers: np.random.Generator,
    noise: Callable[[], float],
) -> StreamPlan:
    """Feeds of any length, and where those differ, feeds with the traced length's remainder by the step."""
    found = None
    total = sound.shape[plan.source.axes[plan.axis]]
    exact = not plan.overlap.why
    for aligned in (False, True):
        trial = replace(plan, aligned=aligned)
        sizes = _sizes(numbers, plan.step, total) if exact else [plan.chunk] * (total // plan.chunk + 1)
        try:
            made, chunks = streamed(trial, forward, sound, sizes)
            found = compared(whole, made, chunks)
        except FovealError as error:
            plan = replace(plan, overlap=Way("refused", first_line(error), expected=plan.overlap.expected))
            continue
        why = plan.overlap.why if not exact else "; ".join(t for t, _ in plan.causes) or "chunks differ from the whole"
        way = _way(found, why, exact, noise)
        plan = replace(trial, overlap=replace(way, expected=None if way.status == "exact" else plan.overlap.expected))
        if plan.overlap.status == "exact" or not exact:
            break
    return plan


def _way(found: TileCheck, why: str, exact: bool, noise: Callable[[], float]) -> Way:
    if found.identical and exact:
        return Way("exact", "", None, found.tiles, found.largest)
    if exact and found.rms <= noise():
        return Way("exact", COARSE, None, found.tiles, found.largest)
    if not exact and found.tiles < 2:
        return Way("unproven", why)  # one chunk is the whole
    return Way("approximate", why, found.rms, found.tiles, found.largest)


def _sizes(numbers: np.random.Generator, step: int, total: int) -> list[int]:
    """Random sizes of parts, from one position to many steps, that add up to the whole."""
    sizes: list[int] = []
    while sum(sizes) < total:
        most = int(numbers.choice([3, step, 3 * step, total // 2 + 1]))
        sizes.append(int(numbers.integers(1, max(2, most))))
        if len(sizes) > 6:
            sizes.append(total)
    return sizes


def export_onnx(graph: Graph, plan: StreamPlan, path: str) -> list[Any]:
    """Write the form with state as ONNX, one step of a chunk; the files. Raises FovealError where there is none."""
    if graph.backend is None:
        raise FovealError(f"{graph.name}: there is no model to export")
    time = plan.source.axes[plan.axis]
    return list(graph.backend.streaming(plan.source.name, time, plan.step, plan.layer).export_onnx(path, plan.chunk))
