"""Measured fields: input gradients of units, or their answers to occlusion, averaged over images by a protocol, with
how well they are known.

One forward pass serves all layers asked for. An image whose map is zero everywhere or not a number is left out and
named. What reaches a unit through ``detach``, rounding or argmax has no gradient: such a field may miss information,
and says so where the trace or the map shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from foveal.core.errors import FovealError
from foveal.core.progress import counted
from foveal.core.serial import to_plain
from foveal.engine.roles import roles
from foveal.fields.field import Box, Field
from foveal.fields.measured.cropping import behind
from foveal.fields.measured.images import SQUASH, ImageSet, Sample, collect
from foveal.fields.measured.occluded.maps import occluded_maps
from foveal.fields.measured.occluded.patches import division
from foveal.fields.measured.protocols import Protocol, protocol_of
from foveal.fields.measured.provenance import versions
from foveal.fields.measured.uncertainty import Frame, Interval, Running, intervals
from foveal.fields.measured.unit_plan import (
    Plan as Plan,
    Settings as Settings,
    central_unit as central_unit,
    plan_of as plan_of,
)
from foveal.fields.receptive_field import ReceptiveField
from foveal.ir.backend import Gradient, Preparation
from foveal.ir.graph import Graph
from foveal.ir.layout import laid_out

FEWEST = 5
"""Images that are used at least before a tolerance may end a measurement."""
ROUNDING = ("round", "floor", "ceil", "trunc", "sign", "argmax", "argmin", "detach", "heaviside", "one_hot")
OUTSIDE = 1e-6
"""Share of the map outside the receptive field that is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured field: the mean over images, its standard error, an interval for each metric, what was used."""

    field: Field
    error: np.ndarray
    """Standard error of the mean at each of the field's positions; not a number for one image."""
    intervals: dict[str, Interval]
    used: tuple[tuple[str, str], ...]
    """(name, SHA-256) of each image that counts."""
    skipped: tuple[tuple[str, str], ...]
    """(name, reason) of each image that was left out."""
    crop: Box | None
    """The part of the source that was computed, None for all of it."""
    record: dict[str, Any]
    """What was measured and how, as plain values; see :mod:`foveal.fields.measured.provenance`."""


class Contribution(NamedTuple):
    """One image's map of one layer over the unit's clipped hull, or why it has none."""

    values: np.ndarray | None
    reason: str
    outside: float


def measure(
    graph: Graph,
    layers: str | Sequence[str],
    *,
    images: Any = None,
    protocol: str | Protocol = "foveal",
    at: Sequence[int] | int | None = None,
    channel: int | None = None,
    source: str | None = None,
    count: int | None = None,
    preparation: Preparation | None = None,
    settings: Settings | None = None,
    axes: Any = None,
) -> list[Measured]:
    """The measured field of one unit of each layer; behind it those of its groups of channels and the signed ones,
    where the settings ask for them.

    images: folder, files, array or tensor (N, ...), dataset, or None for seeded noise; the first ``count`` of them.
    at: the unit, by default the protocol's choice. Raises FovealError: no PyTorch model behind the graph, an operation
    inside a module as layer, no image left.
    """
    graph, settings = laid_out(graph, axes), settings or Settings()
    procedure = protocol_of(protocol)
    names = [layers] if isinstance(layers, str) else list(layers)
    plan = plan_of(graph, names, at, channel, source, procedure, settings)
    given = image_set(graph, plan, images, count, preparation)
    accounts = [Account(plan, number) for number in range(len(plan.fields))]
    for sample, parts in counted(contributions(graph, plan, given, range(len(given))), len(given)):
        for account, part in zip(accounts, parts):
            account.add(sample, part)
        if settings.tolerance is not None and all(account.settled() for account in accounts):
            break
    shared = {"model": graph.name, "source_of_images": given.origin}
    return [account.result(graph, shared) for account in accounts]


def image_set(
    graph: Graph, plan: Plan, images: Any, count: int | None, preparation: Preparation | None = None
) -> ImageSet:
    """The images, prepared as the caller, the protocol or the model says."""
    chosen = preparation or preparation_of(graph, plan.protocol)
    wanted = count if count is not None else None if images is None else plan.protocol.images
    given = collect(images, plan.layout, chosen, wanted, plan.settings.seed)
    if not len(given):
        raise FovealError("no image to measure on")
    files = "folder" in given.origin or "files" in given.origin
    return replace(given, origin={**given.origin, "preparation": to_plain(chosen) if files else None})


def preparation_of(graph: Graph, protocol: Protocol) -> Preparation:
    """How image files are prepared unless the caller says."""
    if protocol.preparation == "squash":
        return SQUASH
    assert graph.backend is not None
    return graph.backend.preparation(graph.name)


