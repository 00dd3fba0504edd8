"""A network as a list of steps in order of execution: what the closed forms, the text and the tests read.

A step makes one value from earlier ones. A convolution's norm and activation belong to its step, since they change
neither positions nor lengths. Step -1 is the input.
"""

from __future__ import annotations

from typing import NamedTuple

from foveal.core.errors import FovealError
from foveal.designs.network import SHORTCUTS, Network, Stage
from foveal.ir.lengths import window_outputs

PREDICTED = {"detection": 5, "segmentation": 0, "sequence": 0}
"""What a position predicts besides its classes: four numbers of a box and whether there is one."""


class Step(NamedTuple):
    """kind: "conv", "maxpool", "avgpool", "up", "add", "cat", "gap" or "fc"; ``before`` and ``after`` are paddings."""

    kind: str
    inputs: tuple[int, ...]
    channels: int
    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    groups: int = 1
    norm: bool = False
    name: str = ""
    trunk: bool = True


class Output(NamedTuple):
    """A value whose field is of interest: a step and its layer's name."""

    step: int
    name: str


class End(NamedTuple):
    """Where the stem or a stage ends: channels, stride and lengths of its map."""

    width: int
    rate: int
    lengths: tuple[int, ...]


class Steps(NamedTuple):
    """All steps, the outputs from the finest to the coarsest, and the ends of stem and stages."""

    steps: list[Step]
    outputs: tuple[Output, ...]
    ends: tuple[End, ...]


class MisfitError(FovealError):
    """A network that cannot be laid out on its input."""


