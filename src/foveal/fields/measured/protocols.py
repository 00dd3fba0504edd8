"""Protocols of measured fields, as data: which unit, which scalar is differentiated, how gradients become one map.

A protocol says nothing in code. a front end's ``gradient`` reads ``features``, ``channels``, ``draws``, ``each``,
``colours`` and ``after``; ``measured`` reads ``unit`` and ``total``; pictures read ``display``. ``steps`` tell the
same in words, in order. The model is in evaluation mode, so that dropout and drop path are off (docs/methods.md 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

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
    def method(self) -> str:
        """The procedure in a sentence."""
        return f"measured input gradient, protocol {self.name}: " + "; ".join(self.steps)


LUO = Protocol(
    name="luo2016",
    source="Luo, Li, Urtasun, Zemel: Understanding the effective receptive field, NIPS 2016 (docs/methods.md 2.1)",
    steps=(
        "gradient 1 at every feature of the unit whose RF center is nearest to the source's, 0 elsewhere",
        "back to the source, the absolute value of each element (the article does not say how signs are treated)",
        "sum over the source's channels",
        "mean over images",
        "size: positions above 4.55 % of the value at the center",
    ),
    each="abs",
)
REPLKNET = Protocol(
    name="replknet",
    source="Ding et al.: Scaling up your kernels to 31x31, CVPR 2022, released scripts (docs/methods.md 3.1)",
    steps=(
        "images resized to 1024x1024 without keeping their shape, bicubic, ImageNet statistics",
        "sum of the positive features at unit (h // 2, w // 2) of the last feature map",
        "gradient at each element of the source, negative ones set to 0",
        "sum over colours",
        "mean over images, those with a gradient that is not a number left out",
        "areas: smallest centered square of log10(1 + map) with more than the share of its sum",
    ),
    unit="half",
    features="relu",
    each="relu",
    display="log10",
    preparation="squash",
    size=1024,
    images=50,
)
OPENERF = Protocol(
    name="openerf",
    source="Kim et al.: Dead pixel test using effective receptive field, PRL 2023, released code (docs/methods.md 3.5)",
    steps=(
        "images prepared as the model's own evaluation does",
        "mean of the features at unit (h // 2, w // 2), or at the upper left one of the middle four tokens",
        "mean of the gradient over colours, negative values set to 0",
        "sum over images, divided by its sum",
    ),
    unit="openerf",
    channels="mean",
    colours="mean",
    after="relu",
    total="share",
)
FOVEAL = Protocol(
    name="foveal",
    source="this package: an unbiased estimate of the sum over features of squared gradients (docs/methods.md 2.4)",
    steps=(
        "images prepared as the model's own evaluation does",
        "features of the unit whose RF center is nearest to the source's, summed with random signs",
        "square of the gradient at each element of the source",
        "sum over the source's channels, mean over draws of signs and over images",
        "areas and sizes free of scale, about the RF center",
    ),
    channels="signs",
    each="square",
)

PROTOCOLS = {item.name: item for item in (FOVEAL, LUO, REPLKNET, OPENERF)}


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
