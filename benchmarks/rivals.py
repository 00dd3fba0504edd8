"""The public tools that still run, behind one small interface: what each does for a model, and the size it gives.

They come from their packages (extra ``bench``). Most tell no receptive field: torchinfo, thop, ptflops and fvcore count
parameters and multiply-adds, torchview draws the graph. rfa_toolbox is imported from the folder that FOVEAL_RFA_TOOLBOX
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

import torch
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
    counters = [Rival(name, analyze, _no_size, "") for name, analyze in _counters().items()]
    return [
        *counters,
        Rival("torchscan", _torchscan(), _torchscan_size, "the module's own kernel, not accumulated"),
        Rival("rfa_toolbox", _rfa_toolbox(), _rfa_size, "largest finite size of any layer, whichever layer is asked"),
    ]


def _counters() -> dict[str, Callable[[nn.Module, Shape], Any] | None]:
    """Tools that list layers without receptive fields."""
    found: dict[str, Callable[[nn.Module, Shape], Any] | None] = dict.fromkeys(COUNTERS)
    for name, call in COUNTERS.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        found[name] = lambda model, shape, module=module, call=call: call(module, model, shape)
    return found


def _fvcore(_module: Any, model: nn.Module, shape: Shape) -> Any:
    counter = importlib.import_module("fvcore.nn").FlopCountAnalysis(model, torch.zeros(shape))
    return counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_module()


COUNTERS: dict[str, Callable[[Any, nn.Module, Shape], Any]] = {
    "torchinfo": lambda tool, model, shape: str(tool.summary(model, input_size=shape, verbose=0)),
    "thop": lambda tool, model, shape: tool.profile(model, (torch.zeros(shape),), verbose=False),
    "ptflops": lambda tool, model, shape: tool.get_model_complexity_info(
        model, shape[1:], as_strings=False, print_per_layer_stat=False, verbose=False
    ),
    "fvcore": _fvcore,
    "torchview": lambda tool, model, shape: tool.draw_graph(model, input_size=shape, device="cpu"),
}


def _no_size(_result: Any, _layer: str) -> str:
    return ""


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
