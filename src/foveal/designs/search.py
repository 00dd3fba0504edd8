"""Search of a space: every candidate where there are few, else NSGA-II (Deb et al. 2002, from pymoo).

Every candidate is scored once; what is known is written to a journal as it comes, and a search that was killed reads it
and goes on. Since the search itself depends on its seed and on the scores alone, it ends where it would have ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from foveal.core.errors import FovealError, reaching, writing
from foveal.core.serial import to_plain
from foveal.core.workers import in_processes, on_ray
from foveal.designs.choice.merit import FAR, FULL, band, merit
from foveal.designs.choice.settled import settle
from foveal.designs.closed.evaluate import evaluated
from foveal.designs.network import Network
from foveal.designs.spaces.cover import cover, coverable
from foveal.designs.spaces.space import Genome, Space
from foveal.designs.targets import Target, least_misfit, limit_names, limits, objectives
from foveal.designs.text import code
from foveal.frontends.backends import emitted

EXHAUSTIVE = 20_000
"""Spaces up to this size are looked through completely."""
BATCH = 500
Done = Callable[[int, int], None]
Timer = Callable[[Any], float]


class Score(NamedTuple):
    """misfit, cost, how far each limit is broken (in the order of ``limit_names``), merit; None: cannot be built."""

    misfit: float
    cost: float
    excess: tuple[float, ...]
    values: tuple[float, ...]
    merit: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether every limit is met."""
        return not any(self.excess)


@dataclass(frozen=True, eq=False)
class Found:
    """front: feasible candidates that no other beats in both objectives, by cost; scores: of all that were scored;
    complete: whether every candidate of the space was looked at; alike: of how many at most the recommended one was
    taken where the space was covered at once and few were scored, else None.
    """

    front: tuple[Genome, ...]
    scores: dict[Genome, Score | None]
    complete: bool
    alike: int | None = None


@dataclass(frozen=True)
class Settings:
    """How to search. generations and population are NSGA-II's; journal: a file to go on from."""

    seed: int = 0
    population: int = 100
    generations: int = 60
    exhaustive: int = EXHAUSTIVE
    workers: int = 1
    ray_address: str | None = None
    journal: str | None = None


def search(space: Space, target: Target, settings: Settings | None = None, done: Done | None = None) -> Found:
    """The Pareto front of a space; ``done`` hears how many candidates are scored and how many there will be at most.

    Raises FovealError where the journal belongs to another search.
    """
    settings, done = settings or Settings(), done or (lambda now, whole: None)
    scorer = _Scorer(space, target, settings)
    alike = None
    try:
        complete = space.size <= settings.exhaustive
        if complete:
            waiting = list(space.genomes())
            for start in range(0, len(waiting), BATCH):
                scorer(waiting[start : start + BATCH])
                done(min(start + BATCH, len(waiting)), len(waiting))
        elif settings.exhaustive and coverable(space, target):
            alike = _covered(space, scorer, target)
        if not complete and alike is None:
            _evolve(space, scorer, target, settings, done)
    finally:
        scorer.close()
    return Found(front(scorer.scores), scorer.scores, complete or alike is not None, alike)


def _covered(space: Space, scorer: _Scorer, target: Target) -> int | None:
    """Covers the space and scores what an answer needs; None where that was too much."""
    worst = least_misfit(target) + FAR
    while True:
        found = cover(space, target, worst)
        alike = None if found is None else settle(
            space, found, target, lambda genomes: [bool(s and s.feasible) for s in scorer(genomes)]
        )  # fmt: skip
        if found is None or worst == np.inf:
            return alike
        # Where nothing fits as well as could be, candidates that fit worse belong to the answer too.
        reached = [pair[1].misfit for pair in _spending(scorer.scores, target)]
        needed = min(reached) + FAR if reached else np.inf
        if needed <= worst:
            return alike
        worst = needed


