"""What a position of a source is: its name, and its length in milliseconds or millimetres where the reader says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foveal.core.errors import FovealError
from foveal.ir.graph import Graph, Source
from foveal.report.results import Report, SourceInfo

WHOLE = {"samples": "signal", "frames": "signal", "tokens": "text", "px": "image", "voxels": "volume"}
"""What positions are positions of."""


def source_info(graph: Graph, source: Source, shape: tuple[int, ...] | None = None) -> SourceInfo:
    """A source of a graph (shape: another one than it was traced with); tokens where rows of a table are looked up."""
    unit = "tokens" if graph.looks_up(source.value) else ""
    return SourceInfo(source.name, shape or graph.values[source.value].shape, source.axes, unit)


def with_units(
    report: Report, rate: float | None = None, hop: int = 1, spacing: float | Sequence[float] | None = None
) -> Report:
    """The report with the length of a position: ``hop`` samples at ``rate`` per second along one axis, as milliseconds,
    or ``spacing`` in millimetres, one for all axes or one per axis. Raises FovealError where that fits no source.
    """
    if rate is None and spacing is None and hop == 1:
        return report
    if rate is not None and spacing is not None:
        raise FovealError("rate and spacing exclude each other: milliseconds of a sound, or millimetres of an image")
    if hop < 1 or (rate is not None and rate <= 0):
        raise FovealError("rate and hop: expected numbers above 0, such as 16000 and 160")
    sizes = [float(n) for n in ([spacing] if isinstance(spacing, (int, float)) else spacing or ())]
    if any(n <= 0 for n in sizes):
        raise FovealError("spacing: expected millimetres above 0, such as 1,1,3")
    sources = tuple(_measured(source, rate, hop, sizes) for source in report.sources)
    if sources == report.sources:
        axes = "one axis of positions" if not sizes else f"{len(sizes)} axes of positions" if len(sizes) > 1 else "axes"
        name = "spacing" if sizes else "rate and hop"
        raise FovealError(f"{name}: no input of {report.name} has {axes}")
    return replace(report, sources=sources)


def _measured(source: SourceInfo, rate: float | None, hop: int, sizes: Sequence[float]) -> SourceInfo:
    axes = len(source.axes)
    if sizes and axes in ({len(sizes)} if len(sizes) > 1 else {2, 3}):
        return replace(source, step=tuple(sizes) * (axes // len(sizes)), measure="mm")
    if sizes or axes != 1:
        return source
    unit = "frames" if hop > 1 else source.unit
    return replace(source, unit=unit, step=() if rate is None else (1000.0 * hop / rate,), measure="ms" if rate else "")
