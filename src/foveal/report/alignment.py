"""Which layer of one network goes with which of another: the alignment of two sequences of operations.

Two layers may go together where they do the same operation or bear the same name; the alignment with the greatest sum
of scores wins (Needleman and Wunsch 1970). An equal shape counts most, so that a layer that was added is
named even though every layer after it bears another number than its partner.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

Pair = tuple[int | None, int | None]
Row = tuple[str, str, str]
SHAPE, KIND, NAME, GAP = 6, 2, 1, -2
CELLS = 4_000_000
"""Larger tables (networks of thousands of layers that share little) are aligned by runs of equal operations."""


def aligned(names: tuple[Sequence[str], Sequence[str]], kinds: tuple[Sequence[str], Sequence[str]],
            forms: tuple[Sequence[str], Sequence[str]]) -> list[Pair]:  # fmt: skip
    """Index pairs in the order of both networks; None on the side that has no partner.

    Each holds one entry per layer of each network; forms: shape and window as text.
    """
    rows = [list(zip(n, k, f)) for n, k, f in zip(names, kinds, forms)]
    first, second = rows
    shorter = min(map(len, rows))
    head = next((i for i in range(shorter) if first[i][1:] != second[i][1:]), shorter)
    tail = next((i for i in range(shorter - head) if first[-1 - i][1:] != second[-1 - i][1:]), shorter - head)
    middle = _middle(first[head : len(first) - tail], second[head : len(second) - tail])
    return [
        *((i, i) for i in range(head)),
        *((None if a is None else a + head, None if b is None else b + head) for a, b in middle),
        *((len(first) - i, len(second) - i) for i in range(tail, 0, -1)),
    ]


def _score(a: Row, b: Row) -> int:
    alike = (KIND + SHAPE * (a[2] == b[2])) if a[1] == b[1] else 0
    return alike + NAME * (a[0] == b[0])


def _middle(first: list[Row], second: list[Row]) -> list[Pair]:
    if len(first) * len(second) > CELLS:
        return _by_runs([row[1] for row in first], [row[1] for row in second])
    best = [[GAP * j for j in range(len(second) + 1)]]
    for a in first:
        above, row = best[-1], [best[-1][0] + GAP]
        for j, b in enumerate(second):
            score, alone = _score(a, b), max(above[j + 1], row[j]) + GAP
            row.append(max(alone, above[j] + score) if score else alone)
        best.append(row)
    pairs: list[Pair] = []
    i, j = len(first), len(second)
    while i or j:
        score = _score(first[i - 1], second[j - 1]) if i and j else 0
        if score and best[i][j] == best[i - 1][j - 1] + score:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif j and (not i or best[i][j] == best[i][j - 1] + GAP):
            j -= 1
            pairs.append((None, j))
        else:
            i -= 1
            pairs.append((i, None))
    return pairs[::-1]


def _by_runs(first: Sequence[str], second: Sequence[str]) -> list[Pair]:
    pairs: list[Pair] = []
    end_a = end_b = 0
    for block in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
        pairs += [(index, None) for index in range(end_a, block.a)]
        pairs += [(None, index) for index in range(end_b, block.b)]
        pairs += [(block.a + step, block.b + step) for step in range(block.size)]
        end_a, end_b = block.a + block.size, block.b + block.size
    return pairs
