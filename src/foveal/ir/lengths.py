"""Lengths and paddings of sliding windows along one axis, in whole numbers; the letters are those of docs/methods.md.

``padding`` is (before, after); a negative number crops.
"""

from __future__ import annotations

from functools import lru_cache


def window_span(count: int, kernel: int, stride: int = 1, dilation: int = 1) -> int:
    """Positions from the first tap of the first of ``count`` windows to the last tap of the last (1.1: ``r'`` with
    ``r = count`` and ``j = s``): what they read, or what a transposed convolution of ``count`` inputs writes.
    """
    return (count - 1) * stride + dilation * (kernel - 1) + 1


def window_outputs(
    length: int, kernel: int, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1, ceil: bool = False
) -> int:
    """Number of whole windows in the padded length; 0 or less where there is none. With ``ceil`` a last window may
    reach over the end, if it starts inside the input or the padding before it (1.2).
    """
    before, after = padding
    spare = length + before + after - dilation * (kernel - 1) - 1
    if not ceil:
        return spare // stride + 1
    last = -(-spare // stride)
    return last if last * stride >= length + before else last + 1


def same_padding(length: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Padding of the "SAME" rule, which depends on the length unless the stride is 1 (1.4)."""
    return halves(max(window_span(-(-length // stride), kernel, stride, dilation) - length, 0))


def halves(total: int) -> tuple[int, int]:
    """A padding in two; the odd position goes after (1.4)."""
    return total // 2, total - total // 2


@lru_cache(4096)
def groups(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[tuple[list[int], list[int]], ...]:
    """The finest pairing of input and output axes with equal products: what a row-major reshape really rearranges."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        ins, outs = [], []
        m = n = 1
        if i < len(before):
            ins, m, i = [i], before[i], i + 1
        if j < len(after):
            outs, n, j = [j], after[j], j + 1
        while m != n or not ins or not outs:
            if (m < n or not ins) and i < len(before):
                ins.append(i)
                m, i = m * before[i], i + 1
            elif j < len(after):
                outs.append(j)
                n, j = n * after[j], j + 1
            elif i < len(before):
                ins.append(i)
                m, i = m * before[i], i + 1
            else:
                break
        found.append((ins, outs))
    return tuple(found)
