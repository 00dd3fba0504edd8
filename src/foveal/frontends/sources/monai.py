"""``monai:Name(argument, ...)``: classes of ``monai.networks.nets``; what is needed and not said has a usual value."""

from __future__ import annotations

import inspect
from typing import Any

from monai.networks import nets
from torch import nn

from foveal.core.errors import SourceError
from foveal.frontends.sources.calls import read
from foveal.frontends.sources.registry import unknown

USUAL = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": (16, 32, 64, 128), "strides": (2, 2, 2),
         "img_size": 96, "num_classes": 2, "features_start": 16}  # fmt: skip


def names() -> list[str]:
    """The classes of networks."""
    found = {name: item for name, item in vars(nets).items() if isinstance(item, type) and issubclass(item, nn.Module)}
    return sorted(name for name, item in found.items() if item.__name__ == name)


def build(name: str, pretrained: bool = False) -> Any:
    """The network, and an input of its number of axes and channels."""
    if pretrained:
        raise SourceError("monai: its networks come without weights; leave --pretrained out")
    asked = read(name)
    if asked.name not in names():
        raise unknown("monai", asked.name, names())
    kind = getattr(nets, asked.name)
    known = inspect.signature(kind).parameters
    given = dict(zip(known, asked.args)) | asked.options
    side = given.get("img_size", USUAL["img_size"])
    if "img_size" not in known:  # of older releases, which asked for it
        given.pop("img_size", None)
    for key, parameter in known.items():
        if key not in given and key in USUAL and parameter.default is parameter.empty:
            given[key] = USUAL[key]
    if "img_size" in given and isinstance(given["img_size"], int):
        given["img_size"] = (side,) * _axes(given, known)
    model = kind(**given)
    space = (side,) * _axes(given, known) if isinstance(side, int) else tuple(side)
    return model, (1, given.get("in_channels", _default(known, "in_channels", 1)), *space)


def _axes(given: dict[str, Any], known: Any) -> int:
    return int(given.get("spatial_dims", _default(known, "spatial_dims", 3)))


def _default(known: Any, name: str, other: Any) -> Any:
    parameter = known.get(name)
    return other if parameter is None or parameter.default is parameter.empty else parameter.default
