"""Which layer of one network goes with which of another: by equal name where possible, else by the order of kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

Pair = tuple[int | None, int | None]
Names = tuple[Sequence[str], Sequence[str]]


def aligned(names: Names, kinds: Names) -> list[Pair]:
    """Index pairs in the order of both networks; None on the side that has no partner.

    ``names`` and ``kinds`` hold one word per layer of each network; layers of the same name go together first, and
    between two such pairs those of the same kind. Shapes play no part.
    """
    pairs: list[Pair] = []
    for gap_a, gap_b, matched in _blocks(*names):
        inner = _blocks([kinds[0][index] for index in gap_a], [kinds[1][index] for index in gap_b])
        for skip_a, skip_b, same in inner:
            pairs += [(gap_a[index], None) for index in skip_a]
            pairs += [(None, gap_b[index]) for index in skip_b]
            pairs += [(gap_a[left], gap_b[right]) for left, right in same]
        pairs += matched
    return pairs


def _blocks(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[range, range, list[tuple[int, int]]]]:
    """For each run of equal entries: what stands before it on either side, and the run."""
    end_a = end_b = 0
    for block in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
        run = [(block.a + step, block.b + step) for step in range(block.size)]
        yield range(end_a, block.a), range(end_b, block.b), run
        end_a, end_b = block.a + block.size, block.b + block.size
