"""Usage of the source: gradients of all-ones networks, hand values, docs/cases.md C2, C21, C22, docs/methods.md 2.3."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import foveal.fields.usage
from foveal.core.errors import FovealError, UnknownLayerError
from foveal.core.finding import Finding
from foveal.fields.idle_taps import idle_taps
from foveal.fields.receptive_field import receptive_field
from foveal.fields.usage import Usage, box_counts, usage
from foveal.frontends.text.trace import trace_spec
from foveal.frontends.trace import trace
from foveal.ir.graph import GraphBuilder
from foveal.ir.ops import Convolution


def of(spec: str, shape: tuple[int, ...], layer: str | None = None) -> Usage:
    graph = trace_spec(spec, shape)
    return usage(graph, layer or graph.layers[-1])


def codes(found: Usage) -> list[str]:
    return [finding.code for finding in found.findings]


def counted_by_gradient(model: nn.Sequential, shape: tuple[int, ...]) -> np.ndarray:
    """Units with a non-zero gradient at each position, all weights one: no two paths can cancel."""
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(shape, requires_grad=True)
    output = model.double()(x.double())
    total = np.zeros(shape[2:], np.int64)
    for unit in np.ndindex(*output.shape[2:]):
        (gradient,) = torch.autograd.grad(output[0, 0][unit], x, retain_graph=True)
        total += (gradient[0].sum(0) > 0).numpy()
    return total


# --- counts


def test_a_strided_convolution_reads_its_taps() -> None:
    """docs/methods.md 2.3: k3 s2 reads positions 2, 1, 2, 1 ... times."""
    found = of("conv3x1,s2,valid", (1, 1, 17))
    assert found.counts.tolist() == [1, 1, *([2, 1] * 7), 1]
    assert found.gridding[0] is not None
    assert (found.gridding[0].period, found.gridding[0].ratio) == (2, 0.5)
    assert codes(found) == ["gridding"]
    assert (found.units, found.status, found.never_read) == (8, "exact", 0)


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("conv7x1,s2,valid", [3, 4]), ("conv4x1,s2,valid", None), ("conv2x1,s2,valid", None),
        ("conv11x1,s4,valid", [3, 3, 3, 2]), ("conv1x1,s2", [0, 1]),
    ],
)  # fmt: skip
def test_taps_per_phase(word: str, pattern: list[int] | None) -> None:
    found = of(word, (1, 1, 64))
    inner = found.counts[20:44]
    if pattern is None:
        assert found.gridding == (None,)
        assert len(set(inner.tolist())) == 1
    else:
        assert sorted(inner[: len(pattern)].tolist()) == sorted(pattern)
        assert found.gridding[0] is not None
        assert found.gridding[0].period == len(pattern)
        assert found.gridding[0].ratio == min(pattern) / max(pattern)


def test_a_strided_1x1_ignores_three_quarters() -> None:
    found = of("conv1x1,s2", (1, 1, 32, 32))
    assert found.never_read == 3 * 32 * 32 // 4
    assert codes(found) == ["never-read", "gridding", "gridding"]
    assert "768 of 1024 positions (75 %) are never read" in str(found)


def test_c21_holes_and_the_last_pixel_are_never_read() -> None:
    found = of("conv3x1,s4,valid fc1", (1, 1, 16))
    assert found.units == 1
    assert np.flatnonzero(found.counts == 0).tolist() == [3, 7, 11, 15]
    assert found.never_read == 4
    assert found.status == "exact"
    assert found.gridding[0] is not None
    assert (found.gridding[0].period, found.gridding[0].ratio) == (4, 0)


def test_holes_of_dilation_are_seen() -> None:
    """docs/cases.md C2: extent 9, support 5: an inner position is read by 5 units, not by 9."""
    found = of("conv3x1,d2 conv3x1,d2", (1, 1, 32))
    assert found.counts[16] == 5
    assert box_counts(receptive_field(trace_spec("conv3x1,d2 conv3x1,d2", (1, 1, 32)), "conv2"))[16] == 9
    assert found.gridding == (None,)


def test_many_units_with_holes_give_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = of("conv3x1,d2 conv1x1,s3", (1, 1, 31))
    monkeypatch.setattr(foveal.fields.usage, "AFFORDABLE", 0)
    bound = of("conv3x1,d2 conv1x1,s3", (1, 1, 31))
    assert (exact.status, bound.status) == ("exact", "bound")
    assert (bound.counts >= exact.counts).all()
    assert ((bound.counts == 0) == (exact.counts == 0)).all()
    assert "upper bound" in bound.method


def test_borders_are_read_less() -> None:
    found = of("conv9x1", (1, 1, 40))
    assert found.counts.tolist()[:6] == [5, 6, 7, 8, 9, 9]
    first, last = found.borders[0]
    assert (first.share, first.width) == (5 / 9, 4)
    assert first == last
    assert codes(found) == []
    deep = of("conv9x1,valid conv9x1,valid", (1, 1, 60))
    assert deep.borders[0][0].share == 1 / 17
    assert codes(deep) == ["under-read-border"]
    assert "0.059 times as often as the middle; 15 positions in, it is 90 %" in deep.findings[0].text


def test_a_global_layer_reads_all_alike() -> None:
    found = of("conv3x4 gap fc2", (1, 3, 12, 12))
    assert found.counts.tolist() == [[1] * 12] * 12
    assert found.findings == ()
    assert "1 unit:" in str(found)


def test_three_axes_and_two_sources() -> None:
    assert of("conv3x1", (1, 1, 4, 5, 6)).counts[2, 2, 2] == 27
    builder = GraphBuilder("two")
    a, b = builder.source((1, 1, 8), name="a"), builder.source((1, 1, 8), name="b")
    weights = builder.parameter((1, 1, 3))
    builder.layer("left", builder.node(Convolution((3,), (1,), ((1, 1),), (1,)), [a, weights], (1, 1, 8)))
    builder.layer("right", builder.node(Convolution((3,), (2,), ((0, 0),), (1,)), [b, weights], (1, 1, 3)))
    graph = builder.graph.verify()
    assert usage(graph, "left").source == "a"
    assert usage(graph, "right").counts.tolist() == [1, 1, 2, 1, 2, 1, 1, 0]
    with pytest.raises(FovealError, match="does not depend on source 'a'"):
        usage(graph, "right", source="a")
    with pytest.raises(UnknownLayerError):
        usage(graph, "middle")


steps = st.one_of(
    st.tuples(st.just("conv"), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3)),
    st.tuples(st.just("pool"), st.integers(1, 3), st.integers(1, 3), st.just(0), st.just(1)),
    st.tuples(st.just("up"), st.integers(2, 3), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2)),
)


def layer(axes: int, step: tuple[str, int, int, int, int]) -> nn.Module:
    kind, kernel, stride, padding, dilation = step
    if kind == "pool":
        return (nn.AvgPool1d, nn.AvgPool2d)[axes - 1](kernel, stride)
    if kind == "up":
        make = (nn.ConvTranspose1d, nn.ConvTranspose2d)[axes - 1]
        return make(1, 1, kernel, stride, min(padding, kernel - 1), bias=False, dilation=dilation)
    make_conv = (nn.Conv1d, nn.Conv2d)[axes - 1]
    return make_conv(1, 1, kernel, stride, padding, dilation, bias=False)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 2), st.lists(steps, min_size=1, max_size=4))
def test_counts_equal_those_of_gradients(axes: int, drawn: list[tuple[str, int, int, int, int]]) -> None:
    shape = (1, 1, 23) if axes == 1 else (1, 1, 9, 11)
    model = nn.Sequential(*(layer(axes, step) for step in drawn))
    try:
        output = model(torch.ones(shape))
    except RuntimeError:
        return
    if output.numel() > 256:
        return
    graph = trace(model, shape)
    found = usage(graph, graph.layers[-1])
    assert found.status == "exact"
    assert np.array_equal(found.counts, counted_by_gradient(model, shape)), str(model)


# --- taps in padding (docs/cases.md C22)


def test_c22_side_taps_of_a_large_dilation_are_idle() -> None:
    graph = trace_spec("conv3x1,d24,p24", (1, 1, 17, 17))
    (found,) = idle_taps(graph, graph.layer("conv1").value)
    assert (found.live, found.idle, found.layer, found.shape) == ((1, 1), 8, "conv1", (17, 17))
    assert "8 of 9 taps (3x3 with dilation 24x24) meet only padding on a 17x17 map" in str(found)
    assert codes(usage(graph, "conv1")) == ["taps-in-padding"]
    assert usage(graph, "conv1").counts.tolist() == [[1] * 17] * 17


@pytest.mark.parametrize(("length", "live"), [(17, 1), (24, 1), (25, 3), (64, 3)])
def test_idle_taps_depend_on_the_map(length: int, live: int) -> None:
    graph = trace_spec("conv3x1,d24,p24", (1, 1, length))
    assert [tap.live for tap in idle_taps(graph, graph.layer("conv1").value)] == ([(1,)] if live == 1 else [])


def test_padding_before_the_convolution_counts_too() -> None:
    graph = trace_spec("pad24 conv3x1,d24,valid", (1, 1, 17))
    (found,) = idle_taps(graph, graph.layer("conv1").value)
    assert (found.live, found.shape) == ((1,), (17,))
    reflected = trace_spec("pad8,reflect conv3x1,d8,valid", (1, 1, 9))
    assert idle_taps(reflected, reflected.layer("conv1").value) == ()


def test_only_convolutions_on_the_way_are_told() -> None:
    graph = trace_spec("conv3x1 conv3x1,d24,p24", (1, 1, 17))
    assert idle_taps(graph, graph.layer("conv1").value) == ()
    assert len(idle_taps(graph, graph.layer("conv2").value)) == 1


def test_atrous_pyramid_of_the_gallery() -> None:
    graph = trace("gallery:mini_aspp", (1, 3, 128, 128))
    found = {tap.dilation[0]: tap for tap in usage(graph, "aspp").idle_taps}
    assert set(found) == {18}, "on a 16 x 16 map a dilation of 12 still meets some of it"
    assert found[18].live == (1, 1)


# --- the record


def test_record_is_plain_and_frozen() -> None:
    found = of("conv3x1,s2,valid", (1, 1, 17))
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["gridding"] == [{"period": 2, "ratio": 0.5}]
    assert plain["source_shape"] == [17]
    assert all(isinstance(finding, Finding) for finding in found.findings)
    with pytest.raises(ValueError, match="read-only"):
        found.counts[0] = 3


def test_text() -> None:
    text = str(of("conv3x1,s2,valid", (1, 1, 17)))
    assert text.splitlines()[0] == (
        "conv1 reads input (17) with 8 units: a position is read by 1 to 2 of them, median 1 (exact)"
    )
    assert "along T the use repeats every 2 positions, the least read getting 0.5 of the most read" in text
