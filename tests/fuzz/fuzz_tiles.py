"""Random networks in tiles against the whole: ``python tests/fuzz/fuzz_tiles.py --count 3000``.

Every number is a network, a source's length and a tile's. A plan that is called exact must agree with the whole at the
source's length and at a longer one with the same remainder; anything but a plan or a FovealError of one line is a
fault too. ``--show NUMBER`` prints one. Exit code 1 where anything disagreed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.drawn.numbered_run import run
from support.drawn.random_tiles import drawn
from support.drawn.tile_verdicts import judge

if __name__ == "__main__":
    sys.exit(run(__doc__, 1000, judge, lambda number: drawn(number)[0]))
