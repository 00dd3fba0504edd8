"""The space around a network: the same blocks, but other strides, stem, kernels, dilations and counts.

The first option of each choice is what the network has, so that the candidate of zeros is the network itself and the
number of other entries is the number of changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foveal.core.serial import to_plain
from foveal.designs.closed.evaluate import evaluated
from foveal.designs.network import Network
from foveal.designs.spaces.space import Genome, Space, space_of

LOOSE_STAGES = 2
"""Dilations are offered in so many of the last stages: earlier ones see too little for it to matter."""


def around(
    network: Network, more: int = 1, kernels: tuple[int, ...] = (3, 5), strides: tuple[int, ...] = (1, 2)
) -> Space:
    """The space around a network. more: blocks that a stage may have beyond its own; a stage may also be left out."""
    template: dict[str, Any] = to_plain(network)
    if network.stem.width:
        template["stem"]["kernel"] = _choice(network.stem.kernel, (3, 5, 7))
        template["stem"]["stride"] = _choice(network.stem.stride, strides)
        if not network.causal and (network.stem.pool or len(network.space) > 1):
            template["stem"]["pool"] = _choice(network.stem.pool, (False, True))
    for number, (stage, own) in enumerate(zip(network.stages, template["stages"])):
        own["stride"] = _choice(stage.stride, strides)
        if stage.count:
            own["count"] = _choice(stage.count, tuple(range(stage.count + more, -1, -1)))
            own["kernel"] = _choice(stage.kernel, kernels if stage.kernel > 1 else (stage.kernel,), "kernel")
        if number >= len(network.stages) - LOOSE_STAGES and len(stage.dilation) == 1:
            own["dilation"] = _choice(list(stage.dilation), ([1], [2]))
    return space_of(template)


def for_small_images(network: Network) -> Network | None:
    """What people make of a network by hand for small images: a 3-wide stem without stride and pool; None where it has
    one, or where it does not fit together.
    """
    stem = replace(network.stem, kernel=3, stride=1, pool=False)
    made = replace(network, stem=stem, name=f"{network.name}, 3x3 stem")
    return None if not stem.width or stem == network.stem or evaluated(made) is None else made


def changes(space: Space, genome: Genome) -> list[str]:
    """What a candidate changes, in words; [] for the network itself."""
    said = []
    for choice, picked in zip(space.choices, genome):
        if picked:
            said.append(f"{_place(choice.name)} {_plain(choice.options[0])} to {_plain(choice.options[picked])}")
    return said


def _choice(own: Any, options: tuple[Any, ...], name: str | None = None) -> Any:
    listed = [own, *(option for option in options if option != own)]
    if len(listed) == 1:
        return own
    # One kernel for all stages: they are known by the kernel that they have.
    return {"choose": listed} | ({"as": f"{name} {own}"} if name else {})


def _place(name: str) -> str:
    words = name.split(".")
    if words[0] == "stages":
        return f"stage {int(words[1]) + 1} {words[2]}"
    return name.replace(".", " ").split(" ")[0] if name.startswith("kernel") else name.replace(".", " ")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
