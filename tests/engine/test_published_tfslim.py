"""The published table of the TF-slim networks, all 561 rows: size, stride and effective padding must be equal."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from foveal import receptive_field
from foveal.frontends.text.trace import trace_spec
from foveal.ir.graph import Graph
from support.networks.tfslim_networks import layer, specification
from support.paths import TESTS

TABLE = TESTS / "data" / "published_rf_tfslim.csv"
ANY_RESOLUTION = 256
"""Input length for the rows that hold at any; large enough for every network of the table."""


class Row(NamedTuple):
    net: str
    resolution: str
    endpoint: str
    size: int
    stride: int
    padding: int | None


def rows() -> Iterator[Row]:
    lines = (line for line in TABLE.read_text().splitlines() if not line.startswith("#"))
    for row in csv.DictReader(lines):
        padding = int(row["padding"]) if row["padding"] else None
        yield Row(row["net"], row["resolution"], row["endpoint"], int(row["rf"]), int(row["stride"]), padding)


ROWS = list(rows())
NETWORKS = sorted({(row.net, row.resolution) for row in ROWS})


def traced(net: str, resolution: str) -> Graph:
    length = ANY_RESOLUTION if resolution == "any" else int(resolution)
    return trace_spec(specification(net), (1, 3, length, length))


def test_the_table_is_whole() -> None:
    assert len(ROWS) == 561
    assert sum(row.padding is not None for row in ROWS) == 459


@pytest.mark.parametrize(("net", "resolution"), NETWORKS, ids=lambda part: str(part))
def test_published_rows(net: str, resolution: str) -> None:
    graph = traced(net, resolution)
    for row in ROWS:
        if (row.net, row.resolution) != (net, resolution):
            continue
        found = receptive_field(graph, layer(row.endpoint))
        assert found.size == (row.size, row.size), row
        assert found.stride == (row.stride, row.stride), row
        if row.padding is not None:
            assert found.start == (-row.padding, -row.padding), row


def test_effective_padding_depends_on_the_input_size() -> None:
    """The same end point at 224 and 321: another start, so no single padding can be quoted."""
    starts = [receptive_field(traced("mobilenet_v1", size), "Conv2d_13_pointwise").start for size in ("224", "321")]
    assert starts == [(-126, -126), (-157, -157)]
