"""Does a model come back as it was? State, containers, random streams and training steps, bit for bit.

    python benchmarks/untouched.py                            all models of torchvision and timm, one worker per core
    python benchmarks/untouched.py --only 'timm:levit*'       those that match a shell pattern
    python benchmarks/untouched.py --every 5                  a sample
    python benchmarks/untouched.py --size 64                  images of that side, where a model takes them: hours less

Each model is built twice from one seed. One is traced, run and differentiated by foveal; the other never meets it.
Then both take a step in evaluation and one in training mode. Each model is a line of zoo-output/untouched.jsonl; models
that have a line are skipped. The exit code is 0 when nothing differs.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import sys
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import foveal
import kept_lines
import zoo_pool
from foveal.core.errors import FovealError
from foveal.frontends.torch.dispatch.swap import seeded
from foveal.frontends.torch.dispatch.values import Values
from foveal.frontends.torch.files.read import load
from foveal.frontends.torch.inputs import readings
from foveal.frontends.torch.names import tensors_in
from foveal.ir.graph import Graph, GraphBuilder
from zoo_model import names

SEED = 3
LARGEST = 150_000_000
"""Parameters up to which a model is examined."""
NUMBERS = 65_537
"""Random numbers a tensor is filled with, over and over: drawing all of them anew would be most of the work."""


class TooLargeError(Exception):
    """The model has more parameters than are examined."""


def differences(name: str, size: int | None = None, largest: int = LARGEST) -> list[str]:
    """What is not as it was, or other than in a model that was never traced; empty where all is well.

    size: the side of the images, where not the model's own; largest: parameters above which there is no result.
    """
    torch.set_num_threads(1)  # several threads add up in any order
    traced, inputs, axes = build(name, largest)
    shape = inputs if size is None else (*inputs[:2], *(size for _ in inputs[2:]))
    fresh, _, _ = build(name, largest)
    before = {**dict(fingerprint(traced)), "random streams": streams()}
    touch(traced, shape, axes)
    after = {**dict(fingerprint(traced)), "random streams": streams()}
    found = [f"{key} is not as it was" for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    for training in (False, True):
        one, other = step(traced, shape, axes, training), step(fresh, shape, axes, training)
        if "error" in other and not training:
            found.append(f"failed: the fresh model takes no step: {other['error']}")
        found += [f"{key} differs, training {training}" for key in one.keys() | other.keys()
                  if one.get(key) != other.get(key)]  # fmt: skip
    return sorted(found)


def build(name: str, largest: int = LARGEST) -> tuple[nn.Module, Any, Any]:
    """The model from one seed, its input and axes."""
    torch.manual_seed(SEED)
    loaded = load(name)
    if sum(item.numel() for item in loaded.model.parameters()) > largest:
        raise TooLargeError(f"over {largest:,} parameters")
    known: dict[int, Any] = {}  # a source is built without numbers: tied weights stay tied
    for path, module in loaded.model.named_modules():
        for table in (module._parameters, module._buffers):
            for key, item in table.items():
                if item is not None and item.is_meta:
                    known.setdefault(id(item), (numbers(item, f"{path}.{key}"), item))
                    table[key] = known[id(item)][0].requires_grad_(item.requires_grad)
        if isinstance(module, nn.RNNBase):  # keeps its weights in a list as well
            module._flat_weights = [getattr(module, key) for key in module._flat_weights_names]
    return loaded.model, loaded.inputs, loaded.axes


def numbers(item: Tensor, name: str) -> Tensor:
    """Those of :func:`seeded`; a large tensor repeats a few."""
    if item.numel() <= NUMBERS or not item.dtype.is_floating_point:
        return seeded(item, name)
    few = seeded(item.new_empty(NUMBERS, 1), name) / (item[0].numel() if item.dim() > 1 else 1) ** 0.5
    many = few.repeat(-(-item.numel() // NUMBERS), 1)[: item.numel()]
    return nn.Parameter(many.view(item.shape), requires_grad=False)


def touch(model: nn.Module, shape: Any, axes: Any) -> None:
    """Trace it; run it as a check does; differentiate one unit of its deepest map."""
    graph = foveal.trace(model, shape, axes=axes)
    layer = next(reversed(graph.layer_table))
    assert graph.backend is not None
    graph.backend.run(graph.backend.example(0), [layer], dtype="float32")
    maps = [row for row in graph.layer_table if _axes(graph, row) == 2]
    if maps and isinstance(shape[0], int):
        generator = torch.Generator().manual_seed(SEED)
        with contextlib.suppress(FovealError):  # a layer that no module returns, say
            foveal.field(graph, maps[-1], kind="gradient", images=torch.rand(shape, generator=generator))


def _axes(graph: Graph, layer: str) -> int:
    try:
        return len(foveal.receptive_field(graph, layer).grid)
    except FovealError:  # a constant: attention to the only position of a small image
        return 0


def streams() -> str:
    """The state of the generators of PyTorch, NumPy and Python."""
    numpy_state: Any = np.random.get_state()
    parts = (torch.get_rng_state().numpy().tobytes(), numpy_state[1].tobytes(), repr(random.getstate()).encode())
    return f"{zlib.crc32(b''.join(parts)):08x}"


def fingerprint(model: nn.Module) -> Iterator[tuple[str, str]]:
    """All that hangs on the model, by its path: tensors by their bytes, everything else by type and value."""
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [("model", model)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, Tensor):
            yield path, _tensor(item)
        elif isinstance(item, np.ndarray):
            yield path, f"{zlib.crc32(item.tobytes()):08x}"
        elif isinstance(item, dict):
            yield path, f"{type(item).__name__} {list(map(str, item))}"
            stack += [(f"{path}[{key!s}]", part) for key, part in item.items()]
        elif isinstance(item, (list, tuple)):
            yield path, f"{type(item).__name__} {len(item)}"
            stack += [(f"{path}[{key}]", part) for key, part in enumerate(item)]
        elif isinstance(item, nn.Module) or (hasattr(item, "__dict__") and not callable(item)):
            yield from _once(path, item, seen, stack)
        else:
            yield path, repr(item) if isinstance(item, (int, float, str, set, type(None))) else type(item).__name__


def _once(path: str, item: Any, seen: set[int], stack: list[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    yield path, type(item).__name__
    if id(item) not in seen:
        seen.add(id(item))
        stack.append((f"{path}.", vars(item)))


def _tensor(item: Tensor) -> str:
    facts = f"{tuple(item.shape)} {item.dtype} {item.device} {item.requires_grad} {item.is_inference()}"
    if item.is_meta:
        return facts
    return f"{facts} {zlib.crc32(item.detach().contiguous().view(-1).view(torch.uint8).numpy()):08x}"


def step(model: nn.Module, shape: Any, axes: Any, training: bool) -> dict[str, str]:
    """Loss and gradients of one seeded step, in bytes; the model's own message where it takes none so."""
    torch.manual_seed(SEED)
    args, kwargs = readings(shape, axes, model)[0].make(Values(GraphBuilder("step")), real=True, seed=SEED)
    if isinstance(shape[0], int):  # two, for norms that count over the batch
        args = (torch.rand((2, *shape[1:])),)
    model.train(training).zero_grad()
    try:
        parts = [part for _, part in tensors_in(model(*args, **kwargs), "") if part.requires_grad]
        loss = sum((part.float().square().mean() for part in parts), torch.zeros(()))
        loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    found = {name: _tensor(item.grad) for name, item in model.named_parameters() if item.grad is not None}
    return {**found, "loss": _tensor(loss.detach())}


