"""A network as PyTorch code: an ordinary ``nn.Module`` that people read, change and keep. It does not need foveal."""

from __future__ import annotations

from foveal.designs.closed.evaluate import evaluate
from foveal.designs.network import Network
from foveal.designs.text import specification
from foveal.frontends.text.emit import pytorch_code
from foveal.frontends.text.trace import parse_spec


def code(network: Network) -> str:
    """The source of a module with a class ``Net``: its text specification in PyTorch, with the numbers known of it.

    Raises MisfitError where the network cannot be laid out.
    """
    found, shape = evaluate(network), "x".join(map(str, network.input))
    levels = [
        f"{level.layer}: receptive field {level.size}, effective {level.effective:.0f}, stride {level.stride}"
        for level in found.levels
    ]
    facts = f"{found.multiply_adds:,} multiply-adds, {found.parameters:,} parameters"
    about = "\n".join([f"{network.head.task.capitalize()} of {shape} inputs; {facts}.", "", *levels, ""])
    return pytorch_code(parse_spec(specification(network)), network.input, about)
