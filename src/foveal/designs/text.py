"""A network in the words of the text specification (docs/specification.md), for people and for the whole engine, and
from there as PyTorch code.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import yaml

from foveal.designs.closed.evaluate import evaluate
from foveal.designs.closed.steps import PREDICTED, End, distinct, lay_out, pooling_cells
from foveal.designs.network import Network, Stage
from foveal.frontends.text.emit import pytorch_code
from foveal.frontends.text.trace import parse_spec


def specification(network: Network) -> str:
    """The YAML form; ``foveal analyze FILE.yaml`` reads it. Raises MisfitError where the network cannot be laid out."""
    document = {
        "name": network.name,
        "input": "x".join(map(str, network.input)),
        "layers": _Words(network, lay_out(network).ends).layers(),
    }
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def code(network: Network) -> str:
    """The source of a module with a class ``Net``: its text specification in PyTorch, with the numbers known of it.

    Raises MisfitError where the network cannot be laid out.
    """
    found, shape = evaluate(network), "x".join(map(str, network.input))
    levels = [
        f"{level.layer}: receptive field {level.size}, effective side {level.effective:.0f}, stride {level.stride}"
        for level in found.levels
    ]
    facts = f"{found.multiply_adds:,} multiply-adds, {found.parameters:,} parameters"
    about = "\n".join([f"{network.head.task.capitalize()} of {shape} inputs; {facts}.", "", *levels, ""])
    return pytorch_code(parse_spec(specification(network)), network.input, about)


class _Words:
    """Writes what lay_out lays out; ends are known by their places, and saved where something reads them."""

    def __init__(self, network: Network, ends: tuple[End, ...]) -> None:
        self.network, self.ends = network, ends
        self.kind = "causal" if network.causal else "conv"
        self.width, self.rate = network.input[0], ends[-1].rate
        self.read: set[int] = set()

    def conv(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1, options: str = "") -> str:
        said = f"{self.kind}{kernel}x{channels}"
        said += f",s{stride}" if stride > 1 else ""
        said += f",d{dilation}" if dilation > 1 else ""
        patch = kernel == stride and kernel % 2 == 0 and not self.network.causal
        return said + (",p0" if patch else "") + options

    def layers(self) -> list[Any]:
        network, stem = self.network, self.network.stem
        made: list[Any] = []
        if stem.width:
            words = self.conv(stem.width, stem.kernel, stem.stride, options=",bn,relu")
            made.append({"name": "stem", "layers": words + (" pool3,s2,p1" if stem.pool else "")})
            self.width = stem.width
        for number, stage in enumerate(network.stages, 1):
            made.append({"name": f"stage{number}", "layers": self._stage(stage)})
        rest = self._neck_and_head()
        for place in sorted(self.read, reverse=True):
            made.insert(place + 1, f"save=c{place + 1}")
        return [*made, *rest]

    def _kept(self, place: int) -> str:
        self.read.add(place)
        return f"c{place + 1}"

    def _stage(self, stage: Stage) -> list[str]:
        made, blocks, stride = [], [], stage.stride
        if stage.pool and stride > 1:
            made.append(f"pool{stride}")
            stride = 1
        for index in range(stage.count):
            blocks.append(self._block(stage, stride, stage.dilation[index % len(stage.dilation)]))
            self.width, stride = stage.width, 1
        return made + [f"{len(list(same))}*({block})" for block, same in groupby(blocks)]

    def _block(self, stage: Stage, stride: int, dilation: int) -> str:
        width, kernel, conv = stage.width, stage.kernel, self.conv
        changes = stride > 1 or self.width != width
        if stage.block == "plain":
            return conv(width, kernel, stride, dilation, ",bn,relu")
        if stage.block == "separable":
            return conv(self.width, kernel, stride, dilation, ",dw,bn,relu ") + conv(width, 1, options=",bn,relu")
        if stage.block == "large":
            entry = conv(width, stride, stride, options=",bn ") if changes else ""
            inner = conv(width, kernel, 1, dilation, ",dw,bn ")
            inner += conv(4 * width, 1, options=",gelu ") + conv(width, 1, options=",bn")
            return f"{entry}[{inner} | id]"
        if stage.block == "dilated":
            inner = conv(width, kernel, stride, dilation, ",bn")
        elif stage.block == "residual":
            inner = conv(width, kernel, stride, dilation, ",bn,relu ") + conv(width, kernel, 1, dilation, ",bn")
        else:
            inner = conv(width // 4, 1, options=",bn,relu ") + conv(width // 4, kernel, stride, dilation, ",bn,relu ")
            inner += conv(width, 1, options=",bn")
        return f"[{inner} | {conv(width, 1, stride, options=',bn') if changes else 'id'}] relu"

    def _neck_and_head(self) -> list[Any]:
        neck = self.network.neck
        ends = distinct(self.ends)
        if neck.kind == "pyramid":
            return self._pyramid(ends[-neck.levels :])
        made: list[Any] = []
        words: list[str] = []
        if neck.kind == "encoder-decoder":
            for place in reversed(ends[:-1]):
                width, rate, _ = self.ends[place]
                conv = self.conv(width, 3, options=",bn,relu")
                words.append(f"up{self.rate // rate} cat={self._kept(place)} {conv} {conv}")
                self.width, self.rate = width, rate
        elif neck.kind == "pyramid-pooling":
            inner = max(1, neck.width // len(neck.rates))
            cells = pooling_cells(self.ends[-1].lengths, neck.rates)
            paths = [f"avgpool{cell} {self.conv(inner, 1, options=',bn,relu')} up{cell}" for cell in cells]
            words.append(f"{{id | {' | '.join(paths)}}} {self.conv(neck.width, 3, options=',bn,relu')}")
            self.width = neck.width
        elif neck.kind == "parallel-dilations":
            paths = [self.conv(neck.width, 1, options=",bn,relu")]
            paths += [self.conv(neck.width, 3, 1, rate, ",bn,relu") for rate in neck.rates]
            words.append(f"{{{' | '.join(paths)}}} {self.conv(neck.width, 1, options=',bn,relu')}")
            self.width = neck.width
        if words:
            layers = [f"1*({word})" for word in words] if len(words) > 1 else words
            made.append({"name": "neck", "layers": layers})
        return [*made, *self._head(1)]

    def _pyramid(self, places: list[int]) -> list[str]:
        width, made = self.network.neck.width, []
        ends = [self.ends[place] for place in places]
        for number, place in reversed(list(enumerate(places, 1))):
            words = f"from={self._kept(place)} {self.conv(width, 1)}"
            if number < len(ends):
                # The level above goes up and is added to this one's lateral.
                words += (
                    f" save=l{number} from=p{number + 1} up{ends[number].rate // ends[number - 1].rate} add=l{number}"
                )
            made.append(f"{words} save=p{number}")
        for number in range(1, len(ends) + 1):
            self.width = width
            made.append(f"from=p{number} {self.conv(width, 3)}")
            made += [f"{words} save=output{number}" for words in self._head(number)]
        return made

    def _head(self, number: int) -> list[str]:
        head = self.network.head
        if head.task == "classification":
            return [f"gap fc{head.classes}"]
        words = ""
        if head.task == "detection":
            words = self.conv(self.width, 3, options=f",bn,relu,name=tower{number}") + " "
        words += self.conv(head.classes + PREDICTED[head.task], 1, options=f",name=predict{number}")
        if head.task == "segmentation" and self.rate > 1:
            words += f" up{self.rate}"
        return [words]
