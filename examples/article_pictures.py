"""The pictures of docs/article.md, drawn from finished results with the package's own plots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from article_networks import BRANCHES, CHAIN, DEEP, DETECTOR, DILATED, EARLY, FIFTEEN, LATE, UPSAMPLED, graph, plane
from article_numbers import VGGS, cone_edges, energy, property_fields
from matplotlib.collections import LineCollection

from foveal.fields.kinds import field
from foveal.fields.metrics import gaussian_side
from foveal.report.growth import growth
from foveal.views import plots
from foveal.views.explain import explain, half_width
from foveal.views.foveate import foveate, human_view, matching_pixels_per_degree
from foveal.views.pictures import eye_chart
from foveal.views.plots.axes import draw_line
from foveal.views.plots.explain import explanation_page
from foveal.views.plots.style import BLUE, INK, ORANGE, PALE, Picture, origin_of, picture, styled


def cone() -> Picture:
    """15 inputs, five 3-wide layers, 5 outputs: the edges that lead to one output, and the count below each input."""
    edges = field(graph(CHAIN), "conv5", kind="edges")
    unit = edges.unit[0]
    with styled():
        figure = picture(7.6, 5.6, origin_of([edges]))
        above, below = figure.subplots(2, 1, height_ratios=[2.1, 1], sharex=True)
        every = [edge for to in range(5) for edge in cone_edges(5, 3, to)]
        inside = cone_edges(5, 3, unit)
        for chosen, colour, width in ((every, "#d0d0d0", 0.7), (inside, BLUE, 1.3)):
            above.add_collection(LineCollection([_segment(edge) for edge in chosen], colors=colour, linewidths=width))
        seen = {(layer - 1, start) for layer, start, _ in inside} | {(5, unit)}
        nodes = [(layer, index) for layer in range(6) for index in range(15 - 2 * layer)]
        for chosen, colour in ((set(nodes) - seen, "#d0d0d0"), (seen, ORANGE)):
            places = [(index + layer, layer) for layer, index in sorted(chosen)]
            above.scatter(*np.transpose(places), s=44, color=colour, zorder=3)
        above.set_yticks(range(6), ["inputs", *(f"layer {n}" for n in range(1, 6))])
        above.set_ylim(-0.4, 5.4)
        above.set_title("the edges that lead to the middle output")
        draw_line(below, edges)
        below.set_xlim(-0.8, 14.8)
        below.set_xticks(range(15))
        below.set_xlabel("input position")
        below.set_ylabel("edges")
    return figure


def _segment(edge: tuple[int, int, int]) -> list[tuple[float, float]]:
    """An edge as a line; unit i of layer n stands above input i + n."""
    layer, start, end = edge
    return [(start + layer - 1, layer - 1), (end + layer, layer)]


def surface() -> Picture:
    return plots.surface(field(plane(CHAIN), "conv5", kind="edges"), "distinct edges, five 3x3 layers")


def vgg() -> Picture:
    """Growth in the VGGs, at every pooling layer and the first fully connected one."""
    layers = [f"pool{n}" for n in range(1, 6)] + ["fc1"]
    rows = [growth(graph(f"gallery:{name}"), layers) for name in VGGS]
    figure = plots.growth_curves(rows, "VGG: theoretical and effective side, layer by layer")
    axes = figure.axes[0]
    axes.axhline(224, color=PALE, linewidth=1.0)
    axes.text(1, 227, "side of the image", va="bottom", fontsize=8)
    axes.set_xticks(range(1, 7), layers)
    axes.set_xlabel("")
    return figure


def foveated() -> Picture:
    """An eye chart, as a unit of VGG16 sees it, and with the fall-off of an eye."""
    unit = energy("gallery:vgg16", "pool5")
    chart = eye_chart((224, 224))
    distance = matching_pixels_per_degree(half_width(unit.metrics()))
    views = [chart, foveate(chart, unit), human_view(chart, (111.5, 111.5), distance, relative=True)]
    return plots.foveated(unit, views, ["the picture", "as the unit sees it", "with the fall-off of an eye"],
                          "VGG16, pool5, middle unit")  # fmt: skip


def stride() -> Picture:
    layers = [f"conv{n}" for n in range(1, 9)]
    rows = [growth(graph(source), layers) for source in (EARLY, LATE)]
    named = [replace(row, network=name) for row, name in zip(rows, ("strides first", "strides last"))]
    return plots.growth_curves(named, "eight 3x3 layers, two of them with stride 2")


def same_size() -> Picture:
    return plots.side_by_side(
        energy(FIFTEEN, "conv15"), energy(DILATED, "conv4"), ("15 plain layers", "4 layers, dilations 1, 2, 4, 8"),
        "one receptive field, two effective fields",
    )  # fmt: skip


def properties() -> Picture:
    named = property_fields()
    return plots.unit_grid([f for _, f in named], 3, [name for name, _ in named],
                           "where the three properties hold, and where not")  # fmt: skip


def depth() -> Picture:
    found = growth(graph(DEEP), [f"conv{n}" for n in range(1, 41)])
    with styled():
        figure = plots.growth_curves(replace(found, network="plain 3x3 layers"))
        figure.set_size_inches(7.0, 4.2)
        axes = figure.axes[0]
        depths = np.arange(1, 41)
        axes.plot(depths, [gaussian_side(np.sqrt(2 * n / 3), 2) for n in depths], color=INK, linewidth=1.0,
                  linestyle=":", label="6.23 σ, with σ = √(2n/3)")  # fmt: skip
        axes.set_xlabel("layers n")
        axes.set_xticks(range(0, 41, 5), list(map(str, range(0, 41, 5))), rotation=0, ha="center")
        axes.legend(loc="upper left", frameon=False)
    return figure


def detector() -> Picture:
    units = [(row, column) for row in range(3) for column in range(3)]
    return plots.unit_grid([energy(DETECTOR, "conv5", unit) for unit in units], 3, [f"output {u}" for u in units],
                           "nine outputs of a detector, nine regions")  # fmt: skip


def branches() -> Picture:
    names = {"conv3": "dilation 1", "conv4": "dilation 2", "conv5": "dilation 4", "cat1": "all three joined"}
    return plots.unit_grid([energy(BRANCHES, name) for name in names], 2, list(names.values()),
                           "coupled receptive fields")  # fmt: skip


def upsampled() -> Picture:
    units = [(n, n) for n in range(28, 32)]
    return plots.unit_grid([energy(UPSAMPLED, "tconv2", unit) for unit in units], 2, [f"unit {u}" for u in units],
                           "after upsampling: neighbours, one receptive field")  # fmt: skip


def explained() -> Picture:
    return explanation_page(explain(graph("gallery:resnet50"), "layer2"))


PICTURES: dict[str, Callable[[], Picture]] = {
    "cone": cone,
    "surface": surface,
    "vgg": vgg,
    "foveated": foveated,
    "stride": stride,
    "same_size": same_size,
    "properties": properties,
    "depth": depth,
    "detector": detector,
    "branches": branches,
    "upsampled": upsampled,
    "explained": explained,
}
