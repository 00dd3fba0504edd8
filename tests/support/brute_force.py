"""Support, paths and edges by listing: a network of plain tap lists, its graph built position by position.

Written without any of the package: an operation is a list of (output, inputs) pairs made with loops, a value a tuple of
lengths, a position a tuple. Channels do not appear: every value has one, or alike ones.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product
from random import Random

Position = tuple[int, ...]
Reads = dict[Position, list[Position]]


@dataclass
class Network:
    """Values by number with their lengths; value 0 is the source. ``made``: value -> [(operand, reads, is an edge)]."""

    lengths: list[Position]
    made: dict[int, list[tuple[int, Reads, bool]]] = field(default_factory=dict)

    def add(self, lengths: Position, ways: list[tuple[int, Reads, bool]]) -> int:
        """A new value with the ways it reads older ones."""
        self.lengths.append(lengths)
        self.made[len(self.lengths) - 1] = ways
        return len(self.lengths) - 1


def positions(lengths: Position) -> list[Position]:
    """All positions of a value."""
    return list(product(*(range(n) for n in lengths)))


def per_axis(taps: list[dict[int, list[int]]]) -> Reads:
    """Reads of a separable operation from those of each axis."""
    found: Reads = {}
    for out in product(*(sorted(axis) for axis in taps)):
        found[out] = list(product(*(axis[o] for axis, o in zip(taps, out, strict=True))))
    return found


def window(n: int, kernel: int, stride: int, padding: int, dilation: int) -> dict[int, list[int]]:
    """One axis of a convolution or a pool."""
    count = (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    found = {}
    for out in range(count):
        taps = [out * stride - padding + t * dilation for t in range(kernel)]
        found[out] = [tap for tap in taps if 0 <= tap < n]
    return found


def spread(n: int, kernel: int, stride: int, padding: int) -> dict[int, list[int]]:
    """One axis of a transposed convolution: every input writes to ``kernel`` outputs."""
    count = (n - 1) * stride - 2 * padding + kernel
    found: dict[int, list[int]] = {out: [] for out in range(count)}
    for i in range(n):
        for t in range(kernel):
            if 0 <= i * stride - padding + t < count:
                found[i * stride - padding + t].append(i)
    return found


def same(lengths: Position) -> Reads:
    """Each position reads itself."""
    return {p: [p] for p in positions(lengths)}


def paths(net: Network, value: int, unit: Position) -> dict[Position, int]:
    """Number of paths from each source position to the unit, by walking back from the unit."""
    counts: dict[int, dict[Position, int]] = defaultdict(lambda: defaultdict(int))
    counts[value][unit] = 1
    for current in range(value, 0, -1):
        for operand, reads, _ in net.made[current]:
            for out, n in list(counts[current].items()):
                for place in reads[out]:
                    counts[operand][place] += n
    return dict(counts[0])


def edges(net: Network, value: int, unit: Position) -> dict[Position, int]:
    """Number of distinct edges on the paths from each source position to the unit: forward reach and backward reach."""
    cone: dict[int, set[Position]] = defaultdict(set)
    cone[value].add(unit)
    for current in range(value, 0, -1):
        for operand, reads, _ in net.made[current]:
            for out in cone[current]:
                cone[operand].update(reads[out])
    found: dict[Position, int] = {}
    for start in cone[0]:
        reached: dict[int, set[Position]] = defaultdict(set)
        reached[0].add(start)
        total = 0
        for current in range(1, value + 1):
            for operand, reads, counted in net.made[current]:
                for out in cone[current]:
                    hits = [place for place in reads[out] if place in reached[operand]]
                    if hits:
                        reached[current].add(out)
                        total += len(set(hits)) if counted else 0
        if unit in reached[value]:
            found[start] = total
    return found


class Writer:
    """Draws a random network as text for the package and as tap lists for the listing above, side by side."""

    def __init__(self, rng: Random, lengths: Position) -> None:
        self.rng, self.net = rng, Network([lengths])
        self.dims = len(lengths)

    def network(self, depth: int) -> tuple[str, int]:
        """Text and last value."""
        text, value = [], 0
        for _ in range(depth):
            word, value = self.item(value)
            text.append(word)
        return " ".join(text), value

    def item(self, value: int) -> tuple[str, int]:
        """One layer or one block of branches."""
        kind = self.rng.choice(["conv", "conv", "conv", "pool", "tconv", "residual", "add", "cat"])
        if kind in ("residual", "add", "cat"):
            return self.branches(value, kind)
        return self.layer(value, kind)

    def layer(self, value: int, kind: str) -> tuple[str, int]:
        """A window that changes the size."""
        rng, lengths = self.rng, self.net.lengths[value]
        n = min(lengths)
        if kind == "tconv" and max(lengths) * 2 <= 24:
            kernel, stride, padding = rng.randint(2, 4), rng.randint(1, 2), rng.randint(0, 1)
            taps = [spread(length, kernel, stride, padding) for length in lengths]
            word = f"tconv{kernel}x1,s{stride},p{padding}"
        else:
            kernel = rng.randint(1, min(4, n))
            stride = rng.choice([1, 1, 1, 2, 3])
            dilation = rng.choice([1, 1, 2]) if 2 * (kernel - 1) < n and kind != "pool" else 1
            padding = rng.randint(0, (kernel * dilation) // 2)
            taps = [window(length, kernel, stride, padding, dilation) for length in lengths]
            word = f"conv{kernel}x1,s{stride},p{padding},d{dilation}"
            if kind == "pool":
                word = f"{rng.choice(['maxpool', 'avgpool'])}{kernel},s{stride},p{padding}"
        if not all(taps) or min(map(len, taps)) == 0:
            return "conv1x1", self.net.add(lengths, [(value, same(lengths), True)])
        made = per_axis(taps)
        return word, self.net.add(tuple(len(axis) for axis in taps), [(value, made, True)])

    def keeping(self, value: int) -> tuple[str, int]:
        """One or two convolutions that keep the size."""
        text = []
        for _ in range(self.rng.randint(1, 2)):
            lengths = self.net.lengths[value]
            kernel, dilation = self.rng.choice([1, 3, 3, 5]), self.rng.choice([1, 1, 2])
            taps = [window(n, kernel, 1, dilation * (kernel - 1) // 2, dilation) for n in lengths]
            value = self.net.add(lengths, [(value, per_axis(taps), True)])
            text.append(f"conv{kernel}x1,d{dilation}")
        return " ".join(text), value

    def branches(self, value: int, kind: str) -> tuple[str, int]:
        """Added or concatenated branches; a concatenation is followed by a 1x1 layer, whose edges count once per
        position."""
        lengths = self.net.lengths[value]
        parts = [self.keeping(value) for _ in range(1 if kind == "residual" else 2)]
        texts, ends = [part[0] for part in parts], [part[1] for part in parts]
        if kind == "residual":
            texts, ends = [*texts, "id"], [*ends, value]
        joined = self.net.add(lengths, [(end, same(lengths), False) for end in ends])
        body = " | ".join(texts)
        if kind != "cat":
            return f"[{body}]", joined
        return f"{{{body}}} conv1x1", self.net.add(lengths, [(joined, same(lengths), True)])
