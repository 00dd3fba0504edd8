"""Fields with known values: docs/methods.md 1.8 (edges, paths), 2.3 (energy), docs/cases.md C41, as texts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foveal.core.errors import FovealError
from foveal.fields.channels import over_channels
from foveal.fields.field import Field
from foveal.fields.kinds import field
from foveal.frontends.text.trace import trace_spec
from foveal.ir.graph import Graph
from foveal.views.text.field import channel_rows

EDGES = {
    "conv3": [1, 1, 1],
    "2*conv3": [2, 4, 6, 4, 2],
    "3*conv3": [3, 7, 12, 13, 12, 7, 3],
    "4*conv3": [4, 10, 18, 22, 24, 22, 18, 10, 4],
    "5*conv3": [5, 13, 24, 31, 36, 37, 36, 31, 24, 13, 5],
    "3*conv5": [3, 7, 12, 18, 25, 28, 29, 28, 25, 18, 12, 7, 3],
    "conv3 conv3,d2 conv3,d5": [3, 3, 5, 3, 5, 6, 6, 5, 3, 5, 6, 6, 5, 3, 5, 3, 3],
    "3*conv3,s2": [3, 3, 5, 3, 7, 5, 7, 3, 7, 5, 7, 3, 5, 3, 3],
}
PATHS = {
    "2*conv3": [1, 2, 3, 2, 1],
    "5*conv3": [1, 5, 15, 30, 45, 51, 45, 30, 15, 5, 1],
    "3*[conv1 | id]": [8],
    "3*[conv3 | id]": [1, 6, 15, 20, 15, 6, 1],
}


def last(graph: Graph) -> str:
    return graph.layers[-1]


def spec_field(text: str, shape: tuple[int, ...], kind: str, at: object = None, **options: object) -> Field:
    graph = trace_spec(text, shape)
    return field(graph, last(graph), kind, at, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", EDGES)
def test_edges_of_chains(text: str) -> None:
    found = spec_field(text, (1, 3, 64), "edges")
    assert found.values.tolist() == EDGES[text]
    assert found.status == "exact"


@pytest.mark.parametrize("text", PATHS)
def test_paths_of_chains(text: str) -> None:
    found = spec_field(text, (1, 3, 64), "paths")
    assert found.values.tolist() == PATHS[text]
    assert found.values.dtype == np.int64
    assert found.log_total is None


@pytest.mark.parametrize(("depth", "center"), [(6, 54), (7, 73), (8, 96)])
def test_edges_at_the_center(depth: int, center: int) -> None:
    values = spec_field(f"{depth}*conv3", (1, 1, 40), "edges").values
    assert values[depth] == values.max() == center


def test_edges_in_the_plane() -> None:
    values = spec_field("5*conv3", (1, 3, 32, 32), "edges").values
    assert values.shape == (11, 11)
    assert (values[0, 0], values[0, 5], values[5, 5]) == (5, 37, 349)
    assert np.array_equal(values, values.T)
    assert np.array_equal(values, values[::-1, ::-1])


def layered(counts: list[list[int]], axes: int) -> np.ndarray:
    """Edges of a separable chain: the product of the layers' one-dimensional counts, added over layers."""
    rows = np.array(counts)
    return np.asarray(
        sum(np.multiply.outer(np.multiply.outer(r, r), r) if axes == 3 else np.multiply.outer(r, r) for r in rows)
    )


def test_edges_by_layer_in_two_and_three_dimensions() -> None:
    two_layers = [[1, 2, 3, 2, 1], [1, 2, 3, 2, 1]]
    assert spec_field("2*conv3", (1, 1, 12), "edges").values.tolist() == np.sum(two_layers, axis=0).tolist()
    for axes in (2, 3):
        values = spec_field("2*conv3", (1, 1) + (12,) * axes, "edges").values
        assert np.array_equal(values, layered(two_layers, axes))


def test_unequal_axes() -> None:
    paths = spec_field("conv(1,7) conv(3,1)", (1, 2, 20, 30), "paths")
    assert paths.values.tolist() == np.ones((3, 7)).tolist()
    paths = spec_field("2*conv3,s(1,2)", (1, 2, 20, 32), "paths").values
    assert np.array_equal(paths, np.outer([1, 2, 3, 2, 1], [1, 1, 2, 1, 2, 1, 1]))


def test_units_at_borders() -> None:
    corner = spec_field("5*conv3", (1, 1, 15), "paths", at=0)
    assert (corner.origin, corner.box) == ((0,), ((-5, 6),))
    ones = np.eye(15, dtype=int) + np.eye(15, k=1, dtype=int) + np.eye(15, k=-1, dtype=int)
    power = np.linalg.matrix_power(ones, 5)
    for unit in range(15):
        assert np.array_equal(spec_field("5*conv3", (1, 1, 15), "paths", at=unit).full(), power[unit])
    edge = spec_field("conv3", (1, 1, 9), "edges", at=8)
    assert (edge.origin, edge.values.tolist()) == ((7,), [1, 1])
    assert np.array_equal(
        spec_field("5*conv3", (1, 1, 15, 15), "paths", at=(0, 7)).full(), np.outer(power[0], power[7])
    )
    assert spec_field("conv3", (1, 1, 9), "edges", at=-1).unit == (8,)


def test_one_channel_sees_its_own_branch() -> None:
    graph = trace_spec("{conv3x2 | conv5x3}", (1, 1, 20))
    layer = last(graph)
    sizes = [field(graph, layer, "support", channel=c).values.size for c in range(5)]
    assert sizes == [5, 5, 5, 5, 5]
    counts = [int(field(graph, layer, "support", channel=c).values.sum()) for c in range(5)]
    assert counts == [3, 3, 5, 5, 5]
    assert field(graph, layer, "paths", channel=0).full().sum() == 3
    assert field(graph, layer, "edges", channel=4).full().sum() == 5
    with pytest.raises(FovealError, match="channel 5 is outside"):
        field(graph, layer, "paths", channel=5)


