"""The words of the text specification: layer kinds, what each of them takes, options and their spelling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

NORMS = ("bn", "gn", "in", "ln")
ACTIVATIONS = (
    "relu", "relu6", "leaky", "elu", "gelu", "silu", "swish", "sigmoid", "tanh", "hswish", "hsigmoid", "softplus",
)  # fmt: skip
REFERENCES = ("save", "from", "add", "cat", "mul")
NUMBERED = ("s", "d", "p", "g", "op")
"""Options that are followed by numbers: stride, dilation, padding, groups, output padding."""


@dataclass(frozen=True)
class Kind:
    """What a layer kind takes. ``size`` and ``channels``: "needed", "optional" or "none"."""

    size: str = "none"
    channels: str = "none"
    options: frozenset[str] = frozenset()
    asymmetric: bool = False
    example: str = ""


def _kind(size: str, channels: str, options: str, example: str, asymmetric: bool = False) -> Kind:
    return Kind(size, channels, frozenset(options.split()), asymmetric, example)


KINDS: dict[str, Kind] = {
    "conv": _kind("needed", "optional", "s d p g same valid dw bias nobias", "conv3x64,s2"),
    "causal": _kind("needed", "optional", "s d g dw bias nobias", "causal3x64,d2"),
    "tconv": _kind("needed", "optional", "s d p g op dw bias nobias", "tconv2x64,s2"),
    "pool": _kind("needed", "none", "s d p same valid ceil", "pool3,s2,p1"),
    "maxpool": _kind("needed", "none", "s d p same valid ceil", "maxpool3,s2,p1"),
    "avgpool": _kind("needed", "none", "s p same valid ceil", "avgpool2"),
    "adaptive": _kind("needed", "none", "max", "adaptive7"),
    "up": _kind("needed", "none", "nearest linear bilinear cubic bicubic align", "up2,bilinear"),
    "pad": _kind("needed", "none", "reflect replicate circular", "pad1:2", asymmetric=True),
    "crop": _kind("needed", "none", "", "crop0:4", asymmetric=True),
    "shuffle": _kind("needed", "none", "", "shuffle2"),
    "unshuffle": _kind("needed", "none", "", "unshuffle2"),
    "gap": _kind("none", "none", "", "gap"),
    "fc": _kind("needed", "none", "bias nobias", "fc1000"),
    "bn": _kind("none", "none", "train", "bn"),
    "gn": _kind("needed", "none", "", "gn32"),
    "in": _kind("none", "none", "affine", "in"),
    "ln": _kind("none", "none", "", "ln"),
    "se": _kind("optional", "none", "", "se16"),
    "attention": _kind("optional", "none", "", "attention8"),
    "softmax": _kind("none", "none", "", "softmax"),
    "dropout": _kind("none", "none", "", "dropout"),
    "id": _kind("none", "none", "", "id"),
    "save": _kind("none", "none", "", "save=a"),
    "from": _kind("none", "none", "", "from=a"),
    "add": _kind("none", "none", "crop", "add=a"),
    "cat": _kind("none", "none", "crop", "cat=a"),
    "mul": _kind("none", "none", "crop", "mul=a"),
} | {name: _kind("none", "none", "", name) for name in ACTIVATIONS}

FOLLOWED = frozenset({"conv", "causal", "tconv", "fc"})
"""Kinds after which a norm or an activation may be written as an option: ``conv3x64,bn,relu``."""


def closest(word: str, allowed: Iterable[str]) -> str:
    """``'closest: a, b'`` for a message; the closest spelling always comes first."""
    return "closest: " + ", ".join(difflib.get_close_matches(word, list(allowed), n=3, cutoff=0.0))


def options_of(kind: str) -> list[str]:
    """All options a kind allows, sorted, ``name=`` included; norms and activations only as two words of text."""
    own = sorted(KINDS[kind].options) + ["name="]
    return own + (["bn gn in ln (a norm)", "relu gelu ... (an activation)"] if kind in FOLLOWED else [])
