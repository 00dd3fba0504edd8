"""Random networks: support, paths and edges against listing; support against perturbation of real models; planted
mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from foveal.check.oracle import begin_round, prepare, run
from foveal.check.perturbation import PATTERNS, column_change, moved
from foveal.core.errors import FovealError
from foveal.engine.backward import adjoint as steps
from foveal.engine.roles import grid_axes
from foveal.fields import kinds
from foveal.fields.kinds import field
from foveal.fields.receptive_field import receptive_field
from foveal.frontends.text.trace import trace_spec
from foveal.ir import relation as rel
from support import brute_force
from support.brute_force import Writer
from support.drawn.random_networks import build, random_recipe
from support.needs import needs

COUNT = 100
ROUNDS = 40


def drawn(number: int) -> tuple[Any, brute_force.Network, int, str]:
    """The numbered network as a graph and as tap lists."""
    rng = Random(number)
    dims = rng.choice([1, 1, 1, 2])
    lengths = tuple(rng.randint(7, 22 if dims == 1 else 9) for _ in range(dims))
    writer = Writer(rng, lengths)
    text, value = writer.network(rng.randint(1, 5 if dims == 1 else 4))
    return trace_spec(text, (1, 1, *lengths)), writer.net, value, text


def as_array(counts: dict[tuple[int, ...], int], lengths: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(lengths, dtype=np.int64)
    for place, count in counts.items():
        found[place] = count
    return found


def difference(number: int) -> str:
    """Where the package and the listing part on the numbered network; empty where nowhere."""
    graph, net, value, text = drawn(number)
    lengths = net.lengths[value]
    assert graph.values[graph.layer(graph.layers[-1]).value].shape[2:] == lengths, text
    for unit in {tuple(0 for _ in lengths), tuple(n // 2 for n in lengths), tuple(n - 1 for n in lengths)}:
        listed = as_array(brute_force.paths(net, value, unit), net.lengths[0])
        expected = {"support": listed > 0, "paths": listed}
        expected["edges"] = as_array(brute_force.edges(net, value, unit), net.lengths[0])
        for kind, want in expected.items():
            try:
                got = field(graph, graph.layers[-1], kind, unit)
            except FovealError as error:
                return f"{text}: {kind} at {unit}: {error}"
            if got.status != "exact" or not np.array_equal(got.full(), want):
                return f"{text}: {kind} at {unit}: {got.status}\n{got.full()}\n{want}"
    return ""


@pytest.mark.parametrize("start", range(0, COUNT, 25))
def test_listing_agrees(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(start, start + 25):
        monkeypatch.setattr(kinds, "LONG", number % 2 << 16)  # every other one as over a long source
        assert difference(number) == ""


@contextmanager
def mistake(step: type[rel.Step], wrong: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setitem(steps.BACKWARD, step, wrong)
        yield


def stride_ignored(step: Any, stage: Any, flow: Any, algebra: Any) -> Any:
    return steps._slide(replace(step, stride=1), stage, flow, algebra)


def tap_dropped(step: Any, stage: Any, flow: Any, algebra: Any) -> Any:
    return steps._slide(replace(step, kernel=max(1, step.kernel - 1)), stage, flow, algebra)


def padding_ignored(step: Any, stage: Any, flow: Any, algebra: Any) -> Any:
    return steps._slide(replace(step, before=0), stage, flow, algebra)


def branch_lost(step: Any, stage: Any, flow: Any, algebra: Any) -> Any:
    found = steps._embed(step, stage, flow, algebra)
    return replace(found, data=found.data * 0) if step.start > 0 else found


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        (rel.Slide, stride_ignored),
        (rel.Slide, tap_dropped),
        (rel.Slide, padding_ignored),
        (rel.Embed, branch_lost),
    ],
)
def test_planted_mistakes_are_caught(step: type[rel.Step], wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with mistake(step, wrong, monkeypatch):
        assert any(difference(number) for number in range(30))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 60, 20))
def test_support_of_real_models_equals_perturbation(start: int) -> None:
    """The position-by-position support of modules with every kind of index arithmetic, at three units each."""
    torch = needs("torch")
    from foveal.frontends.trace import trace

    torch.set_num_threads(1)
    compared = 0
    for number in range(start, start + 20):
        recipe = random_recipe(number)
        model = build(recipe)
        if not len(model) or np.prod(recipe.lengths) > 120:
            continue
        graph = trace(model, recipe.shape, axes=tuple(range(2, len(recipe.shape))))
        problem, count = compare_supports(graph, model, recipe.shape, (str(len(model) - 1), str(len(model) // 2)))
        assert problem == "", f"network {number}: {problem}\n{model}"
        compared += count
    assert compared > 20


def compare_supports(graph: Any, model: Any, shape: tuple[int, ...], layers: tuple[str, ...]) -> tuple[str, int]:
    """Predicted supports against changes of single positions, round by round until all exact ones are filled."""
    predicted: dict[tuple[str, tuple[int, ...]], tuple[np.ndarray, bool]] = {}
    for layer in set(layers):
        grid = receptive_field(graph, layer).grid
        for unit in {tuple(0 for _ in grid), tuple(n // 2 for n in grid), tuple(n - 1 for n in grid)}:
            found = field(graph, layer, "support", unit)
            predicted[layer, unit] = (found.full(), found.status == "exact")
    call = prepare(model, shape)
    measured = {key: np.zeros(full.shape, dtype=bool) for key, (full, _) in predicted.items()}
    for number in range(ROUNDS):
        for position, moves in changes(call, number, tuple(shape[2:])):
            for layer, unit in predicted:
                axes = grid_axes(graph, graph.layer(layer).value)
                index: list[Any] = [slice(None)] * moves[layer].ndim
                for axis, i in zip(axes, unit, strict=True):
                    index[axis] = i
                measured[layer, unit][position] |= bool(moves[layer][tuple(index)].any())
        for key, (full, _) in predicted.items():
            if (measured[key] & ~full).any():
                return f"{key} reads what is not predicted:\n{measured[key] & ~full}", 0
        if all(np.array_equal(measured[key], full) for key, (full, exact) in predicted.items() if exact):
            return "", sum(exact for _, exact in predicted.values())
    wrong = next(k for k, (full, exact) in predicted.items() if exact and not np.array_equal(measured[k], full))
    return f"{wrong} does not read all that is predicted:\n{predicted[wrong][0] & ~measured[wrong]}", 0


def changes(
    call: Any, number: int, lengths: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], dict[str, np.ndarray]]]:
    """For each source position, which elements of each layer move when it is changed (all channels at once)."""
    rng, style, base = begin_round(call, 0, number, "generic")
    name = next(iter(base))
    reference = run(call.model, base)
    for position in np.ndindex(*lengths):
        where = (slice(None), slice(None), *(slice(i, i + 1) for i in position))
        changed = base[name].copy()
        pattern = PATTERNS[number % len(PATTERNS)]
        changed[where] += column_change(changed[where].shape, pattern, rng, style.gain)
        outputs = run(call.model, {**base, name: changed})
        yield position, {layer: moved(outputs[layer][None], reference[layer])[0] for layer in outputs}