def test_dense_block_doubles() -> None:
    blocks = "save=a " + " ".join("conv1x1 cat=a save=a" for _ in range(6)) + " conv1x1"
    graph = trace_spec(blocks, (1, 1, 5))
    new = [name for name in graph.layers if name.startswith("conv")]
    totals = [int(field(graph, name, "paths").values.sum()) for name in new]
    assert totals == [1, 2, 4, 8, 16, 32, 64]
    assert int(field(graph, new[0], "paths").values.sum()) == 1


def test_residual_blocks() -> None:
    assert spec_field("16*[conv1 | id]", (1, 2, 9), "paths").values.tolist() == [65536]
    assert int(spec_field("3*[conv3 | id]", (1, 2, 31), "paths").values.sum()) == 4**3


@pytest.mark.parametrize(("depth", "count"), [(5, 109), (10, 241), (20, 517), (40, 1021)])
def test_energy_of_a_plain_stack(depth: int, count: int) -> None:
    found = spec_field(f"{depth}*conv3", (1, 4, 101, 101), "energy")
    metrics = found.metrics()
    assert metrics.luo_center is not None
    assert metrics.luo_center.count == count
    assert metrics.sigmas == pytest.approx((math.sqrt(2 * depth / 3),) * 2)
    assert found.values.sum() == pytest.approx(1)
    one = spec_field(f"{depth}*conv3", (1, 4, 101), "energy").values
    assert (one > 0.0455**2 * one.max()).sum() == {5: 11, 10: 17, 20: 25, 40: 35}[depth]


def test_channels_behind_a_concatenation_have_sizes_of_their_own() -> None:
    """Windows of 3 x 3 and 7 x 7 equal weights, by hand; their mean over five channels is neither."""
    graph = trace_spec("save=a conv3x2 save=b from=a conv7x3 save=c from=b cat=c", (1, 1, 15, 15))
    found = over_channels(graph, graph.layers[-1])
    assert [(one.first, one.last, one.effective.side) for one in found] == [(0, 1, 3.0), (2, 4, 7.0)]
    assert [row for row, _ in channel_rows(found, each=True)] == [
        "effective side over channels", "channels 0..1", "channels 2..4",
    ]  # fmt: skip
    assert over_channels(graph, graph.layers[0]) == ()


def test_counts_beyond_whole_numbers() -> None:
    small = spec_field("18*conv3", (1, 1, 61, 61), "paths")
    assert small.log_total is None
    assert int(small.values.sum()) == 9**18
    large = spec_field("60*conv3", (1, 1, 141, 141), "paths")
    assert large.values.max() == 1
    assert large.log_total == pytest.approx(60 * math.log(9))
    deep = spec_field("700*conv3", (1, 1, 3), "paths")
    largest = 1 + math.sqrt(2)  # eigenvalue of the 3 x 3 matrix of a 3-tap layer on three positions
    assert deep.log_total == pytest.approx(700 * math.log(largest), rel=1e-2)
    assert np.isfinite(deep.values).all()


def test_energy_of_branches() -> None:
    residual = spec_field("[conv3 | id]", (1, 4, 21), "energy").values
    assert residual == pytest.approx([1 / 3, 4 / 3, 1 / 3])
    pooled = spec_field("maxpool3,s3", (1, 4, 21), "energy").values
    assert pooled == pytest.approx([1 / 3] * 3)
    assert spec_field("avgpool3,s3", (1, 4, 21), "energy").values == pytest.approx([1 / 9] * 3)


def test_what_has_no_meaning_is_an_error() -> None:
    from torch import nn, zeros
    from torch.nn import functional

    from foveal.frontends.trace import trace

    class Warp(nn.Module):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return functional.grid_sample(x, zeros(1, 8, 8, 2) + x[:, :1].permute(0, 2, 3, 1), align_corners=False)

    class Sum(nn.Module):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x.cumsum(-1)

    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(3, 3, batch_first=True)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.cell(x.transpose(1, 2))[0]

    warp = trace(Warp(), (1, 3, 8, 8))
    for kind in ("paths", "energy", "edges"):
        with pytest.raises(FovealError, match=rf"'{kind}' is not available here: .*grid_samp") as raised:
            field(warp, last(warp), kind)
        assert "\n" not in str(raised.value)
    for model, name in ((Sum(), "cumsum"), (Cell(), "lstm")):
        graph = trace(model, (1, 3, 8))
        with pytest.raises(FovealError, match=rf"'energy' is not available here: .*{name}"):
            field(graph, last(graph), "energy")
        assert field(graph, last(graph), "support").values.any()


def test_bad_arguments() -> None:
    graph = trace_spec("conv3", (1, 1, 9))
    with pytest.raises(FovealError, match="unknown kind of field 'path'; known: support, paths, edges, energy"):
        field(graph, "conv1", "path")
    with pytest.raises(FovealError, match="conv1"):
        field(graph, "conv", "paths")
    with pytest.raises(FovealError):
        field(graph, "conv1", "paths", 9)
    with pytest.raises(FovealError, match="kind='paths' has no weights='model'"):
        field(graph, "conv1", "paths", weights="model")
    with pytest.raises(FovealError, match="own weights are not available"):
        field(graph, "conv1", "energy", weights="model")


def test_all_paths_through_attention_weights() -> None:
    graph = trace_spec("conv3 softmax", (1, 4, 9))
    with pytest.raises(FovealError, match="every path to 'softmax1' runs through softmax"):
        field(graph, "softmax1", "energy")
