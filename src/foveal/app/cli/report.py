"""``foveal report``: the page people open, as one file that needs nothing else."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveal.app.options import (
    AxesOption,
    HopOption,
    InputOption,
    NoCheckOption,
    PretrainedOption,
    RateOption,
    SourceArgument,
    SpacingOption,
    spacing_of,
    trace_source,
)
from foveal.core.errors import FovealError, writing
from foveal.core.language import language
from foveal.core.progress import progress
from foveal.core.visible import visible

if TYPE_CHECKING:
    from foveal.core.finding import Finding
    from foveal.ir.graph import Graph


class PageKind(StrEnum):
    """Fields that the page can carry."""

    energy = "energy"
    paths = "paths"
    edges = "edges"
    support = "support"
    gradient = "gradient"


class Language(StrEnum):
    """Languages of the page."""

    english = "en"
    chinese = "zh-CN"


def report(
    source: SourceArgument,
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE.html", help="the file to write")] = "report.html",
    image: Annotated[
        str | None, typer.Option("--image", metavar="FILE", help="a photo to draw on, scaled to cover the source")
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="GLOB", help="layers with fields; may be repeated; default: a dozen"),
    ] = None,
    kind: Annotated[
        list[PageKind] | None,
        typer.Option("--kind", help="kinds of field; may be repeated; default: all but the measured gradient"),
    ] = None,
    images: Annotated[
        str | None, typer.Option("--images", metavar="DIR", help="photos for the measured gradient, which this adds")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="add the findings of this audit; may be repeated"),
    ] = None,
    lang: Annotated[
        Language | None, typer.Option("--lang", help="language of the page; default: that of the reader's browser")
    ] = None,
    shapes: InputOption = None,
    axes: AxesOption = None,
    rate: RateOption = None,
    hop: HopOption = 1,
    spacing: SpacingOption = None,
    pretrained: PretrainedOption = False,
    no_check: NoCheckOption = False,
) -> None:
    """One HTML file to explore: what any unit of any layer sees, the network, its growth, findings."""
    target = _target(out)
    kinds = _kinds(kind, images)
    from foveal.tasks.detection.heads import heads
    from foveal.tasks.streaming.plan import unchecked
    from foveal.views.page.build import PageOptions, page_data
    from foveal.views.page.render import render

    graph = trace_source(source, shapes, pretrained, axes=axes)
    options = PageOptions(
        layers=tuple(layer or ()),
        kinds=kinds or _measured_too(graph, images),
        image=image,
        images=images,
        language=lang.value if lang else "zh-CN" if language() == "zh-CN" else "",
        command=shlex.join(["foveal", *sys.argv[1:]]),
        heads=heads(graph),
        stream=unchecked(graph, rate, hop),
        findings=_audits(graph, task or [], not no_check),
        check=not no_check,
        positions=(rate, hop, spacing_of(spacing)),
    )
    with progress(f"computing fields of {graph.name}"):
        html = render(page_data(graph, options))
    with writing(target) as place:
        place.write_text(html, encoding="utf-8")
    print(f"{visible(out)}: {len(html.encode()) / 1e6:.1f} MB")


def _target(out: str) -> Path:
    """Where the page goes; raises FovealError before anything is computed where that cannot be."""
    target = Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        raise FovealError(f"-o {out}: the name must end in .html")
    if not target.parent.is_dir():
        raise FovealError(f"-o {out}: there is no folder '{target.parent}'")
    return target


def _kinds(kind: list[PageKind] | None, images: str | None) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(k.value for k in kind or ()))
    if "gradient" in chosen and images is None:
        raise FovealError("--kind gradient is measured on photos: name their folder with --images DIR")
    return (*chosen, "gradient") if chosen and images is not None and "gradient" not in chosen else chosen


def _measured_too(graph: Graph, images: str | None) -> tuple[str, ...]:
    """With photos, the kinds of every page and the measured one; else none, which stands for the usual ones."""
    from foveal.views.page.fields import default_kinds

    return () if images is None else (*default_kinds(graph), "gradient")


def _audits(graph: Graph, names: list[str], check: bool) -> tuple[Finding, ...]:
    """What the audits of these tasks find, with the tasks' own defaults."""
    from foveal.tasks.audit import find_task

    tasks = [find_task(name) for name in names]
    found: list[Finding] = []
    for task in tasks:
        with progress(f"{task.name}: {graph.name}"):
            found += task.audit(graph, {}, check).findings
    # What all audits say of the trace, the report says too.
    return tuple(finding for finding in found if not finding.code.startswith("TRC"))
