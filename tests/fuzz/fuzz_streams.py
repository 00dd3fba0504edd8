"""Random causal and nearly causal networks run with state against the whole: ``python tests/fuzz/fuzz_streams.py``.

Every number is a network and the sizes of its chunks. What runs must give the whole's numbers to rounding in float64.
``--show NUMBER`` prints one. Exit code 1 where anything disagreed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.drawn.random_streams import drawn, judge


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="number of networks of this run")
    parser.add_argument("--start", type=int, default=0, help="the first number")
    parser.add_argument("--show", type=int, default=None, help="print one network and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.show is not None:
        print(*drawn(options.show), judge(options.show), sep="\n")
        return 0
    counts: Counter[str] = Counter()
    bad, begun = 0, time.monotonic()
    for number in range(options.start, options.start + options.count):
        try:
            word, wrong = judge(number)
        except Exception as error:  # any failure is a finding: name it and go on
            word, wrong = "fault", f"{type(error).__name__}: {error}"
        counts[word] += 1
        if wrong:
            bad += 1
            print(f"{number}: {word}: {wrong}", flush=True)
    said = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    print(f"{options.count} networks: {said}; {bad} wrong; {time.monotonic() - begun:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
