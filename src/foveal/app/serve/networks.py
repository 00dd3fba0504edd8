"""What the explorer asks for: the page of a network, and a field of any unit of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from foveal.core.errors import FovealError
from foveal.core.pictures import read_image
from foveal.core.reading import read_text
from foveal.frontends.text.trace import parse_spec, trace_spec
from foveal.frontends.trace import trace
from foveal.ir.graph import Graph
from foveal.tasks.detection.heads import heads
from foveal.tasks.streaming.plan import unchecked
from foveal.views.page.build import PageOptions, page_data
from foveal.views.page.fields import field_answer

KEPT = 4
"""Networks that a worker remembers."""
SAMPLE = (64, 64)
"""To check that a photo can be read it is scaled to this size."""
DEFAULT = (1, 3, 224, 224)
"""The input of a specification that says none."""

Shapes = list[int] | dict[str, list[int]] | None
_known: OrderedDict[str, Graph] = OrderedDict()


def network_page(
    sort: str,
    source: str,
    shapes: Shapes,
    axes: Any,
    name: str,
    image: str | None,
    image_name: str,
    kinds: list[str],
    tick: Callable[[str], None],
) -> dict[str, Any]:
    """The data of the report page.

    sort: "text" where the source is a specification, else "source". name: shown in place of the source's own;
    image_name: what the photo was called.
    """
    tick(f"tracing {name}")
    graph = _graph(sort, source, shapes, axes, name)
    tick(f"analyzing {name}")
    options = PageOptions(
        kinds=tuple(kinds), image=image, heads=heads(graph), stream=unchecked(graph), command=f"foveal serve {name}"
    )
    data = page_data(graph, options, lambda layer: tick(f"computing fields of {layer}"))
    if image is not None:
        data["backdrops"][0]["name"] = image_name
    return data


def network_field(
    sort: str, source: str, shapes: Shapes, axes: Any, name: str, layer: str, of: str, kind: str, at: list[int] | None
) -> dict[str, Any]:
    """The packed field of one unit, or under "missing" why there is none."""
    return field_answer(_graph(sort, source, shapes, axes, name), layer, kind, source=of, at=at)


def check_image(path: str, name: str) -> str:
    """ "ok" where a photo can be read; raises SourceError where not."""
    try:
        read_image(path, SAMPLE)
    except FovealError as error:
        raise FovealError(str(error).replace(path, f"'{name}'")) from None
    return "ok"


def check_text(text: str, path: str | None, name: str) -> str:
    """The text, or that of a file, where it is a specification; raises FovealError naming the file where not."""
    try:
        text = text if path is None else read_text(path)
        parse_spec(text)
    except RecursionError:
        raise FovealError(f"{name}nested too deeply") from None
    except (FovealError, OSError, ValueError) as error:
        raise FovealError(f"{name}{' '.join(str(error).split())}") from None
    return text


def _graph(sort: str, source: str, shapes: Shapes, axes: Any, name: str) -> Graph:
    key = repr((sort, source, shapes, axes))
    if key not in _known:
        graph = _specified(source, shapes) if sort == "text" else trace(source, _lengths(shapes), axes=axes)
        graph.name = name
        _known[key] = graph
        while len(_known) > KEPT:
            _known.popitem(last=False)
    _known.move_to_end(key)
    return _known[key]


def _specified(text: str, shapes: Shapes) -> Graph:
    spec = parse_spec(text)
    return trace_spec(spec, _lengths(shapes) or (None if spec.input else DEFAULT))


def _lengths(shapes: Shapes) -> Any:
    if isinstance(shapes, dict):
        return {name: tuple(lengths) for name, lengths in shapes.items()}
    return None if shapes is None else tuple(shapes)
