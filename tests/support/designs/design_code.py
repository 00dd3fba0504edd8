"""What is wrong with the emitted code of a network: statements that do not hold when it is built, run and traced."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

import foveal
from foveal.designs.closed.evaluate import evaluate
from foveal.designs.network import Network
from foveal.designs.text import code
from foveal.frontends.torch.emitted import build


def faults(network: Network) -> list[str]:
    """Parameters, multiply-adds by PyTorch's own counter, gradients, and the fields that the engine finds."""
    found, wrong = evaluate(network), []
    model = build(code(network)).eval()
    parameters = sum(weight.numel() for weight in model.parameters())
    if parameters != found.parameters:
        wrong.append(f"{parameters} parameters, stated {found.parameters}")
    with FlopCounterMode(display=False) as counter:
        answer = model(torch.randn(1, *network.input))
    if counter.get_total_flops() != 2 * found.multiply_adds:
        wrong.append(f"{counter.get_total_flops()} operations, stated 2 x {found.multiply_adds}")
    sum(part.sum() for part in (answer if isinstance(answer, list) else [answer])).backward()
    if any(weight.grad is None for weight in model.parameters()):
        wrong.append("a parameter without gradient")
    graph = foveal.trace(model, (1, *network.input))
    for level in found.levels:
        size = foveal.receptive_field(graph, level.layer).size
        if size[0] is not None and size[0] != level.size and not _few_units(graph, level.layer, level.size):
            wrong.append(f"{level.layer} sees {size}, stated {level.size}")
    return wrong


def _few_units(graph: foveal.Graph, layer: str, size: int) -> bool:
    """Whether the map shows too few units for its phases, so that the largest size need not be among them."""
    rf = foveal.receptive_field(graph, layer)
    return rf.size[0] is not None and rf.size[0] < size and rf.grid[0] < 2 * max(rf.period)
