"""Boxes against the elements that moved, and the long run over many drawn networks."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Ends = tuple[np.ndarray, np.ndarray]


class Verdict(NamedTuple):
    """kinds: of the steps; small: elements that moved outside their box; wide: edges of exact boxes not seen to move;
    edges: all of them; refused: foveal's error.
    """

    kinds: list[str]
    status: str
    small: int = 0
    wide: int = 0
    edges: int = 0
    refused: str = ""


class Moved:
    """Per source axis the first and last position whose change moved each element; first > last where none did."""

    def __init__(self, out: tuple[int, ...], axes: int) -> None:
        self.ends: list[Ends] = [(np.full(out, 1 << 30), np.full(out, -1)) for _ in range(axes)]

    def note(self, axis: int, position: int, felt: np.ndarray) -> None:
        """The change at a position moved these elements."""
        low, high = self.ends[axis]
        low[felt & (low > position)] = position
        high[felt] = np.maximum(high[felt], position)


def compare(kinds: list[str], status: str, boxes: Sequence[Ends], moved: Moved) -> Verdict:
    """What moved outside its box, and which edges of exact boxes did not move."""
    small = wide = edges = 0
    for (first, last), (low, high) in zip(boxes, moved.ends, strict=True):
        seen, claimed = low <= high, first <= last
        small += int((seen & ((low < first) | (high > last))).sum())
        if status == "exact":
            edges += 2 * int(claimed.sum())
            wide += int((claimed & (~seen | (low != first))).sum()) + int((claimed & (~seen | (high != last))).sum())
    return Verdict(kinds, status, small, wide, edges)


def run(about: str | None, count: int, judge: Callable[[int], Verdict | None], show: Callable[[int], str]) -> int:
    """Judge many numbers, as the command line asks; 1 where a box was too small or the analysis failed."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0, help="the first number")
    parser.add_argument("--show", type=int, help="print one network and its verdict")
    asked = parser.parse_args()
    if asked.show is not None:
        print(show(asked.show), judge(asked.show), sep="\n")
        return 0
    failed, wide, statuses, edges, began = [], Counter[str](), Counter[str](), 0, time.perf_counter()
    for number in range(asked.seed, asked.seed + asked.count):
        try:
            found = judge(number)
        except Exception as error:  # the long run goes on, and names what broke
            failed.append(number)
            print(f"{number}: {type(error).__name__}: {error}", flush=True)
            continue
        if found is None:
            continue
        statuses[found.status] += 1
        edges += found.edges
        if found.small or found.refused:
            failed.append(number)
            print(f"{number}: {found.small} boxes too small {found.kinds} {found.refused}", flush=True)
        if found.wide:
            wide[" ".join(found.kinds)] += found.wide
            print(f"{number}: {found.wide} of {found.edges} edges not seen {found.kinds}", flush=True)
    share = sum(wide.values()) / max(1, edges)
    print(f"{dict(statuses)}; {len(failed)} failed: {failed[:40]}; {share:.2e} of {edges} exact edges not seen")
    print("mostly in", wide.most_common(12), f"{time.perf_counter() - began:.0f} s")
    return int(bool(failed))
