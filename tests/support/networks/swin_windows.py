"""Swin's receptive field by window arithmetic on one axis, without the engine: what each token of a stage can see."""

from __future__ import annotations

WINDOW, SHIFT, PATCH = 7, 3, 4
DEPTHS = (2, 2, 6, 2)

Box = tuple[int, int]


def stage_boxes(length: int) -> list[list[Box]]:
    """Per stage of Swin-T the (first, last) source position of each token, for a source of ``length`` positions."""
    boxes = [(PATCH * i, PATCH * i + PATCH - 1) for i in range(length // PATCH)]
    found = []
    for stage, depth in enumerate(DEPTHS):
        if stage:
            boxes = [_hull(boxes[i : i + 2]) for i in range(0, len(boxes), 2)]
        for block in range(depth):
            shift = SHIFT if block % 2 and len(boxes) > WINDOW else 0
            boxes = [_hull([boxes[i] for i in group]) for group in _groups(len(boxes), shift)]
        found.append(boxes)
    return found


def _groups(tokens: int, shift: int) -> list[range]:
    """Per token the tokens it attends to: its window, cut where the shifted window would wrap around the image."""
    found = []
    for token in range(tokens):
        first = (token - shift) // WINDOW * WINDOW + shift
        found.append(range(max(0, first), min(tokens, first + WINDOW)))
    return found


def _hull(boxes: list[Box]) -> Box:
    return min(first for first, _ in boxes), max(last for _, last in boxes)