class _Layout:
    """Adds steps and keeps channels, lengths and strides of what was made."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.steps: list[Step] = []
        self.channels: list[int] = []
        self.lengths: list[tuple[int, ...]] = []
        self.rates: list[int] = []
        self.trunk = True

    def width(self, value: int) -> int:
        return self.channels[value] if value >= 0 else self.network.input[0]

    def size(self, value: int) -> tuple[int, ...]:
        return self.lengths[value] if value >= 0 else self.network.input[1:]

    def rate(self, value: int) -> int:
        return self.rates[value] if value >= 0 else 1

    def add(self, step: Step, lengths: tuple[int, ...], rate: int) -> int:
        self.rates.append(rate)
        self.steps.append(step)
        self.channels.append(step.channels)
        self.lengths.append(lengths)
        return len(self.steps) - 1

    def conv(self, value: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1, depthwise: bool = False,
             norm: bool = True, name: str = "") -> int:  # fmt: skip
        reach = dilation * (kernel - 1)
        if self.network.causal:
            before, after = reach, 0
        elif kernel == stride and kernel % 2 == 0:
            # A patch: windows that tile the map.
            before = after = 0
        else:
            before = after = reach // 2
        lengths = tuple([window_outputs(n, kernel, stride, (before, after), dilation) for n in self.size(value)])
        if min(lengths) < 1:
            raise MisfitError(f"{name}: a map of {self.size(value)} is too small for kernel {kernel}, stride {stride}")
        groups = self.width(value) if depthwise else 1
        step = Step("conv", (value,), channels, kernel, stride, before, after, dilation, groups, norm, name, self.trunk)
        return self.add(step, lengths, self.rate(value) * stride)

    def pool(
        self, value: int, kernel: int, stride: int, padding: int = 0, kind: str = "maxpool", name: str = ""
    ) -> int:
        lengths = tuple([window_outputs(n, kernel, stride, (padding, padding)) for n in self.size(value)])
        if min(lengths) < 1:
            raise MisfitError(f"{name}: a map of {self.size(value)} is too small for a pooling of {kernel}")
        step = Step(kind, (value,), self.width(value), kernel, stride, padding, padding, name=name, trunk=self.trunk)
        return self.add(step, lengths, self.rate(value) * stride)

    def up(self, value: int, factor: int) -> int:
        lengths = tuple([n * factor for n in self.size(value)])
        step = Step("up", (value,), self.width(value), factor, trunk=self.trunk)
        return self.add(step, lengths, self.rate(value) // factor)

    def join(self, kind: str, values: tuple[int, ...]) -> int:
        sizes = {self.size(value) for value in values}
        if len(sizes) > 1:
            listed = " and ".join("x".join(map(str, s)) for s in sorted(sizes))
            raise MisfitError(f"maps of {listed} cannot be joined; use lengths that the total stride divides")
        widths = [self.width(value) for value in values]
        step = Step(kind, values, widths[0] if kind == "add" else sum(widths), trunk=self.trunk)
        return self.add(step, sizes.pop(), self.rate(values[0]))


def lay_out(network: Network) -> Steps:
    """The steps of a network; raises MisfitError where a map is too small or maps that are joined differ."""
    layout = _Layout(network)
    value, ends = -1, []
    stem = network.stem
    if stem.width:
        value = layout.conv(value, stem.width, stem.kernel, stem.stride, name="stem")
        if stem.pool:
            value = layout.pool(value, 3, 2, 1, name="stem.pool")
        ends.append(value)
    for number, stage in enumerate(network.stages, 1):
        value = _stage(layout, value, stage, f"stage{number}")
        ends.append(value)
    layout.trunk = False
    known = tuple([End(layout.width(end), layout.rate(end), layout.size(end)) for end in ends])
    outputs = _head(layout, network, _neck(layout, network, [ends[place] for place in distinct(known)]))
    return Steps(layout.steps, tuple(outputs), known)


def distinct(ends: tuple[End, ...]) -> list[int]:
    """The places of the last end at each size, from the finest to the coarsest."""
    return [i for i, end in enumerate(ends) if i + 1 == len(ends) or end.lengths != ends[i + 1].lengths]


def _stage(layout: _Layout, value: int, stage: Stage, name: str) -> int:
    stride = stage.stride
    if stage.pool and stride > 1:
        value, stride = layout.pool(value, stride, stride, name=f"{name}.pool"), 1
    for index in range(stage.count):
        dilation = stage.dilation[index % len(stage.dilation)]
        value = _block(layout, value, stage, stride, dilation, f"{name}.{index}")
        stride = 1
    return value


def _block(layout: _Layout, value: int, stage: Stage, stride: int, dilation: int, name: str) -> int:
    width, kernel, conv = stage.width, stage.kernel, layout.conv
    changes = stride > 1 or layout.width(value) != width
    if stage.block == "large" and changes:
        value, stride, changes = conv(value, width, stride, stride, name=f"{name}.patch"), 1, False
    end = value
    if stage.block in ("plain", "dilated"):
        end = conv(end, width, kernel, stride, dilation, name=f"{name}.conv")
    elif stage.block == "residual":
        end = conv(end, width, kernel, stride, dilation, name=f"{name}.conv1")
        end = conv(end, width, kernel, 1, dilation, name=f"{name}.conv2")
    elif stage.block == "bottleneck":
        end = conv(end, width // 4, 1, name=f"{name}.conv1")
        end = conv(end, width // 4, kernel, stride, dilation, name=f"{name}.conv2")
        end = conv(end, width, 1, name=f"{name}.conv3")
    elif stage.block == "separable":
        end = conv(end, layout.width(value), kernel, stride, dilation, depthwise=True, name=f"{name}.depthwise")
        end = conv(end, width, 1, name=f"{name}.pointwise")
    else:
        end = conv(end, width, kernel, 1, dilation, depthwise=True, name=f"{name}.depthwise")
        end = conv(end, 4 * width, 1, norm=False, name=f"{name}.widen")
        end = conv(end, width, 1, name=f"{name}.narrow")
    if stage.block not in SHORTCUTS:
        return end
    shortcut = conv(value, width, 1, stride, name=f"{name}.shortcut") if changes else value
    return layout.join("add", (end, shortcut))


def _neck(layout: _Layout, network: Network, ends: list[int]) -> list[int]:
    neck, value = network.neck, ends[-1]
    if neck.kind == "pyramid":
        return _pyramid(layout, network, ends[-neck.levels :])
    if neck.kind == "encoder-decoder":
        if len(ends) < 2:
            raise MisfitError("an encoder-decoder needs maps of at least two sizes")
        for number, skip in reversed(list(enumerate(ends[:-1], 1))):
            width = layout.width(skip)
            value = layout.join("cat", (layout.up(value, _factor(layout, skip, value)), skip))
            value = layout.conv(value, width, 3, name=f"decoder{number}.conv1")
            value = layout.conv(value, width, 3, name=f"decoder{number}.conv2")
    elif neck.kind == "pyramid-pooling":
        parts = [value]
        for cell in pooling_cells(layout.size(value), neck.rates):
            part = layout.pool(value, cell, cell, kind="avgpool")
            parts.append(layout.up(layout.conv(part, max(1, neck.width // len(neck.rates)), 1), cell))
        value = layout.conv(layout.join("cat", tuple(parts)), neck.width, 3, name="neck.conv")
    elif neck.kind == "parallel-dilations":
        branches = [layout.conv(value, neck.width, 1)]
        branches += [layout.conv(value, neck.width, 3, 1, rate) for rate in neck.rates]
        value = layout.conv(layout.join("cat", tuple(branches)), neck.width, 1, name="neck.conv")
    return [value]


def pooling_cells(size: tuple[int, ...], bins: tuple[int, ...]) -> list[int]:
    """Widths of the cells of each bin; raises MisfitError where a bin does not divide the map."""
    n = size[0]
    if len(set(size)) > 1 or any(n % b or n // b < 2 for b in bins):
        raise MisfitError(f"pyramid pooling in {bins} bins needs a square map that they divide, not {size}")
    return [n // b for b in bins]


def _factor(layout: _Layout, fine: int, coarse: int) -> int:
    """How much faster a map advances than a finer one; ``join`` finds out whether lengths agree."""
    return layout.rate(coarse) // layout.rate(fine)


def _pyramid(layout: _Layout, network: Network, ends: list[int]) -> list[int]:
    width = network.neck.width
    top = layout.conv(ends[-1], width, 1, norm=False)
    levels = [top]
    for end in reversed(ends[:-1]):
        lateral = layout.conv(end, width, 1, norm=False)
        top = layout.join("add", (layout.up(top, _factor(layout, end, top)), lateral))
        levels.insert(0, top)
    return [layout.conv(level, width, 3, norm=False) for level in levels]


def _head(layout: _Layout, network: Network, values: list[int]) -> list[Output]:
    head = network.head
    if head.task == "classification":
        features = values[-1]
        ones = (1,) * len(network.space)
        pooled = layout.add(Step("gap", (features,), layout.width(features), trunk=False), ones, 1)
        layout.add(Step("fc", (pooled,), head.classes, name="fc", trunk=False), ones, 1)
        return [Output(features, features_name(network))]
    outputs = []
    for number, value in enumerate(values, 1):
        if head.task == "detection":
            value = layout.conv(value, layout.width(value), 3, name=f"tower{number}")
        name = f"predict{number}"
        value = layout.conv(value, head.classes + PREDICTED[head.task], 1, norm=False, name=name)
        outputs.append(Output(value, name))
    if head.task == "segmentation" and layout.rate(value) > 1:
        layout.up(value, layout.rate(value))
    return outputs


def features_name(network: Network) -> str:
    """The layer that a classifier's pooling reads."""
    return f"stage{len(network.stages)}" if network.neck.kind == "none" else "neck"
