"""``foveal compare FIRST SECOND``: two networks side by side."""

from __future__ import annotations

from foveal.app.options import AxesOption, InputOption, JsonOption, SourceArgument, console, trace_source
from foveal.core.progress import progress


def compare(
    first: SourceArgument,
    second: SourceArgument,
    shapes: InputOption = None,
    axes: AxesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two networks side by side: what each layer adds, and the first layer at which they part."""
    from foveal.report.compare import compare as compare_graphs

    graphs = [trace_source(source, shapes, axes=axes) for source in (first, second)]
    with progress(f"comparing {graphs[0].name} and {graphs[1].name}"):
        comparison = compare_graphs(*graphs)
    if as_json:
        print(comparison.to_json())
        return
    from foveal.views.text.comparison import print_comparison

    terminal = console()
    if terminal is None:
        print(comparison)
    else:
        print_comparison(comparison, terminal)
