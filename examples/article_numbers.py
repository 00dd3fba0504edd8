"""Every number of docs/article.md, computed: texts and tables by the names that the article's template uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import sqrt

import numpy as np
from article_networks import (
    BRANCHES,
    CHAIN,
    DEEP,
    DETECTOR,
    DILATED,
    EARLY,
    FIFTEEN,
    LATE,
    UPSAMPLED,
    WORKED,
    graph,
    plane,
)

import foveal
from foveal.fields.field import Field
from foveal.fields.kinds import field
from foveal.ir.ops import Convolution, Pool
from foveal.views.explain import half_width

VGGS = ("vgg13", "vgg16", "vgg19")
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
RESNET_SIDE = 1024
"""Large enough for the receptive field of every ResNet to lie inside."""

PROPERTY_SIDE = 640
DEPTHS = (5, 10, 20, 40)


@cache
def energy(source: str, layer: str, at: tuple[int, ...] | None = None, side: int | None = None) -> Field:
    """Expected squared gradient for random weights."""
    return field(graph(source, side), layer, kind="energy", at=at)


def numbers() -> dict[str, str]:
    """All texts of the article."""
    return {
        **chain(),
        **flat(),
        **vgg(),
        **worked(),
        **stride(),
        **same_size(),
        **properties(),
        **depth(),
        **classification(),
        **detection(),
        **segmentation(),
        **limits(),
    }


def chain() -> dict[str, str]:
    """Section 1: the importance of each input, by the package and by plain counting."""
    layer = "conv5"
    edges = field(graph(CHAIN), layer, kind="edges")
    counted = importance_by_hand(layers=5, taps=3, inputs=15, unit=edges.unit[0])
    if counted != edges.full().tolist():
        raise AssertionError(f"counted by hand {counted}, by foveal {edges.full().tolist()}")
    rf = foveal.receptive_field(graph(CHAIN), layer)
    return {
        "chain_inputs": str(rf.source_shape[0]),
        "chain_outputs": str(rf.grid[0]),
        "chain_rf": rf.size_text(),
        "chain_edges": numbers_text(edges.values),
        "chain_first": str(edges.origin[0]),
        "chain_last": str(edges.origin[0] + len(edges.values) - 1),
        "chain_unit": str(edges.unit[0]),
        "chain_total": str(len(cone_edges(5, 3, edges.unit[0]))),
        "chain_paths": numbers_text(field(graph(CHAIN), layer, kind="paths").values),
        "chain_edges_sigma": f"{sigma(edges):.3f}",
        "chain_paths_sigma": f"{sigma(field(graph(CHAIN), layer, kind='paths')):.3f}",
        "chain_energy_sigma": f"{sigma(energy(CHAIN, layer)):.3f}",
    }


def cone_edges(layers: int, taps: int, unit: int) -> list[tuple[int, int, int]]:
    """All edges (layer, from, to) on paths to ``unit`` of the last layer, in a chain without padding and stride."""
    found, reached = [], {unit}
    for layer in range(layers, 0, -1):
        step = [(layer, to + tap, to) for to in sorted(reached) for tap in range(taps)]
        found += step
        reached = {start for _, start, _ in step}
    return found


def importance_by_hand(layers: int, taps: int, inputs: int, unit: int) -> list[int]:
    """For each input the edges of the cone that lie on a path from it: the essay's recipe, word for word."""
    edges = cone_edges(layers, taps, unit)
    found = []
    for start in range(inputs):
        reached, count = {start}, 0
        for layer in range(1, layers + 1):
            step = [(a, b) for level, a, b in edges if level == layer and a in reached]
            count += len(step)
            reached = {b for _, b in step}
        found.append(count)
    return found