def front(scores: dict[Genome, Score | None]) -> tuple[Genome, ...]:
    """The feasible candidates that no other one beats, from the cheapest on; of equals the first in order."""
    feasible = sorted(
        (score.cost, score.misfit, genome) for genome, score in scores.items() if score is not None and score.feasible
    )
    kept, best = [], float("inf")
    for _, misfit, genome in feasible:
        if misfit < best:
            kept.append(genome)
            best = misfit
    return tuple(kept)


def recommended(scores: dict[Genome, Score | None], target: Target) -> tuple[Genome | None, int]:
    """The candidate to take, and of how many: among the feasible ones that fit as well as the best does (within
    ``band``) and spend the budget, that of the most merit; without a budget the cheapest that fits so well.
    """
    alike = _alike(scores, target)
    return (alike[0][1], len(alike)) if alike else (None, 0)


def fitting(scores: dict[Genome, Score | None], target: Target, most: int = 9) -> list[Genome]:
    """Candidates to train: those that could be recommended, from the best of the rule on."""
    return [genome for _, genome in _alike(scores, target)[:most]]


def _alike(scores: dict[Genome, Score | None], target: Target) -> list[tuple[tuple[float, float], Genome]]:
    found, budget = _spending(scores, target), target.budget
    best = min((s.misfit for _, s in found), default=0.0)
    near = [(genome, s) for genome, s in found if s.misfit <= best + band(target)]
    return sorted(((s.cost if budget is None else -s.merit, s.misfit), genome) for genome, s in near)


def _spending(scores: dict[Genome, Score | None], target: Target) -> list[tuple[Genome, Score]]:
    """The feasible candidates that spend the budget; all feasible ones where none does or there is no budget."""
    found = [(genome, s) for genome, s in scores.items() if s is not None and s.feasible]
    if target.budget is None:
        return found
    least = FULL * target.budget
    return [pair for pair in found if pair[1].cost >= least] or found


def score(space: Space, target: Target, genome: Genome) -> Score | None:
    """The score of one candidate; None where it cannot be built or laid out."""
    network = space.network(genome)
    found = evaluated(network)
    if found is None:
        return None
    latency = measured_latency(network) if target.measured else None
    asked = limits(target, found, latency)
    broken, values = tuple(a.excess for a in asked), tuple(a.value for a in asked)
    return Score(*objectives(target, found, latency), broken, values, merit(target, found))


def measured_latency(network: Network) -> float:
    """Milliseconds of one inference on this device; raises FovealError without PyTorch."""
    return emitted("measured latency").latency(code(network), network.input)


def score_all(space: Space, target: Target, genomes: Sequence[Genome]) -> list[Score | None]:
    """The scores of several candidates, as one piece of work."""
    return [score(space, target, genome) for genome in genomes]


