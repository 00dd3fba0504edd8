"""Detection: what each level of a detector can see and really uses, against its anchors and one's own objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, sqrt
from typing import Any

from foveal.core.errors import FovealError
from foveal.ir.graph import Graph
from foveal.tasks.detection.anchors import MATCHED, ORIGINS, Anchors, anchors, offset, stepped
from foveal.tasks.detection.coverage import Seen, level_ranges, most_common, seen_by, size_classes
from foveal.tasks.detection.dense import DenseCheck, dense_check
from foveal.tasks.detection.findings import FINDINGS, Facts
from foveal.tasks.detection.objects import Object, ObjectSet, read_objects, scaled, typed_sizes
from foveal.tasks.detection.pyramid import Level, levels
from foveal.tasks.detection.record import LevelBar, LevelPicture, RegionPicture, Regions
from foveal.tasks.detection.regions import regions
from foveal.tasks.record import Audit, AuditTable, Cell, gravest_first
from foveal.tasks.task import Option, Task

METHOD = (
    "TRF: index ranges, unclipped, through all paths; sigma: energy field of the middle unit for random weights of "
    "unit gain, unclipped; effective side and 90 % side: those of a Gaussian of that sigma (6.23 and 3.90 sigma, an "
    "approximation), at most the TRF; 2 sigma box: the box whose Gaussian it is; offsets are RF center minus anchor "
    "center"
)


def detect(graph: Graph, /, **options: Any) -> Audit:
    """The audit of a detector; see ``TASK`` for the options.

    Raises FovealError for a source that is no image, for files that cannot be read and for anchors that do not fit.
    """
    found = levels(graph, options.get("layer") or ())
    shape = _source_shape(graph, found[0])
    known = anchors(graph, found, options.get("anchors") or (), options.get("anchors_at"))
    found = stepped(found, known)
    objects = _objects(options, shape)
    seen = seen_by(found, known, objects.objects)
    drawn = found[_drawn(options.get("level"), found, shape)]
    cells = regions(graph, drawn, objects.objects)
    check = dense_check(graph, found[0].name) if options.get("dense") else None
    tables = [_levels_table(found), _anchor_table(found, known)]
    tables += [_object_table(found, seen, objects)] if seen else []
    tables += [_region_table(cells)] + ([_dense_table(check)] if check else [])
    return Audit(
        task="detection",
        network=graph.name,
        source=graph.sources[0].name,
        source_shape=shape,
        summary=tuple(_summary(found, known, seen, check)),
        tables=tuple(tables),
        findings=gravest_first(FINDINGS.found(Facts(found, known, seen, check))),
        method=METHOD,
        figures=_figures(found, known, seen, cells, objects, options.get("image")),
    )


def _source_shape(graph: Graph, level: Level) -> tuple[int, int]:
    source = graph.sources[0]
    height, width = (graph.values[source.value].shape[axis] for axis in source.axes)
    return height, width


def _objects(options: Mapping[str, Any], shape: tuple[int, int]) -> ObjectSet:
    """Objects of a file, scaled to fit the source, and sizes typed in, as they are."""
    typed = typed_sizes(options.get("object_size") or ())
    if not options.get("objects"):
        return typed
    read = scaled(read_objects(options["objects"], shape), shape)
    return ObjectSet(read.objects + typed.objects, read.origin, read.left_out)


def _drawn(given: int | None, found: Sequence[Level], shape: tuple[int, int]) -> int:
    """The level whose regions are shown, counted from 1; by default the coarsest with 3 x 3 units and an effective box
    of at most half the image, else the coarsest with 3 x 3 units.
    """
    if given is not None:
        if not 1 <= given <= len(found):
            raise FovealError(f"--level {given}: the network has levels 1 to {len(found)}")
        return given - 1
    large = [index for index, level in enumerate(found) if min(level.grid) >= 3]
    fitting = [i for i in large if found[i].box_side is None or _mean(found[i].box_side or (0, 0)) <= min(shape) / 2]
    return (fitting or large or [0])[-1]


def _levels_table(found: Sequence[Level]) -> AuditTable:
    rows = [
        (
            index, _short(level), "x".join(map(str, level.grid)), _pair(level.stride), _trf(level),
            "x".join(map(str, level.period)) if max(level.period) > 1 else "",
            *(None if pair is None else _mean(pair)
              for pair in (level.sigma, level.effective_side, level.side_90, level.box_side)),
            _share(level), _status(level),
        )
        for index, level in enumerate(found, 1)
    ]  # fmt: skip
    columns = (
        "level", "heads (map below)", "grid", "stride", "TRF (px)", "phases", "sigma (px)", "effective side (px)",
        "90 % side (px)", "2 sigma box (px)", "effective side / TRF", "status",
    )  # fmt: skip
    return AuditTable("Levels", columns, tuple(rows), "a range of TRF is over the phases that upsampling makes")


def _anchor_table(found: Sequence[Level], known: Anchors) -> AuditTable:
    rows = []
    for index, (level, sizes, span) in enumerate(zip(found, known.sizes, level_ranges(found)), 1):
        cell, corner = offset(level, "cell"), offset(level, "corner")
        sides = [sqrt(width * height) for width, height in sizes]
        box = None if level.box_side is None else _mean(level.box_side)
        against = None if not sides or box is None else _mean((min(sides), max(sides))) / box
        offsets = [None if pair is None else _pair(pair) for pair in (cell, corner)]
        reach = None if span is None else _span(*span)
        rows.append((index, _range(sides), against, *offsets, box, 4 * _mean(level.stride), reach))
    columns = (
        "level", "anchors (px)", "anchor / 2 sigma box", "offset to cell center (px)", "offset to corner anchor (px)",
        "suggested anchor (px)", "4 x stride (px)", "suggested object sizes (px)",
    )  # fmt: skip
    where = "" if known.origin is None else f", at {'cell centers' if known.origin == 'cell' else 'stride x index'}"
    note = f"anchors: {known.told}{where}; sizes are square roots of areas; suggested from the 2 sigma box"
    return AuditTable("Anchors", columns, tuple(rows), note)


def _object_table(found: Sequence[Level], seen: Sequence[Seen], objects: ObjectSet) -> AuditTable:
    rows: list[tuple[Cell, ...]] = []
    for (low, high), group in size_classes(seen):
        closest = most_common([one.closest for one in group])
        overlaps = [one.overlap for one in group if one.overlap is not None]
        seeing = ", ".join(str(i + 1) for i in range(len(found)) if any(i in one.levels for one in group))
        mean = sum(overlaps) / len(overlaps) if overlaps else None
        matched = sum(overlap >= MATCHED for overlap in overlaps) if overlaps else None
        distance, missed = sum(one.distance for one in group) / len(group), sum(bool(one.reason) for one in group)
        level = None if closest is None else closest + 1
        rows.append((f"{low}-{high}", len(group), seeing, level, distance, mean, matched, missed))
    columns = (
        "size (px)", "objects", "levels that see them", "closest level", "closeness (RFD)", "mean best overlap",
        f"overlap >= {MATCHED}", "not covered",
    )  # fmt: skip
    left = "".join(f"; left out: {count} {reason}" for reason, count in objects.left_out)
    note = (
        f"{objects.origin}{left}; a level sees an object that its TRF holds and that is no smaller than its stride; "
        "closest by receptive field distance of the 2 sigma box (1: equal)"
    )
    return AuditTable("Objects", columns, tuple(rows), note)


def _region_table(cells: Regions) -> AuditTable:
    rows = []
    for item in cells.regions:
        top, left, bottom, right = item.box
        rows.append((f"({item.unit[0]}, {item.unit[1]})", f"{top}..{bottom - 1}", f"{left}..{right - 1}", item.label))
    shared = ""
    if cells.overlap is not None:
        shared = f"neighbours share {cells.overlap[0]:g} rows or {cells.overlap[1]:g} columns before clipping; "
    note = shared + "label: by hierarchical assignment of receptive field distances, where objects have a place"
    return AuditTable(f"Regions of {cells.layer}", ("output", "rows", "columns", "label"), tuple(rows), note)


def _dense_table(check: DenseCheck) -> AuditTable:
    row = (
        "x".join(map(str, check.window)), check.windows, check.compared, check.difference, check.scale,
        check.sliding, check.dense, check.cheaper,
    )  # fmt: skip
    columns = (
        "window", "windows", "compared", "largest difference", "largest score", "sliding multiply-adds",
        "dense multiply-adds", "times cheaper",
    )  # fmt: skip
    return AuditTable(
        "Dense form", columns, (row,), f"{check.layer}: window by window against one run, both run for real"
    )


def _summary(found: Sequence[Level], known: Anchors, seen: Sequence[Seen], check: DenseCheck | None) -> list[str]:
    plural = "level" if len(found) == 1 else "levels"
    lines = [f"{len(found)} {plural}: TRF {', '.join(_trf(level) for level in found)} px"]
    boxes = [f"{_mean(level.box_side):.0f}" for level in found if level.box_side is not None]
    if boxes:
        lines.append(f"by their 2 sigma boxes they are made for objects of about {', '.join(boxes)} px")
    if seen:
        missed = sum(bool(one.reason) for one in seen)
        lines.append(f"{len(seen) - missed} of {len(seen)} objects are seen by at least one level")
    if check is not None:
        verdict = "the same scores" if check.same else f"scores that differ by up to {check.difference:.3g}"
        lines.append(
            f"sliding windows and the dense form give {verdict}; the dense form is {check.cheaper:.3g} times cheaper"
        )
    return lines


def _figures(
    found: Sequence[Level], known: Anchors, seen: Sequence[Seen], cells: Regions, placed: ObjectSet, image: str | None
) -> dict[str, object]:
    objects = _of_one_image(placed.objects, image)
    boxes = tuple((item.y or 0.0, item.x or 0.0, item.height, item.width, item.label) for item in objects)
    bars = [
        LevelBar(
            f"{index} (stride {_pair(level.stride)})",
            None if level.least is None else float(min(level.least)),
            None if level.effective_side is None else _mean(level.effective_side),
            None if level.box_side is None else _mean(level.box_side),
            tuple(sqrt(width * height) for width, height in anchors_here),
        )
        for index, (level, anchors_here) in enumerate(zip(found, known.sizes), 1)
    ]
    return {
        "regions": RegionPicture(cells, boxes, image),
        "levels": LevelPicture(tuple(bars), tuple(one.item.size for one in seen)),
    }


def _of_one_image(objects: Sequence[Object], image: str | None) -> tuple[Object, ...]:
    """Objects that have a place: those of the image drawn where its name is among them, else of the first image."""
    placed = [item for item in objects if item.center is not None]
    if not placed:
        return ()
    name = "" if image is None else image.replace("\\", "/").rsplit("/", 1)[-1]
    chosen = (
        name if any(item.image.rsplit("/", 1)[-1] == name for item in placed) else placed[0].image.rsplit("/", 1)[-1]
    )
    return tuple(item for item in placed if item.image.rsplit("/", 1)[-1] == chosen)


def _short(level: Level) -> str:
    more = f" +{len(level.heads) - 1}" if len(level.heads) > 1 else ""
    return level.name + more + (f" ({level.pyramid})" if level.pyramid else "")


def _trf(level: Level) -> str:
    if level.trf is None:
        return "withheld"
    parts = [str(low) if low == high else f"{low}-{high}" for low, high in level.trf]
    return parts[0] if parts[0] == parts[1] else " x ".join(parts)


def _share(level: Level) -> float | None:
    if level.least is None or level.effective_side is None:
        return None
    return _mean(level.effective_side) / _mean(level.least)


def _status(level: Level) -> str:
    more = [", without global context"] * level.whole + [", effective side limited by the TRF"] * level.capped
    return level.status + "".join(more)


def _mean(pair: tuple[float, float]) -> float:
    """Side of the square of the same area."""
    return sqrt(pair[0] * pair[1])


def _pair(pair: tuple[float, float]) -> str:
    first, second = (f"{number:.2f}".rstrip("0").rstrip(".") for number in pair)
    first, second = (text if text != "-0" else "0" for text in (first, second))
    return first if first == second else f"{first} x {second}"


def _span(low: float, high: float) -> str:
    return f"{low:.0f}-{high:.0f}" if isfinite(high) else f"{low:.0f} and more"


def _range(sides: Sequence[float]) -> str:
    if not sides:
        return ""
    return f"{min(sides):.0f}" if max(sides) - min(sides) < 0.5 else f"{min(sides):.0f}-{max(sides):.0f}"


OPTIONS = (
    Option("layer", str, "a head layer; default: the convolutions behind which none stands", repeated=True),
    Option("objects", str, "COCO .json, YOLO .txt or folder, folder of masks, sizes as .csv", metavar="FILE"),
    Option(
        "object_size", str, "sizes typed in, such as 32 or 40x80 (width x height)", metavar="SIZES", repeated=True
    ),
    Option(
        "anchors", str, "anchor sizes of one level, such as 32,40,51; once per level, finest first", metavar="SIZES",
        repeated=True,
    ),
    Option("anchors_at", str, "where anchors stand: at cell centers or at stride x index", choices=ORIGINS),
    Option("image", str, "a photo to draw regions on", metavar="FILE"),
    Option("level", int, "the level whose regions are shown, counted from 1", metavar="N"),
    Option("dense", bool, "run the finest level window by window and as one, and compare"),
)  # fmt: skip

TASK = Task(
    "detection",
    "Per level: field against stride, anchors and objects; the regions of neighbouring outputs; the dense form.",
    detect,
    OPTIONS,
)
