"""The long run over numbered networks, each with a word for how it went and what is wrong with it."""

from __future__ import annotations

import argparse
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch


def run(about: str | None, count: int, judge: Callable[[int], tuple[str, str]], show: Callable[[int], object]) -> int:
    """Judge many numbers, as the command line asks; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--count", type=int, default=count, help="number of networks of this run")
    parser.add_argument("--start", type=int, default=0, help="the first number")
    parser.add_argument("--show", type=int, default=None, help="print one network and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.show is not None:
        print(show(options.show), judge(options.show), sep="\n")
        return 0
    counts: Counter[str] = Counter()
    bad, begun = 0, time.monotonic()
    for number in range(options.start, options.start + options.count):
        try:
            word, wrong = judge(number)
        except Exception as error:  # any failure is a finding: name it and go on
            place = traceback.extract_tb(error.__traceback__)[-1]
            word, wrong = "fault", f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
        counts[word] += 1
        if wrong:
            bad += 1
            print(f"{number}: {word}: {wrong}", flush=True)
    said = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    print(f"{options.count} networks: {said}; {bad} wrong; {time.monotonic() - begun:.0f} s")
    return 1 if bad else 0
