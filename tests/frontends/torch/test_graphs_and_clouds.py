"""Networks on graphs, point clouds and sparse grids, with constant tables of indices: fields are counts of hops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal

NODES, FEATURES = 14, 4
EDGES = torch.as_tensor(
    [(a, a + 1) for a in range(9)] + [(3, 11), (11, 12), (0, 6), (12, 1), (8, 2), (13, 13)], dtype=torch.long
).T.contiguous()
"""From a node to a node: a path, some short cuts, a circle, and a node that only has itself."""


class Sum(nn.Module):
    """A graph isomorphism layer: the node and the sum over its neighbours, through two linear maps."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        around = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
        return self.map(1.1 * x + around)  # type: ignore[no-any-return]


class Normed(nn.Module):
    """A graph convolution: the sum over neighbours and the node, each by the root of both degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(FEATURES, FEATURES, bias=False)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        loops = torch.arange(x.shape[0]).expand(2, -1)
        both = torch.cat([edges, loops], dim=1)
        degree = torch.zeros(x.shape[0]).index_add(0, both[1], torch.ones(both.shape[1]))
        weight = degree[both[0]].rsqrt() * degree[both[1]].rsqrt()
        message = self.map(x)[both[0]] * weight[:, None]
        return torch.zeros_like(x).scatter_add(0, both[1][:, None].expand_as(message), message)


class Mean(nn.Module):
    """The node beside the mean over its neighbours (GraphSAGE)."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.others = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        total = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
        count = torch.zeros(x.shape[0]).index_add(0, edges[1], torch.ones(edges.shape[1])).clamp(min=1)
        return self.own(x) + self.others(total / count[:, None])  # type: ignore[no-any-return]


class Attending(nn.Module):
    """Graph attention: a softmax over the edges that end at a node."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.score = nn.Linear(FEATURES, FEATURES), nn.Linear(2 * FEATURES, 1)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        loops = torch.arange(x.shape[0]).expand(2, -1)
        edges = torch.cat([edges, loops], dim=1)
        h = self.map(x)
        score = nn.functional.leaky_relu(self.score(torch.cat([h[edges[0]], h[edges[1]]], dim=1)))[:, 0]
        largest = torch.full((x.shape[0],), -1e9).scatter_reduce(0, edges[1], score, "amax")
        share = (score - largest[edges[1]]).exp()
        total = torch.zeros(x.shape[0]).index_add(0, edges[1], share)
        share = share / total[edges[1]]
        return torch.zeros_like(h).index_add(0, edges[1], h[edges[0]] * share[:, None])


class Dense(nn.Module):
    """The same graph as a matrix of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(FEATURES, FEATURES)
        self.register_buffer("adjacency", matrix().float())

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return torch.relu(self.adjacency @ self.map(x))  # type: ignore[operator]


class Stack(nn.Module):
    """Two layers of a kind on one graph."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.first, self.second = kind(), kind()

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x, edges)), edges)  # type: ignore[no-any-return]


def matrix() -> Tensor:
    """Row i: the nodes that node i reads in one layer."""
    found = torch.eye(NODES, dtype=torch.bool)
    found[EDGES[1], EDGES[0]] = True
    return found


def read(graph: foveal.ir.graph.Graph, layer: str) -> np.ndarray:  # type: ignore[name-defined]
    """Row i: the source positions that unit i reads."""
    count = foveal.receptive_field(graph, layer).grid[0]
    return np.stack([foveal.field(graph, layer, "support", unit).full() > 0 for unit in range(count)])


@pytest.mark.parametrize("kind", [Sum, Normed, Mean, Attending, Dense])
def test_a_graph_network_reads_so_many_hops(kind: Any) -> None:
    graph = foveal.trace(Stack(kind), {"x": torch.rand(NODES, FEATURES), "edges": EDGES}, axes={"x": (0,), "edges": ()})
    near = matrix().numpy()
    twice = near.astype(int) @ near.astype(int) > 0
    for layer, expected in (("first", near), ("second", twice)):
        field = foveal.receptive_field(graph, layer)
        assert field.status == "exact"
        assert (read(graph, layer) == expected).all()
        boxes = [(int(np.flatnonzero(row)[0]), int(np.flatnonzero(row)[-1]) + 1) for row in expected]
        assert [field.box(unit, clip=True) for unit in range(NODES)] == [(box,) for box in boxes]
        sizes = [b - a for a, b in boxes]
        assert field.clipped_sizes == ((min(sizes), max(sizes)),)


class Points(nn.Module):
    """Each point and the largest over its neighbours' features and offsets, by a table (points, k)."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.register_buffer("table", table)

    def forward(self, x: Tensor) -> Tensor:
        near = x[self.table]  # type: ignore[index]
        return self.map(torch.cat([near - x[:, None], near], dim=-1)).amax(1)  # type: ignore[no-any-return]


class Submanifold(nn.Module):
    """Convolution 3x3 over the occupied cells of a sparse grid alone: a row of weights per offset."""

    def __init__(self, cells: Tensor) -> None:
        super().__init__()
        place = {tuple(cell.tolist()): index for index, cell in enumerate(cells)}
        self.weight = nn.Parameter(torch.rand(9, FEATURES, FEATURES))
        for tap in range(9):
            shift = (tap // 3 - 1, tap % 3 - 1)
            pairs = [(place[c[0] + shift[0], c[1] + shift[1]], i) for c, i in place.items()
                     if (c[0] + shift[0], c[1] + shift[1]) in place]  # fmt: skip
            self.register_buffer(f"pairs{tap}", torch.as_tensor(pairs, dtype=torch.long).reshape(-1, 2))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        for tap in range(9):
            pairs = getattr(self, f"pairs{tap}")
            out = out.index_add(0, pairs[:, 1], x[pairs[:, 0]] @ self.weight[tap])
        return out


def test_points_read_their_neighbours_of_the_table() -> None:
    table = torch.as_tensor([[i, (i * 5 + 1) % NODES, (i * 3 + 2) % NODES] for i in range(NODES)])
    graph = foveal.trace(nn.Sequential(Points(table)), torch.rand(NODES, 3), axes=(0,))
    expected = np.zeros((NODES, NODES), bool)
    expected[np.arange(NODES)[:, None], table.numpy()] = True
    assert foveal.receptive_field(graph, "0").status == "exact"
    assert (read(graph, "0") == expected).all()


def test_a_submanifold_convolution_reads_occupied_cells() -> None:
    cells = torch.as_tensor([(0, 0), (0, 1), (1, 1), (3, 1), (3, 2), (4, 3), (7, 7)])
    model = nn.Sequential(Submanifold(cells), nn.ReLU(), Submanifold(cells))
    graph = foveal.trace(model, torch.rand(len(cells), FEATURES), axes=(0,))
    near = (cells[:, None] - cells[None]).abs().amax(-1).numpy() <= 1
    assert foveal.receptive_field(graph, "2").status == "exact"
    assert (read(graph, "0") == near).all()
    assert (read(graph, "2") == (near.astype(int) @ near.astype(int) > 0)).all()
