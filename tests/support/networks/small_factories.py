"""Networks by name for sweeps and the command line: ``small_factories:first``."""

from __future__ import annotations

from torch import nn

from support.networks.small_nets import Residual, seeded


def first() -> nn.Module:
    """A residual network."""
    return seeded(Residual, 1)


def second() -> nn.Module:
    """The same network with other weights."""
    return seeded(Residual, 2)