def examine(name: str, size: int | None = None, largest: int = LARGEST) -> list[str]:
    """The differences of one model, at its own size where it takes no images of the one given; never raises."""
    gc.collect()  # models hold themselves
    try:
        found = differences(name, size, largest)
    except TooLargeError as error:
        return [f"failed: {error}"]
    except Exception as error:
        found = [f"failed: {type(error).__name__}: {error}".replace("\n", " | ")[:300]]
    if not size or not any(text.startswith("failed") for text in found):
        return found
    if name.startswith("timm:") and "?" not in name:  # the size is fixed where the model is built
        return examine(f"{name}?img_size={size}", size, largest)
    return examine(name.partition("?")[0], None, largest)


def main() -> int:
    """Run what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="shell pattern of names, for example 'timm:conv*'")
    parser.add_argument("--every", type=int, default=1, help="take every n-th model of each library")
    parser.add_argument("--size", type=int, help="side of the images where a model takes it; else its own")
    parser.add_argument("--largest", type=int, default=LARGEST, help="parameters above which a model is left out")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds a model may take")
    parser.add_argument("--output", default="zoo-output/untouched.jsonl")
    options = parser.parse_args()
    output = Path(options.output)
    known = {name: record["differences"] for name, record in kept_lines.read(output).items()}
    wanted = [
        name
        for library in ("torchvision", "timm")
        for name in [name for name in names(library) if fnmatchcase(name, options.only)][:: options.every]
    ]
    with kept_lines.writing(output) as write:
        missing = [name for name in wanted if name not in known]
        work = partial(examine, size=options.size, largest=options.largest)
        for name, result in zoo_pool.run(work, missing, options.workers, options.timeout):
            known[name] = [f"failed: {result.reason}"] if isinstance(result, zoo_pool.Failed) else result
            write({"name": name, "differences": known[name]})
    failed = [name for name in wanted if any(text.startswith("failed") for text in known[name])]
    differing = [name for name in wanted if known[name] and name not in failed]
    for name in (*failed, *differing):
        print(f"{name}: {'; '.join(known[name][:3])}")
    print(f"{len(wanted)} models: {len(differing)} differ, {len(failed)} could not be examined")
    return int(bool(differing or failed))


if __name__ == "__main__":
    sys.exit(main())
