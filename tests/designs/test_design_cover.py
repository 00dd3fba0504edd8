"""Covering a space at once: the same answers as scoring every candidate, and candidates exactly as they are scored."""

from __future__ import annotations

from typing import Any

import pytest

from foveal.designs.choice.merit import merit_of
from foveal.designs.search import Settings, recommended, search
from foveal.designs.spaces.cover import cover, coverable, genome_of
from foveal.designs.spaces.space import Space, space_from_yaml
from foveal.designs.targets import Target

TEXT = """
input: [3, 32, 24]
stem: {kernel: {choose: [3, 5]}, stride: {choose: [1, 2]}, pool: {choose: [false, true]},
       width: {choose: [4, 8], as: w}}
stages:
  - {block: {choose: BLOCKS, as: block}, width: {choose: [4, 8], as: w}, count: {choose: [1, 2]}}
  - {block: {choose: BLOCKS, as: block}, width: {choose: [8, 8], as: w}, count: {choose: [0, 2]},
     stride: {choose: [1, 2]}, kernel: {choose: [3, 5]}, dilation: {choose: [1, 2, [1, 2]]}}
head: {classes: 4}
"""


def space(*blocks: str) -> Space:
    return space_from_yaml(TEXT.replace("BLOCKS", f"[{', '.join(blocks)}]"))


TARGETS: list[dict[str, Any]] = [
    {"objects": (8.0,), "multiply_adds": 4e5, "spend": 2e5},
    {"objects": (5.0, 9.0), "parameters": 2e3, "cost": "parameters", "spend": 1e3},
    {"objects": (6.0,), "halo": 8, "memory": 60_000},
    {"multiply_adds": 1e6, "spend": 5e5, "productive": False, "no_holes": False},
]


@pytest.mark.parametrize("given", TARGETS)
@pytest.mark.parametrize("blocks", [("plain", "residual"), ("bottleneck", "large"), ("separable", "dilated")])
def test_a_covered_space_has_the_answer_of_scoring_all(blocks: tuple[str, ...], given: dict[str, Any]) -> None:
    searched, target = space(*blocks), Target("classification", (32, 24), **given)
    whole = search(searched, target)
    found = search(searched, target, Settings(exhaustive=1))
    assert found.complete
    assert found.alike is not None
    assert len(found.scores) < len(whole.scores)
    numbers = [[s.scores[g][:2] for g in s.front] for s in (whole, found)]  # type: ignore[index]
    least = min(misfit for misfit, _ in numbers[0])
    near = [[pair for pair in front if pair[0] <= least + 1] for front in numbers]  # what an answer shows
    assert near[1] == pytest.approx(near[0])
    taken = [recommended(s.scores, target)[0] for s in (whole, found)]
    scores = [s.scores[g] for s, g in zip((whole, found), taken)]  # type: ignore[index]
    assert scores[0] is not None
    assert scores[0] == scores[1]


def test_what_is_counted_at_once_is_what_is_scored() -> None:
    searched = space("residual", "large")
    target = Target("classification", (32, 24), (8.0,))
    found = cover(searched, target)
    assert found is not None
    groups, all_ = found
    genomes = [genome_of(searched, groups, all_, i) for i in range(len(all_.cost))]
    scores = search(searched, target).scores
    merits = merit_of(target, all_.parameters, all_.narrowest, all_.fits, all_.stride)
    for genome, *numbers in zip(genomes, all_.misfit, all_.cost, merits):
        score = scores[genome]
        assert score is not None
        assert (score.misfit, score.cost, score.merit) == pytest.approx(numbers)


def test_only_chains_are_covered() -> None:
    target = Target("classification", (32, 24))
    assert coverable(space("plain"), target)
    assert not coverable(space("plain"), Target("segmentation", (32, 24)))
    assert not coverable(
        space_from_yaml(TEXT.replace("BLOCKS", "[plain]").replace("[3, 5]}, dil", "[2, 5]}, dil")), target
    )
    assert not coverable(space_from_yaml(TEXT.replace("BLOCKS", "[plain]") + "neck: {kind: encoder-decoder}"), target)
