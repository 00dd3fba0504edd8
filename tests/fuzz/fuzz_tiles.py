"""Random networks in tiles against the whole: ``python tests/fuzz/fuzz_tiles.py --count 3000``.

Every number is a network, a source's length and a tile's. A plan that is called exact must agree with the whole at the
source's length and at a longer one with the same remainder; anything but a plan or a FovealError of one line is a
fault too. ``--show NUMBER`` prints one. Exit code 1 where anything disagreed.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import foveal
from foveal.core.errors import FovealError
from foveal.tasks.tiling.plan import smallest_tile, tile
from foveal.tasks.tiling.record import TilePlan
from support.drawn.random_tiles import drawn

ROUNDING = 1e-9


def judge(number: int) -> tuple[str, str]:
    """What became of one number: a word to count, and what is wrong ("" where nothing is)."""
    model, example, length, _ = drawn(number)
    random = Random(number)
    try:
        model(torch.zeros(1, example.shape[1], length, dtype=torch.float64))
        whole = model(example)
    except (RuntimeError, ValueError):
        return "does not run", ""
    if whole.shape[-1] < 2:
        return "too short", ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = foveal.trace(model, example)
            wanted = None if random.random() < 0.3 else random.randint(4, length)
            plan = tile(graph, source_size=length, tile=wanted)
            if plan.count == 1 and random.random() < 0.7:
                plan = tile(graph, source_size=length, tile=smallest_tile(graph, source_size=length))
        except FovealError as error:
            text = str(error)
            return ("refused", "") if "\n" not in text and "is not available" not in text else ("refused", text)
        if not plan.exact:
            return plan.status, ""
        if plan.count == 1:
            return "one tile", ""
        return "exact", "; ".join(filter(None, (_apart(model, item) for item in (plan, _longer(plan, random)))))


def _longer(plan: TilePlan, random: Random) -> TilePlan:
    """The same tiles over a longer source."""
    axis = plan.axes[0]
    longer = replace(axis, length=axis.length + random.randint(1, 3 + 40 // axis.multiple) * axis.multiple)
    return replace(plan, axes=(longer,), source=replace(plan.source, shape=(*plan.source.shape[:2], longer.length)))


def _apart(model: torch.nn.Module, plan: TilePlan) -> str:
    image = torch.randn(plan.source.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    found = plan.check(model, image)
    return "" if found.largest <= ROUNDING * max(found.scale, 1e-3) else f"at {plan.axes[0].length}: {found}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="number of networks of this run")
    parser.add_argument("--start", type=int, default=0, help="the first number")
    parser.add_argument("--show", type=int, default=None, help="print one network and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.show is not None:
        print(drawn(options.show)[0], judge(options.show), sep="\n")
        return 0
    counts: Counter[str] = Counter()
    bad, begun = [], time.monotonic()
    for number in range(options.start, options.start + options.count):
        try:
            word, wrong = judge(number)
        except Exception as error:  # any failure is a finding: name it and go on
            place = traceback.extract_tb(error.__traceback__)[-1]
            word, wrong = "fault", f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
        counts[word] += 1
        if wrong:
            bad.append(number)
            print(f"{number}: {word}: {wrong}", flush=True)
    said = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    print(f"{options.count} networks: {said}; {len(bad)} wrong; {time.monotonic() - begun:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