def contributions(
    graph: Graph, plan: Plan, images: ImageSet, numbers: Sequence[int]
) -> Iterator[tuple[Sample, list[Contribution]]]:
    """Each image of these numbers with one contribution per layer, in order."""
    assert graph.backend is not None
    settings = plan.settings
    ready = graph.backend.gradient(plan.source.name, plan.source.axes, settings.dtype, plan.waists, settings.device)
    together = plan.layout.batched and _independent(graph, plan)
    size = settings.batch if together else 1
    for batch in images.batches([numbers[first : first + size] for first in range(0, len(numbers), size)]):
        loaded = [(number, sample) for number, sample, problem in batch if not problem]
        maps = zip(*(_maps(ready, plan, loaded, together) if loaded else []))
        for _, sample, problem in batch:
            if problem:
                yield sample, [Contribution(None, problem, 0.0) for _ in plan.fields]
            else:
                yield sample, [_contribution(plan, number, full) for number, full in enumerate(next(maps))]


def _independent(graph: Graph, plan: Plan) -> bool:
    known = roles(graph)
    return all(known[graph.layer(rf.layer).value][:1] == ("b",) for rf in plan.fields)


def _maps(ready: Gradient, plan: Plan, loaded: Sequence[tuple[int, Sample]], together: bool) -> list[np.ndarray]:
    if plan.protocol.occlude:
        numbers, images = [n for n, _ in loaded], [sample.array for _, sample in loaded]
        return occluded_maps(ready, plan, numbers, images, together)
    arrays = np.stack([sample.array for _, sample in loaded]) if plan.layout.batched else loaded[0][1].array
    if plan.crop is not None:
        cut = [slice(None)] * arrays.ndim
        for axis, (a, b) in zip(plan.layout.axes, plan.crop.box):
            cut[axis] = slice(a, b)
        arrays = np.ascontiguousarray(arrays[tuple(cut)])
    signs = [
        # Of their own for each image and layer, so that no other image or layer changes them.
        [np.random.default_rng([plan.settings.seed, number, crc32(rf.layer.encode())]) for number, _ in loaded]
        for rf in plan.fields
    ]
    return ready.maps(arrays, plan.targets, plan.protocol, signs, plan.layout.batched)


def _contribution(plan: Plan, number: int, full: np.ndarray) -> Contribution:
    """The part of a map inside the unit's clipped hull."""
    if not np.isfinite(full).all():
        return Contribution(None, f"the {'answer' if plan.protocol.occlude else 'gradient'} is not a number", 0.0)
    if not full.any() and not plan.rows[number].answers:  # a unit that nothing opposes is no fault
        what = "no occlusion changes the unit" if plan.protocol.occlude else "the gradient is zero everywhere"
        return Contribution(None, what, 0.0)
    start = plan.crop.box if plan.crop is not None else ((0, 0),) * full.ndim
    hull = plan.fields[number].box(plan.units[number], clip=True)
    inside = full[tuple(slice(a - s, b - s) for (a, b), (s, _) in zip(hull, start))]
    total = float(full.sum())
    return Contribution(inside, "", max(0.0, 1 - float(inside.sum()) / total) if total > 0 else 0.0)


