"""A network as PyTorch code: an ordinary ``nn.Module`` that people read, change and keep. It does not need foveal."""

from __future__ import annotations

from itertools import pairwise

from foveal.designs.closed.evaluate import Evaluation, evaluate
from foveal.designs.closed.steps import PREDICTED, Steps, lay_out, pooling_cells
from foveal.designs.code_parts import BLOCKS, CAUSAL_CONV, CONV, NECKS
from foveal.designs.network import Network, Stage
from foveal.designs.text import End, ends_of


def code(network: Network) -> str:
    """The source of a module with a class ``Net``; formatted, without unused parts.

    Raises MisfitError where the network cannot be laid out.
    """
    steps = lay_out(network)
    rank = len(network.space)
    body = _Body(network, steps)
    parts = [CAUSAL_CONV if network.causal else CONV]
    parts += [BLOCKS[name][1] for name in BLOCKS if any(s.block == name and s.count for s in network.stages)]
    parts += [NECKS[network.neck.kind]] if network.neck.kind != "none" else []
    text = "\n".join(parts + [body.text()])
    widen = "CausalConv1d" if network.causal else "nn.ConvNd"
    text = text.replace("WIDEN", widen).replace("Nd", f"{rank}d")
    imports = "import torch\nfrom torch import Tensor, nn\n" if "torch." in text else "from torch import Tensor, nn\n"
    return f"{_docstring(network, evaluate(network))}\n\n{imports}\n{text}"


def _docstring(network: Network, found: Evaluation) -> str:
    shape = "x".join(map(str, network.input))
    levels = [
        f"{level.layer}: receptive field {level.size}, effective {level.effective:.0f}, stride {level.stride}"
        for level in found.levels
    ]
    facts = f"{found.multiply_adds:,} multiply-adds, {found.parameters:,} parameters"
    return "\n".join([f'"""{network.head.task.capitalize()} of {shape} inputs; {facts}.', "", *levels, '"""'])


class _Body:
    """Writes the class ``Net``."""

    def __init__(self, network: Network, steps: Steps) -> None:
        self.network = network
        self.conv = "CausalConv1d" if network.causal else "nn.ConvNd"
        self.ends = ends_of(network, steps)
        self.lines: list[str] = []
        self.width = network.input[0]

    def text(self) -> str:
        """The class."""
        self._trunk()
        forward = self._forward()
        several = self.network.neck.kind == "pyramid"
        kind = "list[Tensor]" if several else "Tensor"
        made = ["", "class Net(nn.Module):", '    """The network."""', "", "    def __init__(self) -> None:"]
        made += ["        super().__init__()", *self.lines, "", f"    def forward(self, x: Tensor) -> {kind}:"]
        return "\n".join([*made, *forward, ""])

    def _trunk(self) -> None:
        stem = self.network.stem
        if stem.width:
            layers = [f"*conv({self.width}, {stem.width}, {stem.kernel}, {stem.stride})", "nn.ReLU(inplace=True)"]
            self._sequence("stem", layers + (["nn.MaxPoolNd(3, 2, 1)"] if stem.pool else []))
            self.width = stem.width
        for number, stage in enumerate(self.network.stages, 1):
            self._sequence(f"stage{number}", self._stage(stage))

    def _stage(self, stage: Stage) -> list[str]:
        made, stride = [], stage.stride
        if stage.pool and stride > 1:
            made.append(f"nn.MaxPoolNd({stride})")
            stride = 1
        for index in range(stage.count):
            dilation = stage.dilation[index % len(stage.dilation)]
            said = f"{BLOCKS[stage.block][0]}({self.width}, {stage.width}, {stage.kernel}"
            said += f", stride={stride}" if stride > 1 else ""
            said += f", dilation={dilation}" if dilation > 1 else ""
            made.append(f"{said})")
            self.width, stride = stage.width, 1
        return made

    def _sequence(self, name: str, layers: list[str]) -> None:
        listed = [f"            {layer}," for layer in layers]
        self.lines += [f"        self.{name} = nn.Sequential(", *listed, "        )"]

    def _forward(self) -> list[str]:
        network, neck = self.network, self.network.neck
        kept = _distinct(self.ends)
        kept = kept[-neck.levels :] if neck.kind == "pyramid" else kept
        wanted = {end.name for end in kept} if neck.kind in ("pyramid", "encoder-decoder") else set()
        made = ["        maps = []"] if wanted else []
        names = (["stem"] if network.stem.width else []) + [f"stage{n}" for n in range(1, len(network.stages) + 1)]
        for name, end in zip(names, self.ends):
            made.append(f"        x = self.{name}(x)")
            made += ["        maps.append(x)"] if end.name in wanted else []
        made += self._neck(kept)
        return made + self._head(kept)

    def _neck(self, kept: list[End]) -> list[str]:
        neck = self.network.neck
        widths = [end.width for end in kept]
        factors = [b.rate // a.rate for a, b in pairwise(kept)]
        if neck.kind == "pyramid":
            self.lines.append(f"        self.neck = Pyramid({widths}, {neck.width}, {factors})")
            return ["        levels = self.neck(maps)"]
        if neck.kind == "encoder-decoder":
            self.lines.append(f"        self.neck = Decoder({widths}, {factors})")
            self.width = widths[0]
            return ["        x = self.neck(maps)"]
        if neck.kind == "pyramid-pooling":
            cells = pooling_cells(kept[-1].lengths, neck.rates)
            self.lines.append(f"        self.neck = PyramidPooling({self.width}, {neck.width}, {cells})")
        elif neck.kind == "parallel-dilations":
            rates = list(neck.rates)
            self.lines.append(f"        self.neck = ParallelDilations({self.width}, {neck.width}, {rates})")
        if neck.kind == "none":
            return []
        self.width = neck.width
        return ["        x = self.neck(x)"]

    def _head(self, kept: list[End]) -> list[str]:
        head, neck = self.network.head, self.network.neck
        if head.task == "classification":
            linear = f"nn.Linear({self.width}, {head.classes})"
            self._sequence("classify", ["nn.AdaptiveAvgPoolNd(1)", "nn.Flatten()", linear])
            return ["        return self.classify(x)"]
        count = len(kept) if neck.kind == "pyramid" else 1
        answers = []
        for number in range(1, count + 1):
            width = neck.width if neck.kind == "pyramid" else self.width
            said = f"levels[{number - 1}]" if neck.kind == "pyramid" else "x"
            if head.task == "detection":
                self._sequence(f"tower{number}", [f"*conv({width}, {width}, 3)", "nn.ReLU(inplace=True)"])
                said = f"self.tower{number}({said})"
            outputs = head.classes + PREDICTED[head.task]
            self.lines.append(f"        self.predict{number} = {self.conv}({width}, {outputs}, 1)")
            answers.append(f"self.predict{number}({said})")
        rate = kept[0].rate if neck.kind == "encoder-decoder" else kept[-1].rate
        if head.task == "segmentation" and rate > 1:
            self.lines.append(f"        self.enlarge = nn.Upsample(scale_factor={rate})")
            answers = [f"self.enlarge({answers[0]})"]
        if neck.kind == "pyramid":
            return ["        return [", *(f"            {answer}," for answer in answers), "        ]"]
        return [f"        return {answers[0]}"]


def _distinct(ends: list[End]) -> list[End]:
    return [end for i, end in enumerate(ends) if i + 1 == len(ends) or end.lengths != ends[i + 1].lengths]
