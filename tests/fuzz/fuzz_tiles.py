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
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.drawn.random_tiles import drawn
from support.drawn.tile_verdicts import judge


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
