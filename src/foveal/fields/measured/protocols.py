"""Protocols of measured fields, as data: which unit, which scalar is differentiated, how gradients become one map.

A protocol says nothing in code: the published ones stand in ``protocols.yaml``. A front end's ``gradient`` reads
``features``, ``channels``, ``draws``, ``each``, ``colours`` and ``after``; ``measure`` reads ``unit``, ``total`` and
``occlude``; pictures read ``display``. ``steps`` tell the same in words, in order. The model is in evaluation mode, so
that dropout and drop path are off (docs/methods.md 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from pathlib import Path
from typing import Any

import yaml

from foveal.core.errors import FovealError

UNITS = ("center", "half", "openerf")
CHOICES = {
    "unit": UNITS,
    "features": ("plain", "relu"),
    "channels": ("sum", "mean", "signs"),
    "each": ("plain", "relu", "abs", "square"),
    "colours": ("sum", "mean"),
    "after": ("plain", "relu"),
    "total": ("mean", "share"),
    "display": ("linear", "log10"),
    "preparation": ("model", "squash"),
    "occlude": ("", "noise", "blur", "mean"),
}


@dataclass(frozen=True)
class Protocol:
    """How a field is measured. Raises FovealError for a word that no step knows."""

    name: str
    source: str
    """Where the procedure is published."""
    steps: tuple[str, ...]
    unit: str = "center"
    """"center": the unit whose RF center is nearest to the source's; "half": n // 2 per axis of the grid; "openerf":
    that for maps, the upper left of the middle four for tokens."""
    features: str = "plain"
    """What is applied to the unit's features before they become one scalar."""
    channels: str = "sum"
    """"sum", "mean", or "signs": sum with random signs, drawn anew for every image and draw."""
    draws: int = 1
    """Draws of signs for each image."""
    each: str = "plain"
    """What is applied to the gradient at each element of the source."""
    colours: str = "sum"
    """How the source's own channels become one."""
    after: str = "plain"
    """What is applied after that."""
    total: str = "mean"
    """"mean" over images, or "share": that, divided by its sum."""
    display: str = "linear"
    """"log10": areas and pictures of log10(1 + value), which depends on the scale of the gradients."""
    preparation: str = "model"
    """"model": the model's own; "squash": resized to the source without keeping the shape, bicubic, ImageNet
    statistics."""
    occlude: str = ""
    """What stands in a patch of the source while the unit is asked again; empty: nothing, the gradient is taken."""
    size: int | None = None
    """Side of the source where the caller does not say."""
    images: int | None = None
    """How many images are used where the caller does not say."""

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise FovealError(
                    f"protocol '{self.name}': {name}='{getattr(self, name)}' is none of {', '.join(known)}"
                )
        if self.each == "plain" and self.after == "plain":
            raise FovealError(f"protocol '{self.name}': a map must not be negative; set each or after")
        if self.draws < 1:
            raise FovealError(f"protocol '{self.name}': draws must be at least 1, got {self.draws}")

    @property
    def squared(self) -> bool:
        """Whether the map holds energies, squares of gradients."""
        return self.each == "square"

    @property
    def method(self) -> str:
        """The procedure in a sentence."""
        what = "measured answers to occlusion" if self.occlude else "measured input gradient"
        return f"{what}, protocol {self.name}: " + "; ".join(self.steps)


PROTOCOLS = {
    name: Protocol(name, **{**data, "steps": tuple(data["steps"])})
    for name, data in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")).items()
}


def protocol_of(given: str | Protocol) -> Protocol:
    """The protocol of that name, or the one given; raises FovealError naming the known ones."""
    if isinstance(given, Protocol):
        return given
    if given not in PROTOCOLS:
        raise FovealError(f"unknown protocol '{given}'; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[given]


def protocol_from(data: dict[str, Any]) -> Protocol:
    """The protocol that plain values describe, as :func:`foveal.core.serial.to_plain` writes them."""
    return Protocol(**{**data, "steps": tuple(data["steps"])})


def fixed_unit(rule: str, grid: tuple[int, ...], plane: bool, prefix: int) -> tuple[int, ...]:
    """The unit that "half" or "openerf" means on a grid.

    ``plane``: the source has two axes, so that a grid with one axis holds a square of tokens behind ``prefix`` others.
    """
    tokens = prod(grid) - prefix
    side = isqrt(max(tokens, 0))
    if len(grid) != 1 or not plane or side < 2 or side * side != tokens:
        return tuple(n // 2 for n in grid)
    place = side // 2 if rule == "half" else (side - 1) // 2
    return (prefix + place * side + place,)
