"""Unclipped numbers mean "as if the source went on for ever": so a far larger source must show them in its middle.

Random networks that shift with their input are traced twice, on a short and on a long source; the unclipped box of
each unit of the short one must be the clipped box of the unit in the same place of the long one.
"""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from foveal.core.errors import FovealError
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.text.trace import trace_spec
from foveal.ir.graph import Graph

MARGIN = 2592
"""A multiple of every total stride that the generator makes, and more than any reach."""


def _window(rng: random.Random) -> str:
    kind = rng.choice(["conv", "conv", "conv", "maxpool", "avgpool", "tconv", "up", "crop", "pad", "shuffle"])
    k, s = rng.randint(1, 5), rng.choice([1, 1, 1, 2, 3])
    if kind == "conv":
        d = rng.choice([1, 1, 2, 3])
        return f"conv{k}x4,s{s},d{d},p{rng.randint(0, 3)}:{rng.randint(0, 3)}"
    if kind == "maxpool":
        return f"maxpool{k},s{s}"
    if kind == "avgpool":
        return f"avgpool{k},s{s},p{k // 2}"
    if kind == "tconv":
        return f"tconv{max(k, 2)}x4,s2,p{rng.randint(0, 1)}"
    if kind == "up":
        return "up2" + rng.choice(["", ",bilinear"])
    if kind == "shuffle":
        return "unshuffle2"
    return f"{kind}{rng.randint(0, 2)}:{rng.randint(0, 2)}"


def _network(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 5)):
        if rng.random() < 0.25:
            k, d = rng.choice([1, 3, 5]), rng.choice([1, 2])
            joint = rng.choice(
                ["[{} | id]", "{{{} | conv1x3}}", "[{} | conv3x4,p0:2]", "{{conv2x4,p0:1 | {} }}", "pad2:1 <id | {}>"]
            )
            parts.append("conv1x4 " + joint.format(f"conv{k}x4,d{d} conv3x4"))
        else:
            parts.append(_window(rng))
    return " ".join(parts)


def _traced(text: str, length: int) -> Graph | None:
    try:
        return trace_spec(text, (1, 4, length))
    except FovealError:
        return None


def _compare(text: str, length: int) -> tuple[int, int]:
    """Checks every unit of every layer; returns how many boxes were compared and how many withheld."""
    short, long = _traced(text, length), _traced(text, length + 2 * MARGIN)
    if short is None or long is None:
        return 0, 0
    compared = withheld = 0
    for layer in short.layers:
        rf, wide = receptive_field(short, layer), receptive_field(long, layer)
        rate = wide.stride[0]
        if rate is None:
            continue
        shift = Fraction(MARGIN) / rate
        if shift.denominator != 1:
            continue
        if not all(rf.known):
            withheld += 1
            continue
        if rf.stride[0] is None and short.values[short.layer(layer).value].shape[-1] == 1:
            continue  # a single unit that a reshape split off: how it would go on cannot be told
        assert rf.stride[0] == rate, (text, layer)
        for unit in range(rf.grid[0]):
            expected = tuple((a - MARGIN, b - MARGIN) for a, b in wide.box(unit + int(shift), clip=True))
            nothing = wide.box(unit + int(shift), clip=True) == ((0, 0),)
            assert rf.box(unit) == (((0, 0),) if nothing else expected), (text, layer, unit)
            compared += 1
    return compared, withheld


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 400, 50))
def test_unclipped_boxes_are_those_of_a_far_larger_source(start: int) -> None:
    compared = withheld = 0
    for number in range(start, start + 50):
        rng = random.Random(number)
        done = _compare(_network(rng), rng.choice([12, 24, 36]))
        compared, withheld = compared + done[0], withheld + done[1]
    assert compared > 500
    assert withheld <= compared // 100


def test_padding_that_a_gate_multiplies_is_a_position_unclipped() -> None:
    """Zero times a gate is zero, so the padded unit reads nothing; if the source went on it would read the gate."""
    graph = trace_spec("pad2:0 <id | conv3x4>", (1, 4, 24))
    rf = receptive_field(graph, graph.layers[-1])
    assert rf.box(0, clip=True) == ((0, 0),)
    assert rf.box(0) == ((-3, 0),)


def test_the_comparison_can_fail() -> None:
    """Reflecting padding is a border effect: what it reads clipped is not what it would read unclipped."""
    graph = trace_spec("pad2:2,reflect conv3x4,p0", (1, 4, 24))
    rf = receptive_field(graph, "conv1")
    assert rf.box(0) == ((-2, 1),)
    assert rf.box(0, clip=True) == ((0, 3),)
