"""The public tools that still run, behind one small interface: what each does for a model, and the size it gives.

torchscan comes from its package (extra ``bench``). rfa_toolbox is imported from the folder that FOVEAL_RFA_TOOLBOX
names: its published code imports ``Sequence`` from ``collections``, which Python dropped, so a local copy must be
mended first (see README.md). A tool that is missing is "not available", never an error.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rival:
    """A tool: ``analyze(model, shape)`` does the work that is timed, ``size(result, layer)`` reads its answer."""

    name: str
    analyze: Callable[[nn.Module, Shape], Any] | None
    size: Callable[[Any, str], str]
    answers: str
    """What its number means."""


def rivals() -> list[Rival]:
    """All tools; ``analyze`` is None where one is not available."""
    return [
        Rival("torchscan", _torchscan(), _torchscan_size, "the module's own kernel, not accumulated"),
        Rival("rfa_toolbox", _rfa_toolbox(), _rfa_size, "largest finite size of any layer, whichever layer is asked"),
    ]


def _torchscan() -> Callable[[nn.Module, Shape], Any] | None:
    try:
        module = importlib.import_module("torchscan")
    except ImportError:
        return None
    return lambda model, shape: module.crawl_module(model, shape[1:])


def _torchscan_size(report: Any, layer: str) -> str:
    for row in report["layers"]:
        if row["path"] == layer and "receptive_field" in row["metrics"]:
            value = row["metrics"]["receptive_field"]["value"]
            return "unavailable" if value is None else f"{value:g}"
    return "unavailable"


def _rfa_toolbox() -> Callable[[nn.Module, Shape], Any] | None:
    folder = os.environ.get("FOVEAL_RFA_TOOLBOX")
    if not folder:
        return None
    sys.path.insert(0, folder)
    try:
        create = importlib.import_module("rfa_toolbox").create_graph_from_pytorch_model
        importlib.import_module("rfa_toolbox.encodings.pytorch.ingest_architecture")
    except ImportError as error:
        print(f"rfa_toolbox in {folder} cannot be imported: {error}", file=sys.stderr)
        return None
    finally:
        sys.path.remove(folder)

    def analyze(model: nn.Module, shape: Shape) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return create(model, input_res=shape)

    return analyze


def _rfa_size(graph: Any, layer: str) -> str:
    utilities = importlib.import_module("rfa_toolbox")
    largest = utilities.input_resolution_range(graph)[1]
    return str(int(largest[0]))