class Account:
    """Gathers one layer's maps, image by image, and closes with the result."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.protocol, self.settings = plan, plan.protocol, plan.settings
        self.rf, self.unit, self.row = plan.fields[number], plan.units[number], plan.rows[number]
        rf, unit = self.rf, self.unit
        self.hull = rf.box(unit, clip=True)
        origin = tuple(a for a, _ in self.hull)
        self.frame = Frame(origin, rf.source_shape, _center(rf, unit), plan.protocol.display == "log10",
                           plan.protocol.squared)  # fmt: skip
        self.running = Running(tuple(b - a for a, b in self.hull))
        self.used: list[tuple[str, str]] = []
        self.skipped: list[tuple[str, str]] = []
        self.outside = 0.0

    def add(self, sample: Sample, part: Contribution) -> None:
        """Take in one image."""
        if part.values is None:
            self.skipped.append((sample.name, part.reason))
            return
        self.running.add(part.values)
        self.used.append((sample.name, sample.digest))
        self.outside = max(self.outside, part.outside)

    def settled(self) -> bool:
        """Whether the metric is known as well as the tolerance asks."""
        if self.settings.tolerance is None or self.running.count < FEWEST:
            return False
        known = intervals(self.running, self.frame, self.settings.seed)
        return known[self.settings.metric].tolerance <= self.settings.tolerance

    def result(self, graph: Graph, shared: dict[str, Any]) -> Measured:
        """The measured field. Raises FovealError where every image was left out."""
        if self.running.count == 0:
            name, reason = self.skipped[0]
            hint = "; information through detach, rounding or argmax has no gradient" if "zero" in reason else ""
            raise FovealError(
                f"'{self.rf.layer}' cannot be measured: all {len(self.skipped)} images were left out, "
                f"{name}: {reason}{hint}"
            )
        scale = 1.0
        if self.protocol.total == "share":
            scale = 1.0 / (float(self.running.mean.sum()) or 1.0)
        known = intervals(self.running, self.frame, self.settings.seed)
        crop = self.plan.crop.box if self.plan.crop is not None else None
        method = "; ".join([self.protocol.method, *self._notes(graph), *filter(None, [self.rf.stopped])])
        found = self._field(self.running.mean * scale, method)
        return Measured(
            found, self.running.error * scale, known, tuple(self.used), tuple(self.skipped), crop,
            self._record(graph, shared, known, crop),
        )  # fmt: skip

    def _field(self, values: np.ndarray, method: str) -> Field:
        box = self.rf.box(self.unit) if all(self.rf.known) and not self.rf.withheld(self.unit) else None
        kind = "occlusion" if self.protocol.occlude else "gradient"
        first, last = self.row.channels or (-1, None)
        return Field(
            values, self.frame.origin, self.rf.source_shape, self.rf.layer, self.unit, kind, self.rf.source,
            "data-dependent", method, box, self.frame.center, None, first if first == last else None,
            self.protocol.squared,
        )  # fmt: skip

    def _notes(self, graph: Graph) -> list[str]:
        notes = [f"{self.running.count} images"]
        by = graph.backend.measured_by if graph.backend is not None and not self.protocol.occlude else ""
        notes += [by] if by else []
        notes += [note.text for note in graph.notes if note.code == "weights"]
        if self.skipped:
            names = ", ".join(f"{name} ({reason})" for name, reason in self.skipped[:3])
            more = f" and {len(self.skipped) - 3} more" if len(self.skipped) > 3 else ""
            notes.append(f"left out: {names}{more}")
        if self.outside > OUTSIDE and "blocks" not in by:  # a block may lie across the border
            notes.append(f"{self.outside:.2g} of a map lies outside the receptive field: please report this network")
        if self.protocol.occlude:  # passes all that a forward pass passes
            return [*notes, *self._patches()]
        missed = stopped_at(graph, self.rf.layer)
        if missed:
            notes.append(f"may miss information: no gradient passes {missed}")
        elif self._reach() != tuple(b - a for a, b in self.hull):
            seen = "x".join(map(str, self._reach()))
            notes.append(
                f"may miss information: the gradient reaches {seen} of "
                f"{'x'.join(str(b - a) for a, b in self.hull)} positions that can change the unit (detach, rounding, "
                "argmax and closed gates pass none)"
            )
        return notes

    def _patches(self) -> list[str]:
        """How fine the map is, and which answers count."""
        parts = division(self.hull, self.settings.patch)
        sides = [max(b - a for a, b in row) for row in parts]
        count, side = ("x".join(map(str, each)) for each in ([len(row) for row in parts], sides))
        known = f"{count} patches of {side} positions at most: sizes are known to one patch"
        counted = {"supports": "only answers by which the unit falls", "opposes": "only those by which it rises"}
        return [known, *(text for word, text in counted.items() if word == self.row.answers)]

    def _reach(self) -> tuple[int, ...]:
        """Lengths of the box around what is not zero."""
        places = np.nonzero(self.running.mean)
        return tuple(int(np.ptp(p)) + 1 if p.size else 0 for p in places)

    def _record(
        self, graph: Graph, shared: dict[str, Any], known: dict[str, Interval], crop: Box | None
    ) -> dict[str, Any]:
        return {
            **shared,
            "layer": self.rf.layer,
            "unit": list(self.unit),
            "channels": None if self.row.channels is None else list(self.row.channels),
            "answers": self.row.answers,
            "source": self.rf.source,
            "source_shape": list(self.rf.source_shape),
            "protocol": to_plain(self.protocol),
            "settings": to_plain(self.settings),
            "crop": None if crop is None else [list(side) for side in crop],
            "why_whole": self.plan.why_whole,
            "images": [{"name": name, "sha256": digest} for name, digest in self.used],
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
            "intervals": {name: to_plain(item) for name, item in known.items()},
            "versions": versions(),
        }


def _center(rf: ReceptiveField, unit: tuple[int, ...]) -> tuple[float, ...] | None:
    """The RF center; of the local RF where the whole one is the source for every unit."""
    chosen = rf.local if rf.local is not None and all(rf.local.known) else rf
    if not all(chosen.known):
        return None
    found = chosen.center(unit)
    if None in found and chosen is not rf:
        found = rf.center(unit) if all(rf.known) else found
    return None if None in found else tuple(float(c) for c in found if c is not None)


def stopped_at(graph: Graph, layer: str) -> str:
    """The first operation on the path to a layer that passes no gradient though it passes information, else ""."""
    for node in behind(graph, [graph.layer(layer).value]):
        name = str(getattr(node.op, "name", "")) or node.origin
        if name.split(".")[-1].rstrip("_") in ROUNDING or node.origin.split(".")[-1].rstrip("_") in ROUNDING:
            return node.place
    return ""
