"""Inverse design: single questions with an exact answer. From the field that is wanted to the numbers of the layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import ceil

from foveal.core.errors import FovealError
from foveal.designs.closed.evaluate import Evaluation, evaluate, evaluated
from foveal.designs.network import Network
from foveal.designs.spaces.around import around, changes
from foveal.designs.spaces.space import Space

MOST_CHANGES = 3
MOST_TRIED = 60_000
LONGEST = 64
"""Blocks of a causal stack."""


def hole_free(dilations: tuple[int, ...], kernel: int) -> bool:
    """Whether convolutions of these dilations, in any order, leave no hole: sorted, each at most one more than what
    the smaller ones reach together (docs/methods.md 6.1, exact).
    """
    reach = 0
    for dilation in sorted(dilations):
        if dilation > 1 + (kernel - 1) * reach and kernel > 1:
            return False
        reach += dilation
    return True


@dataclass(frozen=True)
class DilationPlan:
    """A stack of dilated convolutions. dilations: of each block; field: positions seen, the own one included."""

    kernel: int
    per_block: int
    dilations: tuple[int, ...]
    rule: str

    @property
    def field(self) -> int:
        """1 + (kernel - 1) per_block sum of the dilations (docs/methods.md 8)."""
        return 1 + (self.kernel - 1) * self.per_block * sum(self.dilations)

    @property
    def whole(self) -> bool:
        """Whether it has no holes."""
        return hole_free(tuple(d for d in self.dilations for _ in range(self.per_block)), self.kernel)

    def specification(self, width: int = 32) -> str:
        """One line of the text specification, causal."""
        block = []
        for dilation in self.dilations:
            conv = f"causal{self.kernel}x{width}" + (f",d{dilation}" if dilation > 1 else "")
            block.append(" ".join([conv] * self.per_block))
        return " ".join(block)

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.dilations))
        holes = "no holes" if self.whole else "holes"
        return (
            f"{self.rule}: {len(self.dilations)} blocks of {self.per_block} x kernel {self.kernel}, "
            f"dilations {listed}; field {self.field}, past {self.field - 1}, look-ahead 0, {holes}"
        )


def tcn(past: int, kernel: int, per_block: int = 2, longest: int | None = None) -> tuple[DilationPlan, ...]:
    """Plans of causal stacks that reach ``past`` positions back without holes: doubled dilations, and the fewest
    blocks. longest: the largest dilation, after which a plan starts again at 1 (WaveNet).

    Raises FovealError for numbers that no stack can have.
    """
    if past < 1 or kernel < 2 or per_block < 1 or (longest is not None and longest < 1):
        raise FovealError(f"past {past}, kernel {kernel}: expected a past of at least 1 and a kernel of at least 2")
    doubled = _stack(past, kernel, per_block, longest, 2)
    plans = [DilationPlan(kernel, per_block, doubled, "doubled dilations")]
    fewest = _trimmed(past, kernel, per_block, _stack(past, kernel, per_block, longest, None))
    if fewest != doubled:
        plans.append(DilationPlan(kernel, per_block, fewest, "fewest blocks"))
    return tuple(plans)


def _stack(past: int, kernel: int, per_block: int, longest: int | None, growth: int | None) -> tuple[int, ...]:
    made: list[int] = []
    next_one = reach = 0
    while (kernel - 1) * per_block * reach < past:
        if len(made) == LONGEST and longest is None:
            raise FovealError(f"a past of {past} needs more than {LONGEST} blocks")
        widest = 1 + (kernel - 1) * per_block * reach
        if growth is None:
            next_one = min(widest, longest or widest)
        else:
            next_one = min(widest, next_one * growth) if made else 1
            # WaveNet's stacks: after the largest dilation they start again.
            next_one = 1 if longest is not None and next_one > longest else next_one
        made.append(next_one)
        reach += next_one
    return tuple(made)


def _trimmed(past: int, kernel: int, per_block: int, dilations: tuple[int, ...]) -> tuple[int, ...]:
    """The last dilation as small as the past allows; it stays free of holes, since it only shrinks."""
    before = sum(dilations[:-1])
    least = ceil(past / ((kernel - 1) * per_block)) - before
    return (*dilations[:-1], max(1, min(dilations[-1], least)))


@dataclass(frozen=True)
class PatchPlan:
    """A patch discriminator: strided layers of 4, then two of stride 1 (docs/methods.md 8)."""

    strided: int

    @property
    def field(self) -> int:
        """Backward recursion r = s r + (k - s) over 4-wide layers."""
        size = 1
        for stride in (1, 1, *(2,) * self.strided):
            size = stride * size + 4 - stride
        return size

    @property
    def stride(self) -> int:
        """Positions per patch."""
        return 1 << self.strided

    def specification(self, width: int = 64) -> str:
        """One line of the text specification."""
        layers = [f"conv4x{width * min(2**i, 8)},s2,p1" for i in range(self.strided)]
        return " ".join([*layers, f"conv4x{width * min(2**self.strided, 8)},p1", "conv4x1,p1"])

    def __str__(self) -> str:
        return f"PatchGAN with {self.strided} strided layers: field {self.field}, stride {self.stride}"


def patchgan(field: int) -> tuple[PatchPlan, ...]:
    """The plan whose field is ``field``; where there is none the next smaller and the next larger one."""
    if field < 7:
        raise FovealError(f"field {field}: a patch discriminator has at least 7 (two 4-wide layers)")
    plans = [PatchPlan(0)]
    while plans[-1].field < field:
        plans.append(PatchPlan(plans[-1].strided + 1))
    return (plans[-1],) if plans[-1].field == field else tuple(plans[-2:])


def rates(stride: int, field: int, length: int, kernel: int = 3) -> tuple[DilationPlan, tuple[int, ...]]:
    """Dilations for a head at an output stride that is to add ``field`` source positions, on a map of ``length``.

    Returns a series without holes, and rates for parallel branches: even steps up to the field, each of whose windows
    fits the map (beyond it a branch is a 1-wide one, docs/methods.md 6.2). FovealError where the map is too short.
    """
    if min(stride, field, length) < 1 or kernel < 2:
        raise FovealError(
            f"stride {stride}, field {field}, map {length}: expected numbers of at least 1, kernel at least 2"
        )
    needed = ceil(field / stride)
    if needed > length:
        raise FovealError(
            f"a field of {field} at stride {stride} spans {needed} positions of a map of {length}; use a larger input"
        )
    series = _trimmed(needed, kernel, 1, _stack(needed, kernel, 1, None, None))
    widest = min(needed, length - 1) // (kernel - 1)
    parallel = tuple(dict.fromkeys(max(1, round(widest * part / 3)) for part in (1, 2, 3)))
    return DilationPlan(kernel, 1, series, "series without holes"), parallel


@dataclass(frozen=True)
class Change:
    """The smallest change found: what changes, in words, and the network before and after."""

    changed: tuple[str, ...]
    before: Evaluation
    after: Evaluation
    network: Network
    tried: int

    def __str__(self) -> str:
        old, new = self.before, self.after
        return (
            f"{'; '.join(self.changed) or 'nothing to change'}: multiply-adds {old.multiply_adds:,} to "
            f"{new.multiply_adds:,} ({new.multiply_adds / old.multiply_adds:.2f} x), parameters {old.parameters:,} to "
            f"{new.parameters:,}, unproductive layers {len(old.unproductive)} to {len(new.unproductive)}, "
            f"effective side {old.widest.effective:.0f} to {new.widest.effective:.0f}"
        )


def smallest_change(
    network: Network, wanted: str, keep_blocks: bool = False, only: str | None = None, space: Space | None = None
) -> Change:
    """The fewest changes that reach ``wanted``, and among these the cheapest.

    wanted: "covered" (the field covers the source), "effective" (the effective field does: its
    side is root 2 times the source's, as targets ask), "productive" (no
    unproductive layer). keep_blocks: no block may go; only: "counts" (blocks may go, nothing else changes). Raises
    FovealError where no change of up to three places does.
    """
    if wanted not in ("covered", "effective", "productive"):
        raise FovealError(f"unknown wish '{wanted}'; expected covered, effective or productive")
    space = space or around(network)
    before = evaluate(network)
    tried = 0
    most = len(space.choices) if only == "counts" else MOST_CHANGES
    for number in range(most + 1):
        best: tuple[int, tuple[int, ...], Evaluation] | None = None
        for genome in _changed(space, number, keep_blocks, only):
            tried += 1
            found = evaluated(space.network(genome))
            if found is not None and _reaches(found, wanted) and (best is None or found.multiply_adds < best[0]):
                best = (found.multiply_adds, genome, found)
            if tried > MOST_TRIED:
                break
        if best is not None:
            made = space.network(best[1])
            return Change(tuple(changes(space, best[1])), before, best[2], made, tried)
    raise FovealError(f"{network.name}: none of {tried:,} variants with up to {most} changes is {wanted}")


def _changed(space: Space, number: int, keep_blocks: bool, only: str | None) -> Iterator[tuple[int, ...]]:
    places = range(len(space.choices))
    if only == "counts":
        places = [i for i in places if space.choices[i].name.endswith(".count")]  # type: ignore[assignment]
    for chosen in combinations(places, number):
        for options in product(*(range(1, space.choices[i].count) for i in chosen)):
            genome = [0] * len(space.choices)
            for place, option in zip(chosen, options):
                genome[place] = option
            bound = only == "counts" or keep_blocks
            if not (bound and _more_or_fewer(space, tuple(genome), grow=only != "counts")):
                yield tuple(genome)


def _more_or_fewer(space: Space, genome: tuple[int, ...], grow: bool) -> bool:
    """Whether some stage has fewer blocks than before (where blocks are kept), or more (where they may only go)."""
    own, made = space.network((0,) * len(genome)), space.network(genome)
    if grow:
        return len(made.stages) < len(own.stages) or any(a.count < b.count for a, b in zip(made.stages, own.stages))
    blocks = sum(s.count for s in made.stages)
    return blocks >= sum(s.count for s in own.stages) or not made.stages


def _reaches(found: Evaluation, wanted: str) -> bool:
    if wanted == "productive":
        return not found.unproductive
    return (found.fits if wanted == "effective" else found.covered) >= 1.0
