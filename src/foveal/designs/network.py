"""A network as data: stem, stages of blocks, neck, head. Frozen records, YAML in and out, one axis count for all.

Kernels, strides and dilations are the same along all axes; the space may have one to three axes of any lengths.

blocks (each convolution is followed by a norm; rectifiers as in the networks the block is known from):
  plain       kernel, one convolution
  residual    two convolutions and a shortcut (He et al. 2015)
  bottleneck  1-wide to a quarter, kernel, 1-wide back, and a shortcut; the stride is in the middle convolution
  separable   depthwise kernel, then 1-wide
  large       a strided patch where the width or the stride changes; then depthwise kernel, 1-wide to four times the
              width, 1-wide back, and a shortcut
  dilated     one convolution and a shortcut
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import yaml

from foveal.core.errors import FovealError
from foveal.core.reading import read_yaml
from foveal.core.serial import from_plain, to_plain

BLOCKS = ("plain", "residual", "bottleneck", "separable", "large", "dilated")
NECKS = ("none", "pyramid", "encoder-decoder", "pyramid-pooling", "parallel-dilations")
TASKS = ("classification", "detection", "segmentation", "sequence")
SHORTCUTS = ("residual", "bottleneck", "large", "dilated")
"""Blocks that add what they read."""


@dataclass(frozen=True)
class Stem:
    """The first convolution; ``pool`` adds a max pooling of width 3 and stride 2; width 0: no stem at all."""

    kernel: int = 3
    stride: int = 1
    width: int = 64
    pool: bool = False


@dataclass(frozen=True)
class Stage:
    """``count`` blocks of one kind; the first has the stride, or a max pooling of that width stands before it.

    dilation: one number, or several that the blocks take in turn.
    """

    block: str = "residual"
    width: int = 64
    count: int = 2
    kernel: int = 3
    stride: int = 1
    dilation: tuple[int, ...] = (1,)
    pool: bool = False


@dataclass(frozen=True)
class Neck:
    """What joins the stages' outputs. width: channels; levels: of a pyramid; rates: bins or dilations."""

    kind: str = "none"
    width: int = 64
    levels: int = 3
    rates: tuple[int, ...] = ()


@dataclass(frozen=True)
class Head:
    """What the network answers: class scores, boxes per position, classes per position, numbers per step."""

    task: str = "classification"
    classes: int = 10


@dataclass(frozen=True)
class Network:
    """input: (channels, *space). causal: 1-D, padded before only. ``fault`` says what does not fit together."""

    input: tuple[int, ...]
    stem: Stem
    stages: tuple[Stage, ...]
    neck: Neck = Neck()
    head: Head = Head()
    causal: bool = False
    name: str = "network"

    @property
    def space(self) -> tuple[int, ...]:
        """Lengths of the source axes."""
        return self.input[1:]

    def to_yaml(self) -> str:
        """As text; :func:`from_yaml` gives back an equal network."""
        return yaml.safe_dump(to_plain(self), sort_keys=False, default_flow_style=None)


def from_yaml(text: str) -> Network:
    """The network of a YAML text; fields left out have their defaults. Raises FovealError with the place of a fault."""
    data = read_yaml(text, "network")
    found: Network = from_plain(Network, _completed(data), "network")
    wrong = fault(found)
    if wrong:
        raise FovealError(f"network '{found.name}': {wrong}")
    return found


def _completed(data: Any) -> Any:
    """The defaults of fields that were not written; a single dilation as a list."""
    if not isinstance(data, dict):
        raise FovealError("network: expected a mapping with input, stem and stages")
    made = dict(data)
    for key, kind in (("stem", Stem), ("neck", Neck), ("head", Head)):
        made[key] = _defaults(kind, made.get(key, {}))
    stages = made.get("stages", [])
    made["stages"] = [_defaults(Stage, stage) for stage in stages] if isinstance(stages, list) else stages
    return {"causal": False, "name": "network"} | made


def _defaults(kind: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    known = {f.name: to_plain(f.default) for f in fields(kind)}
    made = known | data
    for name in ("dilation", "rates"):
        if type(made.get(name)) is int:
            made[name] = [made[name]]
    return made


def fault(network: Network) -> str:
    """What does not fit together in a network, in a line; "" where all does."""
    rank = len(network.input) - 1
    if not 1 <= rank <= 3 or min(network.input) < 1:
        return f"input {network.input}: expected channels and one to three lengths"
    if network.causal and (rank != 1 or network.neck.kind not in ("none", "parallel-dilations") or network.stem.pool):
        return "causal networks have one axis, no pooling and no neck that goes back up"
    if not network.stages:
        return "there are no stages"
    if network.stem.width and min(network.stem.kernel, network.stem.stride) < 1:
        return "the stem needs a kernel and a stride of at least 1"
    for index, stage in enumerate(network.stages):
        wrong = _stage_fault(stage, network)
        if wrong:
            return f"stage {index + 1}: {wrong}"
    return _neck_fault(network)


def _stage_fault(stage: Stage, network: Network) -> str:
    if stage.block not in BLOCKS:
        return f"unknown block '{stage.block}'; expected one of {', '.join(BLOCKS)}"
    if min(stage.width, stage.kernel, stage.stride, *stage.dilation) < 1 or stage.count < 0 or not stage.dilation:
        return "width, kernel, stride and dilation are at least 1, count at least 0"
    if stage.count == 0 and (not stage.pool or stage.stride < 2):
        return "a stage without blocks must pool"
    if stage.pool and network.causal:
        return "a causal network strides by convolution"
    if stage.kernel % 2 == 0 and stage.block != "plain" and not network.causal:
        return f"an even kernel ({stage.kernel}) changes the length, which a '{stage.block}' block cannot add"
    if stage.block == "bottleneck" and stage.width % 4:
        return f"a bottleneck has a quarter of its width inside, and {stage.width} is not a multiple of 4"
    return ""


def _neck_fault(network: Network) -> str:
    neck, head = network.neck, network.head
    if neck.kind not in NECKS:
        return f"unknown neck '{neck.kind}'; expected one of {', '.join(NECKS)}"
    if head.task not in TASKS:
        return f"unknown task '{head.task}'; expected one of {', '.join(TASKS)}"
    if neck.kind == "pyramid" and head.task not in ("detection", "sequence"):
        return f"a pyramid has several outputs, and {head.task} has one"
    if neck.kind in ("pyramid-pooling", "parallel-dilations") and (not neck.rates or min(neck.rates) < 1):
        return f"a neck of {neck.kind} needs rates"
    return "" if head.classes >= 1 and neck.width >= 1 else "classes and the neck's width are at least 1"
