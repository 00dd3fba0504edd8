"""Trace every model of torchvision with the short cuts of the PyTorch front end and without them, and compare.

    python benchmarks/zoo_shortcuts.py                  all models
    python benchmarks/zoo_shortcuts.py 'vgg*' alexnet   those that match a shell pattern

The exit code is 0 when both traces of every model are the same: each value, node, layer and note.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from time import perf_counter

import torchvision

from foveal.frontends.torch.files.read import load
from foveal.frontends.torch.trace import trace_module

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.frameworks.short_cuts import first_difference, replaced


def main() -> int:
    """Compare the models that are asked for."""
    patterns = sys.argv[1:] or ["*"]
    names = [n for n in torchvision.models.list_models() if any(fnmatchcase(n, pattern) for pattern in patterns)]
    different, seconds = [], [0.0, 0.0]
    for name in names:
        model, inputs, axes, _ = load(f"torchvision:{name}")
        start = perf_counter()
        short = trace_module(model, inputs, axes=axes)
        middle = perf_counter()
        with replaced():
            long = trace_module(model, inputs, axes=axes)
        seconds = [seconds[0] + middle - start, seconds[1] + perf_counter() - middle]
        found = first_difference(short, long)
        print(name, len(short.nodes), "nodes,", "the same" if found is None else f"DIFFERENT: {found}", flush=True)
        different += [name] if found else []
    print(
        f"{len(names)} models, {len(different)} different; {seconds[0]:.1f} s with short cuts, {seconds[1]:.1f} without"
    )
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