def flat() -> dict[str, str]:
    """The same layers over a plane."""
    edges = field(plane(CHAIN), "conv5", kind="edges")
    side = edges.values.shape[0]
    fit = edges.metrics().gaussian
    return {
        "plane_corner": str(edges.values[0, 0]),
        "plane_edge": str(edges.values[0, side // 2]),
        "plane_center": str(edges.values[side // 2, side // 2]),
        "plane_side": str(side),
        "plane_sigma": f"{fit.sigmas[0]:.2f}",
        "plane_r2": f"{fit.r_squared:.3f}",
    }


def vgg() -> dict[str, str]:
    """RF and effective field of the VGGs before the classifier."""
    rows, found = [], {}
    for name in VGGS:
        net = graph(f"gallery:{name}")
        pooled, full = (energy(f"gallery:{name}", layer) for layer in ("pool5", "fc1"))
        sizes = [foveal.receptive_field(net, layer).size_text() for layer in ("pool5", "fc1")]
        middle = full.values[full.values.shape[0] // 2, full.values.shape[1] // 2]
        found[f"{name}_pool"], found[f"{name}_fc"] = sizes
        found[f"{name}_pool_erf"] = f"{erf(pooled):.0f}"
        rows.append(
            (
                name.upper(), sizes[0], f"{erf(pooled):.0f}", f"{sigma(pooled):.1f}", sizes[1], f"{erf(full):.0f}",
                f"{full.values[0, 0] / middle:.3f}",
            )
        )  # fmt: skip
    heads = (
        "network",
        "RF after pool5",
        "effective side",
        "sigma",
        "RF of fc1",
        "effective side of fc1",
        "corner / middle of fc1",
    )
    found["vgg_table"] = table(heads, rows)
    found["vgg_stride"] = str(foveal.receptive_field(net, "pool5").stride[0])
    found["vgg_corner"] = max(row[-1] for row in rows)
    found["vgg_side"] = str(graph("gallery:vgg13").values[graph("gallery:vgg13").sources[0].value].shape[-1])
    return found


@dataclass(frozen=True)
class Step:
    """State of the chain recursion after a layer: size, stride, first position, center of unit 0."""

    size: int
    stride: int
    start: int
    center: Fraction


def worked() -> dict[str, str]:
    """Section 2: size and center by the recursion, beside what the package says."""
    net = graph(WORKED)
    state, rows = Step(1, 1, 0, Fraction(0)), []
    producers = net.producers()
    for name in net.layers:
        op = producers[net.layer(name).value].op
        if not isinstance(op, Convolution | Pool):
            raise AssertionError(f"{name}: the recursion knows convolution and pooling only")
        extent = op.dilation[0] * (op.kernel[0] - 1) + 1
        before = op.padding[0][0]
        state = Step(
            state.size + (extent - 1) * state.stride,
            state.stride * op.stride[0],
            state.start - before * state.stride,
            state.center + (Fraction(extent - 1, 2) - before) * state.stride,
        )
        rf = foveal.receptive_field(net, name)
        if (rf.size[0], rf.stride[0], rf.start[0], rf.center()[0]) != (
            state.size, state.stride, state.start, state.center,
        ):  # fmt: skip
            raise AssertionError(f"{name}: recursion {state}, foveal {rf}")
        cells = (op.kernel[0], op.stride[0], before, state.size, state.stride, state.start, state.center)
        rows.append((name, *(f"{float(cell):g}" for cell in cells)))
    last = rows[-1][0]
    unit = tuple(n // 2 for n in rf.grid)
    return {
        "worked_text": WORKED,
        "worked_table": table(("layer", "k", "s", "p", "size r", "stride j", "start u", "center c"), rows),
        "worked_layer": last,
        "worked_unit": str(unit[0]),
        "worked_center": f"{float(rf.center(unit)[0]):g}",
        "worked_box": f"{rf.box(unit)[0][0]} to {rf.box(unit)[0][1] - 1}",
    }


def stride() -> dict[str, str]:
    """Strides first and last: what the field and the cost become."""
    rows, costs = [], []
    found = {}
    for name, source in (("early", EARLY), ("late", LATE)):
        net = graph(source)
        size = foveal.receptive_field(net, "conv8").size_text()
        cost = foveal.analyze(net).totals.multiply_adds.value
        found[f"{name}_rf"] = size
        costs.append(cost)
        rows.append((f"strides {'first' if name == 'early' else 'last'}", size, f"{erf(energy(source, 'conv8')):.1f}",
                     f"{cost / 1e6:.0f}"))  # fmt: skip
    found["stride_table"] = table(("the same eight layers", "RF", "effective side", "million multiply-adds"), rows)
    found["stride_ratio"] = f"{costs[1] / costs[0]:.1f}"
    return found


def same_size() -> dict[str, str]:
    """Two structures with one RF and different effective fields."""
    plain, wide = energy(FIFTEEN, "conv15"), energy(DILATED, "conv4")
    sizes = {foveal.receptive_field(graph(s), n).size_text() for s, n in ((FIFTEEN, "conv15"), (DILATED, "conv4"))}
    return {
        "same_rf": " or ".join(sizes),
        "same_plain_layers": "15",
        "same_wide_layers": "4",
        "same_plain_erf": f"{erf(plain):.1f}",
        "same_wide_erf": f"{erf(wide):.1f}",
        "same_plain_sigma": f"{sigma(plain):.2f}",
        "same_wide_sigma": f"{sigma(wide):.2f}",
    }


def property_fields() -> list[tuple[str, Field]]:
    """The structures on which the three properties are checked."""
    return [
        ("15 plain layers", energy(FIFTEEN, "conv15")),
        ("VGG16, pool5", energy("gallery:vgg16", "pool5")),
        ("ResNet-50, layer4", energy("gallery:resnet50", "layer4", side=PROPERTY_SIDE)),
        ("dilations 1, 2, 4, 8", energy(DILATED, "conv4")),
        ("dilations 2, 2, 2", energy("gallery:gridding_dilation", "conv3")),
        ("VGG16, pool5, corner", energy("gallery:vgg16", "pool5", (0, 0))),
    ]


def properties() -> dict[str, str]:
    """The three properties as numbers: strongest at the center, alike in all directions, how fast it falls."""
    rows: list[tuple[str, ...]] = []
    for name, found in property_fields():
        measured = found.metrics()
        rows.append(
            (
                name,
                f"{center_share(found):.2f}",
                f"{rising(found):.0%}",
                f"{max(abs(o) for o in measured.offset):.1f}",
                f"{measured.isotropy:.3f}",
                f"{measured.angular_spread:.3f}",
                f"{measured.half_width / (min(b - a for a, b in found.box) / 2):.2f}",
                f"{measured.support.coverage:.0%}",
            )
        )
    heads = (
        "structure", "center / maximum", "outward steps that rise", "mass off center (px)", "isotropy",
        "angular spread", "half width / half size", "positions read",
    )  # fmt: skip
    return {
        "property_table": table(heads, rows),
        "property_side": str(PROPERTY_SIDE),
        "property_least": min(row[6] for row in rows),
        "property_most": max(row[6] for row in rows),
    }


def center_share(found: Field) -> float:
    """Weight at the position nearest to the RF center, as a share of the greatest."""
    place = tuple(min(max(int(c), 0), n - 1) for c, n in zip(found.center, found.source_shape))
    return float(found.full()[place] / found.values.max())


def rising(found: Field) -> float:
    """Share of the steps away from the center, along its row and column, on which the weight grows."""
    whole = found.full().astype(float)
    row, column = (min(max(int(c), 0), n - 1) for c, n in zip(found.center, found.source_shape))
    steps = []
    for line, middle in ((whole[row], column), (whole[:, column], row)):
        steps += [*np.diff(line[middle:]), *np.diff(line[: middle + 1][::-1])]
    moving = [s for s in steps if abs(s) > 1e-9 * whole.max()]
    return sum(s > 0 for s in moving) / len(moving)


def depth() -> dict[str, str]:
    """TRF and effective field of n plain layers."""
    rows = []
    for n in DEPTHS:
        found = energy(DEEP, f"conv{n}")
        size = found.box[0][1] - found.box[0][0]
        region = found.effective()
        rows.append((n, size, region.count, f"{region.side:.2f}", f"{region.side / size:.3f}", region.side_90,
                     f"{sigma(found):.3f}", f"{sqrt(2 * n / 3):.3f}"))  # fmt: skip
    heads = (
        "layers n",
        "TRF side",
        "pixels that count",
        "effective side",
        "effective side / TRF",
        "90 % side",
        "sigma",
        "√(2n/3)",
    )
    return {
        "depth_table": table(heads, [tuple(map(str, row)) for row in rows]),
        "depth_trf": f"{rows[-1][1] / rows[0][1]:.1f}",
        "depth_erf": f"{float(rows[-1][3]) / float(rows[0][3]):.1f}",
        "depth_ratio": f"{DEPTHS[-1] // DEPTHS[0]}",
        "depth_root": f"{sqrt(DEPTHS[-1] / DEPTHS[0]):.1f}",
    }


def classification() -> dict[str, str]:
    """RF and effective field of ResNets, with and without borders in the way."""
    rows = []
    for name in RESNETS:
        found = energy(f"gallery:{name}", "layer4", side=RESNET_SIDE)
        size = found.box[0][1] - found.box[0][0]
        rows.append((name.replace("resnet", "ResNet-"), f"{size}", f"{erf(found):.0f}", f"{found.effective().side_90}",
                     f"{sigma(found):.1f}", f"{erf(found) / size:.2f}"))  # fmt: skip
    return {
        "resnet_table": table(
            ("network", "RF of layer4", "effective side", "90 % side", "sigma", "effective side / RF"), rows
        ),
        "resnet_side": str(RESNET_SIDE),
    }


def detection() -> dict[str, str]:
    """Nine outputs and where they look."""
    rf = foveal.receptive_field(graph(DETECTOR), "conv5")
    size, step = rf.size[0], rf.stride[0]
    return {
        "detector_grid": "x".join(map(str, rf.grid)),
        "detector_count": str(rf.grid[0] * rf.grid[1]),
        "detector_side": str(rf.source_shape[0]),
        "detector_rf": str(size),
        "detector_stride": str(step),
        "detector_overlap": f"{(size - step) / size:.0%}",
        "detector_units": str(len(rf.units_of((48, 48)))),
    }


def segmentation() -> dict[str, str]:
    """Coupled fields: parallel dilations, and an encoder with a decoder."""
    net = graph(BRANCHES)
    sizes = [foveal.receptive_field(net, name).size_text() for name in ("conv3", "conv4", "conv5")]
    unet = graph("gallery:unet")
    rf = foveal.receptive_field(unet, unet.layers[-1])
    return {
        "branch_sizes": ", ".join(sizes[:-1]) + f" and {sizes[-1]}",
        "branch_joined": foveal.receptive_field(net, "cat1").size_text(),
        "branch_erfs": ", ".join(f"{erf(energy(BRANCHES, n)):.1f}" for n in ("conv3", "conv4", "conv5")),
        "branch_joined_erf": f"{erf(energy(BRANCHES, 'cat1')):.1f}",
        "unet_sizes": rf.size_text(),
        "unet_period": str(rf.period[0]),
    }


def limits() -> dict[str, str]:
    """Where the essay is imprecise."""
    net = graph(UPSAMPLED)
    rf = foveal.receptive_field(net, "tconv2")
    units = range(28, 32)
    corner = energy("gallery:vgg16", "pool5", (0, 0))
    vgg16 = energy("gallery:vgg16", "pool5")
    return {
        "up_units": ", ".join(map(str, units)),
        "up_centers": ", ".join(str(rf.center((u, u))[0]) for u in units),
        "up_period": str(rf.period[0]),
        "corner_box": " x ".join(f"{a}..{b - 1}" for a, b in corner.box),
        "corner_hull": " x ".join(f"{a}..{b - 1}" for a, b in corner.hull),
        "corner_offset": f"{max(abs(o) for o in corner.metrics().offset):.1f}",
        "fovea_half": f"{half_width(vgg16.metrics()):.1f}",
    }


def erf(found: Field) -> float:
    """The effective side (docs/methods.md 2.1)."""
    return found.effective().side


def sigma(found: Field) -> float:
    """Standard deviation along the last axis."""
    return found.metrics().sigmas[-1]


def numbers_text(values: Iterable[int]) -> str:
    return " ".join(str(int(v)) for v in values)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
