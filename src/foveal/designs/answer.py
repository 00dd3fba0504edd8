"""``foveal.design``: from a task and its limits to a Pareto front of networks, each with its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from foveal.core.errors import FovealError
from foveal.designs.choice.halving import Score, halve
from foveal.designs.choice.merit import FAR
from foveal.designs.choice.reasons import reasons
from foveal.designs.closed.evaluate import Evaluation, evaluate as closed_form
from foveal.designs.closed.steps import MisfitError
from foveal.designs.conflict import conflict
from foveal.designs.inverse import Change, smallest_change
from foveal.designs.network import Network, fault
from foveal.designs.recognise import recognise
from foveal.designs.record import Design, Designs
from foveal.designs.search import Done, Found, Settings, fitting, measured_latency, recommended, search
from foveal.designs.spaces.around import around, changes, for_small_images
from foveal.designs.spaces.defaults import default_space, known_networks
from foveal.designs.spaces.space import Genome, Space
from foveal.designs.targets import QUANTILES, Target, cost_of, misfit
from foveal.frontends.backends import emitted

SPENT = 0.5
"""Share of a budget that is to be used: a network that uses none of it can see far and know nothing."""
LONGEST_TABLE = 12


def design(
    task: str = "classification",
    input: Sequence[int] | int | None = None,
    *,
    like: Any = None,
    space: Space | None = None,
    objects: Sequence[float] = (),
    classes: int | None = None,
    settings: Settings | None = None,
    done: Done | None = None,
    axes: Any = None,
    evaluate: Score | None = None,
    epochs: int = 9,
    **limits: Any,
) -> Designs:
    """Networks for a task: the recommended one, then from the cheapest to the one whose effective field fits best.

    input: (channels, *space), or one length for a square of three channels. like: a source string, model or graph to
    vary; space: a space to search instead of the task's own; objects: sizes in pixels; evaluate: a function from a
    network (a module) and a number of epochs to a score, by which successive halving chooses among the candidates that
    fit, the last one trained for ``epochs``; limits: fields of ``Target``
    (multiply_adds, parameters, memory, latency, halo, lookahead, past, context, even, ...).
    Raises FovealError for what does not fit together.
    """
    settings = settings or Settings()
    if like is not None and space is not None:
        raise FovealError("like and space exclude each other: a network to vary, or a space to search")
    own = None if like is None else _own(like, input, task, classes, axes)
    shape = own.network.input if own else _shape(input, space)
    known = [] if space else known_networks(task, shape, classes or 10)
    known = [one for one in known if own is None or one.name != own.network.name]
    target = _target(task, shape, objects, limits, own)
    if own is not None:
        own = replace(own, misfit=misfit(target, own.evaluation), cost=_cost(target, own.network, own.evaluation))
        searched = around(own.network)
    else:
        searched = space or default_space(task, shape, classes or 10, target.lookahead == 0 and len(shape) == 2)
    found = search(searched, target, settings, done)
    taken, alike = recommended(found.scores, target)
    if found.front:
        fits = {g: score.misfit for g in found.front if (score := found.scores[g]) is not None}
        near = tuple(g for g, off in fits.items() if off <= min(fits.values()) + FAR)
        genomes, stands = _thinned(near), None
    else:
        stands = conflict(found, target)
        genomes = () if stands.nearest is None else (stands.nearest,)
    role = "nearest" if stands else "front"
    designs = [_design(searched, g, target, role, own is not None) for g in genomes if g != taken]
    if taken is not None:
        designs.insert(0, _design(searched, taken, target, "recommended", own is not None))
    if evaluate is not None and taken is not None:
        drawn = [_design(searched, g, target, "trained", own is not None) for g in fitting(found.scores, target)]
        designs = _trained(drawn, evaluate, epochs) + designs[1:]
    if not stands:
        others = _of_other_blocks(searched, found, [one.network for one in designs])
        designs += [_design(searched, g, target, "alternative", own is not None) for g in others]
    shown = [_judged(one, target, "known") for one in known]
    if own is not None and (by_hand := for_small_images(own.network)) is not None:
        shown.insert(0, _judged(by_hand, target, "by hand"))
    return Designs(
        target, tuple(designs), tuple([own, *shown] if own else shown), _repairs(own), stands,
        searched.size, len(found.scores), found.complete, settings.seed,
        reasons(target, designs[0].evaluation, alike, found, designs) if taken is not None else (),
    )  # fmt: skip


def _trained(designs: list[Design], score: Score, epochs: int) -> list[Design]:
    """From the best on: those that came further, and of these the better."""
    build = emitted("training").built
    rounds = halve([one.code() for one in designs], lambda code, length: score(build(code), length), epochs)
    made = [replace(one, trained=own) for one, own in zip(designs, rounds)]
    made.sort(key=lambda one: (len(one.trained), one.trained[-1][1]), reverse=True)
    return [replace(made[0], role="recommended"), *made[1:]]


def _thinned(front: tuple[Any, ...]) -> tuple[Any, ...]:
    """A front short enough to read: the ends and even steps between them."""
    if len(front) <= LONGEST_TABLE:
        return front
    return tuple(front[i] for i in np.unique(np.linspace(0, len(front) - 1, LONGEST_TABLE).round().astype(int)))


def _of_other_blocks(space: Space, found: Found, shown: Sequence[Network]) -> list[Genome]:
    """Of each kind of block that the front does not have the feasible candidate that fits best; of equals the cheapest
    one.
    """
    seen = {network.stages[-1].block for network in shown}
    best: dict[str, tuple[float, float, Genome]] = {}
    for genome, score in found.scores.items():
        if score is not None and score.feasible:
            block = space.network(genome).stages[-1].block
            mine = (score.misfit, score.cost, genome)
            if block not in seen and (block not in best or mine < best[block]):
                best[block] = mine
    return [genome for _, _, genome in sorted(best.values())]


def _design(space: Space, genome: tuple[int, ...], target: Target, role: str, varied: bool) -> Design:
    return _judged(space.network(genome), target, role, tuple(changes(space, genome)) if varied else ())


def _judged(network: Network, target: Target, role: str, changed: tuple[str, ...] = ()) -> Design:
    found = closed_form(network)
    return Design(network, found, misfit(target, found), _cost(target, network, found), role, changed)


def _cost(target: Target, network: Network, found: Evaluation) -> float:
    return cost_of(target.cost, found, measured_latency(network) if target.cost == "latency" else None)


def own_network(like: Any, given: Sequence[int] | int | None, axes: Any = None) -> Network:
    """A source string, model, graph or network as data, on another input where one is given; raises FovealError."""
    from foveal.frontends.trace import trace

    network = like if isinstance(like, Network) else recognise(trace(like, axes=axes))
    if given is None:
        return network
    shape = tuple(given) if not isinstance(given, int) else (network.input[0], *(given,) * len(network.space))
    return replace(network, input=shape)


def _own(like: Any, given: Sequence[int] | int | None, task: str, classes: int | None, axes: Any = None) -> Design:
    network = own_network(like, given, axes)
    if task != network.head.task or classes is not None:
        network = replace(network, head=replace(network.head, task=task, classes=classes or network.head.classes))
    if wrong := fault(network):
        raise FovealError(f"{network.name}: {wrong}")
    try:
        return Design(network, closed_form(network), 0.0, 0.0, "known")
    except MisfitError as error:
        raise FovealError(f"{network.name} does not fit the input {network.input}: {error}") from None


def _shape(given: Sequence[int] | int | None, space: Space | None) -> tuple[int, ...]:
    if given is None:
        if space is None:
            raise FovealError("design needs the input: --input 640 or --input 3,640,640")
        return tuple(space.template["input"])
    shape = (3, given, given) if isinstance(given, int) else tuple(given)
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        raise FovealError(f"input {shape}: expected one length, or channels and one to three lengths")
    return shape


def _target(
    task: str, shape: tuple[int, ...], objects: Sequence[float], limits: dict[str, Any], own: Design | None
) -> Target:
    known = {name for name in Target.__dataclass_fields__ if name not in ("task", "space", "objects")}
    for name in limits:
        if name not in known:
            raise FovealError(f"unknown limit '{name}'; expected some of {', '.join(sorted(known))}")
    sizes = tuple(float(q) for q in np.quantile(np.asarray(objects, float), QUANTILES)) if len(objects) else ()
    cost = limits.get("cost", "multiply-adds")
    budget = limits.get(cost.replace("-", "_"))
    # Time is saved wherever it can be: only work that is known beforehand is to be spent.
    if "spend" not in limits and cost != "latency" and (budget is not None or own is not None):
        whole = budget if budget is not None else cost_of(cost, own.evaluation) if own is not None else 0.0
        limits = limits | {"spend": SPENT * whole}
    return Target(task, shape[1:], sizes, **limits)


def _repairs(own: Design | None) -> tuple[tuple[str, Change], ...]:
    """What the network itself needs, by the fewest changes; wishes that nothing near it grants are left out."""
    if own is None:
        return ()
    asked: list[tuple[str, str, dict[str, Any]]] = []
    if own.evaluation.unproductive:
        asked = [
            ("no unproductive layer, blocks may only go", "productive", {"only": "counts"}),
            ("no unproductive layer, every block stays", "productive", {"keep_blocks": True}),
        ]
    if own.evaluation.covered < 1:
        asked.append(("the field covers the input", "covered", {"keep_blocks": True}))
    elif own.evaluation.fits < 1:
        asked.append(("the effective field covers the input", "effective", {"keep_blocks": True}))
    found = []
    for name, wanted, how in asked:
        try:
            found.append((name, smallest_change(own.network, wanted, **how)))
        except FovealError:
            continue
    return tuple(found)
