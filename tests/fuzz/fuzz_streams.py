"""Random causal and nearly causal networks run with state against the whole: ``python tests/fuzz/fuzz_streams.py``.

Every number is a network and the sizes of its chunks. What runs must give the whole's numbers to rounding in float64.
``--show NUMBER`` prints one. Exit code 1 where anything disagreed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.drawn.numbered_run import run
from support.drawn.random_streams import drawn, judge

if __name__ == "__main__":
    sys.exit(run(__doc__, 500, judge, lambda number: "\n".join(map(str, drawn(number)))))
