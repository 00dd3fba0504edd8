"""A space of networks: a network's YAML in which any value may be a choice.

    stem: {kernel: {choose: [3, 7]}, stride: 2, width: 32}
    stages:
      - {block: {choose: [plain, residual], as: block}, width: 64, count: {choose: [1, 2, 3]}, stride: 2}
      - {block: {choose: [plain, residual], as: block}, width: 128, count: {choose: [0, 1, 2]}, stride: 2}

Choices with the same ``as`` are made together: the first of all, or the second of all ... A stage with count 0 that
does not pool is left out. A candidate is a tuple of numbers, one for each choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import yaml

from foveal.core.errors import FovealError
from foveal.core.reading import read_yaml
from foveal.core.serial import to_plain
from foveal.designs.network import Head, Neck, Network, Stage, Stem, from_yaml

Genome = tuple[int, ...]
PARTS = ("input", "stem", "stages", "neck", "head", "causal", "name")


@dataclass(frozen=True)
class Choice:
    """Where a choice stands (its name, or its path in the text) and what there is to choose from."""

    name: str
    options: list[Any]

    @property
    def count(self) -> int:
        """How many ways there are."""
        return len(self.options)


@dataclass(frozen=True, eq=False)
class Space:
    """template: the mapping of the YAML text; choices: in the order in which they stand there."""

    template: dict[str, Any]
    choices: tuple[Choice, ...]

    @property
    def size(self) -> int:
        """Number of candidates, counted before any is looked at."""
        return prod(choice.count for choice in self.choices)

    def network(self, genome: Genome) -> Network:
        """The network of a candidate; it may have a fault (``network.fault``)."""
        picked = dict(zip([choice.name for choice in self.choices], genome, strict=True))
        return _network(_filled(self.template, picked, ""))

    def genomes(self) -> Iterator[Genome]:
        """All candidates in a fixed order."""
        return product(*(range(choice.count) for choice in self.choices))

    def random(self, random: np.random.Generator) -> Genome:
        """One candidate, each choice made evenly."""
        return tuple(int(random.integers(choice.count)) for choice in self.choices)

    def to_yaml(self) -> str:
        """As text; :func:`space_from_yaml` gives back an equal space."""
        return yaml.safe_dump(to_plain(self.template), sort_keys=False, default_flow_style=None)


def space_of(template: dict[str, Any]) -> Space:
    """The space of a template; raises FovealError naming the place of a fault."""
    for key in template:
        if key not in PARTS:
            raise FovealError(f"space: unknown part '{key}'; expected some of {', '.join(PARTS)}")
    found: dict[str, list[Any]] = {}
    _collect(template, "", found)
    space = Space(template, tuple(Choice(name, options) for name, options in found.items()))
    # The first candidate goes through the strict reader, which names wrong fields and types.
    _strict(_filled(template, dict.fromkeys(found, 0), ""))
    return space


def space_from_yaml(text: str) -> Space:
    """The space of a YAML text; raises FovealError with the place of a fault."""
    template = read_yaml(text, "space")
    if not isinstance(template, dict):
        raise FovealError("space: expected a mapping with input, stem and stages")
    return space_of(template)


def filled_template(space: Space, picked: dict[str, int]) -> dict[str, Any]:
    """The template with every choice made, by the names of the choices."""
    made: dict[str, Any] = _filled(space.template, picked, "")
    return made


def _strict(first: dict[str, Any]) -> None:
    text = yaml.safe_dump(to_plain(first | {"stages": [s for s in first.get("stages", []) if _kept(s)]}))
    try:
        from_yaml(text)
    except FovealError as error:
        if "there are no stages" not in str(error):
            raise FovealError(f"space, first candidate: {error}") from None


def _collect(part: Any, place: str, found: dict[str, list[Any]]) -> None:
    if isinstance(part, dict) and "choose" in part:
        options = part["choose"]
        name = str(part.get("as", place))
        if not isinstance(options, list) or not options or set(part) - {"choose", "as"}:
            raise FovealError(f"space, {place}: a choice is {{choose: [one, two]}} or {{choose: [...], as: name}}")
        own = len(found.setdefault(name, options))
        if own != len(options):
            raise FovealError(f"space, {place}: choices named '{name}' have {own} and {len(options)} options")
        return
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list | tuple) else ()
    for key, value in items:
        _collect(value, f"{place}.{key}" if place else str(key), found)


def _filled(part: Any, picked: dict[str, int], place: str) -> Any:
    if isinstance(part, dict):
        if "choose" in part:
            return part["choose"][picked[str(part.get("as", place))]]
        return {key: _filled(value, picked, f"{place}.{key}" if place else str(key)) for key, value in part.items()}
    if isinstance(part, list | tuple) and any(isinstance(item, dict) for item in part):
        return [_filled(item, picked, f"{place}.{index}") for index, item in enumerate(part)]
    return part


def _kept(stage: dict[str, Any]) -> bool:
    return bool(stage.get("count", 2) or stage.get("pool", False))


def _network(filled: dict[str, Any]) -> Network:
    stages = []
    for stage in filled["stages"]:
        if not _kept(stage):
            continue
        dilation = stage.get("dilation", 1)
        stages.append(Stage(**stage | {"dilation": (dilation,) if isinstance(dilation, int) else tuple(dilation)}))
    neck = filled.get("neck", {})
    rates = neck.get("rates", ())
    return Network(
        tuple(filled["input"]),
        Stem(**filled.get("stem", {})),
        tuple(stages),
        Neck(**neck | {"rates": (rates,) if isinstance(rates, int) else tuple(rates)}),
        Head(**filled.get("head", {})),
        bool(filled.get("causal", False)),
        str(filled.get("name", "network")),
    )
