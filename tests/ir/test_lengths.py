"""Lengths and paddings of windows, against numbers worked out by hand and windows laid out one by one."""

from __future__ import annotations

from itertools import product

import pytest

from foveal.ir.lengths import halves, same_padding, window_outputs, window_span


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "padding", "dilation", "whole", "ceil"),
    [
        (224, 7, 2, (3, 3), 1, 112, 113),
        (112, 3, 2, (1, 1), 1, 56, 57),
        (112, 3, 2, (0, 0), 1, 55, 56),
        (7, 7, 1, (0, 0), 1, 1, 1),
        (6, 7, 1, (0, 0), 1, 0, 0),
        (3, 7, 2, (0, 0), 1, -1, -1),
        (10, 3, 1, (2, 2), 2, 10, 10),
        (10, 3, 1, (4, 0), 2, 10, 10),
        (10, 3, 1, (-1, -2), 1, 5, 5),
        (5, 2, 2, (0, 0), 1, 2, 3),
        # Rounded up there would be a window that starts behind the input, in the padding after it.
        (5, 2, 3, (1, 1), 1, 2, 2),
        (4, 2, 5, (1, 1), 1, 1, 1),
    ],
)
def test_outputs(
    length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int, whole: int, ceil: int
) -> None:
    assert window_outputs(length, kernel, stride, padding, dilation) == whole
    assert window_outputs(length, kernel, stride, padding, dilation, ceil=True) == ceil


def test_outputs_are_the_windows_that_fit() -> None:
    for length, kernel, stride, before, after, dilation in product(
        (5, 8), (1, 2, 3), (1, 2, 3), (0, 1), (0, 1), (1, 2)
    ):
        taps = [[o * stride - before + t * dilation for t in range(kernel)] for o in range(length + 4)]
        count = sum(window[-1] < length + after for window in taps)
        assert window_outputs(length, kernel, stride, (before, after), dilation) == count
        assert window_span(count, kernel, stride, dilation) == taps[count - 1][-1] - taps[0][0] + 1


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "dilation", "padding"),
    [
        (224, 7, 2, 1, (2, 3)),
        (225, 7, 2, 1, (3, 3)),
        (224, 3, 2, 1, (0, 1)),
        (10, 3, 1, 1, (1, 1)),
        (10, 4, 1, 1, (1, 2)),
        (10, 3, 1, 2, (2, 2)),
        (10, 1, 3, 1, (0, 0)),
        (9, 2, 3, 1, (0, 0)),
    ],
)
def test_same_padding(length: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> None:
    assert same_padding(length, kernel, stride, dilation) == padding
    assert window_outputs(length, kernel, stride, padding, dilation) == -(-length // stride)


def test_lengths_of_transposed_convolutions() -> None:
    """From 7 to 14 with kernel 4, stride 2 and padding 1; with kernel 3 one position of output padding more."""
    assert window_span(7, 4, 2) - 2 == 14
    assert window_span(7, 3, 2) - 2 + 1 == 14
    assert window_span(5, 3, 1, 2) == 9


def test_the_odd_position_goes_after() -> None:
    assert halves(5) == (2, 3)
    assert halves(4) == (2, 2)
