"""Spaces, targets and the search: true fronts, seeds, journals, limits that exclude each other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from foveal.core.errors import FovealError
from foveal.designs.choice.merit import merit_of, rule
from foveal.designs.closed.evaluate import evaluate
from foveal.designs.conflict import conflict
from foveal.designs.network import Network, Stage, Stem, fault, from_yaml
from foveal.designs.search import Found, Score, Settings, front, recommended, search
from foveal.designs.spaces.space import Space, space_from_yaml
from foveal.designs.targets import Target, limit_names, limits, match, misfit

TEXT = """
input: [3, 32, 32]
stem: {kernel: {choose: [3, 5, 7]}, stride: {choose: [1, 2]}, width: 8}
stages:
  - {block: {choose: [plain, residual, separable], as: block}, width: 8, count: {choose: [1, 2, 3]}}
  - {block: {choose: [plain, residual, separable], as: block}, width: 16, count: {choose: [0, 1, 2]},
     stride: {choose: [1, 2]}, dilation: {choose: [1, [1, 2]]}}
"""
TARGET = Target("classification", (32, 32), multiply_adds=3e6)
EVOLVE = Settings(exhaustive=0, population=40, generations=25)


@pytest.fixture(scope="module")
def space() -> Space:
    return space_from_yaml(TEXT)


@pytest.fixture(scope="module")
def whole(space: Space) -> Found:
    return search(space, TARGET)


def test_linked_choices_are_made_together(space: Space) -> None:
    assert space.size == 3 * 2 * 3 * 3 * 3 * 2 * 2
    for genome in list(space.genomes())[::50]:
        assert len({stage.block for stage in space.network(genome).stages}) == 1


def test_spaces_and_networks_go_to_yaml_and_back(space: Space) -> None:
    again = space_from_yaml(space.to_yaml())
    network = space.network((0, 1, 1, 2, 2, 1, 1))
    assert again.network((0, 1, 1, 2, 2, 1, 1)) == network
    assert from_yaml(network.to_yaml()) == network


def test_the_search_over_all_finds_the_front_by_definition(whole: Found) -> None:
    scores = [s for s in whole.scores.values() if s is not None and s.feasible]
    pairs = {(s.misfit, s.cost) for s in scores}
    best = {p for p in pairs if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in pairs)}
    assert {(whole.scores[g].misfit, whole.scores[g].cost) for g in whole.front} == best
    assert len(whole.front) == len(best) > 3


@pytest.mark.needs("pymoo")
def test_nsga2_finds_the_true_front(space: Space, whole: Found) -> None:
    found = search(space, TARGET, EVOLVE)
    assert not found.complete
    assert len(found.scores) < space.size
    points = [[(f.scores[g].misfit, f.scores[g].cost) for g in f.front] for f in (found, whole)]
    assert points[0] == points[1]


@pytest.mark.needs("pymoo")
def test_the_same_seed_gives_the_same_front(space: Space) -> None:
    few = Settings(exhaustive=0, population=20, generations=5, seed=4)
    first, second = search(space, TARGET, few), search(space, TARGET, few)
    assert first.front == second.front
    assert first.scores == second.scores
    other = search(space, TARGET, Settings(exhaustive=0, population=20, generations=5, seed=5))
    assert set(other.scores) != set(first.scores)


@pytest.mark.needs("pymoo")
def test_a_killed_search_ends_where_it_would_have(space: Space, tmp_path: Path) -> None:
    settings = Settings(exhaustive=0, population=20, generations=8, journal=str(tmp_path / "journal"))
    expected = search(space, TARGET, Settings(exhaustive=0, population=20, generations=8))

    def kill(now: int, whole: int) -> None:
        if now == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(space, TARGET, settings, kill)
    journal = tmp_path / "journal"
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert 20 < len(lines) < len(expected.scores)
    journal.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:7], encoding="utf-8")
    resumed = search(space, TARGET, settings)
    assert resumed.front == expected.front
    assert resumed.scores == expected.scores


@pytest.mark.needs("pymoo")
def test_what_is_written_down_is_not_computed_again(space: Space, tmp_path: Path) -> None:
    settings = Settings(exhaustive=0, population=20, generations=3, journal=str(tmp_path / "journal"))
    search(space, TARGET, settings)
    journal = tmp_path / "journal"
    head, *lines = journal.read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    for line in told:
        if line[1] is not None:
            line[1][0] = 0.125  # a misfit that nothing computes
    journal.write_text("\n".join([head, *map(json.dumps, told)]) + "\n", encoding="utf-8")
    again = search(space, TARGET, Settings(exhaustive=0, population=20, generations=1, journal=str(journal)))
    assert {s.misfit for s in again.scores.values() if s is not None} == {0.125}


@pytest.mark.needs("pymoo")
def test_a_journal_of_another_search_is_refused(space: Space, tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")
    small = {"exhaustive": 0, "population": 10, "generations": 1, "journal": journal}
    search(space, TARGET, Settings(**small))
    with pytest.raises(FovealError, match="another search"):
        search(space, Target("classification", (32, 32)), Settings(**small))
    with pytest.raises(FovealError, match="cannot be used as a journal"):
        search(space, TARGET, Settings(journal=str(tmp_path)))


@pytest.mark.needs("pymoo")
def test_several_workers_give_the_same(space: Space) -> None:
    few = {"exhaustive": 0, "population": 20, "generations": 2}
    assert search(space, TARGET, Settings(**few, workers=2)).scores == search(space, TARGET, Settings(**few)).scores


def test_ray_is_asked_for_by_name(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FovealError, match="--ray needs Ray: pip install"):
        search(space, TARGET, Settings(ray_address="local"))


class Ray:
    """A cluster of one that runs what it is given at once."""

    @staticmethod
    def is_initialized() -> bool:
        return True

    exceptions = SimpleNamespace(
        WorkerCrashedError=KeyError, NodeDiedError=KeyError, OutOfMemoryError=KeyError, ObjectLostError=KeyError
    )

    @staticmethod
    def remote(**_: Any) -> Callable[[Callable[..., Any]], Any]:
        return lambda work: SimpleNamespace(remote=lambda *call: partial(work, *call))

    @staticmethod
    def wait(waiting: list[Any]) -> tuple[list[Any], list[Any]]:
        return waiting[:1], waiting[1:]

    @staticmethod
    def get(reference: Callable[[], Any]) -> Any:
        return reference()


def test_ray_gives_the_same(space: Space, whole: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", Ray)
    assert search(space, TARGET, Settings(ray_address="local")).scores == whole.scores


def test_pymoo_is_asked_for_by_name(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    with pytest.raises(FovealError, match="has 648 candidates and needs pymoo: pip install"):
        search(space, TARGET, EVOLVE)


def test_of_equal_candidates_one_stays() -> None:
    met = ((0.0,), (0.0,))
    scores: dict = {
        (0,): Score(0.5, 10.0, *met), (1,): Score(0.5, 10.0, *met), (2,): Score(0.2, 20.0, *met),
        (3,): Score(0.3, 30.0, *met), (4,): Score(0.0, 1.0, (0.1,), (1.0,)), (5,): None,
    }  # fmt: skip
    assert front(scores) == ((0,), (2,))


def test_conflicts_are_named_with_what_would_do(space: Space) -> None:
    # Look-ahead of a 3-wide padded network is at least 1: with 0 nothing meets it.
    target = Target("sequence", (32, 32), lookahead=0, multiply_adds=1e9)
    stands = conflict(search(space, target), target)
    assert stands.limits == ("lookahead",)
    assert [one.name for one in stands.broken] == ["lookahead"]
    assert stands.broken[0].needed == min(
        float(evaluate(space.network(g)).lookahead) for g in space.genomes() if not fault(space.network(g))
    )
    assert "would do, all other limits met (asked: 0)" in str(stands)


def test_two_limits_that_exclude_each_other(space: Space) -> None:
    # A field that reaches 20 back needs a halo of about as much.
    target = Target("sequence", (32, 32), past=20, halo=8)
    stands = conflict(search(space, target), target)
    assert set(stands.limits) == {"past", "halo"}
    needed = {one.name: one.needed for one in stands.relaxed}
    possible = [evaluate(space.network(g)) for g in space.genomes() if not fault(space.network(g))]
    fits = [e for e in possible if e.filled == 1 and not e.unproductive]
    assert needed["halo"] == min(e.halo for e in fits if e.levels[0].lookback >= 20)
    assert needed["past"] == max(e.levels[0].lookback for e in fits if e.halo <= 8)


def test_no_candidate_at_all(space: Space) -> None:
    target = Target("classification", (1, 1))
    stands = conflict(Found((), dict.fromkeys(space.genomes()), True), target)
    assert "can be laid out" in str(stands)


def test_limits_come_in_the_order_of_their_names(space: Space) -> None:
    target = Target(
        "classification", (32, 32), multiply_adds=1e6, parameters=1e4, memory=1e6, halo=4, lookahead=3, past=8,
        registered=True, even=0.5, spend=1e5,
    )  # fmt: skip
    found = limits(target, evaluate(space.network((0,) * 7)))
    assert [limit.name for limit in found] == limit_names(target)
    assert len(found) == 11


def test_objects_go_to_the_level_of_their_size() -> None:
    network = Network((3, 64, 64), Stem(3, 2, 8), (Stage("plain", 8, 2), Stage("plain", 8, 2, stride=2)))
    found = evaluate(network)
    side = found.levels[0].fits
    level, off = match(2 * side, found)
    assert level is found.levels[0]
    assert off == pytest.approx(1)  # a factor of two
    # Smaller than the stride of 4: the field is off by log2(side), the stride by two factors of two.
    assert match(1.0, found)[1] == pytest.approx(np.log2(side) + 2)
    target = Target("detection", (64, 64), objects=(side, 2 * side))
    assert misfit(target, found) == pytest.approx(0.5)


def test_a_field_too_wide_is_as_wrong_as_one_too_narrow() -> None:
    network = Network((3, 64, 64), Stem(3, 2, 8), (Stage("plain", 8, 2), Stage("plain", 8, 2, stride=2)))
    found = evaluate(network)
    side = found.levels[0].fits

    def off(*sizes: float, task: str = "classification", **more: float) -> float:
        return misfit(Target(task, (64, 64), sizes, **more), found)

    assert off(side / 1.5) == pytest.approx(0)  # the object and what is around it
    assert off(2 * side / 1.5) == pytest.approx(1)
    assert off(8.0) == pytest.approx(abs(np.log2(side / 12)))  # two strides of 4 wide
    assert off(4.0) == pytest.approx(np.log2(side / 6) + 1)  # half as many units across as there should be
    assert off(side / 1.5, 2 * side / 1.5) == pytest.approx(0.5)
    assert off(side, 2 * side, task="segmentation") == pytest.approx(1)  # the largest object
    assert off(side, context=4 * side) == pytest.approx(2)
    assert off() == pytest.approx(np.log2(64 / side))  # the image, where nothing is known


def test_the_recommended_design_spends_the_budget_inside_the_band() -> None:
    met = ((0.0,), (0.0,))
    scores: dict = {
        (0,): Score(0.0, 50.0, *met, 9.0),  # fits best, and spends half
        (1,): Score(0.1, 95.0, *met, 3.0), (2,): Score(0.3, 96.0, *met, 5.0),
        (3,): Score(0.4, 99.0, *met, 8.0),  # outside the band
        (4,): Score(0.1, 99.0, (0.1,), (1.0,), 9.0), (5,): None,
    }  # fmt: skip
    target = Target("classification", (32, 32), multiply_adds=100.0)
    assert recommended(scores, target) == ((2,), 2)
    free = Target("classification", (32, 32))
    assert recommended(scores, free) == ((0,), 2)  # without a budget the cheapest that fits
    assert recommended({(5,): None}, free) == (None, 0)


def test_the_learned_rule_weighs_field_and_parameters() -> None:
    known = Target("classification", (32, 32), (8.0,), multiply_adds=1e6)
    weights = rule()["weights"]
    # 12 px fit objects of 8; 6 are an octave too narrow, 24 one too wide; a stride of 4 is half of 8.
    assert merit_of(known, 1024, 1, 12.0, 4.0) == pytest.approx(10 * weights["parameters"])
    assert merit_of(known, 1024, 1, 6.0, 2.0) == pytest.approx(10 * weights["parameters"] + weights["narrow"])
    assert merit_of(known, 1024, 1, 24.0, 8.0) == pytest.approx(
        10 * weights["parameters"] + weights["wide"] + weights["coarse"]
    )
    assert merit_of(known, 1, 8, 12.0, 4.0) == pytest.approx(3 * weights["narrowest"])
    assert weights["narrow"] < weights["wide"] < 0 < weights["parameters"]
    assert merit_of(Target("classification", (32, 32)), 1024, 1, 6.0, 2.0) == 10  # nothing is known of the objects


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input: [3, 8, 8]\nstagez: []", "unknown part 'stagez'"),
        ("- 1", "expected a mapping"),
        (TEXT.replace("choose: [3, 5, 7]", "choose: 3"), "a choice is"),
        (
            TEXT.replace("separable], as: block}, width: 16", "large, dilated], as: block}, width: 16"),
            "have 3 and 4 options",
        ),
        (TEXT.replace("count: {choose: [1", "cuont: {choose: [1"), "unknown field 'cuont'"),
        (TEXT.replace("plain, residual", "plane, residual"), "unknown block 'plane'"),
        ("input: [", "not valid YAML"),
    ],
)
def test_faults_of_spaces_name_the_place(text: str, message: str) -> None:
    with pytest.raises(FovealError, match=message):
        space_from_yaml(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"task": "tracking"}, "unknown task"), ({"cost": "watts"}, "unknown cost"), ({"multiply_adds": -1.0}, "above 0"),
     ({"task": "detection"}, "needs the sizes"), ({"halo": -1}, "0 or more"), ({"lookahead": -1}, "0 or more"),
     ({"objects": (4.0, 9.0)}, "larger than the input"), ({"objects": (float("nan"),)}, "above 0")],
)  # fmt: skip
def test_faults_of_targets(given: dict, message: str) -> None:
    with pytest.raises(FovealError, match=message):
        Target(**{"task": "classification", "space": (8, 8)} | given)


def test_random_candidates_are_of_the_space(space: Space) -> None:
    random = np.random.default_rng(0)
    counts = [choice.count for choice in space.choices]
    for _ in range(20):
        assert all(0 <= gene < count for gene, count in zip(space.random(random), counts))
