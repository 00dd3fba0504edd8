"""A network, layers and a photo whose names try to be code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

import foveal
from foveal.views.page.build import PageOptions, report_page

HOSTILE = '</script><img src=x onerror="hit=1"><b>{{7*7}}</b>'


class Hostile(nn.Module):
    """A network whose layers have names made of markup."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({HOSTILE: nn.Conv2d(3, 2, 3)})

    def forward(self, x: Any) -> Any:
        return self.parts[HOSTILE](x)


def hostile_page(folder: Path) -> str:
    """A report whose network, layers and photo all have hostile names."""
    photo = folder / '<img src=x onerror="hit=2">.png'
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(photo)
    graph = foveal.trace(Hostile(), (1, 3, 16, 16))
    graph.name = HOSTILE
    return report_page(graph, PageOptions(image=str(photo), command=f"foveal report {HOSTILE}"))