class _Scorer:
    """Scores what is not known yet, and writes it down."""

    def __init__(self, space: Space, target: Target, settings: Settings) -> None:
        self.space, self.target, self.settings = space, target, settings
        self.scores: dict[Genome, Score | None] = {}
        self.file: Any = None
        self.known: dict[Genome, Score | None] = {}
        if settings.journal is not None:
            self._open(Path(settings.journal))

    def __call__(self, genomes: Sequence[Genome]) -> list[Score | None]:
        fresh = [g for g in dict.fromkeys(genomes) if g not in self.scores and g not in self.known]
        found = dict(zip(fresh, self._computed(fresh)))
        if self.file is not None:
            with reaching(str(self.settings.journal)):
                for genome, own in found.items():
                    self.file.write(json.dumps([list(genome), None if own is None else list(own)]) + "\n")
                self.file.flush()
        for genome in genomes:
            if genome not in self.scores:
                self.scores[genome] = found[genome] if genome in found else self.known[genome]
        return [self.scores[genome] for genome in genomes]

    def close(self) -> None:
        if self.file is not None:
            with reaching(str(self.settings.journal)):
                self.file.close()

    def _computed(self, genomes: list[Genome]) -> list[Score | None]:
        settings = self.settings
        if settings.ray_address is None and (settings.workers < 2 or len(genomes) < 2):
            return score_all(self.space, self.target, genomes)
        size = -(-len(genomes) // max(1, 4 * settings.workers))
        chunks = [genomes[i : i + size] for i in range(0, len(genomes), max(1, size))]
        calls = [(self.space, self.target, chunk) for chunk in chunks]
        if settings.ray_address is not None:
            parts = on_ray(score_all, calls, settings.ray_address, leave_running=True)
        else:
            parts = in_processes(score_all, calls, settings.workers)
        return [one for part in parts for one in part]

    def _open(self, path: Path) -> None:
        head = json.dumps({"space": self.space.template, "target": to_plain(self.target)}, default=list, sort_keys=True)
        try:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            if lines and lines[0] != head:
                raise FovealError(f"{path}: holds the candidates of another search; give another file")
            whole = [line for line in lines[1:] if self._learned(line)]
            # What a kill left half written is dropped with the rest of its line.
            with writing(path) as place:
                place.write_text("\n".join([head, *whole]) + "\n", encoding="utf-8")
            self.file = path.open("a", encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FovealError(f"{path}: cannot be used as a journal: {getattr(error, 'strerror', error)}") from None

    def _learned(self, line: str) -> bool:
        try:
            genome, own = json.loads(line)
            made = None if own is None else Score(own[0], own[1], tuple(own[2]), tuple(own[3]), own[4])
        except (ValueError, TypeError, IndexError):
            return False
        self.known[tuple(genome)] = made
        return True


def _evolve(space: Space, scorer: _Scorer, target: Target, settings: Settings, done: Done) -> None:
    try:
        nsga2 = import_module("pymoo.algorithms.moo.nsga2")
    except ModuleNotFoundError:
        text = f"the space has {space.size:,} candidates and needs pymoo: pip install 'foveal[design]'"
        raise FovealError(text) from None
    repair = import_module("pymoo.operators.repair.rounding").RoundingRepair
    crossover = import_module("pymoo.operators.crossover.ux").UniformCrossover
    mutation = import_module("pymoo.operators.mutation.pm").PolynomialMutation
    sampling = import_module("pymoo.operators.sampling.rnd").IntegerRandomSampling
    algorithm = nsga2.NSGA2(
        pop_size=settings.population,
        sampling=sampling(),
        crossover=crossover(prob=0.9),
        mutation=mutation(prob=1.0, prob_var=min(0.5, 1.5 / len(space.choices)), eta=5, vtype=float, repair=repair()),
        eliminate_duplicates=True,
    )
    problem = _problem(space, scorer, len(limit_names(target)), 2 if target.spend is None else 3)
    algorithm.setup(problem, termination=("n_gen", settings.generations), seed=settings.seed, verbose=False)
    while algorithm.has_next():
        algorithm.next()
        done(algorithm.n_gen - 1, settings.generations)


def _problem(space: Space, scorer: _Scorer, limits_asked: int, objectives_asked: int) -> Any:
    base: Any = import_module("pymoo.core.problem").Problem
    counts = np.array([choice.count for choice in space.choices])

    class Fields(base):  # type: ignore[misc]
        """The space as pymoo sees it: whole numbers in, objectives and broken limits out."""

        def __init__(self) -> None:
            super().__init__(n_var=len(counts), n_obj=objectives_asked, n_ieq_constr=limits_asked + 1, xl=0,
                             xu=counts - 1, vtype=int)  # fmt: skip

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
            scores = scorer([tuple(int(i) for i in row) for row in np.asarray(x)])
            worst = (float("1e6"), float("1e18"), 0.0)
            wished = [worst if s is None else (s.misfit, s.cost, -s.merit) for s in scores]
            out["F"] = np.array(wished)[:, :objectives_asked]
            broken = (1e3,) * limits_asked
            out["G"] = np.array([(*broken, 1.0) if s is None else (*s.excess, 0.0) for s in scores])

    return Fields()
